"""Options of stages: what the campaign file says, defaults for the rest, and every mistake with its line and mend."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from stxmdist.campaign.manifest import Campaign, Problem, load
from stxmdist.planning.options import parse_options
from stxmdist.planning.stages import STAGES
from stxmdist.ptychography.reconstruct import Step

CAMPAIGN = """\
name: options
store: store
samples: samples.csv
chemistry: LFP
stages:
"""
FIRST_LINE = CAMPAIGN.count("\n") + 1


@pytest.fixture(scope="module")
def folder(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copytree(simulated.parent, tmp_path_factory.mktemp("options") / "campaign")


def campaign_with(folder: Path, stages: str) -> Campaign:
    path = folder / "options.yaml"
    path.write_text(CAMPAIGN + stages)
    return load(path)


def parsed(folder: Path, stages: str) -> dict[str, Any]:
    options, problems = parse_options(campaign_with(folder, stages))
    assert problems == []
    return options


def mistakes(folder: Path, stages: str) -> list[Problem]:
    return parse_options(campaign_with(folder, stages))[1]


def test_nothing_written_gives_the_defaults(folder: Path) -> None:
    assert parsed(folder, "  {}\n") == {name: entry.load().options() for name, entry in STAGES.items()}


@pytest.mark.parametrize(
    ("stage", "written", "path", "value"),
    [
        ("ingest", "{saturated_fraction: 0.05}", "saturated_fraction", 0.05),
        ("ingest", "{crop_px: 128, bin_px: 2, beamstop_px: 4}", "beamstop_px", 4.0),
        (
            "reconstruct",
            "{schedule: [{engine: rpie, iterations: 7, options: {object_alpha: 0.2}}]}",
            "schedule",
            (Step("rpie", 7, {"object_alpha": 0.2}),),
        ),
        ("reconstruct", "{model: {n_modes: 3}}", "model.n_modes", 3),
        ("reconstruct", "{probe: {outer_zone_nm: 60}}", "probe.outer_zone_nm", 60.0),
        ("reconstruct", "{device: gpu}", "device", "gpu"),
        ("stitch", "{blend_illumination: 0.2}", "blend_illumination", 0.2),
        ("absorbance", "{region: [0, 4, 2, 9]}", "region", [0, 4, 2, 9]),
        ("absorbance", "{absorbance: {margin_px: 3}}", "absorbance.margin_px", 3),
        ("absorbance", "{detector: {dead_time_us: 0.3, spikes: false}}", "detector.dead_time_us", 0.3),
        ("align", "{register: false}", "register", False),
        ("fit", "{fitter: nnls, classes: {most_od: 2.0}}", "classes.most_od", 2.0),
        ("fit", "{pre_edge_below_ev: 705}", "pre_edge_below_ev", 705.0),
        ("segment", "{chemistry: {active_low: 0.2}}", "chemistry.active_low", 0.2),
        ("register", "{register: {search_um: 1}}", "register.search_um", 1.0),
        ("infer", "{modality: ptychography}", "modality", "ptychography"),
    ],
)
def test_what_is_written_is_taken_and_the_rest_stays(
    folder: Path, stage: str, written: str, path: str, value: Any
) -> None:
    options = parsed(folder, f"  {stage}: {written}\n")
    found = options[stage]
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    others = {name: option for name, option in options.items() if name != stage}
    assert others == {name: STAGES[name].load().options() for name in others}


@pytest.mark.parametrize(
    ("stages", "line", "words"),
    [
        (
            "  fit:\n    fiter: nnls\n",
            2,
            ["fit has no option 'fiter'", "one of background", "Did you mean 'fitter'"],
        ),
        ("  reconstruct:\n    model:\n      n_mode: 3\n", 3, ["model has no option", "Did you mean 'n_modes'"]),
        (
            "  reconstruct:\n    schedule:\n    - engine: raar\n      itterations: 3\n",
            4,
            ["has no option 'itterations'", "Did you mean 'iterations'"],
        ),
        (
            "  reconstruct:\n    schedule:\n    - engine: raar\n    - iterations: 0\n",
            4,
            ["makes no sense", "at least 1"],
        ),
        ("  ingest:\n    crop_px: 7\n", 2, ["makes no sense", "0 or at least 8"]),
        ("  ingest:\n    crop_px: 64\n    bin_px: 0\n", 3, ["makes no sense", "at least 1"]),
        ("  ingest:\n    beamstop_px: -2\n", 2, ["makes no sense", "a radius"]),
        ("  reconstruct:\n    schedule: [raar]\n", 2, ["cannot be used", "{engine: ...}"]),
        ("  reconstruct:\n    schedule: []\n", 2, ["makes no sense", "at least one engine"]),
        ("  ingest: {}\n  fit:\n    fitter: simplex\n", 3, ["'simplex'", "one of poisson, poisson_non_negative, nnls"]),
        ("  align:\n    register: perhaps\n", 2, ["cannot be used", "'perhaps'", "wanted true or false"]),
        ("  reconstruct:\n    model: 3\n", 2, ["cannot be used", "got 3"]),
        ("  reconstruct:\n    model:\n      n_modes: 0\n", 3, ["makes no sense", "1 to 16"]),
        (
            "  reconstruct:\n    schedule:\n    - engine: epi\n",
            3,
            ["no ptychography engine of this name", "Did you mean 'epie'"],
        ),
        ("  reconstruct:\n    device: cuda\n", 2, ["wanted one of cpu, gpu"]),
        ("  absorbance:\n    i0: fiel\n", 2, ["wanted one of field, file, scan", "Did you mean 'field'"]),
        ("  absorbance:\n    i0: file\n", 2, ["no spectrum of the incident beam is named", "references: i0"]),
        ("  absorbance:\n    i0: scan\n", 2, ["not in the sample sheet", "no i0_scan"]),
        ("  absorbance:\n    i0: scan\n    i0_scan: open\n", 3, ["not in the sample sheet", "'open'"]),
        ("  absorbance:\n    detector:\n      dark_counts: -3\n", 3, ["negative", "0 or more"]),
        ("  absorbance: {}\nreferences:\n  i0: options.yaml\n", 3, ["would not be used", "absorbance: i0: file"]),
        ("  absorbance:\n    region: [10, 10, 0, 5]\n", 2, ["the region holds no pixels", "[10, 10, 0, 5]"]),
        ("  absorbance:\n    region: [1, 2]\n", 2, ["the region holds no pixels", "row after the last"]),
        ("  segment:\n    outer_zone_nm: 0\n", 2, ["no such point spread function", "above 0 nm"]),
        (
            "  segment:\n    edge_sigmas: 2\n    psf_sigma_ptychography_nm: 40\n",
            3,
            ["less sharp", "40 nm", "under stages: segment"],
        ),
        (
            "  register:\n    register:\n      psf_sigma_nm: 4\n",
            3,
            ["written elsewhere now", "outer_zone_nm and central_stop_fraction under stages: segment"],
        ),
        (
            "  register:\n    register:\n      moving_psf_sigma_nm: 4\n",
            3,
            ["written elsewhere now", "psf_sigma_ptychography_nm under stages: segment"],
        ),
        ("  ingest:\n    crop_px: 12.5\n", 2, ["got 12.5, wanted a whole number."]),
        ("  ingest:\n    saturated_fraction: .inf\n", 2, ["wanted a finite number"]),
        ("  ingest:\n    mask_faults: [true]\n", 2, ["wanted true or false"]),
        ("  stitch:\n    blend_illumination: much\n", 2, ["got 'much', wanted a number."]),
        ("  explore:\n    methods: pca\n", 2, ["got 'pca', wanted a list of texts"]),
        ("  fit:\n    fit:\n      energies_ev: [700]\n", 3, ["got [700], wanted a list of two numbers."]),
        ("  absorbance:\n    i0_scan: 3\n", 2, ["got 3, wanted text"]),
        ("  fit: {}\n  segmnt: {}\n", 2, ["no stage of this name", "one of ingest", "Did you mean 'segment'"]),
        ("  fit:\n    fitter: posson\n", 2, ["got 'posson', wanted one of poisson", "Did you mean 'poisson'"]),
        ("  infer:\n    modality: sxtm\n", 2, ["wanted one of stxm, ptychography", "Did you mean 'stxm'"]),
    ],
)
def test_a_mistake_has_its_line_and_its_mend(folder: Path, stages: str, line: int, words: list[str]) -> None:
    (problem,) = mistakes(folder, stages)
    assert problem.line == FIRST_LINE - 1 + line
    assert problem.file == folder / "options.yaml"
    assert problem.mend
    for word in words:
        assert word in problem.sentence


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(folder: Path) -> None:
    found = mistakes(folder, "  segment:\n    edges: 1\n    leak_sd: dark\n  ingest:\n    saturated: 3\n")
    assert [problem.line for problem in found] == [FIRST_LINE + 1, FIRST_LINE + 2, FIRST_LINE + 4]


def test_what_makes_an_object_refuse_itself_becomes_a_problem(folder: Path) -> None:
    # Of a dataclass, raised as an InputError when it is made; at the key whose value it is.
    (problem,) = mistakes(folder, "  reconstruct:\n    model:\n      divergence: 0.5\n      n_modes: 2\n")
    assert problem.where.startswith("stages.reconstruct.model")
    assert (problem.got, problem.wanted) == ("0.5", "above 1")


@pytest.mark.parametrize("stage", STAGES)
def test_every_default_can_be_written(folder: Path, stage: str) -> None:
    def written(value: Any) -> str:
        if is_dataclass(value) or isinstance(value, Mapping):
            parts = value if isinstance(value, Mapping) else vars(value)
            return "{" + ", ".join(f"{name}: {written(part)}" for name, part in parts.items()) + "}"
        if isinstance(value, tuple):
            return "[" + ", ".join(written(part) for part in value) + "]"
        plain = {None: "null", True: "true", False: "false"}
        return str(plain[value] if value is None or isinstance(value, bool) else value)

    default = STAGES[stage].load().options()
    assert parsed(folder, f"  {stage}: {written(default)}\n")[stage] == default


@pytest.mark.parametrize(
    ("written", "stage", "option", "nearest"),
    [
        ("{fitter: poison}", "fit", "fitter", "poisson"),
        ("{fitter_ptychography: complexx}", "fit", "fitter_ptychography", "complex"),
        ("{methods: [pca, nfm]}", "explore", "methods", "nmf"),
    ],
)
def test_a_member_that_no_table_holds_is_one_problem_with_its_line_and_the_nearest_name(
    folder: Path, written: str, stage: str, option: str, nearest: str
) -> None:
    (problem,) = mistakes(folder, f"  {stage}: {written}\n")
    assert problem.line == FIRST_LINE
    assert problem.where == f"stages.{stage}.{option}"
    assert "of this name" in problem.problem
    assert nearest in problem.wanted
    assert f"Did you mean {nearest!r}" in problem.mend
