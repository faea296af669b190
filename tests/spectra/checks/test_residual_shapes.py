"""Planted causes of a residual are named, with their sizes; a missing spectrum is none of them."""

import numpy as np
import pytest

from stxmdist.spectra.checks.residual_shapes import in_words, residual_shape, slope_by_energy
from stxmdist.spectra.end_members.references import EndMembers

ENERGY = np.arange(700.0, 735.05, 0.25)
THICKNESS_NM = np.array([60.0, 40.0])


def left_over(lfp: EndMembers, od: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    terms = lfp.at(ENERGY).T
    model = terms @ np.linalg.lstsq(terms, od, rcond=None)[0]
    return od - model, model, terms


@pytest.mark.parametrize(
    ("name", "size"), [("constant", 0.03), ("slope", 0.002), ("energy", 0.08), ("saturation", -0.05)]
)
def test_a_planted_cause_is_named_first(lfp: EndMembers, name: str, size: float) -> None:
    clean = lfp.at(ENERGY).T @ THICKNESS_NM
    planted = {
        "constant": clean + size,
        "slope": clean + size * (ENERGY - ENERGY.mean()),
        "energy": lfp.at(ENERGY, size).T @ THICKNESS_NM,
        "saturation": clean + size * clean**2,
    }[name]
    residual, model, terms = left_over(lfp, planted)
    found = residual_shape(residual, model, ENERGY, terms)
    assert next(iter(found.shares)) == name
    assert found.shares[name] > 0.9
    assert found.sizes[name] == pytest.approx(size, rel=0.15)
    assert sum(found.shares.values()) + found.unnamed == pytest.approx(1.0)
    assert "looks like" in in_words(found)


def test_wider_lines_are_a_broadening(lfp: EndMembers) -> None:
    fine = np.arange(695.0, 740.0, 0.05)
    sigma = 0.3
    kernel = np.exp(-0.5 * (np.arange(-40, 41) * 0.05 / sigma) ** 2)
    wide = np.convolve(lfp.at(fine).T @ THICKNESS_NM, kernel / kernel.sum(), mode="same")
    found = residual_shape(*_with_energy(left_over(lfp, np.interp(ENERGY, fine, wide))))
    assert next(iter(found.shares)) == "broadening"
    assert found.sizes["broadening"] == pytest.approx(sigma**2, rel=0.3)


def _with_energy(parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return parts[0], parts[1], ENERGY, parts[2]


def test_a_missing_line_has_no_such_shape_and_its_place_is_said(lfp: EndMembers) -> None:
    od = lfp.at(ENERGY).T @ THICKNESS_NM
    od = od + 0.05 * np.exp(-0.5 * ((ENERGY - 702.5) / 0.6) ** 2)
    od[3] = np.nan
    terms = lfp.at(ENERGY).T
    good = np.isfinite(od)
    model = terms @ np.linalg.lstsq(terms[good], od[good], rcond=None)[0]
    found = residual_shape(od - model, model, ENERGY, terms)
    assert found.unnamed > 0.5
    assert max(found.where, key=lambda part: found.where[part]) == "pre-edge"
    assert "before the edge" in in_words(found)
    nothing = residual_shape(np.zeros(ENERGY.size), model, ENERGY, terms)
    assert nothing.shares == {}


def test_a_repeated_energy_has_one_slope() -> None:
    energy_ev = np.array([700.0, 702.0, 704.0, 702.0, 706.0])
    values = 0.1 * energy_ev**2
    once = np.unique(energy_ev)
    expected = np.gradient(0.1 * once**2, once)
    np.testing.assert_allclose(slope_by_energy(values, energy_ev), expected[[0, 1, 2, 1, 3]])
    assert not slope_by_energy(np.array([1.0, 2.0]), np.array([700.0, 700.0])).any()
