"""Counts are told from what others made of them, by their numbers alone."""

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.readers.frames.kind_of_numbers import numbers_meant, what_numbers_are, without_counts

SHAPE, N = (40, 44), 6


def transmission(photons: float, seed: int = 0) -> np.ndarray:
    """Counts over the beam (ENERGY, Y, X): a particle that absorbs more and more in a free field."""
    true = np.ones((N, *SHAPE))
    true[:, 10:25, 12:30] = np.exp(-np.linspace(0.2, 1.6, N))[:, None, None]
    return np.random.default_rng(seed).poisson(photons * true) / photons


def density(photons: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -np.log(transmission(photons))


BEAM = np.linspace(0.4, 2.0, N)[:, None, None]

COUNTS = {
    "photons": 400.0 * transmission(400.0),
    "few photons": 2.0 * transmission(2.0),
    "a rate in kHz": 400.0 * transmission(400.0) / 1.5,
    "less a dark level": 50.0 * transmission(50.0) - 3.25,
    "a photodiode in nA, whose level is the beam's": BEAM * transmission(4000.0),
    "an image of one energy": 400.0 * transmission(400.0)[:1],
}

DENSITIES = {
    "density": density(500.0),
    "density of many photons": density(20000.0),
    "of few": density(30.0),
    "in tenths of a thousand, as whole numbers": np.round(1e4 * density(500.0)),
    "rounded as aXis2000 does": np.round(1e4 * density(500.0)) / 1e4,
    "without its lower half": np.where(np.arange(SHAPE[0])[:, None] < 20, density(500.0), np.nan),
}


@pytest.mark.parametrize("what", COUNTS)
def test_counts_pass_without_a_question(what: str) -> None:
    found = what_numbers_are(COUNTS[what].astype(np.float32))
    assert found.kind == "counts", found.said
    assert numbers_meant(found, None, "a file") == "counts"


@pytest.mark.parametrize("what", DENSITIES)
def test_optical_density_is_asked_about(what: str) -> None:
    found = what_numbers_are(DENSITIES[what].astype(np.float32))
    assert found.kind == "optical_density", found.said
    with pytest.raises(InputError, match="do not look like counts") as caught:
        numbers_meant(found, None, "a file")
    assert "input: optical_density" in str(caught.value.mend)
    assert "hold no positive number" in str(caught.value.got)


def test_transmission_is_asked_about() -> None:
    found = what_numbers_are(transmission(800.0).astype(np.float32))
    assert found.kind == "transmission", found.said
    with pytest.raises(InputError, match="do not look like counts"):
        numbers_meant(found, None, "a file")
    assert numbers_meant(found, "transmission", "a file") == "transmission"
    assert numbers_meant(found, "counts", "a file") == "counts"


def test_hundreds_of_photons_are_no_optical_density() -> None:
    found = what_numbers_are(COUNTS["photons"].astype(np.float32))
    with pytest.raises(InputError, match="cannot be optical density"):
        numbers_meant(found, "optical_density", "a file")


def test_many_pixels_without_a_count_are_worth_a_word() -> None:
    assert without_counts(what_numbers_are(COUNTS["photons"].astype(np.float32))) == ()
    (said,) = without_counts(what_numbers_are(COUNTS["few photons"].astype(np.float32)))
    assert "of the pixels hold no positive count" in said
    # Lines of zeros that nobody called missing: counts all the same, and said.
    counts = COUNTS["photons"].copy()
    counts[:, 24:] = 0.0
    (said,) = without_counts(what_numbers_are(counts.astype(np.float32)))
    assert said.startswith("40% of the pixels")


def test_nothing_was_measured() -> None:
    assert what_numbers_are(np.full((2, 3, 4), np.nan, np.float32)).kind == "counts"
