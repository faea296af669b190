"""The tutorials on measured data, read from their pages and followed word for word: what they promise is what comes.

The data are no part of this repository; without them beside the checkout these tests skip.
"""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
LIMIT_SECONDS = 900.0


@dataclass(frozen=True)
class Tutorial:
    """A page, and the data that it tells people to put beside them."""

    page: str
    data: str
    """File or folder of the measurements, in the folder of all of them"""
    beside: str
    """What it is called there"""

    @property
    def text(self) -> str:
        return (TUTORIALS / self.page).read_text()

    @property
    def commands(self) -> list[list[str]]:
        """The words after ``./run`` of every command in a block, in order."""
        blocks = re.findall(r"```console\n(.*?)```", self.text, re.DOTALL)
        lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
        assert all(line.startswith("$ ./run ") for line in lines), lines
        return [shlex.split(line.removeprefix("$ ./run ")) for line in lines]

    def placed(self, measurements: Path, place: Path) -> None:
        source, target = measurements / self.data, place / self.beside
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        for each in [place, *place.rglob("*")]:
            each.chmod(0o755 if each.is_dir() else 0o644)


IRON = Tutorial("fe-stack.md", "als-11.0.2-fe-stack", "fe")
STAR = Tutorial("star.md", "ptychography/aps-siemens-star.cxi", "star/aps-siemens-star.cxi")


def said(words: list[str], place: Path) -> str:
    """What a command of a page prints, on both streams; it must end well."""
    ran = subprocess.run(
        [sys.executable, "-m", "stxmdist", *words], cwd=place, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    text = ran.stdout + ran.stderr
    assert ran.returncode == 0, f"{shlex.join(words)}: {text}"
    return " ".join(text.split())


@pytest.mark.parametrize("tutorial", [IRON, STAR], ids=lambda each: each.page)
def test_a_tutorial_begins_as_its_page_says(tutorial: Tutorial, shared_data: Path, tmp_path: Path) -> None:
    tutorial.placed(shared_data, tmp_path)
    first, *others = tutorial.commands
    assert first[0] == "init"
    assert [words[0] for words in others] == ["run"]
    told = said(first, tmp_path)
    campaign = next(tmp_path.glob("*/campaign.yaml"))
    assert str(campaign.relative_to(tmp_path)) == others[0][1]
    written = campaign.read_text()
    if tutorial is IRON:
        assert "reduced" in told
        assert "oxidized" in told
        assert "i0.xsp" in told
        assert re.search(r"^references:", written, re.MULTILINE)
    else:
        assert re.search(r"^chemistry: none", written, re.MULTILINE)
    assert len((campaign.parent / "samples.csv").read_text().splitlines()) == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_measured_stack_ends_as_its_page_says(shared_data: Path, tmp_path: Path) -> None:
    IRON.placed(shared_data, tmp_path)
    told = [said(words, tmp_path) for words in IRON.commands]
    assert "in doubt" in told[-1]
    (options,) = re.findall(r"Write `stages: (\{.*?\})`", IRON.text)
    (reference,) = re.findall(r"`(discharged: explore:[^`]+)`", IRON.text)
    campaign = tmp_path / "fe" / "campaign.yaml"
    kept = "".join(line for line in campaign.read_text().splitlines(keepends=True) if not line.startswith("stages:"))
    campaign.write_text(f"{kept}\nstages: {options}\n")
    said(IRON.commands[-1], tmp_path)
    store = tmp_path / "fe" / "store"
    assert list((store / "tables" / "spectra").glob("*cluster*"))
    (figure,) = (store / "report" / "figures").glob("exploration-*.svg")
    assert "cluster" in figure.read_text()
    assert pd.read_parquet(store / "tables" / "particles.parquet")["soc_mean"].notna().any()
    campaign.write_text(re.sub(r"discharged: .*", reference, campaign.read_text(), count=1))
    said(["validate", "fe/campaign.yaml"], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_measured_star_ends_as_its_page_says(shared_data: Path, tmp_path: Path) -> None:
    STAR.placed(shared_data, tmp_path)
    for words in STAR.commands:
        said(words, tmp_path)
    report = tmp_path / "star" / "store" / "report"
    (name,) = re.findall(r"Look at `Q2\. ([^`]+)`", STAR.text)
    assert f"Q2. {name}" in (report / "index.html").read_text()
    assert "half-bit half-period" in (report / "figures" / "Q2-convergence.svg").read_text()
