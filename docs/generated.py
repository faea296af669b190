"""Writes the reference pages from the program's own tables, so that they say what this version does."""

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from storage.schema import ARRAYS
from stxmdist.campaign.scan import COLUMNS, NEEDED
from stxmdist.cli import process  # noqa: F401 (with it every command registers itself)
from stxmdist.cli.app import app
from stxmdist.export import EXPORTERS
from stxmdist.particles.metrics.table import PARTICLE_METRICS
from stxmdist.planning.described_options import DescribedOption, described, described_stage
from stxmdist.planning.stages import STAGES
from stxmdist.planning.tables import table_specs
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.readers import READERS
from stxmdist.spectra.explore.contract import EXPLORERS
from stxmdist.spectra.fitters.contract import FITTERS

MADE = "This page is made from the program itself when the documentation is built."


def options_page() -> str:
    """Every option of every stage: where it is written, its default, unit, meaning."""
    parts = [
        "# Options",
        MADE,
        "An option is written under `stages` of the campaign file, as `stages: {fit: {fitter: nnls}}`, or of one ",
    ]
    parts[-1] += "scan in a column `fit.fitter` of the sample sheet. `stxmdist options fit` prints the same."
    for stage in STAGES:
        parts += [f"## {stage}", _options(described_stage(stage))]
    parts += [
        "## Engines of ptychography",
        "Written in a step of `schedule`: `{engine: lsqml, iterations: 32, options: {noise: gaussian}}`.",
    ]
    for name, entry in ENGINES.items():
        parts += [f"### {name}", _options(described(entry.options.load(), name))]
    return _page(parts)


def _options(found: Iterable[DescribedOption]) -> str:
    rows = []
    for option in found:
        key = option.key.removeprefix("stages.").partition(".")[2]
        if option.group:
            rows.append((f"**{key}**", "", "", f"*{option.meaning}*"))
        else:
            rows.append((f"`{key}`", f"`{option.default_text}`", option.unit, f"{option.meaning} ({option.wanted})"))
    return _table(("option", "default", "unit", "meaning"), rows)


def tables_page() -> str:
    """Every column of every table of a campaign."""
    parts = [
        "# Tables",
        MADE,
        "In `store/tables/`, as Parquet and CSV. A value that is not known is empty; `1` is the unit of pure numbers.",
    ]
    for name, spec in table_specs().items():
        rows = [(f"`{column.name}`", column.unit, column.dtype, column.meaning) for column in spec.columns]
        parts += [
            f"## {name}",
            f"{spec.meaning[:1].upper()}{spec.meaning[1:]}.",
            _table(("column", "unit", "type", "meaning"), rows),
        ]
    return _page(parts)


def arrays_page() -> str:
    """Every array of the store."""
    rows = [
        (f"`{name}`", ", ".join(spec.dims), spec.dtype.replace("|", " or "), spec.unit, spec.meaning)
        for name, spec in ARRAYS.items()
    ]
    parts = [
        "# Arrays",
        MADE,
        "In `store/stages/STAGE/SCAN/DIGEST/data.zarr`, Zarr 3 with axes, units and coordinates.",
        "Fitters and explorers add arrays of their own.",
    ]
    return _page([*parts, _table(("array", "axes", "type", "unit", "meaning"), rows)])


def files_page() -> str:
    """Every format that is read, and every format that is written."""
    read = [(f"`{name}`", entry.words, entry.modality, ", ".join(entry.parts)) for name, entry in READERS.items()]
    written = [(f"`{name}`", entry.what, ", ".join(entry.modalities)) for name, entry in EXPORTERS.items()]
    needed = [(f"`{name}`", "yes" if name in NEEDED else "") for name in COLUMNS]
    parts = [
        "# Files",
        MADE,
        "## Read",
        "Formats are told apart by content, never by the ending of a name.",
        _table(("reader", "format", "scans", "files beside it"), read),
    ]
    parts += ["## Written", "`stxmdist export CAMPAIGN --to FORMAT`", _table(("format", "what", "scans"), written)]
    parts += [
        "## Columns of the sample sheet",
        "`stxmdist init` writes them, and the comments of `campaign.yaml` say what they mean.",
        "A column with a point in its name is an option; any other is a mistake that `validate` names.",
        _table(("column", "needed"), needed),
    ]
    return _page(parts)


def parts_page() -> str:
    """The members of the tables of interchangeable parts, each in the words of its own documentation."""
    parts = ["# Fitters, engines, explorers, metrics", MADE]
    for title, table in (("Fitters", FITTERS), ("Engines", ENGINES), ("Explorers", EXPLORERS)):
        rows = [(f"`{name}`", _sentence(entry.load())) for name, entry in table.items()]
        parts += [f"## {title}", _table(("name", "what it does"), rows)]
    rows = [
        (f"`{column.name}`", column.unit, column.meaning, entry.null, entry.source)
        for entry in PARTICLE_METRICS.values()
        for column in entry.columns
    ]
    parts += [
        "## Metrics of particles",
        "`taken off`: what homogeneous twins show on average is subtracted; `band`: it stands beside the value.",
    ]
    return _page([*parts, _table(("column", "unit", "meaning", "homogeneous twins", "source"), rows)])


def commands_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        "# Commands",
        MADE,
        "`./run COMMAND` sets the environment up first, and then is the same as `stxmdist COMMAND`.",
    ]
    for name, command in commands_of(typer.main.get_command(app)).items():
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        usage = " ".join(["stxmdist", name, *map(_argument, arguments)])
        rows = [
            (f"`{each.opts[-1]}`", each.help or "", _default(each.default))
            for each in command.params
            if each.param_type_name == "option" and each.name != "help"
        ]
        parts += [
            f"## {name}",
            f"`{usage}`",
            inspect.cleandoc(command.help or ""),
            _table(("option", "meaning", "default"), rows),
        ]
    return _page(parts)


def commands_of(group: Any, prefix: str = "") -> dict[str, Any]:
    """Every command by the words that call it, those of groups such as ``cluster check`` among them."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inside = getattr(command, "commands", None)
        found |= {prefix + name: command} if inside is None else commands_of(command, f"{prefix}{name} ")
    return found


def _argument(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    return str(word) if argument.required else f"[{word}]"


def _default(value: object) -> str:
    return "" if value in (None, False, [], ()) or callable(value) else f"`{value}`"


def _sentence(member: object) -> str:
    text = inspect.getdoc(member) or inspect.getdoc(inspect.getmodule(member)) or ""
    return " ".join(text.split("\n\n")[0].split())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|").replace("\n", " ")


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES = {
    "options": options_page,
    "tables": tables_page,
    "arrays": arrays_page,
    "files": files_page,
    "parts": parts_page,
    "commands": commands_page,
}
"""Name of a page below ``reference`` to what writes it"""


def write_pages(folder: Path) -> None:
    """Write every page of the reference into a folder."""
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / f"{name}.md").write_text(write())
