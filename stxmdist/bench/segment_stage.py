"""What homogeneous twins cost: the particles of one simulated scan described with and without them, beside its fit."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from threadpoolctl import threadpool_limits

from stxmdist.bench.rows import Row, row_of
from stxmdist.campaign.manifest import Scan
from stxmdist.particles.metrics.engine import N_TWINS, measure
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.survey import Survey
from stxmdist.runner.unit import Unit
from stxmdist.simulation.design import Visit
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import MEDIUM, CampaignSize
from stxmdist.spectra.fitting.block import StackBlock, fit_block
from stxmdist.spectra.fitting.model import FitChoices
from stxmdist.stages import fit
from stxmdist.stages.inputs.spectral_model import spectral_model
from stxmdist.stages.segment import stage as segment
from stxmdist.stages.segment.describe import described, outlined
from stxmdist.stages.segment.metrics import Description
from stxmdist.stages.segment.options import Options

STAGES_BEFORE = ("ingest", "absorbance", "align", "fit")
TWINS_OVER_FIT = 3.0
"""Processor time of the twins over that of the fit."""
ROUNDS = 12
"""The shortest of so many counts: other work on the machine can only make one longer."""


def one_scan(size: CampaignSize = MEDIUM) -> CampaignSize:
    """A campaign of one wide-field scan like those of another."""
    design = replace(size.design, visits=(Visit(modalities=("stxm",)),))
    return replace(size, n_electrodes=1, cycles=size.cycles[:1], n_regions=1, design=design)


def bench_segment(size: CampaignSize | None = None, rounds: int = ROUNDS) -> list[Row]:
    """Processor seconds of a scan's description without twins, and those of its twins over them and over the fit.

    Only the metrics know of twins, so that only they are timed with twins and without: the rest of the description
    takes ten times as long, and its scatter would hide them.
    """
    size = one_scan() if size is None else size
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        at = Path(folder) / "campaign"
        simulate_size(at, size, 1, workers=1, report=lambda said: None)
        request = RunRequest(str(at / "campaign.yaml"), stages=STAGES_BEFORE, cluster="inline")
        with CampaignRun(request) as run:
            for name in STAGES_BEFORE:
                run.stage(name)
            (scan,) = run.campaign.scans
            fit_once, describe_once = _fit(run.survey, scan), _description(run.survey, scan)
            field = describe_once().field
            with_twins, no_twins = replace(field, n_twins=N_TWINS), replace(field, n_twins=0)
            works = (fit_once, lambda: measure(with_twins), lambda: measure(no_twins))
            # One after the other in each round, so that a slower minute of the machine meets all; the first loads code.
            seconds = [[_seconds(work) for work in works] for _ in range(rounds + 1)][1:]
            without = min(_seconds(describe_once) for _ in range(min(rounds, 3)))
    fitted, whole, bare = (min(each) for each in zip(*seconds, strict=True))
    name = f"segment, {field.particle_id.size} particles in {len(size.stxm.energy_ev)} x {size.stxm.n_px} x "
    name += f"{size.stxm.n_px}"
    twins = whole - bare
    spent = f"metrics take {whole:.2f} s with twins, {bare:.2f} s without"
    return [
        row_of(f"{name}, without twins", without, "core-s", None, f"the fit takes {fitted:.3f} core-seconds"),
        row_of(f"{name}, with twins", (without + twins) / without, "x without", None, spent),
        row_of(f"{name}, the twins", twins / fitted, "x the fit", TWINS_OVER_FIT, f"{twins:.3f} core-seconds"),
    ]


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _description(survey: Survey, scan: Scan) -> Callable[[], Description]:
    """The description of a scan's particles without twins."""
    options = survey.options_of("segment", Options, scan.scan_id)
    choices = survey.options_of("fit", FitChoices, scan.scan_id)
    (planned,) = segment.plan(survey, options).units
    unit = cast(Unit[Options, segment.SegmentPart], planned)
    choice = choices.model_options(scan.modality)
    model = spectral_model(unit.scan_id, unit.source("align"), unit.part.references, choice)
    maps = replace(segment.fitted_scan(unit, model), n_twins=0)
    found = outlined(maps, model, options, choices.classes)
    return lambda: described(maps, found, model, options, choices.classes)


def _fit(survey: Survey, scan: Scan) -> Callable[[], object]:
    """The fit of all pixels of a scan."""
    options = survey.options_of("fit", fit.Options, scan.scan_id)
    unit = cast(Unit[fit.Options, fit.FitPart], fit.plan(survey, options).units[0])
    align = unit.source("align")
    model = spectral_model(unit.scan_id, align, unit.part.end_members, options.model_options(scan.modality))
    block = StackBlock(align.read("transmission"), align.read("aligned_class"), None)
    return lambda: fit_block(block, model, options.fitter_of(scan.modality), options.fit, options.classes, 1)
