"""All that the command line does, from Python: on a campaign that is not begun, half run, finished."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stxmdist
from stxmdist.campaign.manifest import CampaignError
from stxmdist.commands.open_campaign import OpenCampaign
from stxmdist.errors import InputError, StoreError
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.status import status_of
from stxmdist.planning.validation import validate
from stxmdist.runner.run import Progress
from tests.stages.tiny import PTYCHOGRAPHY, STXM


@pytest.fixture
def fresh(simulated: Path, tmp_path: Path) -> OpenCampaign:
    """A campaign that is not begun, to run."""
    shutil.copytree(simulated.parent, tmp_path / "fresh")
    return stxmdist.open(tmp_path / "fresh" / "campaign.yaml")


def test_a_campaign_that_is_not_begun(fresh: OpenCampaign) -> None:
    """It opens, says what it will take, and every question for a result says what to do."""
    assert fresh.validate() == validate(fresh.path)
    assert fresh.validate().mistakes == 0
    assert fresh.plan() == forecast_of(*campaign_and_options(fresh.path))
    assert not fresh.status().complete
    assert set(fresh.status().table().drop(columns="scan").to_numpy().ravel()) <= {"missing", ""}
    assert fresh.scan(STXM[0]).stages() == []
    assert "nothing published yet" in repr(fresh.scan(STXM[0]))
    assert "nothing yet" in fresh._repr_html_()
    assert "nothing yet" in fresh.scan(STXM[0])._repr_html_()
    for question in (
        lambda: fresh.particles,
        lambda: fresh.flags,
        lambda: fresh.scan(STXM[0]).soc,
        lambda: fresh.scan(STXM[0]).plot(),
        lambda: fresh.scan(STXM[0]).particle(1),
        lambda: fresh.scan(STXM[0]).references,
        lambda: fresh.scan(PTYCHOGRAPHY[0]).frc,
    ):
        with pytest.raises(InputError, match=r"campaign\.run\(\)"):
            question()
    assert fresh.scan(STXM[0]).quality.empty
    for command in (fresh.verify, fresh.gc, fresh.design):
        with pytest.raises(StoreError, match="Run the campaign first"):
            command()
    # A question never makes a store.
    assert not fresh.campaign.store.exists()


def test_a_part_of_a_plan(fresh: OpenCampaign) -> None:
    whole = {stage.stage: stage.units for stage in fresh.plan().stages}
    part = fresh.plan(stages=["fit", "ingest"], scans=[STXM[0]])
    assert [stage.stage for stage in part.stages] == ["ingest", "fit"]
    units = {stage.stage: stage.units for stage in part.stages}
    assert units["ingest"] == 1
    # Each stack is fitted in as many blocks; those of ptychography are smaller.
    assert units["fit"] < whole["fit"]
    others = fresh.plan(stages=["fit"], scans=[STXM[1], *PTYCHOGRAPHY])
    assert units["fit"] + others.stages[0].units == whole["fit"]
    assert list(part.table()["units"]) == [units["ingest"], units["fit"]]
    assert "units" in part._repr_html_()
    with pytest.raises(InputError, match="Did you mean 'fit'"):
        fresh.plan(stages=["fits"])
    with pytest.raises(CampaignError, match=f"Did you mean '{STXM[0]}'"):
        fresh.plan(scans=[STXM[0][:-1]])


def test_a_run_shows_its_progress_and_its_results(fresh: OpenCampaign) -> None:
    seen: list[Progress] = []
    how = {"stages": ["ingest", "absorbance", "align", "fit"], "scans": [STXM[0]], "cluster": "inline"}
    outcome = fresh.run(**how, prefect=False, watch=seen.append)  # type: ignore[arg-type]
    assert outcome.complete
    assert list(outcome.stages["stage"]) == how["stages"]
    assert outcome.stages["run"].sum() == outcome.document["units_run"] == seen[-1].done + 3
    assert outcome.refusals.empty
    assert outcome.report is None
    assert "units computed" in str(outcome)
    assert "<table>" in outcome._repr_html_()
    # The same handle sees what the run has left; a second run finds nothing to do.
    assert fresh.scan(STXM[0]).stages() == how["stages"]
    assert fresh.scan(STXM[0]).soc.shape == (61, 61)
    assert fresh.scan(STXM[1]).stages() == []
    assert fresh.run(**how, prefect=False).document["units_run"] == 0  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no cluster of this name"):
        fresh.run(cluster="many", prefect=False)


def test_options_make_another_campaign(campaign: OpenCampaign) -> None:
    """The handle stays as it was; what a run with other options leaves is shown, and the first is there again."""
    scan = campaign.scan(STXM[0])
    before = scan.thickness_nm.load()
    quick = campaign.with_options(fit={"fitter": "least_squares"})
    assert campaign.options == {}
    assert quick.options == {"fit": {"fitter": "least_squares"}}
    assert quick.with_options(fit={"background": "none"}, align={"register": False}).options == {
        "fit": {"fitter": "least_squares", "background": "none"},
        "align": {"register": False},
    }
    assert "least_squares" in repr(quick)
    assert campaign.status().table().loc[0, "fit"] == "done"
    assert quick.status().table().loc[0, "fit"] == "missing"
    how = {"stages": ["fit"], "scans": [STXM[0]], "cluster": "inline", "prefect": False}
    ran = quick.run(**how)  # type: ignore[arg-type]
    assert ran.complete
    assert ran.document["units_run"] == 3
    other = scan.thickness_nm.load()
    assert not other.equals(before)
    # Two estimates of one thing: counting noise of a pixel is a few nm.
    assert float(abs(other - before).median()) < 2.0
    # Whatever is asked of the file's own options computes nothing twice.
    back = campaign.run(**how)  # type: ignore[arg-type]
    assert back.document["units_run"] == 0
    xr_equal = scan.thickness_nm.load().equals(before)
    assert xr_equal
    by_run = campaign.run(**how, options={"fit": {"fitter": "least_squares"}})  # type: ignore[arg-type]
    assert by_run.document["units_run"] == 0


def test_wrong_options_are_refused_with_the_nearest(campaign: OpenCampaign) -> None:
    with pytest.raises(CampaignError, match=r"fit has no option 'fiter'.*Did you mean 'fitter'"):
        campaign.with_options(fit={"fiter": "nnls"})
    with pytest.raises(CampaignError, match=r"no stage of this name.*Did you mean 'segment'"):
        campaign.with_options(segments={})
    with pytest.raises(CampaignError, match=r"2 mistakes"):
        campaign.run(options={"fit": {"fiter": 1}, "aligned": {}}, prefect=False)


def test_a_store_is_looked_after(campaign: OpenCampaign) -> None:
    assert campaign.verify().whole
    looked = campaign.verify(inputs=True)
    assert looked.inputs
    assert looked.changed_inputs == ()
    assert "as it was written" in looked._repr_html_()
    assert campaign.gc(dry_run=True).paths == ()
    # An output of other options, that the first ones take the place of again.
    how = {"stages": ["explore"], "scans": [STXM[0]], "cluster": "inline", "prefect": False}
    campaign.run(**how, options={"explore": {"methods": ["pca", "nmf"]}})  # type: ignore[arg-type]
    campaign.run(**how)  # type: ignore[arg-type]
    would, did = campaign.gc(dry_run=True), campaign.gc()
    assert would.paths == did.paths
    assert len(did.paths) == 1
    assert did.bytes > 0
    assert not did.paths[0].exists()
    assert "removed" in did._repr_html_()
    soc = next((campaign.campaign.store / "stages" / "fit" / STXM[0]).rglob("soc/c/0/0"))
    soc.write_bytes(soc.read_bytes()[:-1] + b"x")
    (finding,) = campaign.verify().findings
    assert finding.kind == "changed"
    assert "soc" in campaign.verify()._repr_html_()


@pytest.mark.slow
def test_status_report_export_and_plans(campaign: OpenCampaign, tmp_path: Path) -> None:
    assert campaign.status() == status_of(campaign.path)
    assert "with soc" in campaign.status()._repr_html_()
    drawn = campaign.draw_report()
    assert drawn.page == campaign.report
    assert campaign.report.exists()
    assert drawn.complete
    assert "index.html" in drawn._repr_html_()
    exported = campaign.export("csv", out=tmp_path / "csv")
    assert exported.complete
    assert len(pd.read_csv(tmp_path / "csv" / "particles.csv")) == len(campaign.particles)
    rows = campaign.score()["particles"]
    assert rows[0]["modality"] == "stxm"
    plan = campaign.design(stxmdist.Wish(half_width=0.05, electrode_sd=0.02))
    assert plan.reached
    assert plan.table()["proposed"].sum() == 1
    assert (plan.table()["half_width"] <= 0.05).all()
    assert "hours" in plan._repr_html_()


def test_energies_are_for_the_particles_that_were_found(campaign: OpenCampaign) -> None:
    found, usual = campaign.energies(4, photons=500.0), stxmdist.energies("LFP", 4, photons=500.0)
    thickness = campaign.particles.query("modality == 'stxm' and soc_mean == soc_mean")["thickness_nm"].median()
    assert found.sample.thickness_nm == pytest.approx(thickness)
    assert usual.sample.thickness_nm == 150.0
    table = found.table()
    assert table["share"].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(table["photons"], 500.0 * table["share"])
    given = campaign.energies(4, photons=500.0, sample=stxmdist.Sample())
    pd.testing.assert_frame_equal(given.table(), usual.table())
    assert "MGy" in usual._repr_html_()


def test_opening_and_reading_does_without_prefect(processed: Path) -> None:
    program = (
        "import sys, stxmdist; scan = stxmdist.open(sys.argv[1]).scan(sys.argv[2]); scan.soc.mean().compute();"
        "scan.particle(1).spectrum; print('prefect' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(processed), STXM[0]], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False"], done.stdout + done.stderr


def test_what_is_no_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="the campaign file cannot be read"):
        stxmdist.open(tmp_path / "campaign.yaml")
    (tmp_path / "campaign.yaml").write_text("name: x\nstor: y\n")
    with pytest.raises(CampaignError, match=r"Did you mean 'store'"):
        stxmdist.open(tmp_path / "campaign.yaml")
    assert stxmdist.validate(tmp_path / "campaign.yaml").mistakes > 1
    assert "Did you mean" in " ".join(stxmdist.validate(tmp_path / "campaign.yaml").table()["mend"])


@pytest.mark.slow
def test_a_run_in_a_notebook_is_recorded_by_prefect(fresh: OpenCampaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's kernel has an event loop of its own running, in which Prefect must not wait for itself."""
    monkeypatch.setenv("PREFECT_HOME", str(fresh.path.parent / "home"))
    said: list[str] = []

    async def cell() -> bool:
        return fresh.run(["ingest"], [STXM[0]], {"ingest": {"mask_faults": False}}, "inline", note=said.append).complete

    assert asyncio.run(cell())
    assert any("Prefect server http" in line for line in said)
    assert fresh.scan(STXM[0]).stages() == ["ingest"]
    assert fresh.published.options("ingest", STXM[0])["mask_faults"] is False
