"""When flows ended well last: a small file for each, which pages and monitoring read without asking Prefect."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from storage.atomic import read_json_object, replace_json
from storage.errors import StoreError

FOLDER = "good"
"""Below a store's folder of this machine"""


def note_good(folder: Path, flow: str) -> None:
    """Write that a flow has ended now with nothing left undone; a full disk, or a folder that is gone, ends no flow."""
    with suppress(StoreError, OSError):
        replace_json(folder / FOLDER / f"{flow}.json", {"ended": datetime.now(UTC).isoformat(timespec="seconds")})


def last_good(folder: Path) -> Mapping[str, datetime]:
    """Flow to when it ended well last, of a store's folder of this machine."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        with suppress(StoreError, OSError, KeyError, TypeError, ValueError):
            found[path.stem] = datetime.fromisoformat(str(read_json_object(path)["ended"]))
    return found
