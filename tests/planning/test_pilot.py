"""Photons of a pilot: what the simulation let fall on a pixel is what its scans are found to have had."""

from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.planning.pilot import photons_per_pixel
from stxmdist.planning.published import PublishedCampaign


def test_photons_are_the_counts_of_the_empty_field(processed: Path) -> None:
    campaign = load(processed)
    published = PublishedCampaign(Store(campaign.store))
    scans = [scan.scan_id for scan in campaign.scans if scan.modality == "stxm"]
    found = []
    for scan_id in scans:
        ingest, absorbance = published.output("ingest", scan_id), published.output("absorbance", scan_id)
        assert ingest is not None
        assert absorbance is not None
        free = np.asarray(absorbance.read("particle_free"), dtype=bool)
        found.append(float(np.asarray(ingest.read("counts"))[:, free].mean(axis=1).sum()))
    # Light of other orders and the estimate of the noise factor are a few per cent each.
    assert photons_per_pixel(published, scans) == pytest.approx(float(np.median(found)), rel=0.1)


def test_what_is_not_published_has_no_photons(simulated: Path) -> None:
    campaign = load(simulated)
    found = photons_per_pixel(PublishedCampaign(Store(campaign.store)), [scan.scan_id for scan in campaign.scans])
    assert np.isnan(found)
