"""Spectra on pages: the mean and its error, and the fit that published thicknesses say, on a simulated campaign."""

from pathlib import Path

import numpy as np
import pytest

import stxmdist
from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.refused import NotHere
from stxmdist.dashboard.snapshot import Campaigns, Snapshot
from stxmdist.dashboard.spectra import (
    pixel_at,
    spectrum_of_particle,
    spectrum_of_pixel,
)
from stxmdist.measures import FitMeasures


@pytest.fixture(scope="module")
def now(processed: Path) -> Snapshot:
    return Campaigns(processed).snapshot()


@pytest.fixture(scope="module")
def scan(now: Snapshot) -> Scan:
    return next(scan for scan in now.campaign.scans if scan.modality == "stxm")


def test_pages_and_python_say_the_same_of_a_particle(processed: Path, now: Snapshot, scan: Scan) -> None:
    particle = stxmdist.open(processed).scan(scan.scan_id).particle(1)
    align, segment = now.output("align", scan.scan_id), now.output("segment", scan.scan_id)
    assert align is not None
    assert segment is not None
    shown, table = spectrum_of_particle(now, scan, align, segment, 1), particle.spectrum
    assert shown.fit is not None
    np.testing.assert_allclose(shown.od, table["optical_density"], rtol=1e-6)
    np.testing.assert_allclose(shown.se, table["optical_density_se"], rtol=1e-6)
    np.testing.assert_allclose(shown.fit.od, table["fit"].dropna(), rtol=1e-6)


def test_the_fit_of_a_pixel_is_the_published_one(now: Snapshot, scan: Scan) -> None:
    """Chi-square of the shown residual is that of the map, and the shown thicknesses give the map's state of charge."""
    align, fit = now.output("align", scan.scan_id), now.output("fit", scan.scan_id)
    about = now.figures(FitMeasures, "fit", scan.scan_id)
    assert align is not None
    assert fit is not None
    assert about is not None
    soc, chi2, classes = (fit.read(name) for name in ("soc", "chi2_reduced", "mask_class"))
    y_um, x_um = align.read("y_um"), align.read("x_um")
    ratios = []
    for row, column in np.argwhere(classes == 0)[::17][:40]:
        pixel = pixel_at(align, float(y_um[row]), float(x_um[column]))
        assert (pixel.row, pixel.column) == (row, column)
        spectrum = spectrum_of_pixel(now, scan, align, pixel)
        assert spectrum.fit is not None
        assert spectrum.fit.thickness[1] / spectrum.fit.thickness.sum() == pytest.approx(soc[row, column], abs=1e-4)
        own = np.sum((spectrum.residual / spectrum.residual_se) ** 2) / (about.energies_used - 2)
        ratios.append(own / chi2[row, column])
    # The fit weighs counts by what it expects and leaves the incident beam's own error out: some per cent.
    assert np.median(ratios) == pytest.approx(1.0, abs=0.25)


def test_the_spectrum_of_a_particle_is_the_mean_of_its_pixels(now: Snapshot, scan: Scan) -> None:
    align, labels = now.output("align", scan.scan_id), now.output("segment", scan.scan_id)
    fit = now.output("fit", scan.scan_id)
    assert align is not None
    assert labels is not None
    assert fit is not None
    numbers, classes = labels.read("labels"), fit.read("mask_class")
    particle = int(np.argmax(np.bincount(numbers[numbers > 0])))
    chosen = (numbers == particle) & np.isin(classes, (0, 2))
    found = spectrum_of_particle(now, scan, align, labels, particle)
    assert found.n_pixels == chosen.sum()
    # Half a count is added before the logarithm (Haldane), as for the state of charge.
    half = 0.5 / align.read("effective_counts")[:, None]
    np.testing.assert_allclose(found.od, -np.log(align.read("transmission")[:, chosen] + half).mean(axis=1), rtol=1e-5)
    assert found.fit is not None
    # Of the mean, two end-members explain all but a few per cent.
    assert np.sqrt(np.mean(found.residual**2)) < 0.05 * found.od.max()


def test_what_is_not_there_is_said(now: Snapshot, scan: Scan) -> None:
    align, labels = now.output("align", scan.scan_id), now.output("segment", scan.scan_id)
    assert align is not None
    assert labels is not None
    for particle in (0, -1, 10_000):
        with pytest.raises(NotHere, match="no particle"):
            spectrum_of_particle(now, scan, align, labels, particle)
    with pytest.raises(NotHere, match="outside"):
        pixel_at(align, 1e6, 0.0)
