"""Films show every energy, stay small, and show what alignment did and nothing else."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.measures import AlignMeasures
from stxmdist.report.canvas import Absent
from stxmdist.report.evidence import Evidence
from stxmdist.report.film import MOST_BYTES, MOST_FILMS, SIZES, Film, as_apng, film_of, films, liveliest
from stxmdist.report.part import ReportPart
from tests.stages.tiny import PTYCHOGRAPHY, STXM, TINY

SAME_OD = 1e-5
"""Optical density that went through single precision and back"""
WIDE, FINE = TINY.stxm.energy_ev, TINY.ptychography.energy_ev


@pytest.fixture(scope="module")
def evidence(processed: Path) -> Evidence:
    """What the tiny campaign left of absorbance and align."""
    store = Store(processed.parent / "store")
    scans = load(processed).scans
    published = {
        (stage, scan.scan_id): store.publication(stage).scans[scan.scan_id].digest  # type: ignore[union-attr]
        for stage in ("absorbance", "align")
        for scan in scans
    }
    return Evidence.from_part(ReportPart("tiny", scans=scans, published=published), store)


def _film(evidence: Evidence, scan_id: str, longest: int = 61, most: int = 40) -> Film:
    absorbance, align = (evidence.output(stage, scan_id) for stage in ("absorbance", "align"))
    assert absorbance is not None
    assert align is not None
    return film_of(absorbance, align, np.zeros(0), longest, most)


@pytest.mark.parametrize(("scan_id", "energy_ev"), [(STXM[0], WIDE), (PTYCHOGRAPHY[0], FINE)])
def test_before_and_after_differ_where_a_frame_was_moved(
    evidence: Evidence, scan_id: str, energy_ev: tuple[float, ...]
) -> None:
    film = _film(evidence, scan_id)
    np.testing.assert_allclose(film.energy_ev, energy_ev)
    off = np.nanmedian(np.abs(film.after - film.before), axis=(1, 2))
    moved = np.hypot(*film.shift_px.T) > 0.0
    assert moved.sum() == len(energy_ev) - 1  # The reference stays where it is.
    assert (off[moved] > SAME_OD).all()
    assert (off[~moved] < SAME_OD).all()


def test_particles_stand_still_afterwards(evidence: Evidence) -> None:
    film = _film(evidence, STXM[0])
    # Neighbours in energy before the edge look alike, but for drift.
    restless = [float(np.nanstd(stack[1] - stack[0])) for stack in (film.before, film.after)]
    assert restless[1] < restless[0]


def test_films_are_of_those_that_moved_most_and_hold_every_energy(evidence: Evidence) -> None:
    found = films(evidence)
    assert isinstance(found, list)
    assert len(found) == MOST_FILMS
    figures = {name: evidence.figures(AlignMeasures, "align", name) for name in STXM + PTYCHOGRAPHY}
    shift = {name: found.largest_shift_px for name, found in figures.items() if found is not None}
    assert [film.name for film in found] == [
        f"film-{name}" for name in sorted(shift, key=shift.__getitem__, reverse=True)[:MOST_FILMS]
    ]
    for film in found:
        assert isinstance(film.image, bytes)
        assert len(film.image) <= MOST_BYTES
        name = film.name.removeprefix("film-")
        with Image.open(BytesIO(film.image)) as image:
            assert image.n_frames == len(WIDE if name in STXM else FINE)  # type: ignore[attr-defined]
        assert f"the largest along an axis is {shift[name]:.2f} px. Every frame was registered." in film.caption


def test_energies_are_left_out_evenly_with_both_ends_kept(evidence: Evidence) -> None:
    film = _film(evidence, STXM[0], longest=23, most=3)
    np.testing.assert_allclose(film.energy_ev, np.array(WIDE)[[0, 4, 7]])
    assert film.before.shape == film.after.shape == (3, 23, 23)


def test_nothing_is_larger_than_noise_and_that_is_small_enough() -> None:
    longest, most = SIZES[-1]
    rng = np.random.default_rng(2)
    stack = rng.normal(size=(2, most, longest, longest))
    film = Film(700.0 + np.arange(most), rng.normal(size=(most, 2)), np.ones(most, dtype=bool), *stack)
    assert len(as_apng(film)) < MOST_BYTES


def test_frames_that_failed_to_register_are_named(bench: SimpleNamespace) -> None:
    found = films(bench.evidence)
    assert isinstance(found, list)
    for film in found:
        assert "not registered, and were moved as their neighbours in energy were: 706.50 eV." in film.caption


def test_where_nothing_moved_there_is_no_film(bench: SimpleNamespace) -> None:
    found = films(Evidence.from_part(replace(bench.unit.part, published={}), bench.store))
    assert isinstance(found, Absent)


def test_the_part_with_most_contrast_is_shown() -> None:
    image = np.full((53, 67), np.nan, np.float32)
    image[20:, :] = 0.1
    image[43:51, 50:60:2] = 2.0
    rows, columns = liveliest(image, 17)
    assert np.nanmax(image[rows, columns]) > 1.0
    assert image[rows, columns].shape == (17, 17)
    assert image[liveliest(image, 80)].shape == image.shape
