"""Components, factors and clusters of explored scans as figures; scans of two energies have none."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stxmdist.campaign.scan import Scan
from stxmdist.planning.stages import STAGES
from stxmdist.report.canvas import Absent, drawing
from stxmdist.report.evidence import Evidence
from stxmdist.report.exploration import exploration
from stxmdist.report.part import Options as DrawingOptions
from stxmdist.report.part import ReportPart
from stxmdist.runner.run import RunRecord, run_stage
from stxmdist.spectra.explore.clusters import ClusterOptions
from stxmdist.spectra.explore.factorise import FactorOptions
from stxmdist.stages.explore import Options
from tests.stages.aligned import aligned_survey, planted_rows

SCAN = Scan("made", (Path("/beamline/made.hdr"),), "stxm", "E01", region_id="r1", cycle=1.0)


def evidence_of(folder: Path, energy_ev: np.ndarray, options: Options) -> Evidence:
    shape = (41, 53)
    rows = planted_rows(energy_ev, shape, 2)
    survey = aligned_survey(folder, energy_ev, shape, rows, options={"explore": options})
    report = run_stage(STAGES["explore"].load(), survey, options, survey.store, RunRecord(0, {}), client=None)
    assert report.refusals == ()
    published = {("explore", "made"): survey.digest("explore", "made")}
    part = ReportPart("made up", scans=(SCAN,), published=published)
    return Evidence.from_part(part, survey.store, DrawingOptions(picture_px=23))


def test_a_scan_has_one_figure_of_all_that_was_found(tmp_path: Path) -> None:
    options = Options(("pca", "nmf", "clusters"), nmf=FactorOptions(2), clusters=ClusterOptions(3))
    evidence = evidence_of(tmp_path, np.linspace(702.0, 728.0, 11), options)
    with drawing():
        found = exploration(evidence)
    assert isinstance(found, list)
    (picture,) = found
    assert picture.name == "exploration-made"
    assert "2 component(s) are suggested" in picture.caption
    assert "numbered from the least" in picture.caption
    assert picture.alt.endswith("pca, nmf, clusters.")
    assert isinstance(picture.image, Figure)


def test_two_energies_are_no_figure(tmp_path: Path) -> None:
    found = exploration(evidence_of(tmp_path, np.array([708.2, 710.2]), Options()))
    assert isinstance(found, Absent)
    assert "three energies" in found.why
