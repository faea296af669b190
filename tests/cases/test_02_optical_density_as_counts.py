"""Optical density or transmission saved as a stack is asked about, and taken for what it is once that is said."""

from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from stxmdist.arrays import MaskClass
from tests.cases import planted
from tests.cases.campaigns import case
from tests.cases.planted import SOC, STAGES, TOLERANCE

PHOTONS = 400.0
COVERED = 0.12
"""A hundred pixels tell the width of a distribution to a tenth"""


def test_optical_density_is_refused_with_the_option_that_takes_it(tmp_path: Path) -> None:
    here = case("02-optical-density-as-counts", tmp_path / "od")
    here.fill()
    done = here.run(*STAGES)
    assert done.exit_code == 1
    (why,) = here.table("exclusions")["why"].drop_duplicates()
    print(why)
    for words in ("do not look like counts", "41% of the pixels hold no positive number", "input: optical_density"):
        assert words in why
    assert not len(here.table())
    here.set(stages={"absorbance": {"input": "optical_density"}})
    done = here.run(*STAGES)
    assert done.exit_code == 0, done.output
    print(here.soc())
    assert here.soc() == pytest.approx([0.19, 0.83], abs=0.015)
    scans = here.table("scans")
    (quality,) = scans.loc[scans["stage"] == "absorbance", "quality"]
    assert "the noise is measured" in quality


def test_the_errors_of_given_optical_density_are_those_of_its_scatter(tmp_path: Path) -> None:
    """Nobody says how many photons there were: what pixels stray from the truth is what their errors say."""
    stack = planted.counts(PHOTONS)
    beam = stack[:, :3].mean(axis=(1, 2))[:, None, None]
    with np.errstate(divide="ignore"):
        here = planted.written(tmp_path / "od", -np.log(stack / beam))
    # The discs' edges are sharp and stay where they are: nothing is to be corrected for.
    stages = {
        "align": {"register": False},
        "fit": {"fit_energy_shift": False},
        "segment": {"correct_psf_bias": False},
    }
    here.set(stages=stages | {"absorbance": {"input": "optical_density"}})
    done = here.run(*STAGES)
    assert done.exit_code == 0, done.output
    assert here.soc() == pytest.approx(SOC, abs=TOLERANCE)
    output = Store(here.folder / "store").published_output("fit", "scan")
    assert output is not None
    soc, se, kind = (output.read(name) for name in ("soc", "soc_se", "mask_class"))
    valid = (kind == MaskClass.valid) & planted.inside(0.0)
    truth = np.where(np.arange(planted.N_PX)[:, None] < planted.N_PX // 2, *SOC) * np.ones(soc.shape)
    pulls = ((soc - truth) / se)[valid]
    print(f"{pulls.size} pixels, pulls {pulls.mean():.2f} +- {pulls.std():.2f}")
    assert pulls.size > 120
    assert pulls.std() == pytest.approx(1.0, abs=2.0 * COVERED)
    assert abs(pulls.mean()) < 0.3


def test_transmission_in_a_tiff_is_asked_about_and_taken(tmp_path: Path) -> None:
    import tifffile

    stack = planted.counts()
    given = (stack / stack[:, :3].mean(axis=(1, 2))[:, None, None]).astype(np.float32)
    folder = tmp_path / "tiff"
    folder.mkdir()
    tifffile.imwrite(folder / "scan.tif", given, imagej=True, metadata={"axes": "ZYX"})
    (folder / "scan.txt").write_text("".join(f"{energy}\n" for energy in planted.ENERGY_EV))
    here = planted.begun(folder)
    done = here.run(*STAGES)
    assert done.exit_code == 1
    (why,) = here.table("exclusions")["why"].drop_duplicates()
    assert "input: transmission" in why
    here.set(stages={"absorbance": {"input": "transmission"}})
    done = here.run(*STAGES)
    assert done.exit_code == 0, done.output
    # A TIFF says nothing of the size of its pixels: outlines and states are found all the same.
    assert here.soc() == pytest.approx(SOC, abs=TOLERANCE)
