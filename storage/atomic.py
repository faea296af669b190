"""Files that appear whole or not at all, in a folder or a bucket; and records as JSON."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np

from storage.bucket import BucketError, BucketPath
from storage.errors import StoreError
from storage.folder import PARTIAL, partial_name, replace_link
from storage.place import Place, kind_of

__all__ = [
    "PARTIAL",
    "Json",
    "partial_name",
    "plain_json",
    "read_json",
    "read_json_object",
    "refusal",
    "remove",
    "replace_file",
    "replace_json",
    "replace_link",
    "replacing",
]


def refusal(where: Place, error: OSError, n_bytes: int) -> StoreError:
    """What the refusal to write ``n_bytes`` bytes means to a person."""
    return kind_of(where).refusal(where, error, n_bytes)


def replacing(place: Place) -> AbstractContextManager[Path]:
    """A temporary path on this machine: what the block makes there takes the place, whole.

    A reader sees the old file or the new one, never a part. When the block fails, nothing is left over. A folder can
    take the place of nothing or of an empty folder only; in a bucket, what lies right in it comes last.

    Raises
    ------
    OSError
        when the file system or the bucket refuses.
    """
    return kind_of(place).replacing(place)


def remove(place: Place) -> None:
    """Remove a file, link or folder, if it is there."""
    kind_of(place).remove(place)


def replace_file(place: Place, parts: Iterable[bytes | memoryview]) -> str:
    """Put a file in place, whole and lasting; return its sha256 (hex).

    A reader sees the old file or the new one, never a part. Parts are taken one after the other.

    Raises
    ------
    StoreError
        when the file system or the bucket refuses, with the number of bytes wanted.
    """
    return kind_of(place).replace_file(place, parts)


Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
"""What JSON can say."""


@overload
def plain_json(value: Mapping[str, object]) -> dict[str, Json]: ...
@overload
def plain_json(value: object) -> Json: ...


def plain_json(value: object) -> Json:
    """A record, array, number, path or container of them as JSON says it; a number that is not finite becomes null.

    Of a record (a dataclass), a field whose default is None, and which is None, does not apply and is left out.

    Raises
    ------
    TypeError
        for an object that JSON cannot say.
    """
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
        return {
            name: plain_json(item) for name, (item, default) in found.items() if not (item is None and default is None)
        }
    if isinstance(value, np.ndarray | np.generic):
        listed: object = value.tolist()
        return plain_json(listed)
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path | BucketPath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def replace_json(path: Place, content: object) -> str:
    """Write JSON (sorted keys, indented) as :func:`replace_file` does; see :func:`plain_json` for what it takes."""
    return replace_file(path, [json_bytes(content)])


def json_bytes(content: object) -> bytes:
    """JSON as the store writes it: sorted keys, indented."""
    text = json.dumps(plain_json(content), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode()


def read_json(path: Place) -> Json:
    """Read JSON that the store wrote.

    Raises
    ------
    StoreError
        when the file cannot be read or is not JSON.
    """
    try:
        return _json_of(path, path.read_bytes())
    except BucketError:
        raise
    except OSError as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error


def _json_of(path: Place, content: bytes) -> Json:
    try:
        said: Json = json.loads(content)
    except ValueError as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    return said


def json_object(path: Place, content: bytes) -> dict[str, Json]:
    """The JSON object (names and values) that a file's bytes hold.

    Raises
    ------
    StoreError
        when they are not JSON, or a list, text or number.
    """
    said = _json_of(path, content)
    if not isinstance(said, dict):
        raise unreadable(path, f"a {type(said).__name__}")
    return said


def read_json_object(path: Place) -> dict[str, Json]:
    """Read a JSON object (names and values) that the store wrote.

    Raises
    ------
    StoreError
        when the file cannot be read, is not JSON, or is a list, text or number.
    """
    said = read_json(path)
    if not isinstance(said, dict):
        raise unreadable(path, f"a {type(said).__name__}")
    return said


def unreadable(path: Place, got: str) -> StoreError:
    """What is said of a record of the store that is damaged, or that nobody can get."""
    return StoreError(
        where=path,
        problem="the store's own record cannot be read",
        got=got,
        wanted="a JSON document that stxmdist wrote",
        mend="Restore the file from a copy, or delete it: what it recorded is then computed again",
    )
