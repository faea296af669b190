"""CXI of one energy in each file: what is where, what our own reader makes of it, and what other programs do.

Other programs run in an environment of their own, whose Python ``STXMDIST_PEERS`` names:

    python3.11 -m venv peers && peers/bin/pip install cdtools-py ptychodus    # and ptypy, from its repository
    STXMDIST_PEERS=peers/bin/python ./run test tests/export/test_cxi_single.py
"""

import csv
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from storage.store import Store
from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.export.write import export
from stxmdist.measures import ReconstructMeasures, TileMeasures
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.ptychography import gauge
from stxmdist.ptychography.tile_measures import reconstruct_figures
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.records import figures_of
from tests.export.peers import clean, python_with
from tests.stages import tiny, variants

READ_CXI = Path(__file__).parents[1] / "bench/peers/read_cxi.py"
SINGLE = 1e-6
"""Of what peers keep in single precision"""
TWICE = 2e-7
"""Of constants that others round: hc, and the charge of the electron"""
AS_OURS = 1.1
"""A residual beside that of the reconstruction: others interpolate otherwise between pixels"""
WHOLE_PIXELS = 1.4
"""The same of ptypy, which moves the probe by whole pixels"""
SCAN = tiny.PTYCHOGRAPHY[0]
SCHEDULE = {
    "schedule": [{"engine": "rpie", "iterations": 40}, {"engine": "lsqml", "iterations": 20}],
    "next_energy": [{"engine": "lsqml", "iterations": 20}],
}


