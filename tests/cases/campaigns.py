"""A folder of files that someone else wrote, taken through `init`, `validate` and `run` as a user would."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from stxmdist.cli import inputs, results, runs  # noqa: F401  (the commands register themselves)
from stxmdist.cli.app import app
from stxmdist.planning.stages import STAGES

SPECTRA = Path(__file__).resolve().parent / "spectra"
"""One folder for each case: a few small files with one trouble."""
TO_THE_TABLES = tuple(word for stage in STAGES if stage != "report" for word in ("--stage", stage))
"""All that gives numbers: the report takes as long as everything before it"""


def command(*words: str | Path) -> Result:
    """A command of stxmdist, in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def document(*words: str | Path) -> dict[str, Any]:
    """What a command prints with ``--json``."""
    found: dict[str, Any] = json.loads(command(*words, "--json").stdout)
    return found


@dataclass(frozen=True)
class Case:
    """A campaign in a folder of its own."""

    folder: Path

    @property
    def campaign(self) -> Path:
        """The campaign file."""
        return self.folder / "campaign.yaml"

    @property
    def sheet(self) -> Path:
        """The sample sheet."""
        return self.folder / "samples.csv"

    def rows(self) -> list[dict[str, str]]:
        """The sample sheet's rows."""
        with self.sheet.open(newline="") as file:
            return list(csv.DictReader(file))

    def fill(self, *keep: str, **cells: str) -> None:
        """Give every row an electrode and these cells; rows named in ``keep`` are included, none named: all are."""
        rows = [
            row | {"electrode_id": "E1", "exclude": "", "reason": ""} | cells
            for row in self.rows()
            if not keep or row["scan_id"] in keep
        ]
        with self.sheet.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)

    def set(self, **keys: Any) -> None:
        """Change top keys of the campaign file, such as ``stages``."""
        yaml = YAML()
        written = yaml.load(self.campaign.read_text())
        written.update(keys)
        with self.campaign.open("w") as file:
            yaml.dump(written, file)

    def run(self, *words: str) -> Result:
        """`run` in this process, without Prefect."""
        return command("run", self.campaign, "--cluster", "inline", "--no-prefect", *words)

    def table(self, name: str = "particles") -> pd.DataFrame:
        """A published table."""
        return pd.read_csv(self.folder / "store" / "tables" / f"{name}.csv")

    def soc(self) -> list[float]:
        """State of charge of every particle, from the top of the field downward; NaN where there is none."""
        return [float(value) for value in self.table().sort_values("y_um")["soc_mean"]]


def case(name: str, folder: Path, *files: str) -> Case:
    """A copy of a case (of some of its files) in ``folder``, with what `init` writes there, not yet filled in."""
    source = SPECTRA / name
    chosen = [source / file for file in files] if files else sorted(source.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copy(path, folder / path.name)
    command("init", folder)
    return Case(folder)
