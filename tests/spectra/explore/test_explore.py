"""Exploring: planted components come back, numpy and scipy agree, and blocks, threads and order change no bit."""

from collections.abc import Callable
from dataclasses import is_dataclass
from itertools import product

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import nnls

from stxmdist.arrays import F32, F64, Array
from stxmdist.errors import InputError
from stxmdist.records import figures_of, from_json
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.explore.clusters import ClusterOptions, find_clusters
from stxmdist.spectra.explore.contract import EXPLORERS, Exploring, TargetSpectra, require_energies
from stxmdist.spectra.explore.factorise import FactorOptions, amounts_of, factorise, purest_spectra
from stxmdist.spectra.explore.pixel_stack import LEAST_COUNT, PixelStack, sample_of
from stxmdist.spectra.explore.principal import PrincipalOptions, indicator_function, principal_components
from stxmdist.spectra.explore.target_maps import least_squares_maps, target_transform
from stxmdist.spectra.kernels.shared_products import MOST_UNKNOWNS, nonnegative_solutions

SHAPE = (61, 83)
ENERGY_EV = np.linspace(702.0, 728.0, 29)
COUNTS = 400.0
ROUNDING = 2e-6
"""Of single precision, in which optical density is held, over sums of thousands."""
SPECTRUM = 0.01
"""Sine of the angle to the planted spectrum: noise of 400 counts over hundreds of pure pixels."""


@pytest.fixture(scope="module")
def amounts() -> F64:
    """(COMPONENT, Y, X) nm: three kinds of grains, pure and mixed, beside nothing."""
    rng = np.random.default_rng(7)
    smooth = [ndimage.gaussian_filter(rng.normal(size=SHAPE), 5.0) for _ in range(2)]
    thick = np.where(smooth[0] > np.quantile(smooth[0], 0.4), rng.uniform(90.0, 150.0, SHAPE), 0.0)
    charged = np.clip(0.5 + 40.0 * smooth[1], 0.0, 1.0)
    return np.stack([thick * (1.0 - charged), thick * charged])


@pytest.fixture(scope="module")
def transmission(amounts: F64, lfp: EndMembers) -> F32:
    rng = np.random.default_rng(8)
    mean = np.exp(-np.tensordot(lfp.at(ENERGY_EV).T, amounts, axes=1))
    found = (rng.poisson(COUNTS * mean) / COUNTS).astype(np.float32)
    # A corner that drifted out of the field.
    found[5, :4, :7] = np.nan
    return found


def stack_of(transmission: F32, **how: int) -> PixelStack:
    return PixelStack(transmission.shape[1:], np.full(len(transmission), COUNTS), lambda r: transmission[:, r], **how)


def sine(one: F64, other: F64) -> float:
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return float(np.sqrt(max(0.0, 1.0 - cosine**2)))


@pytest.mark.parametrize(("scaling", "centred"), [*product(("poisson", "counts", "none"), (False, True))])
def test_components_are_those_of_a_singular_value_decomposition(transmission: F32, scaling: str, centred: bool) -> None:
    found = principal_components(stack_of(transmission), PrincipalOptions(4, scaling, centred))  # type: ignore[arg-type]
    seen = np.maximum(transmission.reshape(len(transmission), -1).astype(float), LEAST_COUNT / COUNTS)
    seen = seen[:, np.isfinite(seen).all(axis=0)]
    od = -np.log(seen)
    pixel = seen.mean(axis=0) if scaling == "poisson" else np.ones(seen.shape[1])
    energy = COUNTS * seen.sum(axis=1) / pixel.sum() if scaling != "none" else np.ones(len(seen))
    mean = (od * pixel).sum(axis=1) / pixel.sum() if centred else np.zeros(len(seen))
    scaled = (od - mean[:, None]) * np.sqrt(energy)[:, None] * np.sqrt(pixel)
    vectors, values, rows = np.linalg.svd(scaled, full_matrices=False)
    np.testing.assert_allclose(found.eigenvalues, values**2 / seen.shape[1], rtol=ROUNDING)
    assert found.pixels == seen.shape[1] == transmission[0].size - 28
    kept = (vectors[:, :2] * values[:2]) @ rows[:2] / np.sqrt(energy)[:, None] / np.sqrt(pixel) + mean[:, None]
    ours = found.spectra[:2].T @ (found.transform[:2] @ (od - mean[:, None])) + mean[:, None]
    np.testing.assert_allclose(ours, kept, atol=ROUNDING * 100)
    np.testing.assert_allclose(np.linalg.norm(found.spectra, axis=1), 1.0)