def half_a_turn(images: np.ndarray) -> np.ndarray:
    """Index i of both last axes goes to (2 (n // 2) - i) mod n."""
    rows, columns = ((2 * (n // 2) - np.arange(n)) % n for n in images.shape[-2:])
    return np.asarray(images[..., rows, :][..., columns])


@pytest.fixture(scope="module")
def made_up(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    for to in ("cxi-frames", "cxi-product"):
        whole.export(to, folder / to)
    return folder


def named(folder: Path, to: str, energy_ev: float, scan_id: str = "fine-1") -> Path:
    return folder / to / f"{scan_id}-{energy_ev:.3f}eV.cxi"


def test_frames_lie_as_the_format_has_it_by_default(made_up: Path, bench: SimpleNamespace) -> None:
    ingest = bench.arrays_of("ingest", bench.FINE)
    for energy, energy_ev in enumerate(bench.ENERGY_EV):
        used = np.array([(energy, number) != bench.UNUSABLE for number in range(ingest["frames"].shape[1])])
        with h5py.File(named(made_up, "cxi-frames", energy_ev)) as file:
            entry = file["entry_1"]
            frames = entry["data_1/data"]
            np.testing.assert_array_equal(frames[()], half_a_turn(ingest["frames"][energy][used]))
            assert frames.dtype == np.int32
            np.testing.assert_array_equal(entry["instrument_1/detector_1/data"][()], frames[()])
            for place in ("data_1", "sample_1/geometry_1", "instrument_1/detector_1"):
                beam_um = -1e6 * entry[f"{place}/translation"][()][:, 1::-1]
                np.testing.assert_allclose(beam_um, ingest["positions_um"][energy][used], rtol=1e-12)
            detector = entry["instrument_1/detector_1"]
            np.testing.assert_array_equal(detector["mask"][()], half_a_turn(ingest["detector_mask"]))
            basis = [[0.0, -100e-6], [-120e-6, 0.0], [0.0, 0.0]]
            np.testing.assert_allclose(detector["basis_vectors"][()], basis, atol=1e-18)
            # The first pixel is that at the greatest x and y; its outer corner is half the detector away.
            np.testing.assert_allclose(detector["corner_position"][()], [3.5 * 100e-6, 3.5 * 120e-6, 0.0528])
            reconstruct = bench.arrays_of("reconstruct", bench.FINE)
            illumination = entry["instrument_1/source_1/illumination"][()]
            np.testing.assert_array_equal(illumination, half_a_turn(reconstruct["probe"][energy, 1]))


def test_our_reader_finds_the_same_scan(made_up: Path, bench: SimpleNamespace) -> None:
    ingest, energy = bench.arrays_of("ingest", bench.FINE), bench.UNUSABLE[0]
    (recording,) = readers.read(named(made_up, "cxi-frames", bench.ENERGY_EV[energy]))
    assert isinstance(recording, PtychographyRecording)
    used = np.arange(ingest["frames"].shape[1]) != bench.UNUSABLE[1]
    np.testing.assert_array_equal(recording.read(0, slice(None)), ingest["frames"][energy][used])
    np.testing.assert_array_equal(recording.good, ingest["detector_mask"] == 0)
    np.testing.assert_allclose(recording.positions_um[0], ingest["positions_um"][energy][used], rtol=1e-12)
    assert recording.energy_ev == pytest.approx([bench.ENERGY_EV[energy]], rel=1e-12)
    assert recording.distance_m == pytest.approx(0.0528, rel=1e-12)
    assert recording.detector_pixel_um == pytest.approx((120.0, 100.0), rel=1e-12)
    probe = bench.arrays_of("reconstruct", bench.FINE)["probe"][energy, 1]
    np.testing.assert_array_equal(recording.illumination, probe)


def test_without_a_reconstruction_frames_are_as_they_were_read(
    torn: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    torn.change("reconstruct", bench.FINE, state="failed")
    done = torn.export("cxi-frames", tmp_path)
    assert done.complete
    assert ["as they were read" in note for note in done.notes] == [True]
    with h5py.File(named(tmp_path.parent, tmp_path.name, bench.ENERGY_EV[0])) as file:
        assert "illumination" not in file["entry_1/instrument_1/source_1"]
    assert not torn.export("cxi-product", tmp_path / "product").written


def test_a_product_of_an_older_version_lacks_its_positions(torn: Any, tmp_path: Path) -> None:
    (metadata,) = (torn.folder / "store/stages/reconstruct").rglob("tile_positions_px/zarr.json")
    written = json.loads(metadata.read_text())
    del written["attributes"]["positions_per_tile"]
    metadata.write_text(json.dumps(written))
    (lack,) = torn.export("cxi-product", tmp_path).lacks
    assert "older version" in lack.why


def test_frames_that_cannot_be_used_are_said(torn: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    output = torn.store.output("ingest", bench.FINE, bench.digest_of("ingest", bench.FINE))
    zarr.open_group(output.path / "data.zarr", mode="r+")["frame_class"][2] = MaskClass.saturated
    done = torn.export("cxi-frames", tmp_path)
    assert [lack.what for lack in done.lacks] == ["frames at 710.20 eV"]
    assert len(done.written) == 2


def test_frames_are_turned_and_photons_counted_as_the_reconstruction_did(
    torn: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    """Both as the figures of the best tile say, which is the second one of each energy."""

    def tile(orientation: str, counts_per_photon: float) -> TileMeasures:
        return TileMeasures(
            verdict="good", reason="", frames=67, frames_left_out=0, iterations=5, stopped="finished",
            schedule="lsqml 5", start="file",
            orientation=orientation, counts_per_photon=counts_per_photon, offset_counts=1.0, readout_photons=0.0,
        )  # fmt: skip

    units = [
        ReconstructMeasures(0, (0, 1, 2), (tile("as read", 1.0),) * 3),
        ReconstructMeasures(1, (0, 1, 2), (tile("y flipped", 2.0),) * 3),
    ]
    unknown = np.full(3, np.nan)
    figures = reconstruct_figures(units, bench.ENERGY_EV, unknown, unknown)
    torn.change("reconstruct", bench.FINE, quality=figures_of(figures))
    torn.export("cxi-frames", tmp_path)
    ingest = bench.arrays_of("ingest", bench.FINE)
    with h5py.File(named(tmp_path.parent, tmp_path.name, bench.ENERGY_EV[0])) as file:
        frames, mask = (file[f"entry_1/{place}"][()] for place in ("data_1/data", "instrument_1/detector_1/mask"))
    # Of an odd number of rows, the middle one stays.
    wanted = 0.5 * (ingest["frames"][0, :, ::-1].astype(float) - 1.0)
    np.testing.assert_allclose(frames, half_a_turn(wanted), atol=1e-6)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(mask, half_a_turn(ingest["detector_mask"][::-1]))


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated scan, reconstructed and exported; the folder."""
    folder = variants.simulated(tmp_path_factory.mktemp("reconstructed"), tiny.TINY)
    path = variants.variant(folder, "own", {"reconstruct": SCHEDULE})
    variants.processed(RunRequest(str(path), stages=("ingest", "reconstruct"), scans=(SCAN,), cluster="inline"))
    for to in ("cxi-frames", "cxi-product"):
        assert export(path, to, out=folder / to, scans=(SCAN,)).complete
    return folder


def own(folder: Path, name: str = "own") -> tuple[dict[str, Any], Any]:
    """What is published of the reconstruction, and its output."""
    store = Store(folder / f"store-{name}").open()
    publication, output = store.publication("reconstruct"), store.published_output("reconstruct", SCAN)
    assert publication is not None
    return dict(publication.scans[SCAN].quality), output


@pytest.mark.long
def test_frames_that_were_exported_are_reconstructed_to_the_same_object(campaign: Path) -> None:
    energy, energy_ev = 1, tiny.TINY.ptychography.energy_ev[1]
    sheet = campaign / "samples.csv"
    with sheet.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["scan_id"] == SCAN]
    rows[0]["file"] = str(named(campaign, "cxi-frames", energy_ev, SCAN))
    with (campaign / "samples-again.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    options = {"reconstruct": SCHEDULE | {"counts_per_photon": 1.0}}
    path = variants.variant(campaign, "again", options)
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | {"samples": "samples-again.csv"}))
    # One energy alone is worth a warning.
    with CampaignRun(RunRequest(str(path), stages=("ingest", "reconstruct"), cluster="inline")) as run:
        assert not any(run.stage(name).refusals for name in run.stages)
    before, first = own(campaign)
    after, second = own(campaign, "again")
    assert after["verdict"] == ["good"]
    assert after["residual"][0] < AS_OURS * before["residual"][energy]
    light = second.read("tile_illumination", (0, 0))
    known, found = first.read("object_tile", (energy, 0)), second.read("object_tile", (0, 0))
    rows_, columns = (min(a, b) for a, b in zip(known.shape, found.shape, strict=True))
    known, found, light = (values[:rows_, :columns] for values in (known, found, light))
    weight = np.where(np.isfinite(known * found * light) & (light > 0.5 * np.nanmedian(light[light > 0])), 1.0, 0.0)
    same = gauge.remove_ramp(np.nan_to_num(found), np.nan_to_num(known), weight)
    difference = np.abs(same - known)[weight > 0]
    assert np.sqrt(np.mean(difference**2)) < 0.02  # 1 is vacuum; both have the noise of the same frames


def read_by(peer: str, folder: Path, energy_ev: float, out: Path) -> Any:
    python = python_with(peer)
    files = [str(named(folder, to, energy_ev, SCAN)) for to in ("cxi-frames", "cxi-product")]
    subprocess.run([python, str(READ_CXI), peer, *files, str(out)], check=True, env=clean())
    return np.load(out)


@pytest.mark.long
@pytest.mark.parametrize("peer", ["cdtools", "ptychodus", "ptypy"])
def test_a_peer_reads_it(peer: str, campaign: Path, tmp_path: Path) -> None:
    """Values, orientation, sizes, energy, positions and mask are ours, and its own arithmetic explains the frames."""
    energy, energy_ev = 1, tiny.TINY.ptychography.energy_ev[1]
    found = read_by(peer, campaign, energy_ev, tmp_path / "found.npz")
    quality, output = own(campaign)
    (recording,) = readers.read(named(campaign, "cxi-frames", energy_ev, SCAN))
    assert isinstance(recording, PtychographyRecording)
    np.testing.assert_array_equal(found["frames"], half_a_turn(recording.read(0, slice(None))))
    np.testing.assert_array_equal(found["good"], half_a_turn(recording.good))
    assert found["distance_m"] == pytest.approx(recording.distance_m, rel=SINGLE)
    pixel_m = np.array(recording.detector_pixel_um) * 1e-6
    object_pixel_m = np.array(quality["pixel_nm"]) * 1e-9 * quality_energy(energy)
    if peer == "cdtools":
        np.testing.assert_allclose(found["beam_m"][:, 1::-1] * 1e6, recording.positions_um[0], rtol=1e-5)
        np.testing.assert_allclose(found["basis_m"], [[0, -pixel_m[1]], [-pixel_m[0], 0], [0, 0]], atol=1e-18)
        half_m = [n * size / 2 for n, size in zip(recording.frame_shape, pixel_m, strict=True)]
        np.testing.assert_allclose(found["corner_m"], [*half_m[::-1], recording.distance_m], rtol=SINGLE)
        assert 1.2398419843e-6 / found["wavelength_m"] == pytest.approx(energy_ev, rel=TWICE)
        sizes = -np.array([found["object_basis_m"][1, 0], found["object_basis_m"][0, 1]])
    else:
        assert found["energy_ev"] == pytest.approx(energy_ev, rel=TWICE)
        np.testing.assert_allclose(found["pixel_m"], pixel_m, rtol=SINGLE)
        beam_um = -1e6 * found["translation_m"][:, ::-1]
        moved_px = np.linalg.norm(beam_um - recording.positions_um[0], axis=1) * 1e-6 / object_pixel_m[0]
        # ptypy reads the frames' file alone, and with it the positions that were measured.
        wanted = 0.0 if peer == "ptypy" else quality["moved_px"][energy]
        assert np.sqrt(np.mean(moved_px**2)) == pytest.approx(wanted, rel=0.01, abs=1e-4)
        sizes = found["object_pixel_m"]
    np.testing.assert_allclose(sizes, object_pixel_m, rtol=1e-5)
    if peer != "ptypy":
        error = output.read("error", (energy, 0))
        np.testing.assert_allclose(found["losses"], error[np.isfinite(error)], rtol=SINGLE)
        probe = half_a_turn(output.read("probe", (energy, 0)))
        np.testing.assert_allclose(found["probe"], probe, rtol=1e-5, atol=1e-3)
    assert found["residual"] < (WHOLE_PIXELS if peer == "ptypy" else AS_OURS) * quality["residual"][energy]
    assert found["turned"] > 3.0 * found["residual"]


def quality_energy(energy: int) -> float:
    """The figure is the pixel at the first energy; it goes as the wavelength."""
    energies_ev = tiny.TINY.ptychography.energy_ev
    return float(energies_ev[0] / energies_ev[energy])
