"""A small output with awkward prime sizes, uneven last blocks, several arrays, and its publication."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from storage.output import ArrayPlan, Output
from storage.publication import Publication, PublishedScan
from storage.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
SHAPE = (5, 13, 7)
"""(ENERGY, Y, X): primes, so that no block divides an axis."""
SHARDS = (5, 4, 7)
CHUNKS = (5, 2, 7)
N_BLOCKS = 4
"""Blocks of rows: three whole ones and one of a single row."""
COORDS = {
    "energy": (np.linspace(700.0, 712.0, SHAPE[0]), "eV"),
    "y": (2.0 + 0.05 * np.arange(SHAPE[1]), "um"),
    "x": (-1.0 + 0.04 * np.arange(SHAPE[2]), "um"),
}


def plans() -> list[ArrayPlan]:
    """A sharded stack, a plain map and a mask over the same field."""
    return [
        ArrayPlan("transmission", SHAPE, CHUNKS, SHARDS, coords=COORDS, attrs={"drift_px": np.float64(0.5)}),
        ArrayPlan("soc", SHAPE[1:], shards=SHARDS[1:]),
        ArrayPlan("mask_class", SHAPE[1:], shards=SHARDS[1:]),
    ]


def values(name: str, seed: int = 0) -> np.ndarray:
    """What is written into an array: noise, so that nothing compresses into a constant."""
    layout = next(plan.layout() for plan in plans() if plan.name == name)
    rng = np.random.default_rng([seed, len(name)])
    if layout.dtype.kind == "u":
        return rng.integers(0, 9, layout.shape, dtype=layout.dtype)
    return rng.random(layout.shape).astype(layout.dtype)


def write_block(output: Output, block: int, seed: int = 0, mark: bool = True) -> None:
    """What one unit does: its block of rows of every array, then its mark."""
    layouts = {plan.name: plan.layout() for plan in plans()}
    owns = {name: [index for index in layout.indices() if index[-2] == block] for name, layout in layouts.items()}
    for name, indices in owns.items():
        for index in indices:
            output.write(f"rows-{block}", owns, name, index, values(name, seed)[layouts[name].region(index)])
    if mark:
        output.mark(f"rows-{block}", {"files": dict(output.written)})


def fill(output: Output, seed: int = 0) -> Output:
    """Declare and write everything, one unit per block of rows."""
    output.declare(plans())
    for block in range(N_BLOCKS):
        write_block(output, block, seed)
    return output


def publication_of(stage: str, outputs: dict[str, Output]) -> Publication:
    """A publication of some filled outputs."""
    scans = {
        scan: PublishedScan(digest=output.digest, state="done", units_done=N_BLOCKS, files=output.inventory())
        for scan, output in outputs.items()
    }
    return Publication(stage, 1, {"damping": 0.1}, 7, "2026-01-01T00:00:00+00:00", {"numpy": "2"}, scans)


@pytest.fixture
def sample() -> SimpleNamespace:
    """The functions and constants above."""
    return SimpleNamespace(
        plans=plans,
        values=values,
        write_block=write_block,
        fill=fill,
        publication_of=publication_of,
        SHAPE=SHAPE,
        SHARDS=SHARDS,
        CHUNKS=CHUNKS,
        COORDS=COORDS,
        N_BLOCKS=N_BLOCKS,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store").create()


@pytest.fixture(scope="session")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store that ``published`` copies."""
    store = Store(tmp_path_factory.mktemp("published") / "store").create()
    outputs = {scan: fill(store.output("fit", scan, "d1"), seed) for seed, scan in enumerate(("s1", "s2"))}
    store.publish(publication_of("fit", outputs))
    return store


@pytest.fixture
def published(published_once: Store, tmp_path: Path) -> Store:
    """A store in which stage ``fit`` of two scans is visible."""
    return Store(shutil.copytree(published_once.root, tmp_path / "store"))


@pytest.fixture
def start_python() -> Callable[..., "subprocess.Popen[str]"]:
    """Start another interpreter on a piece of code, with the repository importable."""

    def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    return start