def test_two_planted_components_are_counted_by_all_criteria(transmission: F32) -> None:
    found = principal_components(stack_of(transmission))
    assert vars(found.number) == {"suggested": 2, "above_noise": 2, "images": 2, "indicator": 2}
    # Scaled so, noise alone has eigenvalues of one, spread by how many pixels there are.
    assert 0.9 < np.median(found.eigenvalues[2:]) < 1.1
    assert found.eigenvalues[2] < found.noise_edge < found.eigenvalues[1]


def test_noise_alone_has_nothing_beyond_the_first_and_flicker_of_lines_is_no_image() -> None:
    rng = np.random.default_rng(2)
    shape = (11, 53, 67)
    noise = (rng.poisson(COUNTS * 0.7, shape) / COUNTS).astype(np.float32)
    assert principal_components(stack_of(noise)).number.above_noise == 1
    flicker = noise * np.exp(0.3 * rng.normal(size=shape[:2]))[:, :, None].astype(np.float32)
    found = principal_components(stack_of(flicker)).number
    assert found.above_noise > 5
    assert found.suggested == 1


def test_the_indicator_function_has_its_least_where_equal_noise_begins() -> None:
    eigenvalues = np.array([300.0, 60.0, 12.0, *np.linspace(1.05, 0.95, 20)])
    assert 1 + np.argmin(indicator_function(eigenvalues)) == 3


