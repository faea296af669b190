"""The keys of the campaign file, their values, and a mistake in them in plain words."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stxmdist.campaign.problems import Problem, did_you_mean, one_of
from stxmdist.campaign.scan import CHEMISTRIES
from stxmdist.campaign.wanted import nearest_choice, wanted
from stxmdist.campaign.yamltext import Text, line_of
from stxmdist.tiled.address import API, KEY_VARIABLE

BYTE_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
LEAST_MEMORY_BYTES = 100 * 10**6
"""A worker's interpreter and libraries alone need more than this: a smaller limit is a slip of the unit."""

EXPLORE = "explore"
"""What a reference begins with that is no file: ``explore:SCAN:cluster-1``."""

GPU = "GPU"
"""What Dask calls the resource of a worker that has a GPU to itself: a unit that asks for 1 of it runs there."""


def parse_bytes(value: object) -> int:
    """Bytes of ``"1GB"``, ``"512 MB"``, ``"2GiB"`` or a plain number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?\s*", str(value), re.IGNORECASE)
    if not match or match[2].upper() not in BYTE_UNITS:
        raise ValueError("an amount of memory such as 1GB, 512MB or 2GiB")
    return round(float(match[1]) * BYTE_UNITS[match[2].upper()])


def _at_least_a_worker(value: object) -> int:
    count = parse_bytes(value)
    if count < LEAST_MEMORY_BYTES:
        raise ValueError(f"at least {LEAST_MEMORY_BYTES // 10**6}MB")
    return count


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _address_to_mapping(value: object) -> object:
    """``cluster: tcp://host:8786`` is short for ``cluster: {address: ...}``; nothing at all is the default."""
    if value is None:
        return {}
    return {"address": value} if isinstance(value, str) else value


_ADDRESS = r"^(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+$"
_PAIR = "a list of two formulas, [discharged, charged]"


def _known_chemistry(value: str) -> str:
    if value not in CHEMISTRIES:
        raise ValueError(one_of(CHEMISTRIES))
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ClusterSpec(_Strict):
    """Who computes: worker processes on this machine, or a running Dask scheduler."""

    workers: int = Field(default_factory=usable_cores, ge=1, le=100_000)
    """Worker processes; the cores of this machine unless said."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads per worker."""
    memory_limit: Annotated[int, BeforeValidator(_at_least_a_worker)] = 10**9
    """Bytes per worker; written as ``1GB``, ``512MB``, ``2GiB``."""
    address: Annotated[str, Field(pattern=_ADDRESS, description="an address such as tcp://host:8786")] | None = None
    """A running scheduler, ``tcp://host:port``; then the numbers above describe its workers."""
    gpus: int = Field(default=0, ge=0, le=1024)
    """How many of the workers have a GPU of this machine to themselves, and offer it as a resource."""

    @field_validator("gpus")
    @classmethod
    def _a_worker_for_each(cls, gpus: int, info: ValidationInfo) -> int:
        if gpus > info.data.get("workers", gpus):
            raise ValueError(f"at most one for each of the {info.data['workers']} workers")
        return gpus


@dataclass(frozen=True)
class ExploredSpectrum:
    """A spectrum that the exploration of a scan finds, written as ``explore:SCAN:NAME``."""

    scan_id: str
    name: str
    """Such as ``cluster-1`` or ``nmf-2``"""

    def __str__(self) -> str:
        return f"{EXPLORE}:{self.scan_id}:{self.name}"


def parse_end_member(value: object) -> Path | ExploredSpectrum | None:
    """A file, or what an exploration finds."""
    if value is None or isinstance(value, Path | ExploredSpectrum):
        return value
    if not isinstance(value, str):
        raise ValueError("a path, or explore:SCAN:NAME")
    first, *rest = value.split(":")
    if first != EXPLORE:
        return Path(value)
    if len(rest) != 2 or not all(rest):
        raise ValueError("a scan and one of its spectra, such as explore:SCAN:cluster-1")
    return ExploredSpectrum(*rest)


EndMember = Annotated[Path | ExploredSpectrum | None, PlainValidator(parse_end_member)]


class References(_Strict):
    """Measured spectra, two columns of text: photon energy in eV and value; or spectra that an exploration finds."""

    discharged: EndMember = None
    charged: EndMember = None
    i0: Path | None = Field(default=None, strict=False)
    """Incident spectrum, where the scans have no particle-free pixels."""
    thickness_unit: Literal["nm", "reference"] = "reference"
    """What the end-members are per: nm, or the thickness of the reference sample where that is not known."""
    formulas: tuple[str, str] | None = Field(default=None, strict=False, description=_PAIR)
    """Of discharged and charged: with them and the density, the spectra are scaled to tabulated absorption per nm."""
    density_g_cm3: float | None = Field(default=None, gt=0.0, lt=25.0)
    """Of the discharged compound."""


