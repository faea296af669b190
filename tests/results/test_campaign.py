"""`stxmdist.open`: tables, labelled images, a view for notebooks, and words where something is missing."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import stxmdist
from storage.store import Store
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.particles.flag_words import FLAG_WORDS
from stxmdist.planning.tables import table_specs
from stxmdist.results.arrays import WHERE
from stxmdist.results.campaign import CampaignResults
from tests.stages.tiny import PTYCHOGRAPHY, STXM, TINY


@pytest.fixture(scope="module")
def results(processed: Path) -> CampaignResults:
    return stxmdist.open(processed)


@pytest.mark.parametrize("name", CampaignResults.TABLES)
def test_tables_are_data_frames(results: CampaignResults, processed: Path, name: str) -> None:
    table = getattr(results, name)
    pd.testing.assert_frame_equal(table, pd.read_parquet(processed.parent / "store" / "tables" / f"{name}.parquet"))
    assert name in dir(results)


def test_particles_of_every_scan_stand_in_the_table(results: CampaignResults) -> None:
    assert set(STXM) <= set(results.particles["scan_id"])
    assert results.particles["soc_mean"].between(-0.5, 1.5).all()


def test_images_are_labelled(results: CampaignResults) -> None:
    soc = results.scan(STXM[0]).soc
    assert isinstance(soc, xr.DataArray)
    assert soc.dims == ("y", "x")
    assert soc.shape == (TINY.stxm.n_px, TINY.stxm.n_px)
    assert soc.attrs["units"] == "1"
    assert soc.attrs["long_name"]
    assert soc["y"].attrs["units"] == "um"
    # The pixel of the instrument, wherever on the sample.
    np.testing.assert_allclose(np.diff(soc["x"]), 1e-3 * TINY.stxm.pixel_nm, rtol=1e-6)


def test_stacks_have_their_energies(results: CampaignResults) -> None:
    scan = results.scan(STXM[1])
    np.testing.assert_allclose(scan.optical_density["energy"], TINY.stxm.energy_ev, atol=1e-3)
    assert scan.optical_density["energy"].attrs["units"] == "eV"
    assert scan.optical_density.sel(energy=708.2, method="nearest").dims == ("y", "x")
    thickness = scan.thickness_nm
    assert list(thickness["component"].values) == ["discharged", "charged"]
    charged = thickness.sel(component="charged")
    np.testing.assert_array_equal(charged, thickness[1])


@pytest.mark.parametrize("scan_id", [STXM[0], PTYCHOGRAPHY[0]])
def test_every_array_that_has_a_name_is_there(results: CampaignResults, scan_id: str) -> None:
    scan = results.scan(scan_id)
    frames = {"frames", "positions_um", "object_tile", "probe", "error", "object", "phase", "phase_unaligned"}
    own = {"counts"} if scan_id in STXM else frames
    # Explorations that were not asked for leave nothing.
    unasked = {name for name in WHERE if name.startswith(("nmf_", "cluster_", "target_"))}
    others = ({"counts", *frames} - own) | unasked
    for name in WHERE.keys() - others:
        assert getattr(scan, name).size, name
        assert name in dir(scan)
    for name in others:
        with pytest.raises(
            InputError, match=f"{scan_id}: stage {WHERE[name]} (leaves no {name}|has published nothing)"
        ):
            getattr(scan, name)


def test_optical_density_is_that_of_the_maps_and_labels(results: CampaignResults) -> None:
    """The spectrum of a particle is what the fit saw of it: its thicknesses give it back."""
    scan = results.scan(STXM[0])
    align = scan.stage("align")
    # float32 logarithms
    xr.testing.assert_allclose(
        np.exp(-scan.optical_density), align.transmission.where(align.transmission > 0), rtol=1e-6
    )
    assert scan.optical_density.dims == ("energy", "y", "x")
    assert scan.optical_density.attrs["units"] == "1"
    within = scan.labels > 0
    spectrum = scan.optical_density.where(within).mean(("y", "x"))
    shifted = float(abs(spectrum - scan.optical_density_unaligned.where(within).mean(("y", "x"))).max())
    assert shifted > 0.005, "these frames were moved"
    np.testing.assert_array_equal(scan.optical_density_unaligned, scan.stage("absorbance")["optical_density"])
    n = float(align.effective_counts[2])
    expected = np.exp(scan.optical_density[2]) / n
    np.testing.assert_allclose(scan.od_variance[2], expected, rtol=1e-5)


def test_whole_outputs_of_stages(results: CampaignResults, processed: Path) -> None:
    scan = results.scan(STXM[0])
    assert set(scan.stages()) == {"ingest", "absorbance", "align", "explore", "fit", "segment", "network"}
    output = Store(processed.parent / "store").published_output("fit", STXM[0])
    assert output is not None
    fit = scan.stage("fit")
    assert set(output.arrays()) <= set(fit)
    np.testing.assert_array_equal(fit["soc"], output.read("soc"))


def test_what_it_is_can_be_read(results: CampaignResults) -> None:
    assert "simulated-tiny" in repr(results)
    assert "4 scans" in repr(results)
    assert repr(results.scan(STXM[0])).startswith(f"ScanResults('{STXM[0]}': ")
    page = results._repr_html_()
    for scan_id in (*STXM, *PTYCHOGRAPHY):
        assert f"<td>{scan_id}</td>" in page
    assert "published: " in page
    assert "fit" in page
    assert page.count('<img alt="soc of') == 3
    # Every tag is closed: a notebook shows what follows as it should be.
    assert sorted(re.findall(r"<(?!img)(\w+)", page)) == sorted(re.findall(r"</(\w+)", page))


def test_nothing_is_read_before_it_is_used(results: CampaignResults) -> None:
    """Arrays are Dask's, in the chunks of the store."""
    scan = results.scan(STXM[0])
    output = scan.output("align")
    transmission = scan.transmission
    assert transmission.chunks is not None
    assert tuple(sizes[0] for sizes in transmission.chunks) == output.layout("transmission").chunks
    for name in ("soc", "optical_density", "od_variance", "counts", "labels"):
        assert scan.array(name).chunks is not None, name


