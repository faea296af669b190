"""Whether a worker can do the work: it has the product in the same version, and sees the store and the files."""

import inspect
import json
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TypedDict
from uuid import uuid4

from storage.atomic import replace_file
from storage.place import Place, matching
from stxmdist.cluster import probe
from stxmdist.cluster.contract import Purpose, Started
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Future

MUST_AGREE = ("stxmdist", "dask", "distributed")
"""Other versions of these do not understand one another; of the rest, numbers may differ in their last digits."""
SECONDS_BETWEEN_LOOKS = 1.0
LEFT = (".answer", ".own")
"""What a worker writes beside the note: the first for us to read, the second to read and remove itself"""
MOST_FILES = 200
"""Of a campaign's files so many are looked for: they lie in few folders."""


class Found(TypedDict, total=False):
    """What a worker says of itself."""

    host: str
    python: str
    executable: str
    versions: dict[str, str]
    stxmdist: str
    import_error: str
    unseen: list[str]
    note: str
    read: str
    read_again: str
    store_error: str


@dataclass(frozen=True)
class CheckedWorker:
    """A worker that can do the work."""

    host: str
    python: str
    executable: str
    differences: tuple[str, ...]
    """Packages of other versions than here, in words"""


def check(
    client: "Client",
    started: Started,
    purpose: Purpose,
    most_seconds: float | None = None,
    waits: Callable[[str], None] = lambda why: None,
) -> CheckedWorker:
    """Let one worker look around; ``waits`` hears why none has come yet.

    Raises
    ------
    InputError
        with the first thing that is wrong: no worker comes (within ``most_seconds``, if there is a limit), the product
        cannot be imported, it has another version, the store or a file is not seen.
    """
    note = _note(purpose.store)
    try:
        asked = {
            "packages": [name for name in purpose.versions if name not in ("python", "platform", "stxmdist")],
            "files": [str(file) for file in purpose.files[:MOST_FILES]],
            "notes": [str(note)] if note else [],
        }
        text = f"{inspect.getsource(probe)}\nfound = look({asked!r})"
        # What Dask sends is text and a function of Python's own: whatever is missing on the worker, this runs.
        ask = f"(lambda names: (exec({text!r}, names), names['found'])[1])({{}})"
        found: Found = _answer(client.submit(eval, ask, pure=False, retries=2), started, most_seconds, waits)
        _refuse(found, purpose, note)
    finally:
        if note is not None:
            for name in ("", *LEFT):
                # A bucket that has gone meanwhile is told by whoever asks it next, not here.
                with suppress(OSError):
                    note.with_name(note.name + name).unlink(missing_ok=True)
    return CheckedWorker(found["host"], found["python"], found["executable"], tuple(_differences(found, purpose)))


def _note(store: Place | None) -> Place | None:
    if store is None:
        return None
    note = store / f".cluster-check-{uuid4().hex}"
    note.parent.mkdir(parents=True, exist_ok=True)
    replace_file(note, [json.dumps(str(uuid4())).encode()])
    return note


def _answer(
    future: "Future[Found]", started: Started, most_seconds: float | None, waits: Callable[[str], None]
) -> Found:
    until = None if most_seconds is None else monotonic() + most_seconds
    said = ""
    while True:
        try:
            return future.result(timeout=SECONDS_BETWEEN_LOOKS)
        except (TimeoutError, CancelledError) as error:
            why = started.waiting()
            if why != said:
                said = why
                waits(why)
            if isinstance(error, CancelledError) or (until is not None and monotonic() > until):
                future.cancel()
                raise _wrong(
                    "no worker came", why, "a worker", "Start workers, or wait for a queue that has room"
                ) from None
        except Exception as error:
            # Such as a Dask whose messages this one does not understand.
            raise _wrong(
                "a worker came and cannot answer",
                f"{type(error).__name__}: {error}"[:300],
                "a worker of this environment",
                "Install the same versions there",
            ) from error


def _refuse(found: Found, purpose: Purpose, note: Place | None) -> None:
    worker = f"{found['executable']} on {found['host']}"
    if "import_error" in found:
        raise _wrong(
            "the worker cannot import stxmdist",
            f"{found['import_error']} ({worker})",
            "the environment of this checkout on every worker",
            "Install it there, or name its interpreter (cluster: python)",
        )
    for name in MUST_AGREE:
        own = purpose.versions.get(name)
        there = found["stxmdist"] if name == "stxmdist" else found["versions"].get(name, "")
        if own is not None and there != own:
            raise _wrong(
                f"the worker has another version of {name}",
                f"{there or 'none'} ({worker})",
                f"{own}, as here",
                "Install the same versions there (./run setup), or name its interpreter (cluster: python)",
            )
    if note is not None and not _seen(found, note):
        got = found.get("store_error") or f"another place of the name {found['note']}"
        raise _wrong(
            "the worker does not see the store",
            f"{got} (on {found['host']})",
            f"{note.parent} on every worker, to read and to write",
            "Put the store on a folder that all hosts mount; for other names of it see `paths` of kind ssh"
            if isinstance(note, Path)
            else "Set credentials and address of the bucket's server where workers start, as here",
        )
    if found.get("unseen"):
        raise _wrong(
            "the worker does not see files of the campaign",
            f"no {', '.join(found['unseen'])} on {found['host']}",
            "the same files on every worker",
            "Put them on a folder that all hosts mount; for other names of it see `paths` of kind ssh",
        )


def _seen(found: Found, note: Place) -> bool:
    """Whether the worker has read the note, something of its own, and whether its answer is there."""
    if "store_error" in found:
        return False
    return found.get("read") == found.get("read_again") == _text(note) and _answered(note)


def _text(path: Place) -> str | None:
    with suppress(OSError):
        return path.read_text()
    return None


def _answered(note: Place) -> bool:
    # A folder of the network may show a file of another host a little late, unless it is listed.
    matching(note.parent, f"{note.name}*")
    answer = note.with_name(note.name + ".answer")
    return _text(answer) == (_text(note) or "")[::-1]


def _differences(found: Found, purpose: Purpose) -> list[str]:
    there = {**found["versions"], "python": found["python"]}
    return [
        f"{name} {there[name] or 'none'} there, {own} here"
        for name, own in purpose.versions.items()
        if name in there and there[name] != own
    ]


def _wrong(problem: str, got: str, wanted: str, mend: str) -> InputError:
    return InputError(where="cluster", problem=problem, got=got, wanted=wanted, mend=mend)
