"""What a bucket does otherwise than a folder: how things come to their places there, and go, and who is told."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.bucket import BucketError, BucketPath, Tag, answered
from storage.bucket_access import client_of
from storage.errors import Overtaken


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


def sha256_of(parts: Iterable[bytes | memoryview]) -> tuple[str, bytes | memoryview]:
    """sha256 (hex) of parts, and all of them in one piece."""
    listed: Sequence[bytes | memoryview] = list(parts)
    whole = memoryview(listed[0]).cast("B") if len(listed) == 1 and len(listed[0]) else b"".join(listed)
    return hashlib.sha256(whole).hexdigest(), whole
