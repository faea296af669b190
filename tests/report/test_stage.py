"""The stage: planned from what is published, published by a switch of a link, and never stopped by what is missing."""

import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.report.stage import FOLDER

SHEET = """scan_id,file,modality,electrode_id,cell_id,beamtime_id,region_id,cycle,c_rate,direction,soc_nominal,\
soc_coulometric,chemistry,pair_id,roi_rule,exclude,reason
one,one.hdr,stxm,E1,c,b,r1,1,1.0,charge,0.5,0.5,LFP,p1,systematic,,
two,two.cxi,ptychography,E1,c,b,r1,1,1.0,charge,0.5,0.5,LFP,p1,convenience,,
three,one.hdr,stxm,E1,c,b,r2,1,1.0,charge,0.5,0.5,LFP,,systematic,true,beam was lost
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A campaign none of whose files can be read."""
    (tmp_path / "one.hdr").write_text("no header at all")
    (tmp_path / "two.cxi").write_bytes(b"\x89HDF broken")
    (tmp_path / "samples.csv").write_text(SHEET)
    path = tmp_path / "campaign.yaml"
    path.write_text("name: broken\nstore: store\nsamples: samples.csv\nchemistry: LFP\n")
    return path


def test_a_campaign_of_which_nothing_can_be_read_has_a_report_that_says_why(broken: Path) -> None:
    request = RunRequest(str(broken), ("infer", "report"), cluster="inline")
    with CampaignRun(request) as run:
        run.stage("infer")
        assert run.stage("report").scans_published == 1
    page = (broken.parent / "store" / "report" / "index.html").read_text()
    assert "Nothing could be inferred" in page
    assert "one.hdr" in page
    assert "beam was lost" in page
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", page))
    with CampaignRun(request) as again:
        assert again.stage("infer").units_run == 0
        report = again.stage("report")
    assert (report.units_run, report.units_skipped) == (0, 1)


def test_a_report_before_any_stage_says_so(broken: Path) -> None:
    with CampaignRun(RunRequest(str(broken), ("report",), cluster="inline")) as run:
        assert run.stage("report").complete
    page = (broken.parent / "store" / "report" / "index.html").read_text()
    assert "the stage infer has not been published" in page


def test_it_can_be_foretold(broken: Path) -> None:
    forecast = forecast_of(*campaign_and_options(broken))
    assert [stage.units for stage in forecast.stages if stage.stage == "report"] == [1]


def test_units_travel_and_name_every_file_they_wrote(bench: SimpleNamespace) -> None:
    assert pickle.loads(pickle.dumps(bench.unit)) == bench.unit
    written = {
        path.relative_to(bench.unit.output().path).as_posix() for path in bench.folder.rglob("*") if path.is_file()
    }
    assert written == set(bench.outcome.files)
    assert f"{FOLDER}/index.html" in written
