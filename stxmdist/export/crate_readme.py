"""The README of an RO-Crate: what the data are, in words for who finds them in ten years."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class DescribedTable:
    """One table of the crate."""

    name: str
    rows: int
    meaning: str


@dataclass(frozen=True)
class Described:
    """What is said of the data."""

    campaign: str
    origin: str
    """In a sentence: measured or simulated"""
    electrodes: Mapping[str, int]
    """Electrode to the number of its scans"""
    cycles: Sequence[str]
    scans: Mapping[str, int]
    """Kind of microscopy, in words, to its number of scans"""
    chemistries: Sequence[str]
    tables: Sequence[DescribedTable]
    folders: Mapping[str, str]
    """Path in the crate to what it holds"""
    missing: Sequence[str]
    """What could not be exported, a sentence each"""
    licence: str
    """In sentences"""
    version: str
    """Of stxmdist"""
    time: str
    """Of the export, ISO 8601"""


def readme(of: Described) -> str:
    """Markdown; its words stand in ``readme.md.j2``."""
    # Markdown is no HTML: nothing in it is escaped.
    environment = Environment(
        loader=PackageLoader("stxmdist.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("readme.md.j2").render(of=of)
