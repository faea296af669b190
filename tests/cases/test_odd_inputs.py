"""Wrong and odd inputs, each with the command at which a user hears of it and the words that it is told in.

None of them may end with status 0 and nothing said. ``-s`` prints the table.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stxmdist.errors import Explained
from stxmdist.writers import sdf
from tests.cases.campaigns import SPECTRA, Case, case, command


@dataclass(frozen=True)
class Odd:
    """One input: how it is made, what is asked, and what must be heard."""

    make: Callable[[Path], Path]
    """Writes it into a folder; returns the file or the campaign file that the command is given"""
    ask: str
    """The command"""
    status: int
    says: str


def file_of(name: str, file: str) -> Callable[[Path], Path]:
    """A file of a case, as it is."""
    return lambda folder: SPECTRA / name / file


def campaign_of(name: str, *files: str) -> Callable[[Path], Path]:
    """A campaign of some files of a case, with an electrode for every row and none excluded."""

    def make(folder: Path) -> Path:
        made = case(name, folder, *files)
        made.fill()
        made.set(chemistry="LFP")
        return made.campaign

    return make


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    """A file of these bytes."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_bytes(content)
        return path

    return make


FILM = ("01-no-soc-no-word", "film.hdf5")


def with_option(stage: str, option: str, value: object) -> Callable[[Path], Path]:
    """A good campaign with one option."""

    def make(folder: Path) -> Path:
        path = campaign_of(*FILM)(folder)
        Case(folder).set(stages={stage: {option: value}})
        return path

    return make


def with_references(**references: object) -> Callable[[Path], Path]:
    """A good campaign with references: text is written into a file of its own."""

    def make(folder: Path) -> Path:
        path = campaign_of(*FILM)(folder)
        (folder / "beam.txt").write_text("600 1000\n610 1000\n620 1010\n")
        Case(folder).set(references=references, stages={"absorbance": {"i0": "file"}})
        return path

    return make


def with_column(name: str, value: str) -> Callable[[Path], Path]:
    """A good campaign whose sheet has one column more."""

    def make(folder: Path) -> Path:
        path = campaign_of(*FILM)(folder)
        Case(folder).fill(**{name: value})
        return path

    return make


def copied(folder: Path) -> Path:
    """Two files of the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for copy in ("a.hdf5", "b.hdf5"):
        shutil.copy(SPECTRA / FILM[0] / FILM[1], folder / copy)
    command("init", folder)
    made = Case(folder)
    made.fill()
    return made.campaign


def stack(
    counts: float, energy_ev: tuple[float, ...] = (704.0, 708.2, 710.2), pixel_um: float = 0.06
) -> Callable[[Path], Path]:
    """An SDF stack of one number of counts everywhere, with its noise where that is above zero."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        axis = np.arange(11) * pixel_um
        rng = np.random.default_rng(3)
        image = rng.poisson(counts, (11, 11)) if counts > 0 else np.full((11, 11), counts)
        current = np.full(len(energy_ev), 400.0)
        sdf.write_stack(folder / "flat.hdr", lambda _: image, np.array(energy_ev), axis, axis, 3.0, current)
        command("init", folder)
        made = Case(folder)
        made.fill()
        return made.campaign

    return make


def aborted(folder: Path) -> Path:
    """The header of eight energies, and the frames of two."""
    made = campaign_of("03-half-measured-frame", "sdf")(folder)
    for frame in sorted(folder.rglob("*.xim"))[2:]:
        frame.unlink()
    return made


ODD = {
    "optical density saved as a stack": Odd(
        campaign_of("02-optical-density-as-counts"), "validate", 2, "do not look like counts"
    ),
    "a frame measured in part": Odd(file_of("03-half-measured-frame", "zeros.stxm"), "inspect", 0, "measured in part"),
    "six of eight frames missing": Odd(aborted, "validate", 2, "the scan was aborted: 6 of 8 frames are missing"),
    "millimetres without a unit": Odd(file_of("04-millimetres-without-unit", "i08.nxs"), "inspect", 0, "taken as mm"),
    "pixels of .06 nm": Odd(stack(900.0, pixel_um=6e-5), "validate", 2, "no microscope has such pixels"),
    "a stack over magnetic field": Odd(
        campaign_of("05-stack-axis-is-no-energy"), "validate", 2, "a stack over MagnetField is not processed"
    ),
    "energies in keV": Odd(file_of("08-energies-in-kev", "fe.tif"), "inspect", 0, "these look like keV"),
    "two detectors": Odd(file_of("06-two-detectors", "two.stxm"), "inspect", 0, "channel default is read, not adc"),
    "a channel that is not there": Odd(
        with_column("ingest.channel", "diode"), "validate", 2, "no channel of this name"
    ),
    "another edge": Odd(
        campaign_of("11-wrong-edge-validates"), "validate", 2, "too few energies lie inside the references"
    ),
    "one energy": Odd(
        campaign_of("11-wrong-edge-validates"), "plan", 1, "one photon energy alone gives no state of charge"
    ),
    "a point spectrum": Odd(campaign_of("13-said-but-not-so", "point.hdr", "point_0.xsp"), "validate", 2, "no whole"),
    "the same bytes twice": Odd(copied, "validate", 2, "the file is a copy of another row's"),
    "an incident beam of other energies": Odd(with_references(i0="beam.txt"), "validate", 2, "does not span"),
    "a background of no kind": Odd(with_option("fit", "background", "polynomial"), "validate", 2, "polynomial"),
    "a misspelt option of one scan": Odd(with_column("fit.backgrund", "none"), "validate", 2, "'background'"),
    "an option of a stage without scans": Odd(with_column("report.width", "3"), "validate", 2, "report"),
    "a detector without light": Odd(stack(0.0), "run", 1, "none of the frames can be used"),
    "negative numbers": Odd(stack(-5.0), "run", 1, "are negative, and counts are not"),
    "nothing but beam": Odd(stack(900.0), "run", 1, "no particle was found"),
    "two energies alike": Odd(stack(900.0, (708.2, 708.2)), "validate", 2, "energies"),
    "text under the name of a header": Odd(
        written("a.hdr", b"Dear colleague,\nthe data follow.\n"), "inspect", 2, "wanted"
    ),
    "nothing in the file": Odd(written("a.hdf5", b""), "inspect", 2, "the file is empty"),
    "half of a file": Odd(
        written("a.hdf5", (SPECTRA / FILM[0] / FILM[1]).read_bytes()[:9000]), "inspect", 2, "damaged or incomplete"
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_input_is_answered_in_words(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = ODD[name]
    given = odd.make(tmp_path / "given")
    more = ["--cluster", "inline", "--no-prefect"] if odd.ask == "run" else []
    done = command(odd.ask, given, *more)
    # The process says the sentence of such an error and leaves with status 2 (tests/cli/test_exit_status.py).
    explained = done.exception if isinstance(done.exception, Explained) else None
    status = 2 if explained else done.exit_code
    heard = done.stdout + done.stderr + (explained.sentence if explained else "")
    said = " ".join(heard.replace(str(tmp_path), "").split())
    place = said.find(odd.says)
    with capsys.disabled():
        print(f"\n  {name} | {odd.ask} | {status} | ...{said[max(0, place - 80) : place + 160]}...")
    assert odd.says in said, said
    assert status == odd.status, said
    assert "Traceback" not in said
    assert "Warning" not in said
