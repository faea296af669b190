"""A place in a bucket: the part of pathlib's Path that a store asks for, over obstore; and who may come in.

An object appears whole or not at all, there are no folders, and nothing is renamed. What a folder does by renaming, a
bucket does by conditional writing: only if there is nothing yet, or only if it is still what was read.
"""

import fnmatch
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from storage.bucket_access import client_of
from storage.errors import StoreError

SCHEMES = {"s3": "Amazon S3 and what speaks it", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
"""Of addresses, with what they stand for"""

NO_BUCKET = "NoSuchBucket"
"""What servers that speak S3 answer to that"""

Tag = Mapping[str, str | None]
"""What a bucket calls the state of an object: it is another one after every write"""


class BucketError(StoreError, OSError):
    """A bucket that does not do what it was asked: to a program as an error of a file system, to a person in words."""


@dataclass(frozen=True)
class BucketStat:
    """What is asked of an object beside its bytes."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, order=True)
class BucketPath:
    """An object of a bucket, or all those whose names begin with its own; ``s3://bucket/prefix`` in words."""

    bucket: str
    """``s3://bucket``"""
    key: str = ""
    """Without a slash at either end"""

    # --- names ------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __truediv__(self, name: "str | PurePosixPath") -> "BucketPath":
        return self.joinpath(str(name))

    def joinpath(self, *names: str) -> "BucketPath":
        """A place below this one."""
        return BucketPath(self.bucket, "/".join(part for part in (self.key, *names) if part))

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.key)

    @property
    def name(self) -> str:
        """The last part."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The ending of the last part."""
        return self._pure.suffix

    @property
    def parent(self) -> "BucketPath":
        """The place above."""
        return BucketPath(self.bucket, self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "BucketPath":
        """A place beside this one."""
        return self.parent / name

    def with_suffix(self, suffix: str) -> "BucketPath":
        """The same with another ending."""
        return self.with_name(f"{self.stem}{suffix}")

    def is_relative_to(self, other: object) -> bool:
        """Whether this is the other place, or below it."""
        if not isinstance(other, BucketPath) or other.bucket != self.bucket:
            return False
        return not other.key or f"{self.key}/".startswith(f"{other.key}/")

    def relative_to(self, other: "BucketPath") -> PurePosixPath:
        """How this is named from a place above it.

        Raises
        ------
        ValueError
            for a place that is not above.
        """
        if not self.is_relative_to(other):
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key[len(other.key) :].lstrip("/"))

    def resolve(self) -> "BucketPath":
        """Itself: there are no links."""
        return self

    def is_symlink(self) -> bool:
        """Never."""
        return False

    # --- reading ----------------------------------------------------------------------------------------------

    def stat(self) -> BucketStat:
        """Size and time of the last write.

        Raises
        ------
        FileNotFoundError, BucketError
            where there is no such object, or no answer.
        """
        import obstore

        with answered(self):
            found = obstore.head(client_of(self.bucket), self.key)
        written: datetime = found["last_modified"]
        return BucketStat(found["size"], int(written.timestamp() * 1e9))

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below."""
        import obstore

        prefix = f"{self.key}/" if self.key else None
        with answered(self):
            for found in obstore.list(client_of(self.bucket), prefix, chunk_size=2):
                return bool(found)
        return False

    def exists(self) -> bool:
        """Whether there is an object of this name, or below."""
        return self.is_file() or self.is_dir()

    def read_bytes(self) -> bytes:
        """The whole object.

        Raises
        ------
        FileNotFoundError, BucketError
            where there is no such object, or no answer.
        """
        return self.read_tagged()[0]

    def read_tagged(self) -> tuple[bytes, Tag]:
        """The whole object, and what to name when it is to be replaced only if it is still this; raises as reading."""
        import obstore

        with answered(self):
            found = obstore.get(client_of(self.bucket), self.key)
            return bytes(found.bytes()), tag_of(found.meta)

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole object as text; raises as reading."""
        return self.read_bytes().decode(encoding)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The whole object as a file in memory, for reading only; raises as reading."""
        assert mode == "rb", "objects are written whole, by storage.atomic"
        return io.BytesIO(self.read_bytes())

    def files(self) -> Iterator[tuple[str, int]]:
        """(name from here, bytes) of every object below, by name."""
        import obstore

        prefix = f"{self.key}/" if self.key else ""
        with answered(self):
            found = [each for page in obstore.list(client_of(self.bucket), prefix or None) for each in page]
        yield from sorted((each["path"].removeprefix(prefix), each["size"]) for each in found)

    def iterdir(self) -> "Iterator[BucketPath]":
        """Objects and folders right below.

        Raises
        ------
        FileNotFoundError, BucketError
            where there is nothing below, or no answer.
        """
        import obstore

        with answered(self):
            found = obstore.list_with_delimiter(client_of(self.bucket), f"{self.key}/" if self.key else None)
        names = sorted({*found["common_prefixes"], *(each["path"] for each in found["objects"])})
        if not names:
            raise FileNotFoundError(f"there is nothing below {self}")
        yield from (BucketPath(self.bucket, name) for name in names)

    def glob(self, pattern: str) -> "Iterator[BucketPath]":
        """What matches a pattern, such as ``*/*.json``; its stars stay within a part."""
        first, _, rest = pattern.partition("/")
        try:
            found = [place for place in self.iterdir() if fnmatch.fnmatchcase(place.name, first)]
        except FileNotFoundError:
            found = []
        for place in found:
            if rest:
                yield from place.glob(rest)
            else:
                yield place

    def rglob(self, pattern: str) -> "Iterator[BucketPath]":
        """Objects anywhere below whose last part matches."""
        for name, _ in self.files():
            if fnmatch.fnmatchcase(name.rpartition("/")[2], pattern):
                yield self / name

    # --- writing ----------------------------------------------------------------------------------------------

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders are there as soon as there is something in them."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object.

        Raises
        ------
        FileNotFoundError, BucketError
            where there is none and it is not allowed to be missing, or no answer.
        """
        import obstore

        if not missing_ok:
            self.stat()
        try:
            with answered(self):
                obstore.delete(client_of(self.bucket), self.key)
        except FileNotFoundError:
            return

    def put(self, content: bytes | memoryview | Path) -> None:
        """Put an object, or a file's bytes, in place whole, whatever was there.

        Raises
        ------
        BucketError
            where there is no answer, or the bucket refuses.
        """
        import obstore

        with answered(self):
            obstore.put(client_of(self.bucket), self.key, content)

    def put_new(self, content: bytes) -> Tag | None:
        """Put an object where there is none (``If-None-Match: *``); None where there is one; raises as :meth:`put`."""
        return self._put_if("create", content)

    def put_instead(self, content: bytes, of: Tag) -> Tag | None:
        """Put an object in the place of what was read (``If-Match``); None where it is not that any more."""
        return self._put_if({name: value for name, value in of.items() if value is not None}, content)

    def _put_if(self, mode: Any, content: bytes) -> Tag | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with answered(self):
                # In one request: of an upload in parts, the condition would not be checked everywhere.
                put = obstore.put(client_of(self.bucket), self.key, content, mode=mode, use_multipart=False)
                return tag_of(put)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return self._ours(content)

    def _ours(self, content: bytes) -> Tag | None:
        """The tag of an object that holds this already: a request whose answer was lost is sent again, and refused."""
        try:
            found, tag = self.read_tagged()
        except FileNotFoundError:
            return None
        return tag if found == content else None


def tag_of(found: Mapping[str, Any]) -> Tag:
    """What an answer says of the state of an object."""
    return {"e_tag": found.get("e_tag"), "version": found.get("version")}


@contextmanager
def answered(place: object) -> Iterator[None]:
    """Give what obstore raises as errors of a file system; what conditional writing asks for passes through."""
    from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, PreconditionError
    from obstore.exceptions import UnauthenticatedError as UnknownError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except (PermissionDeniedError, UnknownError) as error:
        raise _no(place, "the bucket does not let these credentials do this", "access denied") from error
    except BaseError as error:
        if NO_BUCKET in str(error):
            raise BucketError(
                where=place,
                problem="there is no such bucket",
                got=NO_BUCKET,
                wanted="a bucket that is there already",
                mend="Make it with the tools of its server, or correct the campaign's store",
            ) from error
        raise _no(place, "the bucket does not do what it was asked", said_by(error)) from error


def _no(place: object, problem: str, got: str) -> BucketError:
    return BucketError(
        where=place,
        problem=problem,
        got=got,
        wanted="an answer",
        mend="Check server, network and credentials, then run again; finished units are kept",
    )


def said_by(error: Exception) -> str:
    """The words of an error of obstore without the trace below them."""
    words = " ".join(str(error).split("\n\nDebug source")[0].split())
    # What was tried how often stands in the middle, the reason at the end.
    return words if len(words) < 300 else f"{words[:100]} ... {words[-190:]}"


def is_address(text: str) -> bool:
    """Whether a text is an address, and not a folder."""
    return "://" in text


def bucket_path(address: str) -> BucketPath:
    """The place that ``s3://bucket/prefix`` names.

    Raises
    ------
    StoreError
        for an address of another kind, or one that holds credentials (which are not repeated) or options.
    """
    wanted = "s3://bucket/prefix"
    try:
        parts = urlsplit(address)
        user, host = parts.username or parts.password or "@" in parts.netloc, parts.netloc
    except ValueError:
        raise _refused("an address that cannot be read", "the address of the store cannot be read", wanted) from None
    if user or parts.query or parts.fragment:
        got = "an address with a name, key or option in it"
        raise _refused(got, "credentials and options do not belong in the address of a store", wanted)
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{name}:// ({words})" for name, words in SCHEMES.items())
        raise _refused(f"{parts.scheme}://", "stores of this kind are not known", f"a folder, or one of {known}")
    key = parts.path.strip("/")
    if not host or not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise _refused(repr(address), "the address names no place in a bucket", f"{parts.scheme}://bucket/prefix")
    return BucketPath(f"{parts.scheme}://{host}", key)


def _refused(got: str, problem: str, wanted: str) -> StoreError:
    return StoreError(
        where="store",
        problem=problem,
        got=got,
        wanted=wanted,
        mend="Write bucket and prefix alone; credentials belong into the environment or a profile",
    )


def age_s(written_ns: int) -> float:
    """Seconds since a time that a bucket told, by this machine's clock."""
    return datetime.now(UTC).timestamp() - written_ns / 1e9
