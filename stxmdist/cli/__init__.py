"""The command line: one command for each thing a group does with its beamtime."""

from stxmdist.cli.process import main

__all__ = ["main"]