def _server(value: str) -> str:
    parts = urlsplit(value)
    if parts.username or parts.password or parts.query:
        raise ValueError(f"an address without a key: the key is read from {KEY_VARIABLE} in the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the address of a server, such as http://127.0.0.1:8000")
    return value.rstrip("/").removesuffix(API)


class TiledSpec(_Strict):
    """A Tiled server, whose runs the sheet names as ``tiled:UID``; its key is in the environment, never here."""

    server: Annotated[str, AfterValidator(_server)]
    """Such as ``http://127.0.0.1:8000``."""
    catalogue: str = ""
    """Where in the server's tree the runs lie."""
    results: bool = False
    """Whether maps, spectra and tables are written back, into the run that they are of."""


class LiveSpec(_Strict):
    """How scans are followed while they are measured."""

    look_every_s: float = Field(default=2.0, ge=0.2, le=3600.0)
    """Seconds between two looks at files and servers."""
    finish_after_s: float = Field(default=600.0, ge=10.0, le=86400.0)
    """A scan of which nothing has come for so many seconds is finished on what is there."""
    statistics_every_s: float = Field(default=60.0, ge=1.0, le=86400.0)
    """Statistics and report are renewed at most this often while scans grow."""
    tiled: TiledSpec | None = None


class Manifest(_Strict):
    """The keys of campaign.yaml."""

    name: str = Field(min_length=1, max_length=200)
    store: str = Field(min_length=1)
    samples: str = Field(min_length=1)
    chemistry: Annotated[str, AfterValidator(_known_chemistry)]
    references: References | None = None
    stages: dict[str, dict[str, object] | None] | None = None
    cluster: Annotated[ClusterSpec, BeforeValidator(_address_to_mapping)] = Field(default_factory=ClusterSpec)
    live: LiveSpec = Field(default_factory=LiveSpec)
    seed: int = Field(default=0, ge=0, lt=2**63)


_MODELS: Mapping[str, type[BaseModel]] = {
    "": Manifest,
    "cluster": ClusterSpec,
    "references": References,
    "live": LiveSpec,
    "live.tiled": TiledSpec,
}
_CHOICES: Mapping[str, Sequence[str]] = {"chemistry": CHEMISTRIES}
"""Words that a key admits, where they come from a table and not from the key's type."""


def explain(path: Path, text: Text, mistake: ErrorDetails) -> Problem:
    """A mistake that pydantic found, in words of our own: what was got, and what may be written at this key."""
    location = [str(part) for part in mistake["loc"]]
    key = ".".join(location)
    parent, name = ".".join(location[:-1]), location[-1]
    line = line_of(text.lines, key)
    given: object = mistake["input"]
    if mistake["type"] == "extra_forbidden":
        known = list(_MODELS[parent].model_fields)
        mend = did_you_mean(name, known, "Remove it")
        return Problem(path, line, key, "there is no key of this name", repr(name), one_of(known), mend)
    if mistake["type"] == "missing" and isinstance(mistake["loc"][-1], str):
        got = ", ".join(given) if isinstance(given, Mapping) and given else "nothing"
        here = line_of(text.lines, parent)
        return Problem(path, here, key, "this key is missing", f"only {got}", f"`{key}: ...`", f"Add {name!r}")
    if key == "store" and isinstance(given, Mapping):
        # What somebody hoped to say there may be a secret: it is not repeated.
        mend = "Write the folder or address alone; credentials belong into the environment or a profile"
        return Problem(path, line, key, "this value cannot be used", "a mapping", "text", mend)
    field = _field(location)
    mend = "Correct the value"
    if mistake["type"] == "string_type" and isinstance(given, int | float):
        mend = f'Write it as text: "{given}"'
    elif key in _CHOICES and isinstance(given, str):
        mend = did_you_mean(given, _CHOICES[key], "Choose one of those")
    elif field is not None and mistake["type"] == "literal_error":
        mend = nearest_choice(field.annotation, given, "Choose one of those")
    # Our own validators raise a ValueError that says what is wanted.
    said = mistake.get("ctx", {}).get("error") if mistake["type"] == "value_error" else None
    words = str(said) if said is not None else _wanted_at(field)
    got = "nothing" if given is None else repr(given) if len(repr(given)) < 80 else f"a {type(given).__name__}"
    return Problem(path, line, key, "this value cannot be used", got, words, mend)


def _field(location: Sequence[str]) -> FieldInfo | None:
    """The key of a model at a place, or the one that the place lies in; None inside the options of a stage."""
    parent = ".".join(location[:-1])
    if len(location) > 2 and parent in _MODELS:
        return _MODELS[parent].model_fields.get(location[-1])
    if len(location) > 1 and location[0] in _MODELS:
        return _MODELS[location[0]].model_fields.get(location[1])
    return Manifest.model_fields.get(location[0]) if len(location) == 1 else None


def _wanted_at(field: FieldInfo | None) -> str:
    return "`key: value` lines" if field is None else wanted(field.annotation, (field, *field.metadata))
