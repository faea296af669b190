"""A place in a bucket: the part of pathlib's Path that a store asks for, over obstore; and who may come in.

An object appears whole or not at all, there are no folders, and nothing is renamed. What a folder does by renaming, a
bucket does by conditional writing: only if there is nothing yet, or only if it is still what was read. Credentials come
from the environment or from a profile of it, and appear in no error, address or record.
"""

import fnmatch
import functools
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser, Error
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storage.errors import Overtaken, StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

SCHEMES = {"s3": "Amazon S3 and what speaks it", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
"""Of addresses, with what they stand for"""
PATIENCE = "STXMDIST_BUCKET_PATIENCE_S"
"""Variable of the environment: for how long a server that does not answer is asked again"""
_PATIENCE_S = 60.0
_CONNECT_S = 5
_REQUEST_S = 300
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

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


# --- what a store does with places of both kinds ------------------------------------------------------------------


def refusal(where: object, error: OSError, n_bytes: int) -> BucketError:
    """What a bucket's refusal to take ``n_bytes`` bytes means to a person."""
    return BucketError(
        where=where,
        problem="the bucket does not take what is written, nothing was published",
        got=error.got if isinstance(error, BucketError) else str(error),
        wanted=f"a bucket that answers and takes {n_bytes} bytes",
        mend="Check server, network and credentials, then stxmdist retry; finished units are kept",
    )


def replace_file(place: BucketPath, parts: Iterable[bytes | memoryview]) -> str:
    """Put an object in place; return the sha256 (hex) of its bytes.

    Raises
    ------
    StoreError
        when the bucket refuses or does not answer.
    """
    sha256, whole = sha256_of(parts)
    try:
        place.put(whole)
    except OSError as error:
        raise refusal(place, error, len(whole)) from error
    return sha256


@contextmanager
def replacing(place: BucketPath) -> Iterator[Path]:
    """A path on this machine: the file or folder that the block makes there is put in place after it.

    What lies right in a folder comes last, so that whoever finds it finds all of it. When the block fails, nothing is
    put. Raises as putting does.
    """
    with TemporaryDirectory(prefix="stxmdist-") as folder:
        made = Path(folder, place.name)
        yield made
        if made.is_file():
            place.put(made)
            return
        inner = [path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()]
        for name in sorted(inner, key=lambda name: ("/" not in name, name)):
            (place / name).put(made / name)


def remove(place: BucketPath) -> None:
    """Remove an object and all below it; receipts and what says that an output is whole go first."""
    import obstore

    names = [name for name, _ in place.files()]
    first = [name for name in names if name.endswith(".json")]
    for some in (first, [name for name in names if not name.endswith(".json")], [""]):
        with suppress(FileNotFoundError), answered(place):
            if some:
                obstore.delete(client_of(place.bucket), [(place / name).key for name in some])


def point(place: BucketPath, target: BucketPath) -> None:
    """Let a place stand for a folder: an object beside it, ``tables.json``, says which, and is replaced whole."""
    said = {"folder": str(target.relative_to(place.parent))}
    replace_file(place.with_name(f"{place.name}.json"), [(json.dumps(said) + "\n").encode()])


def pointed(place: BucketPath) -> BucketPath:
    """The folder for which a place stands; itself where nothing was said."""
    try:
        said = json.loads(place.with_name(f"{place.name}.json").read_bytes())
        return place.parent / str(said["folder"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return place


def put_publication(place: BucketPath, content: bytes, before: Tag | None) -> None:
    """Put what is published in the place of what was read before (``before``; None where there was nothing).

    Raises
    ------
    Overtaken
        when another has published meanwhile: read again what is published, and put both.
    StoreError
        when the bucket refuses or does not answer.
    """
    try:
        put = place.put_new(content) if before is None else place.put_instead(content, before)
    except OSError as error:
        raise refusal(place, error, len(content)) from error
    if put is None:
        raise Overtaken(
            where=place,
            problem="another run has published this stage meanwhile",
            got="another publication than the one that was read",
            wanted="the one that was read",
            mend="Run again: nothing is lost, and finished units are kept",
        )


# --- who may come in ------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def client_of(bucket: str) -> "Client":
    """What speaks with a bucket, made once in a process from its environment.

    Raises
    ------
    StoreError
        without credentials, or with an address that sends them in the clear to another machine.
    """
    from obstore.store import from_url

    patience_s = float(os.environ.get(PATIENCE, _PATIENCE_S))
    given: dict[str, Any] = _s3_given(bucket, os.environ) if bucket.startswith("s3://") else {}
    options: Any = {
        "timeout": timedelta(seconds=_REQUEST_S),
        "connect_timeout": timedelta(seconds=_CONNECT_S),
    }
    endpoint = urlsplit(given.get("endpoint", ""))
    if endpoint.scheme == "http":
        options["allow_http"] = True
    retry: Any = {
        # Counted in seconds, not in tries.
        "max_retries": 10_000,
        "retry_timeout": timedelta(seconds=patience_s),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    made: Client = from_url(bucket, client_options=options, retry_config=retry, **given)
    return made


def _s3_given(bucket: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment says of S3, and its profile where it says nothing itself."""
    profile = _profile(environment)
    names = {
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
    }
    keys = {ours: environment[theirs] for ours, theirs in names.items() if environment.get(theirs)}
    if "access_key_id" not in keys:
        keys = {ours: profile[f"aws_{ours}"] for ours in names if profile.get(f"aws_{ours}")}
    lent = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    anonymous = environment.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true")
    if "secret_access_key" not in keys and not anonymous and not any(environment.get(name) for name in lent):
        raise StoreError(
            where=bucket,
            problem="nothing says who asks this bucket",
            got="no AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, and no profile with both",
            wanted="credentials in the environment, or in the profile that AWS_PROFILE names",
            mend="Set them where the command starts, and where workers start; never in a campaign file",
        )
    found = dict(keys)
    # SeaweedFS, MinIO and the like answer to any region, and want one.
    found["region"] = (
        environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.get("region") or "us-east-1"
    )
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")
    )
    if endpoint:
        parts = urlsplit(endpoint)
        allowed = environment.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allowed:
            raise StoreError(
                where=bucket,
                problem="the address of the bucket's server is not encrypted",
                got=f"http://{parts.hostname}",
                wanted="https, or a server on this machine",
                mend="Write https in AWS_ENDPOINT_URL; in a network of your own, AWS_ALLOW_HTTP=true allows it",
            )
        found["endpoint"] = endpoint
    return found


def _profile(environment: Mapping[str, str]) -> dict[str, str]:
    """Keys, region and address of the profile that the environment names, from the files that all of its tools read."""
    name = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or "default"
    home = Path(environment.get("HOME") or "/", ".aws")
    places = (
        (
            environment.get("AWS_CONFIG_FILE") or home / "config",
            name if name == "default" else f"profile {name}",
        ),
        (environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", name),
    )
    found: dict[str, str] = {}
    for file, section in places:
        # A secret may hold any sign.
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(file)
        except (Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section(section):
            found |= dict(parser.items(section))
    return found


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


def sha256_of(parts: Iterable[bytes | memoryview]) -> tuple[str, bytes | memoryview]:
    """sha256 (hex) of parts, and all of them in one piece."""
    listed: Sequence[bytes | memoryview] = list(parts)
    whole = memoryview(listed[0]).cast("B") if len(listed) == 1 and len(listed[0]) else b"".join(listed)
    return hashlib.sha256(whole).hexdigest(), whole


def age_s(written_ns: int) -> float:
    """Seconds since a time that a bucket told, by this machine's clock."""
    return datetime.now(UTC).timestamp() - written_ns / 1e9
