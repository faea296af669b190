"""The command line: one command for each thing a group does with its beamtime. It begins in ``stxmdist.cli.process``."""