@pytest.mark.parametrize("n", [1, 2, 3, 5, MOST_UNKNOWNS])
def test_nonnegative_solutions_are_those_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    spectra = rng.random((n, 23)) + 0.3
    observed = rng.normal(0.2, 1.0, (23, 101))
    found = nonnegative_solutions(spectra @ spectra.T, spectra @ observed)
    expected = np.stack([nnls(spectra.T, column)[0] for column in observed.T], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (found == 0.0).any()


def test_factors_reach_the_cost_of_plain_alternation_with_scipy(transmission: F32) -> None:
    """All pixels in memory, scipy's nnls in two loops, from random spectra: no lower cost than ours."""
    few = transmission[::3, 20:43, 20:43]
    stack = stack_of(few)
    principal = principal_components(stack, PrincipalOptions(scaling="none"))
    options = FactorOptions(components=2, sample_passes=400, passes=400, tolerance=1e-7)
    found = factorise(stack, principal, np.random.default_rng(0), options)
    assert list(found.costs) == sorted(found.costs, reverse=True)
    od = -np.log(np.maximum(few.reshape(len(few), -1).astype(float), LEAST_COUNT / COUNTS))
    ours = float(((od - found.spectra.T @ amounts_of(found.spectra, np.ones(len(od)), od)) ** 2).sum())
    assert ours == pytest.approx(found.costs[-1] * principal.noise_squares, rel=1e-5)
    spectra = np.random.default_rng(1).random((2, len(od)))
    for _ in range(25):
        plain = np.stack([nnls(spectra.T, column)[0] for column in od.T], axis=1)
        spectra = np.stack([nnls(plain.T, row)[0] for row in od], axis=1)
    theirs = float(((od - spectra.T @ plain) ** 2).sum())
    assert ours <= theirs * (1.0 + 1e-3)


def test_purest_pixels_hold_the_planted_spectra(transmission: F32, lfp: EndMembers) -> None:
    stack = stack_of(transmission)
    principal = principal_components(stack)
    sample = sample_of(stack, 10**6, np.random.default_rng(0))
    found = purest_spectra(sample.od, principal.energy_weight, principal.pixel_weight(sample.transmission), 2)
    for spectrum in lfp.at(ENERGY_EV):
        assert min(sine(one, spectrum) for one in found) < 5 * SPECTRUM


@pytest.mark.parametrize("kind", ["mixture", "kmeans"])
def test_clusters_have_the_spectra_of_pure_grains(transmission: F32, amounts: F64, lfp: EndMembers, kind: str) -> None:
    stack = stack_of(transmission)
    principal = principal_components(stack)
    options = ClusterOptions(number=4, kind=kind)  # type: ignore[arg-type]
    found = find_clusters(stack, principal, np.random.default_rng(3), options)
    assert found.pixels.sum() == principal.pixels
    labels = np.concatenate([image.ravel() for image in stack.each(lambda block: found.labels(principal, block))])
    labels = labels.reshape(SHAPE)
    assert np.unique(labels).tolist() == [-1, 1, 2, 3, 4]
    assert (labels[:4, :7] == -1).all()
    nothing = amounts.sum(axis=0) == 0.0
    assert (labels[nothing & (labels > 0)] == 1).mean() > 0.99
    for spectrum in lfp.at(ENERGY_EV):
        assert min(sine(one, spectrum) for one in found.spectra[1:]) < 3 * SPECTRUM


def test_targets_that_are_there_match_and_others_do_not(transmission: F32, amounts: F64, lfp: EndMembers) -> None:
    principal = principal_components(stack_of(transmission))
    spectra = lfp.at(ENERGY_EV)
    found = target_transform(principal, spectra, principal.number.suggested)
    assert (found.match > 0.9999).all()
    od = -np.log(np.maximum(transmission, LEAST_COUNT / COUNTS)).reshape(len(transmission), -1)
    known = np.isfinite(od).all(axis=0)
    for transform in (found.transform, least_squares_maps(spectra, principal.energy_weight)):
        error = (transform @ od - amounts.reshape(2, -1))[:, known]
        assert np.abs(error.mean()) < 1.0
        assert error.std() < 8.0
    strange = np.stack([spectra[0], np.exp(-((ENERGY_EV - 716.0) ** 2))])
    assert target_transform(principal, strange, 2).match[1] < 0.5
    with pytest.raises(InputError, match="cannot be told apart"):
        least_squares_maps(np.stack([spectra[0], spectra[0]]), principal.energy_weight)


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_keeps_its_promises_and_its_bits(
    transmission: F32, lfp: EndMembers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("stxmdist.spectra.explore.pixel_stack.PIXELS_PER_BLOCK", 700)

    def explored(**how: int) -> list[Array]:
        stack = stack_of(transmission, **how)
        principal = principal_components(stack)
        entry = EXPLORERS[name]
        options = None if entry.options is None else entry.options_kind()()
        targets = TargetSpectra(("discharged", "charged"), lfp.at(ENERGY_EV))
        found = entry.load()(Exploring(stack, principal, np.random.default_rng(4), options, targets))
        assert len(found.names) == entry.number_of_parts(options, len(ENERGY_EV))
        assert is_dataclass(found.measures)
        assert from_json(type(found.measures), figures_of(found.measures))
        assert found.spectra.shape == (len(found.names), len(ENERGY_EV))
        assert np.isfinite(found.spectra).all()
        maps = np.concatenate(list(stack.each(found.maps)), axis=1)
        assert maps.shape[1] == stack.n_pixels
        unknown = np.isnan(maps) if maps.dtype == np.float32 else maps == -1
        assert unknown.sum() == 28 * len(maps)
        assert maps.dtype == (np.int8 if entry.labels else np.float32)
        assert len(maps) == (1 if entry.labels else len(found.names))
        return [found.spectra, maps]

    first = explored()
    for how in ({"slab_bytes": 1}, {"threads": 2, "slab_bytes": 200_000}):
        for one, other in zip(first, explored(**how), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_random_sample_is_the_same_whatever_is_read_at_once(transmission: F32) -> None:
    samples = [
        sample_of(stack_of(transmission, slab_bytes=n), 500, np.random.default_rng(1)).od for n in (1, 10**5, 10**9)
    ]
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_array_equal(samples[0], samples[2])


@pytest.mark.parametrize(
    "make",
    [
        lambda: require_energies(2, "explore of x"),
        lambda: FactorOptions(components=MOST_UNKNOWNS + 1),
        lambda: ClusterOptions(number=1),
        lambda: PrincipalOptions(components=0),
        lambda: principal_components(stack_of(np.full((5, 7, 11), np.nan, np.float32))),
    ],
)
def test_what_cannot_be_explored_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()
