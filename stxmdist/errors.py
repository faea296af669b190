"""The errors of stxmdist: each names the file, row or key, what was got, what was wanted, and what to do."""

from storage.errors import Explained, StoreError


class InputError(Explained):
    """What came from outside cannot be used as it is."""


class UnsupportedError(InputError):
    """What came from outside is well formed, but of a kind that stxmdist does not process."""


class BrokenOffError(Explained):
    """A run that something outside ended before its time: what is finished is kept, and the same command goes on."""


__all__ = ["BrokenOffError", "Explained", "InputError", "StoreError", "UnsupportedError"]
