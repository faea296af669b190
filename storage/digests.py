"""Digests: the identity of an output and of a file's content."""

import hashlib
import json

from storage.errors import StoreError
from storage.place import Place

DIGEST_LENGTH = 16
"""Hex digits kept of a digest: 64 bits, so that a million outputs collide with probability 3e-8."""

_BLOCK = 1 << 20


def digest_of(content: object) -> str:
    """Digest (16 hex digits) of anything that JSON can say, the same in every process and for every order of keys.

    Raises
    ------
    StoreError
        for what JSON cannot say, NaN included: its digest would depend on how it happens to be printed.
    """
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise StoreError(
            where="digest",
            problem="the inputs or options of an output cannot be written as JSON",
            got=str(error),
            wanted="strings, finite numbers, booleans, null, and lists and mappings of these",
            mend="Give None where a number is not known, and paths as strings",
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def sha256_of_file(path: Place) -> str:
    """The sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
