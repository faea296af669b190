"""Results are written into the run that they are of, each in the place of the one before, and read back the same."""

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stxmdist.errors import InputError
from stxmdist.tiled.results import ARROW, CONTAINER, ResultsOfRun
from tests.tiled.beamline import Run, create
from tests.tiled.place import Place, places


@pytest.fixture(scope="module", params=["replica", "real"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from places(request.param, tmp_path_factory.mktemp("tiled"))


@pytest.fixture
def run(place: Place) -> Run:
    return place.run()


def array_at(place: Place, path: str) -> np.ndarray:
    client = place.client()
    node = client.array(path)
    return client.rows(path, node, slice(None)).reshape(node.shape)


def test_a_map_takes_the_place_of_the_one_before(place: Place, run: Run) -> None:
    results = ResultsOfRun(place.client(), run.path)
    path = f"{run.path}/{CONTAINER}/soc"
    for energies in (2, 3):
        about = {"energies": f"{energies} of 4 energies so far"}
        results.begin(about)
        soc = np.full((6, 5), energies / 10, np.float32)
        soc[0, 0] = np.nan
        results.array("soc", soc, ("y", "x"), about)
        np.testing.assert_array_equal(array_at(place, path), soc)
        assert place.client().metadata(path)["metadata"] == about
        container = place.client().metadata(f"{run.path}/{CONTAINER}")["metadata"]
        assert container == about | {"state": "being written"}
        assert not results.whole(about)
    results.end(about)
    assert results.whole(about)
    assert not results.whole({"energies": "4 of 4 energies so far"})


def test_masks_of_one_byte_and_spectra_that_grow_read_back(place: Place, run: Run) -> None:
    results = ResultsOfRun(place.client(), run.path)
    results.begin({})
    mask = np.arange(30, dtype=np.uint8).reshape(6, 5)
    results.array("mask_class", mask, ("y", "x"), {})
    np.testing.assert_array_equal(array_at(place, f"{run.path}/{CONTAINER}/mask_class"), mask)
    for n_energies in (2, 3):
        spectrum = np.random.default_rng(n_energies).random((2, n_energies))
        results.array("spectrum", spectrum, ("what", "energy"), {})
        np.testing.assert_array_equal(array_at(place, f"{run.path}/{CONTAINER}/spectrum"), spectrum)


def test_a_table_of_particles_reads_back(place: Place, run: Run) -> None:
    results = ResultsOfRun(place.client(), run.path)
    results.begin({})
    for n_particles in (3, 5):
        frame = pd.DataFrame({"particle_id": range(n_particles), "soc_mean": 0.5, "flags": "edge"})
        results.table("particles", frame, {})
        answer = place.http.get(f"/table/full/{run.path}/{CONTAINER}/particles", headers={"accept": ARROW})
        found = pa.ipc.open_file(io.BytesIO(answer.content)).read_pandas()
        pd.testing.assert_frame_equal(found[list(frame)], frame, check_dtype=False)


def test_what_another_program_has_left_is_never_replaced(place: Place, run: Run) -> None:
    ours, theirs = ({"program": name} for name in ("stxmdist", "viewer"))
    create(place.http, run.path, CONTAINER, "container", metadata=theirs)
    results = ResultsOfRun(place.client(), run.path)
    with pytest.raises(InputError, match="which is not replaced; got container of viewer"):
        results.begin(ours)
    assert place.client().metadata(f"{run.path}/{CONTAINER}")["metadata"] == theirs


def test_an_array_of_another_program_among_ours_is_never_replaced(place: Place, run: Run) -> None:
    results = ResultsOfRun(place.client(), run.path)
    results.begin({"program": "stxmdist"})
    soc = np.full((6, 5), 0.5, np.float32)
    theirs = ResultsOfRun(place.client(), run.path)
    theirs.array("soc", soc, ("y", "x"), {"note": "by hand"})
    with pytest.raises(InputError, match="which is not replaced"):
        results.array("soc", soc[:3], ("y", "x"), {"program": "stxmdist"})
    np.testing.assert_array_equal(array_at(place, f"{run.path}/{CONTAINER}/soc"), soc)


def test_a_key_that_may_not_write_is_refused_in_words(place: Place, run: Run) -> None:
    with pytest.raises(InputError, match="refuses the key"):
        ResultsOfRun(place.client(lambda: "readsonly"), run.path).begin({})
