"""Errors that files of every format have."""

from pathlib import Path

from stxmdist.errors import InputError


def unreadable(file: Path, error: OSError) -> InputError:
    """The error for a file that the operating system does not let be read."""
    return InputError(
        where=file,
        problem="the file cannot be read",
        got=error.strerror or str(error),
        wanted="a readable file",
        mend="Bring it back, or correct its permissions",
    )
