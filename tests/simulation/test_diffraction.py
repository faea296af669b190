"""The forward model against laws of diffraction and against a slow direct evaluation."""

import numpy as np
import pytest

from stxmdist.arrays import C128, F64, U16
from stxmdist.errors import InputError
from stxmdist.simulation.diffraction import (
    Detector,
    FineObject,
    diffraction_frames,
    fine_axes,
    frame_dtype,
    intensities,
    nominal_illumination,
    pixel_response,
    sample_object,
)
from stxmdist.simulation.optics import ZonePlate, probe, probe_modes

N = 46
ENERGY_EV = 708.2
DETECTOR = Detector(n=N, pixel_um=90.0, distance_m=0.045)
PLATE = ZonePlate(240, 45, 0.4)
DEFOCUS_UM = 7.0
SUB_PIXEL = 1e-6
"""Share of a frame's light that may stand elsewhere because the beam stands between pixels."""
ROUNDING = 1e-11


def modes(second_power: float = 0.05) -> C128:
    return probe_modes(
        probe(2 * N, DETECTOR.object_pixel_nm(ENERGY_EV) / 2, ENERGY_EV, PLATE, DEFOCUS_UM), second_power, 0.4
    )


def disc(y_um: F64, x_um: F64) -> C128:
    """A thick, absorbing and retarding disc with a soft edge and a gradient inside."""
    radius = np.hypot(y_um - 0.31, x_um + 0.12)
    thickness = (1 + 0.4 * np.sin(9 * x_um)) / (1 + np.exp((radius - 0.4) / 0.03))
    return np.exp(-(0.4 + 0.7j) * thickness)


def vacuum(y_um: F64, x_um: F64) -> C128:
    return np.ones(np.broadcast_shapes(y_um.shape, x_um.shape), dtype=np.complex128)


def some_positions(count: int = 13) -> F64:
    return np.random.default_rng(5).uniform(-0.3, 0.5, (count, 2))


def model(transmission, positions: F64, **options) -> F64:
    return np.concatenate(
        list(intensities(sample_object(transmission, positions, DETECTOR, ENERGY_EV), positions, modes(), N, **options))
    )


def test_pixel_size_shrinks_as_the_energy_grows() -> None:
    assert DETECTOR.object_pixel_nm(500.0) / DETECTOR.object_pixel_nm(1000.0) == pytest.approx(2.0)
    # COSMIC's: 974 pixels of 30 um at 121 mm.
    assert Detector(974, 30.0, 0.121).object_pixel_nm(855.0) == pytest.approx(6.00, abs=0.01)


def test_light_is_conserved_through_vacuum() -> None:
    frames = model(vacuum, some_positions(), pixel_integration=False)
    # Only the soft rim of the pupil could lie outside the detector, and it does not.
    np.testing.assert_allclose(frames.sum(axis=(1, 2)), 1.0, atol=ROUNDING)


def test_light_is_conserved_through_an_object_up_to_the_detectors_edge() -> None:
    positions = some_positions()
    sample = sample_object(disc, positions, DETECTOR, ENERGY_EV)
    frames = np.concatenate(list(intensities(sample, positions, modes(), N, pixel_integration=False)))
    for position, frame in zip(positions, frames, strict=True):
        expected = absorbed_directly(sample, position)
        assert frame.sum() == pytest.approx(expected, rel=1e-4)


def absorbed_directly(sample: FineObject, position: F64) -> float:
    """sum |P|^2 |T|^2 with T interpolated around the beam."""
    from scipy.interpolate import RectBivariateSpline

    spline = RectBivariateSpline(sample.y_um, sample.x_um, np.abs(sample.values) ** 2)
    offsets = (np.arange(2 * N) - N) * sample.pixel_um
    intensity = (np.abs(modes()) ** 2).sum(axis=0)
    return float((intensity * spline(position[0] + offsets, position[1] + offsets)).sum())


def test_vacuum_frame_does_not_depend_on_the_position() -> None:
    frames = model(vacuum, some_positions())
    np.testing.assert_allclose(frames, np.broadcast_to(frames[0], frames.shape), atol=ROUNDING)


