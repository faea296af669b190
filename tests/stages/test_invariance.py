"""The same numbers however the work is dealt out: workers, blocks, shards, order of the sheet, who compiled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.store import Store
from stxmdist.stages import absorbance, align, ingest
from tests.stages import variants

ARRAYS = {
    "fit": ("thickness_nm", "thickness_covariance", "background", "soc", "soc_se", "chi2_reduced", "mask_class"),
    "segment": ("labels", "mask_class"),
}
STATISTICS = 1e-6
"""Statistics are the same to this. Maps are equal to the last bit: no pixel's fit sees its neighbours."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variants.simulated(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def spread(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two workers, which plan their Fourier transforms for the first time and at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STXMDIST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield variants.inline(variants.variant(folder, "spread"), "2")


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Store:
    """One process, units in the order of the plan, sizes as they come."""
    return variants.inline(variants.variant(folder, "undisturbed"))


def going_on(folder: Path, name: str, undisturbed: Store, **how: Any) -> Store:
    """Other record that leave the first stages as they are: these are not computed again."""
    campaign = variants.variant(folder, name, **how)
    shutil.copytree(undisturbed.root, folder / f"store-{name}", symlinks=True)
    return variants.inline(campaign)


def assert_same_maps(one: Store, other: Store, stages: dict[str, tuple[str, ...]] = ARRAYS) -> None:
    for stage, names in stages.items():
        scans = variants.publication(one, stage).scans
        assert scans.keys() == variants.publication(other, stage).scans.keys()
        for scan_id in scans:
            here, there = one.published_output(stage, scan_id), other.published_output(stage, scan_id)
            assert here is not None
            assert there is not None
            for name in names:
                np.testing.assert_array_equal(here.read(name), there.read(name), err_msg=f"{stage} {scan_id} {name}")


def assert_same_statistics(one: Store, other: Store, *, ordered: bool = True) -> None:
    before, after = variants.tables(one), variants.tables(other)
    assert before.keys() == after.keys()
    # The digests of outputs and what a fit says of its blocks belong to how the work was dealt out.
    for name in before.keys() - {"scans"}:
        frames = [tables[name] for tables in (before, after)]
        if not ordered:
            keys = [column for column in frames[0] if frames[0][column].dtype.kind != "f"]
            frames = [frame.sort_values(keys).reset_index(drop=True) for frame in frames]
        pd.testing.assert_frame_equal(*frames, rtol=STATISTICS, atol=STATISTICS, obj=name)


def test_statistics_rest_on_something(undisturbed: Store) -> None:
    tables = variants.tables(undisturbed)
    print({name: len(table) for name, table in tables.items()})
    assert len(tables["particles"]) > 20
    assert tables["effects"]["estimate"].notna().any()
    assert tables["variance"]["share"].notna().any()
    assert len(tables["pairs"]) > 0


def assert_same_bytes(one: Store, other: Store) -> None:
    assert variants.content(one) == variants.content(other)
    pd.testing.assert_frame_equal(variants.tables(one)["scans"], variants.tables(other)["scans"])


@pytest.mark.slow
def test_two_workers_leave_the_same_bytes(undisturbed: Store, spread: Store) -> None:
    assert_same_bytes(undisturbed, spread)


@pytest.mark.slow
def test_one_worker_leaves_the_same_bytes(folder: Path, undisturbed: Store) -> None:
    assert_same_bytes(undisturbed, variants.inline(variants.variant(folder, "one-worker"), "1"))


@pytest.mark.parametrize("rows", [7, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (52, 1))])
def test_blocks_of_the_fit(folder: Path, undisturbed: Store, rows: int) -> None:
    other = going_on(folder, f"rows-{rows}", undisturbed, stages={"fit": {"rows_per_unit": rows}})
    assert_same_maps(undisturbed, other)
    assert_same_statistics(undisturbed, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shard_bytes", "frames_per_chunk", "pixels_per_chunk"),
    [
        (30_000, 5, 53),
        (70_000, 1, 700),
    ],
)
def test_sizes_of_shards_and_chunks(
    folder: Path,
    undisturbed: Store,
    monkeypatch: pytest.MonkeyPatch,
    shard_bytes: int,
    frames_per_chunk: int,
    pixels_per_chunk: int,
) -> None:
    for stage in (ingest, absorbance, align):
        monkeypatch.setattr(stage, "SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(ingest, "FRAMES_PER_CHUNK", frames_per_chunk)
    monkeypatch.setattr(align, "PIXELS_PER_CHUNK", pixels_per_chunk)
    other = variants.inline(variants.variant(folder, f"shards-{shard_bytes}"))
    for stage in ("ingest", "absorbance", "align"):
        files = [
            len(variants.publication(store, stage).scans["stxm-E01-c001-r1"].files) for store in (undisturbed, other)
        ]
        assert files[1] > files[0], stage
    assert_same_maps(undisturbed, other)
    assert_same_statistics(undisturbed, other)
    later = tuple(name for name in variants.COMPARED if name not in ("ingest", "absorbance", "align"))
    assert variants.content(other, later) == variants.content(undisturbed, later)


def test_order_of_the_sheet(folder: Path, undisturbed: Store) -> None:
    other = going_on(folder, "backwards", undisturbed, backwards=True)
    by_scan = tuple(name for name in variants.COMPARED if name != "infer")
    assert variants.content(other, by_scan) == variants.content(undisturbed, by_scan)
    digests = [variants.publication(store, "infer").scans["campaign"].digest for store in (undisturbed, other)]
    assert digests[0] != digests[1], "the statistics were not computed again"
    assert_same_statistics(undisturbed, other, ordered=False)


KERNELS = {
    "ptychography": """
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
probe = np.exp(-((np.indices((32, 32)) - 16) ** 2).sum(axis=0) / 50).astype(np.complex64)[None]
places = rng.uniform(1, 49, (36, 2))
problem = Problem(rng.poisson(30, (36, 32, 32)), np.ones((32, 32), bool), places, probe, (82, 82))
schedule = (Step("raar", 2), Step("lsqml", 4), Step("rpie", 2))
found = reconstruct(problem, Recipe(schedule), rng)
parts = [found.object_, found.probe, found.error, found.illumination]
""",
    "fit": """
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.design_matrix import design_slope
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.fitters.contract import FITTERS, FitContext, FitOptions
members, energy_ev = CHEMISTRIES["LFP"].load().end_members(), np.linspace(701.0, 735.0, 30)
design = members.at(energy_ev).T
counts = rng.poisson(3000 * np.exp(-design @ rng.uniform(0, 150, (2, 997))))
seen, incident = (counts / 3000).astype(np.float32), np.full(30, 3000.0)
phase = np.zeros_like(seen)
beside = FitContext(energy_ev, None, design_slope(members, energy_ev), phase, phase_per_nm(members, energy_ev).T)
fits = [FITTERS[name].load()(seen, incident, design, FitOptions(), beside) for name in FITTERS]
parts = [part for fit in fits for part in (fit.coefficients, fit.covariance, fit.chi2_reduced)]
""",
}
PRINT = """
print(hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["ptychography", "fit"])
def test_a_process_that_compiles_and_one_that_loads_round_alike(tmp_path: Path, kernels: str) -> None:
    program = "import hashlib\nimport numpy as np\nrng = np.random.default_rng(1)\n" + KERNELS[kernels] + PRINT
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    prints = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        prints.append(done.stdout.strip())
        assert list(tmp_path.rglob("*.nbc")), "nothing was kept of what was compiled"
    assert len(prints[0]) == 64
    assert prints[0] == prints[1]
