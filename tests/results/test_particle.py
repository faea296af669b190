"""One particle: its spectrum against the fitted maps, its crops, its twin, and words where something is missing."""

import re

import numpy as np
import pandas as pd
import pytest

from stxmdist.arrays import MaskClass
from stxmdist.commands.open_campaign import OpenCampaign
from stxmdist.errors import InputError
from stxmdist.measures import FitMeasures
from stxmdist.results.arrays import require_image
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from tests.stages.tiny import PTYCHOGRAPHY, STXM

WITHIN_OF_BLUR = 0.03
"""Optical density by which a mean over a blurred particle may miss the sum of its end-members"""


def ids(campaign: OpenCampaign, scan_id: str) -> list[int]:
    return [int(number) for number in campaign.scan(scan_id).particles["particle_id"]]


@pytest.mark.parametrize("scan_id", [STXM[0], PTYCHOGRAPHY[0]])
def test_the_spectrum_is_that_of_its_pixels(results: OpenCampaign, scan_id: str) -> None:
    """Mean of -ln T over the pixels, and the library's end-members in their mean thicknesses, computed here anew."""
    scan = results.scan(scan_id)
    fit = results.published.figures(FitMeasures, "fit", scan_id)
    assert fit is not None
    assert fit.background == "none"
    members = CHEMISTRIES["LFP"].load().end_members()
    transmission, thickness = scan.transmission.values, scan.thickness_nm.values
    for particle_id in ids(results, scan_id):
        inside = (scan.labels.values == particle_id) & np.isfinite(transmission).all(axis=0)
        inside &= np.isfinite(thickness).all(axis=0) & np.isin(scan.mask_class, (MaskClass.valid, MaskClass.edge))
        if not inside.any():
            continue
        spectrum = scan.particle(particle_id).spectrum
        # The half of a photon that keeps logarithms of few counts unbiased is no part of this plain mean.
        np.testing.assert_allclose(
            spectrum["optical_density"], -np.log(transmission[:, inside]).mean(axis=1), atol=0.005
        )
        model = members.at(scan.transmission["energy"].values, fit.energy_shift_ev).T @ thickness[:, inside].mean(
            axis=1
        )
        np.testing.assert_allclose(spectrum["fit"], model, rtol=1e-5)
        np.testing.assert_allclose(spectrum["discharged"] + spectrum["charged"], spectrum["fit"], rtol=1e-12)
        np.testing.assert_allclose(spectrum["residual"], spectrum["optical_density"] - spectrum["fit"], atol=1e-12)
        assert (abs(spectrum["residual"]) < WITHIN_OF_BLUR + 3.0 * spectrum["optical_density_se"]).all()
        assert (spectrum["optical_density_se"] > 0.0).all()
        assert spectrum.attrs["pixels"] == inside.sum()


def test_the_error_of_a_spectrum_falls_with_its_pixels(results: OpenCampaign) -> None:
    """By counting, the variance is that of one pixel over their number; the beam's all have in common."""
    scan = results.scan(STXM[0])
    common = scan.stage("align")["i0_relative_variance"].values
    table = scan.particles.sort_values("n_pixels")
    small, large = (scan.particle(int(table.iloc[at]["particle_id"])).spectrum for at in (0, -1))
    ratio = (small["optical_density_se"] ** 2 - common) / (large["optical_density_se"] ** 2 - common)
    pixels = large.attrs["pixels"] / small.attrs["pixels"]
    # Dark pixels have fewer photons, and particles differ in thickness.
    assert 0.4 * pixels < ratio.median() < 2.5 * pixels


def test_crops_hold_the_particle(results: OpenCampaign) -> None:
    scan = results.scan(STXM[0])
    for particle_id in ids(results, STXM[0]):
        particle = scan.particle(particle_id)
        mask = particle.mask
        assert int(mask.sum()) == particle.row["n_pixels"]
        whole = scan.labels == particle_id
        # Every pixel of the particle lies in the crop, where it lies in the whole image.
        np.testing.assert_array_equal(mask, whole.sel(y=mask["y"], x=mask["x"]))
        assert particle.soc.shape == mask.shape
        np.testing.assert_array_equal(particle.soc, scan.soc.sel(y=mask["y"], x=mask["x"]))
        assert particle.optical_density.dims == ("energy", "y", "x")
        tight = particle.crop("labels", margin_px=0)
        assert (tight == particle_id).any("x").all()
        assert (tight == particle_id).any("y").all()


def test_a_crop_of_another_grid_lies_at_the_same_place(results: OpenCampaign) -> None:
    """The object of ptychography has a grid of its own: what its crop covers is where the particle is."""
    scan = results.scan(PTYCHOGRAPHY[0])
    particle = scan.particle(ids(results, PTYCHOGRAPHY[0])[0])
    crop, labels = particle.object, particle.labels
    pitch = float(abs(np.diff(scan.object["y"])).mean())
    for axis in ("y", "x"):
        assert abs(float(crop[axis].mean()) - float(labels[axis].mean())) <= 2.0 * pitch
    assert crop.dtype.kind == "c"


