"""The keys of the campaign file, their values, and a mistake in them in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, PlainValidator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stxmdist.campaign.clusters import NO_SUCH_KIND, AnyCluster, ClusterSpec, read_cluster, section_class
from stxmdist.campaign.problems import Problem, did_you_mean, one_of
from stxmdist.campaign.scan import CHEMISTRIES
from stxmdist.campaign.strict import Strict
from stxmdist.campaign.wanted import nearest_choice, wanted
from stxmdist.campaign.yamltext import Text, line_of
from stxmdist.tiled.address import API, KEY_VARIABLE

EXPLORE = "explore"
"""What a reference begins with that is no file: ``explore:SCAN:cluster-1``."""

_PAIR = "a list of two formulas, [discharged, charged]"


def _known_chemistry(value: str) -> str:
    if value not in CHEMISTRIES:
        raise ValueError(one_of(CHEMISTRIES))
    return value


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


class References(Strict):
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


class TiledSpec(Strict):
    """A Tiled server, whose runs the sheet names as ``tiled:UID``; its key is in the environment, never here."""

    server: Annotated[str, AfterValidator(_server)]
    """Such as ``http://127.0.0.1:8000``."""
    catalogue: str = ""
    """Where in the server's tree the runs lie."""
    results: bool = False
    """Whether maps, spectra and tables are written back, into the run that they are of."""


class LiveSpec(Strict):
    """How scans are followed while they are measured."""

    look_every_s: float = Field(default=2.0, ge=0.2, le=3600.0)
    """Seconds between two looks at files and servers."""
    finish_after_s: float = Field(default=600.0, ge=10.0, le=86400.0)
    """A scan of which nothing has come for so many seconds is finished on what is there."""
    statistics_every_s: float = Field(default=60.0, ge=1.0, le=86400.0)
    """Statistics and report are renewed at most this often while scans grow."""
    tiled: TiledSpec | None = None


class Manifest(Strict):
    """The keys of campaign.yaml."""

    name: str = Field(min_length=1, max_length=200)
    store: str = Field(min_length=1)
    samples: str = Field(min_length=1)
    chemistry: Annotated[str, AfterValidator(_known_chemistry)]
    references: References | None = None
    stages: dict[str, dict[str, object] | None] | None = None
    cluster: Annotated[AnyCluster, PlainValidator(read_cluster)] = Field(default_factory=ClusterSpec)
    live: LiveSpec = Field(default_factory=LiveSpec)
    seed: int = Field(default=0, ge=0, lt=2**63)


def _models(text: Text) -> Mapping[str, type[BaseModel]]:
    """The models of a campaign file by their places; the kind of the cluster decides which keys its section has."""
    return {
        "": Manifest,
        **_inside(Manifest, ""),
        **dict(_sections("cluster", section_class(text.keys.get("cluster")))),
    }


def _sections(place: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, model
    yield from _inside(model, f"{place}.").items()


def _inside(model: type[BaseModel], prefix: str) -> dict[str, type[BaseModel]]:
    """The models of the keys of a model, and of theirs."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= dict(_sections(prefix + name, kind))
    return found


_CHOICES: Mapping[str, Sequence[str]] = {"chemistry": CHEMISTRIES}
"""Words that a key admits, where they come from a table and not from the key's type."""


def explain(path: Path, text: Text, mistake: ErrorDetails) -> Problem:
    """A mistake that pydantic found, in words of our own: what was got, and what may be written at this key."""
    models = _models(text)
    location = [str(part) for part in mistake["loc"]]
    key = ".".join(location)
    # What stands in a list is of the model of its key.
    parent, name = ".".join(part for part in location[:-1] if not part.isdecimal()), location[-1]
    line = line_of(text.lines, key)
    given: object = mistake["input"]
    if mistake["type"] == "extra_forbidden":
        known = list(models[parent].model_fields)
        mend = did_you_mean(name, known, "Remove it")
        return Problem(path, line, key, "there is no key of this name", repr(name), one_of(known), mend)
    if mistake["type"] == NO_SUCH_KIND:
        words, mend = (str(mistake["ctx"][part]) for part in ("words", "mend"))
        return Problem(path, line, key, "this value cannot be used", repr(given), words, mend)
    if mistake["type"] == "missing" and isinstance(mistake["loc"][-1], str):
        got = ", ".join(given) if isinstance(given, Mapping) and given else "nothing"
        here = line_of(text.lines, ".".join(location[:-1]))
        return Problem(path, here, key, "this key is missing", f"only {got}", f"`{key}: ...`", f"Add {name!r}")
    if key == "store" and isinstance(given, Mapping):
        # What somebody hoped to say there may be a secret: it is not repeated.
        mend = "Write the folder or address alone; credentials belong into the environment or a profile"
        return Problem(path, line, key, "this value cannot be used", "a mapping", "text", mend)
    field = _field(models, location)
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


def _field(models: Mapping[str, type[BaseModel]], location: Sequence[str]) -> FieldInfo | None:
    """The key of a model at a place, or the one that the place lies in; None inside the options of a stage."""
    named = [part for part in location if not part.isdecimal()]
    for parent, name in ((".".join(named[:-1]), named[-1]), (named[0], named[1] if len(named) > 1 else "")):
        if parent in models and name:
            return models[parent].model_fields.get(name)
    return None


def _wanted_at(field: FieldInfo | None) -> str:
    return "`key: value` lines" if field is None else wanted(field.annotation, (field, *field.metadata))
