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


def size_of(file: Path) -> int:
    """Bytes of a file.

    Raises
    ------
    InputError
        where the operating system does not tell.
    """
    try:
        return file.stat().st_size
    except OSError as error:
        raise unreadable(file, error) from error


def header_not_understood(file: Path, got: str, wanted: str) -> InputError:
    """The error for a header in text that a person can correct."""
    return InputError(
        where=file,
        problem="the header of the stack cannot be understood",
        got=got,
        wanted=wanted,
        mend="Copy it again, or correct the line",
    )
