"""The command line: one command for each thing a group does with its beamtime; `stxmdist.cli.process` begins it."""
