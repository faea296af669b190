"""Aligned stacks of any size and any chunks, written piece by piece, as a stage that reads them finds them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from storage.layout import ArrayPlan
from storage.publication import Publication, PublishedScan
from storage.store import Store
from stxmdist.arrays import F32, F64, MaskClass
from stxmdist.campaign.manifest import Campaign, Scan
from stxmdist.measures import AlignMeasures
from stxmdist.planning.grid import Grid
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.readers.recording import StxmRecording
from stxmdist.records import figures_of
from stxmdist.runner.unit import Receipt
from stxmdist.spectra.density.particle_spectra import MOST_PARTICLES
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.stages import align

Rows = Callable[[slice], F32]
COUNTS = 1000.0


def no_particles(n_energy: int) -> dict[str, F64]:
    """What align leaves of single particles where it finds none: the energy scale rests on the mean spectrum."""
    unknown = np.full((MOST_PARTICLES, n_energy), np.nan)
    return {
        "particle_od": unknown,
        "particle_od_variance": unknown,
        "i0_relative_variance": np.zeros(n_energy),
    }


def planted_rows(energy_ev: F64, shape: tuple[int, int], seed: int) -> Rows:
    """Rows of transmission: grains of discharged, charged and mixed LFP of smooth thickness, counted."""
    mu = CHEMISTRIES["LFP"].load().end_members().at(energy_ev).astype(np.float32)
    phases = np.random.default_rng(seed).uniform(0.0, 6.28, 6).astype(np.float32)

    def rows(part: slice) -> F32:
        y, x = np.mgrid[part, 0 : shape[1]].astype(np.float32)
        a, b, c, d, e, f = phases
        height = np.sin(y / 17 + a) + np.sin(x / 23 + b) + np.sin((x + y) / 31 + c)
        state = np.sin(y / 37 + d) + np.sin((x - 2 * y) / 41 + e) + np.sin(x / 29 + f)
        total = 120.0 * np.clip(height, 0.0, 1.0)
        soc = np.clip(0.5 + 3.0 * state, 0.0, 1.0)
        amounts = np.stack([total * (1.0 - soc), total * soc]).reshape(2, -1)
        mean = np.exp(-(mu.T @ amounts)) * np.float32(COUNTS)
        # A row is drawn from its own generator: it does not matter which rows are asked for at once.
        noise = np.concatenate(
            [
                np.random.default_rng([seed, row]).standard_normal((len(mu.T), shape[1]), np.float32)
                for row in range(part.start, part.stop)
            ],
            axis=1,
        )
        counted = np.round(mean + np.sqrt(mean) * noise.reshape(len(mu.T), -1))
        return (counted / np.float32(COUNTS)).reshape(len(mu.T), -1, shape[1])

    return rows


def aligned_survey(
    folder: Path,
    energy_ev: F64,
    shape: tuple[int, int],
    rows: Rows,
    chunks: tuple[int, int, int] | None = None,
    options: dict[str, Any] | None = None,
) -> Survey:
    """A campaign of one scan, ``made``, whose aligned stack is published, in chunks of its own if asked."""
    ny, nx = shape
    y_um, x_um = 0.05 * np.arange(ny), 0.05 * np.arange(nx)
    scan = Scan(scan_id="made", files=(folder / "none",), modality="stxm", electrode_id="none")
    campaign = Campaign(folder, "made up", folder / "store", folder / "none", "LFP", (scan,))
    recording = StxmRecording(
        folder / "none", "made up", "", energy_ev, y_um, x_um, np.ones(len(energy_ev)),
        np.full(len(energy_ev), np.nan), np.zeros(len(energy_ev), np.uint8), read=lambda index: None, files=(),
    )  # fmt: skip
    defaults = {name: entry.load().options() for name, entry in STAGES.items()}
    survey = replace(Survey(campaign, defaults | (options or {}), {"made": recording}, (), STAGES), forecast=True)
    store = Store(folder / "store").create()
    output = survey.output("align", "made")
    arrays = align.arrays_of(Grid(energy_ev, y_um, x_um))
    if chunks is not None:
        stack = arrays[0]
        arrays = (ArrayPlan(stack.name, stack.shape, chunks, None, stack.coords), *arrays[1:])
    output.declare(arrays)
    values: dict[str, Any] = {
        "effective_counts": np.full(len(energy_ev), COUNTS),
        "shift_px": np.zeros((len(energy_ev), 2)),
        "shift_quality": np.ones(len(energy_ev)),
        "mean_od": np.ones(len(energy_ev)),
        "mean_od_variance": np.full(len(energy_ev), 1e-6),
        **no_particles(len(energy_ev)),
        "energy_used": np.ones(len(energy_ev), np.uint8),
        "aligned_class": np.full(shape, MaskClass.valid, np.uint8),
    }
    slab, kept = -1, np.empty(0, np.float32)
    layouts = [plan.layout() for plan in arrays]
    for layout in layouts:
        # Row by row of shards, so that each slab of rows is made once.
        for shard in sorted(layout.indices(), key=lambda index: index[1:] + index[:1]):
            region = layout.region(shard)
            if layout.name == "transmission":
                if shard[1] != slab:
                    slab, kept = shard[1], rows(region[1])
                data = kept[region[0], :, region[2]]
            else:
                data = values[layout.name][region]
            output.write("scan", {layout.name: [shard]}, layout.name, shard, np.ascontiguousarray(data))
    measured = AlignMeasures(
        largest_shift_px=0.0,
        frames_not_registered=0,
        energies_not_registered_ev=np.zeros(0),
        shift_quality=1.0,
        outside_share=0.0,
        sample_pixels=ny * nx,
        noise_correlation_px2=1.0,
    )
    output.mark("scan", Receipt("made", "scan", figures_of(measured), {}, 1.0, 1.0, 1).as_dict())
    published = PublishedScan(digest=survey.digest("align", "made"), state="done")
    store.publish(Publication("align", align.STAGE.version, {}, 0, "", {}, {"made": published}))
    return survey