def test_codes_say_what_they_mean(results: CampaignResults) -> None:
    """As CF has it: the values beside as many words, so that other programs can read them."""
    classes = results.scan(STXM[0]).mask_class
    words = classes.attrs["flag_meanings"].split()
    assert classes.attrs["flag_values"].dtype == classes.dtype
    assert dict(zip(words, classes.attrs["flag_values"].tolist(), strict=True)) == {
        kind.name: int(kind) for kind in MaskClass
    }
    assert set(np.unique(classes)) <= set(classes.attrs["flag_values"].tolist())
    assert "flag_values" not in results.scan(STXM[0]).labels.attrs


def test_maps_say_how_they_are_coloured(results: CampaignResults) -> None:
    scan = results.scan(STXM[0])
    assert scan.soc.attrs["display_range"].tolist() == [0.0, 1.0]
    # What optical density is computed from has another range, which is not its own.
    assert scan.transmission.attrs["display_range"].tolist() == [0.0, 1.0]
    assert "display_range" not in scan.optical_density.attrs
    assert scan.optical_density.attrs["colormap"] == "Greys"


def test_units_of_tables_survive(results: CampaignResults) -> None:
    particles = results.particles
    spec = table_specs()["particles"]
    assert set(particles.attrs["units"]) == set(particles.columns)
    for column in spec.columns:
        if column.name in particles:
            assert particles.attrs["units"][column.name] == column.unit
            assert particles.attrs["descriptions"][column.name] == column.meaning
    kept = particles[particles["soc_mean"] > 0.3].sort_values("d_eq_um").copy()
    assert kept.attrs["units"]["d_eq_um"] == "um"
    assert results.electrodes.attrs["units"]["c_rate"] == "1/h"


def test_flags_are_a_column_and_a_table(results: CampaignResults) -> None:
    """`particles.flags` is pandas' own; the column is there by its name, and each flag as a column of truth values."""
    particles, flags = results.particles, results.flags
    assert not isinstance(particles.flags, pd.Series)
    assert flags.index.equals(particles.index)
    for flag in flags:
        held = particles["flags"].str.split(";").map(lambda words, flag=flag: flag in words)
        np.testing.assert_array_equal(flags[flag], held)
        assert flags.attrs["descriptions"][flag] == FLAG_WORDS[flag]
    assert flags.any().any()


def test_the_sheet_is_a_table(results: CampaignResults) -> None:
    sheet = results.sheet
    assert list(sheet.index) == [scan.scan_id for scan in results.campaign.scans]
    assert sheet.loc[PTYCHOGRAPHY[0], "modality"] == "ptychography"
    assert sheet.attrs["units"]["cycle"] == "1"


def test_names_from_outside_are_text_in_a_page(results: CampaignResults, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = (replace(results.campaign.scans[0], electrode_id="<script>"),)
    monkeypatch.setattr(results, "campaign", replace(results.campaign, scans=scans))
    assert "<script>" not in results._repr_html_()
    assert "&lt;script&gt;" in results._repr_html_()


def test_what_is_missing_is_said(results: CampaignResults) -> None:
    with pytest.raises(InputError, match=r"no scan of this name.*stxm-E01"):
        results.scan("stxm-E01")
    with pytest.raises(AttributeError, match="soc_se"):
        _ = results.scan(STXM[0]).state_of_charge
    with pytest.raises(AttributeError, match="particles, pairs, electrodes"):
        _ = results.partikles
    with pytest.raises(InputError, match=r"no array of this name.*'socc'.*chi2_reduced"):
        results.scan(STXM[0]).array("socc")
    with pytest.raises(InputError, match=r"stage reconstruct .*nothing for this scan.*stxmdist status"):
        results.scan(STXM[0]).stage("reconstruct")
    assert not results.report.exists()


def test_a_renamed_simulated_campaign_is_simulated_everywhere(processed: Path, tmp_path: Path) -> None:
    """The receipts of the simulation name the files; name and folder of the campaign file do not matter."""
    from stxmdist.export.write import export
    from stxmdist.planning.execute import campaign_and_options
    from stxmdist.planning.headers import survey_of
    from stxmdist.report.stage import part_of

    text = processed.read_text().replace("name: simulated-tiny", "name: beamtime of October")
    for name in ("samples.csv", "store"):
        text = text.replace(f": {name}\n", f": {processed.parent / name}\n")
    renamed = tmp_path / "campaign.yaml"
    renamed.write_text(text)
    results = stxmdist.open(renamed)
    assert results.campaign.name == "beamtime of October"
    assert results.simulated == {*STXM, *PTYCHOGRAPHY}
    assert "simulated, not measured" in results._repr_html_()
    assert part_of(survey_of(*campaign_and_options(renamed))).simulated == results.simulated
    export(renamed, "csv", out=tmp_path / "csv")
    assert json.loads((tmp_path / "csv" / "provenance.json").read_text())["simulated"] is True
