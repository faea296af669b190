"""Runs of a Tiled server are followed row by row; the replica answers as the real server does, and one test says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.planning.received import Mirror
from stxmdist.readers.recording import StxmRecording
from stxmdist.tiled.address import KEY_VARIABLE, RunAddress
from stxmdist.tiled.client import TiledClient
from tests.tiled.beamline import KEY, Run
from tests.tiled.place import ENERGY_EV, SHAPE, X_UM, Y_UM, Place, places


@pytest.fixture(scope="module", params=["replica", "real"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from places(request.param, tmp_path_factory.mktemp("tiled"))


def opened(file: Path) -> StxmRecording:
    recording = readers.read_scan((file,))
    assert isinstance(recording, StxmRecording)
    return recording


def mirror_of(place: Place, run: Run, file: Path) -> Mirror:
    return Mirror(RunAddress(place.address, run.path), file, place.client())


def assert_holds(file: Path, run: Run, energies: int) -> None:
    """The first energies of a run, in the order in which the file has them."""
    recording = opened(file)
    there = recording.frame_class == MaskClass.valid
    measured = np.array(ENERGY_EV[:energies])
    np.testing.assert_array_equal(recording.energy_ev[there], np.sort(measured))
    for place, index in zip(np.flatnonzero(there), np.argsort(measured), strict=True):
        np.testing.assert_array_equal(recording.read(int(place)), run.counts[index].astype(np.float32))


def test_an_energy_appears_with_its_last_row_and_not_before(place: Place, tmp_path: Path) -> None:
    run, file = place.run(), tmp_path / "run.hdf5"
    mirror = mirror_of(place, run, file)
    run.measure(SHAPE[1] - 1)
    assert mirror.fetch() is False
    assert not file.exists()
    run.measure(1)
    mirror.fetch()
    assert_holds(file, run, 1)
    run.measure(2 * SHAPE[1] + 2)
    mirror.fetch()
    assert_holds(file, run, 3)
    np.testing.assert_allclose(opened(file).y_um, Y_UM)
    np.testing.assert_allclose(opened(file).x_um, X_UM)
    run.measure(SHAPE[1])
    run.stop()
    assert mirror.fetch() is True
    assert_holds(file, run, 4)
    content = file.read_bytes()
    # Whoever comes afterwards gets the same file.
    assert mirror_of(place, run, tmp_path / "late" / "run.hdf5").fetch() is True
    assert (tmp_path / "late" / "run.hdf5").read_bytes() == content


def test_rows_that_are_not_there_yet_may_be_nan(place: Place, tmp_path: Path) -> None:
    run, file = place.run(), tmp_path / "run.hdf5"
    whole = run.counts.copy()
    run.counts = np.full_like(whole, np.nan)
    run.counts[0] = whole[0]
    run.counts[1, :3] = whole[1, :3]
    run.measure(SHAPE[0] * SHAPE[1])
    mirror_of(place, run, file).fetch()
    assert_holds(file, run, 1)


def test_an_aborted_run_leaves_what_is_there(place: Place, tmp_path: Path) -> None:
    run, file = place.run(), tmp_path / "run.hdf5"
    run.measure(2 * SHAPE[1] + 4)
    run.stop("abort")
    assert mirror_of(place, run, file).fetch() is True
    recording = opened(file)
    assert np.count_nonzero(recording.measured) == 3
    half = recording.read(int(np.flatnonzero(recording.energy_ev == ENERGY_EV[2])[0]))
    assert np.isfinite(half).all(axis=1).tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"contract_version": 2}, "version of the run's contract is not known"),
        ({"energies": [700.0]}, "contradicts itself"),
        ({"shape": "many"}, "cannot be understood"),
    ],
)
def test_a_run_of_another_contract_is_refused_in_words(
    place: Place, tmp_path: Path, said: dict[str, Any], words: str
) -> None:
    run = place.run(**said)
    run.measure(SHAPE[1])
    with pytest.raises(InputError, match=words):
        mirror_of(place, run, tmp_path / "run.hdf5").fetch()


def test_a_key_that_has_expired_is_asked_for_once_more(place: Place) -> None:
    run = place.run()
    keys = iter(["expired", KEY])
    assert place.client(lambda: next(keys)).metadata(run.path)["metadata"]["start"]["scan_id"] == 7


def test_a_refused_key_is_never_repeated(place: Place) -> None:
    run = place.run()
    with pytest.raises(InputError, match=KEY_VARIABLE) as refused:
        place.client(lambda: "notthekey").metadata(run.path)
    assert "notthekey" not in str(refused.value)
    with pytest.raises(InputError, match=f"no {KEY_VARIABLE} is set"):
        place.client(lambda: "").metadata(run.path)


def test_what_is_not_there_is_refused_in_the_words_of_the_server(place: Place) -> None:
    with pytest.raises(InputError, match="404 No such entry"):
        place.client().metadata("nothing")


def test_a_server_that_does_not_answer_is_an_explained_error() -> None:
    with pytest.raises(InputError, match="does not answer"):
        TiledClient("http://127.0.0.1:9", None).metadata("run")