def test_beam_between_pixels_is_where_it_was_said_to_be() -> None:
    positions = some_positions()
    frames = model(disc, positions, pixel_integration=False)
    offsets = (np.arange(2 * N) - N) * DETECTOR.object_pixel_nm(ENERGY_EV) * 0.5e-3
    for (y, x), frame in zip(positions, frames, strict=True):
        window = disc(y + offsets[:, None], x + offsets[None, :])
        full = (np.abs(np.fft.fftshift(np.fft.fft2(modes() * window), axes=(1, 2))) ** 2).sum(axis=0) / (2 * N) ** 2
        expected = full[N - N // 2 : N + N // 2, N - N // 2 : N + N // 2]
        assert np.abs(frame - expected).sum() < SUB_PIXEL * expected.sum()


def test_object_and_beam_moved_together_give_the_same_frames() -> None:
    positions = some_positions()
    shift = np.array([0.0137, -0.0411])
    moved = model(lambda y, x: disc(y - shift[0], x - shift[1]), positions + shift)
    frames = model(disc, positions)
    assert np.abs(moved - frames).sum() < SUB_PIXEL * frames.sum()
    whole = DETECTOR.object_pixel_nm(ENERGY_EV) * 0.5e-3 * np.array([3, -5])
    moved = model(lambda y, x: disc(y - whole[0], x - whole[1]), positions + whole)
    np.testing.assert_allclose(moved, frames, atol=1e-9)


def test_a_wedge_sends_light_where_its_phase_grows() -> None:
    """exp(+2 pi i f y) has its light at +f: rows grow with +y, the forward transform is exp(-2 pi i)."""
    positions = some_positions(2)
    cycles_per_um = 4 / DETECTOR.window_um(ENERGY_EV)
    straight = model(vacuum, positions)[0]
    up = model(lambda y, x: np.exp(2j * np.pi * cycles_per_um * y) + 0 * x, positions)[0]
    right = model(lambda y, x: np.exp(2j * np.pi * cycles_per_um * x) + 0 * y, positions)[0]
    inside = slice(6, -6)
    for moved, axis in ((up, 0), (right, 1)):
        expected = np.roll(straight, 4, axis=axis)
        np.testing.assert_allclose(moved[inside, inside], expected[inside, inside], atol=1e-6 * straight.max())


@pytest.mark.parametrize("n", [46, 47])
def test_pupil_is_centred_on_the_middle_index(n: int) -> None:
    detector = Detector(n, 90.0, 0.045)
    wave = probe(2 * n, detector.object_pixel_nm(ENERGY_EV) / 2, ENERGY_EV, PLATE, DEFOCUS_UM)
    sample = sample_object(vacuum, np.array([[0.013, -0.027]]), detector, ENERGY_EV)
    frame = next(intensities(sample, np.array([[0.013, -0.027]]), wave[None], n))[0]
    index = np.arange(n)
    # An even detector has one more row on one side, of which the pupil's soft rim leaves 1e-6.
    assert (frame.sum(axis=1) * index).sum() / frame.sum() == pytest.approx(n // 2, abs=1e-4)
    assert (frame.sum(axis=0) * index).sum() / frame.sum() == pytest.approx(n // 2, abs=1e-4)


@pytest.mark.parametrize("batch", [1, 4, 50])
def test_batches_do_not_matter(batch: int) -> None:
    positions = some_positions()
    blocks = [len(b) for b in intensities(sample_object(disc, positions, DETECTOR, ENERGY_EV), positions, modes(), N,
                                          batch=batch)]  # fmt: skip
    assert sum(blocks) == 13
    assert max(blocks) == min(batch, 13)
    np.testing.assert_allclose(model(disc, positions, batch=batch), model(disc, positions), atol=ROUNDING)


def test_pixels_integrate_the_intensity_over_their_area() -> None:
    """Against a window five times wider, whose frequencies subdivide a pixel by five."""
    positions = np.array([[0.21, -0.3]])
    frame = model(disc, positions)[0]
    factor = 5
    size = 2 * N * factor
    wide = np.zeros((2, size, size), dtype=np.complex128)
    first = size // 2 - N
    wide[:, first : first + 2 * N, first : first + 2 * N] = modes()
    offsets = (np.arange(size) - size // 2) * DETECTOR.object_pixel_nm(ENERGY_EV) * 0.5e-3
    window = disc(positions[0, 0] + offsets[:, None], positions[0, 1] + offsets[None, :])
    fine = (np.abs(np.fft.fftshift(np.fft.fft2(wide * window), axes=(1, 2))) ** 2).sum(axis=0) / (2 * N) ** 2
    start = size // 2 - (N // 2) * factor - factor // 2
    cells = fine[start : start + N * factor, start : start + N * factor].reshape(N, factor, N, factor)
    expected = cells.mean(axis=(1, 3))
    # What is left: the probe's faint tails beyond half the window, and areas summed at five points a side.
    assert np.abs(frame - expected).sum() < 0.02 * expected.sum()
    at_centres = model(disc, positions, pixel_integration=False)[0]
    assert np.abs(frame - expected).sum() < 0.2 * np.abs(at_centres - expected).sum()


def test_pixel_response_keeps_the_light() -> None:
    response = pixel_response(N, 8)
    assert response.shape == (N, N + 16)
    np.testing.assert_allclose(response.sum(axis=1), 1.0, atol=2e-3)


def test_counts_are_poisson_about_the_model() -> None:
    positions = np.repeat(some_positions(1), 400, axis=0)
    photons = 3000.0
    sample = sample_object(disc, positions, DETECTOR, ENERGY_EV)
    means = photons * next(intensities(sample, positions[:1], modes(), N))[0]
    frames = np.concatenate(
        list(diffraction_frames(sample, positions, modes(), photons, N, np.random.default_rng(3)))
    ).astype(float)
    # Pulls of pixel means, and of the sum of squares over variance, against their standard errors.
    bright = means > 0.5
    pulls = (frames.mean(axis=0) - means)[bright] / np.sqrt(means[bright] / 400)
    assert abs(pulls.mean()) < 5 / np.sqrt(bright.sum())
    assert pulls.std() == pytest.approx(1.0, abs=0.15)
    fano = frames.var(axis=0, ddof=1)[bright] / means[bright]
    assert fano.mean() == pytest.approx(1.0, abs=0.05)


def test_photons_may_follow_the_ring_current() -> None:
    positions = some_positions(7)
    sample = sample_object(vacuum, positions, DETECTOR, ENERGY_EV)
    photons = np.linspace(2e5, 1e6, 7)
    frames = np.concatenate(list(diffraction_frames(sample, positions, modes(), photons, N, np.random.default_rng(3))))
    np.testing.assert_allclose(frames.sum(axis=(1, 2)), photons, rtol=0.02)


def test_same_generator_same_frames_whatever_the_batch() -> None:
    positions = some_positions()
    sample = sample_object(disc, positions, DETECTOR, ENERGY_EV)

    def frames(batch: int) -> U16:
        rng = np.random.default_rng(8)
        return np.concatenate(list(diffraction_frames(sample, positions, modes(), 1e5, N, rng, batch)))

    np.testing.assert_array_equal(frames(3), frames(8))


def test_bright_frames_get_more_bits() -> None:
    assert frame_dtype(1e5, modes(), N) == np.uint16
    assert frame_dtype(1e9, modes(), N) == np.uint32


def test_counts_beyond_the_type_saturate() -> None:
    positions = some_positions(1)
    sample = sample_object(vacuum, positions, DETECTOR, ENERGY_EV)
    rng = np.random.default_rng(8)
    frame = next(diffraction_frames(sample, positions, modes(), 1e9, N, rng, dtype=np.uint16))[0]
    assert frame.dtype == np.uint16
    assert frame[N // 2 + 8, N // 2] == 65535
    assert frame[0, 0] < 65535


def test_oversampling_averages_the_transmission_over_pixels() -> None:
    positions = np.zeros((1, 2))
    step = sample_object(lambda y, x: (y > 0.0) + 0j * x, positions, DETECTOR, ENERGY_EV, oversample=10)
    y_um, _ = fine_axes(positions, DETECTOR, ENERGY_EV)
    middle = int(np.argmin(np.abs(y_um)))
    np.testing.assert_allclose(step.values[middle - 1 : middle + 2, 0], [0.0, 0.5, 1.0])


def test_nominal_illumination_is_nearly_the_probe() -> None:
    photons = 1e6
    written = nominal_illumination(DETECTOR, ENERGY_EV, PLATE, DEFOCUS_UM, photons)
    assert written.shape == (N, N)
    assert written.dtype == np.complex64
    assert (np.abs(written) ** 2).sum() == pytest.approx(photons, rel=1e-5)
    true = probe(N, DETECTOR.object_pixel_nm(ENERGY_EV), ENERGY_EV, PLATE, DEFOCUS_UM)
    likeness = abs(np.vdot(true, written)) / np.sqrt(photons)
    assert 0.8 < likeness < 0.999


def test_a_window_beyond_the_object_is_refused() -> None:
    positions = some_positions(3)
    sample = sample_object(disc, positions, DETECTOR, ENERGY_EV)
    with pytest.raises(InputError, match="position 1"):
        list(intensities(sample, positions + np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 0.0]]), modes(), N))


def test_a_probe_on_another_grid_is_refused() -> None:
    positions = some_positions(3)
    sample = sample_object(disc, positions, DETECTOR, ENERGY_EV)
    with pytest.raises(InputError, match="fine grid"):
        list(intensities(sample, positions, modes()[:, ::2, ::2], N))