def test_twins_are_those_of_the_table(results: OpenCampaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fields of the tiny campaign share no whole particle: pairs are planted, one of them with two partners."""
    small, other = ids(results, PTYCHOGRAPHY[0])[0], ids(results, PTYCHOGRAPHY[1])[0]
    planted = pd.DataFrame(
        [(STXM[0], 1, PTYCHOGRAPHY[1], other, 0.3), (STXM[0], 1, PTYCHOGRAPHY[0], small, 0.8)],
        columns=["scan_id_stxm", "particle_id_stxm", "scan_id_ptychography", "particle_id_ptychography", "iou"],
    )
    assert results.particle(STXM[0], 1).twin is None
    assert results.pairs.empty
    of_campaign = OpenCampaign.table
    monkeypatch.setattr(
        OpenCampaign, "table", lambda self, name: planted if name == "pairs" else of_campaign(self, name)
    )
    wide = results.particle(STXM[0], 1)
    assert [(twin.scan.scan_id, twin.particle_id) for twin in wide.twins] == [
        (PTYCHOGRAPHY[0], small),
        (PTYCHOGRAPHY[1], other),
    ]
    twin = wide.twin
    assert twin is not None
    assert twin.object.dtype.kind == "c"
    back = twin.twin
    assert back is not None
    assert (back.scan.scan_id, back.particle_id) == (STXM[0], 1)
    assert results.particle(STXM[0], 2).twin is None


def test_row_and_flags(results: OpenCampaign) -> None:
    table = results.particles
    flagged = table[table["flags"] != ""].iloc[0]
    particle = results.particle(flagged["scan_id"], int(flagged["particle_id"]))
    pd.testing.assert_series_equal(particle.row, flagged, check_names=False)
    assert particle.row.attrs["units"]["soc_se"] == "1"
    assert list(particle.flags) == flagged["flags"].split(";")
    assert all(words and words != flag for flag, words in particle.flags.items())


def test_pictures_and_views(results: OpenCampaign) -> None:
    particle = results.particle(STXM[0], ids(results, STXM[0])[0])
    figure = particle.plot()
    spectrum = next(axes for axes in figure.axes if axes.get_ylabel() == "optical density")
    (measured,) = (line for line in spectrum.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(measured.get_ydata(), float), particle.spectrum["optical_density"])
    page = particle._repr_html_()
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page
    assert sorted(re.findall(r"<(?!img)(\w+)", page)) == sorted(re.findall(r"</(\w+)", page))
    assert "state of charge" in repr(particle)


def test_what_is_not_there_is_said(results: OpenCampaign, half_finished: OpenCampaign, not_begun: OpenCampaign) -> None:
    scan = results.scan(STXM[0])
    with pytest.raises(InputError, match=r"no particle of this number; got 999, wanted one of 1, 2"):
        scan.particle(999)
    particle = scan.particle(1)
    with pytest.raises(AttributeError, match="row, flags, spectrum, twin"):
        _ = particle.spectrun
    with pytest.raises(InputError, match=r"leaves no object|published nothing"):
        _ = particle.object
    with pytest.raises(InputError, match=r"is no image.*xarray"):
        particle.crop("i0_counts")
    with pytest.raises(InputError, match=r"segment has published nothing.*campaign\.run\(\)"):
        not_begun.particle(STXM[0], 1)
    # Particles are there as soon as they are found; what they have in the other microscope is not known yet.
    early = half_finished.particle(STXM[0], 1)
    assert early.row["soc_mean"] == pytest.approx(particle.row["soc_mean"], nan_ok=True)
    assert early.row.attrs["units"]["soc_mean"] == "1"
    pd.testing.assert_frame_equal(early.spectrum, particle.spectrum)
    with pytest.raises(InputError, match=r"no table of this name.*'pairs'.*campaign\.run\(\)"):
        _ = early.twin
    assert "<img" in early._repr_html_()


def test_images_are_told_from_what_is_none(results: OpenCampaign) -> None:
    scan = results.scan(STXM[0])
    require_image(STXM[0], scan.soc)
    with pytest.raises(InputError, match="axes energy"):
        require_image(STXM[0], scan.i0_counts)


def test_masked_pixels_do_not_count(results: OpenCampaign) -> None:
    """What a class says is missing has no thickness, and so is no part of a spectrum."""
    scan = results.scan(STXM[0])
    missing = np.isin(scan.mask_class, (MaskClass.missing, MaskClass.outside))
    assert not np.isfinite(scan.thickness_nm.values[:, missing]).any()
