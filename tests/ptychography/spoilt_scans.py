"""Simulated scans, sound ones and spoilt ones, on which verdicts are calibrated: apart from the engines' own model.

Objects and beams lie on pixels half as wide as those of the reconstruction, beams move through the phase of their
spectrum, and the detector sees the inner half of the frequencies. Tails of beams are cut off within the window.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter

from stxmdist.arrays import C64, C128, F64, Array
from stxmdist.ptychography.gauge import register_pair, remove_ramp, shift_image
from stxmdist.ptychography.geometry import object_pixel_nm
from stxmdist.ptychography.probe import zone_plate_probe
from stxmdist.ptychography.trials import turned

OVER = 2
"""Fine pixels per pixel"""
HOOD = 0.42
"""Radius to which beams reach, as share of their window"""
ENERGY_EV, PIXEL_NM, DETECTOR_PIXEL_UM = 700.0, 10.0, 20.0
RIGHT = 0.95
"""Correlation of the phase with the truth from which an object is right: nine tenths of its variance are the truth's.
Particles keep their outlines and their inner structure with it; the cases that a look at the image calls wrong have
less than 0.9
"""


@dataclass(frozen=True)
class Setting:
    """What is measured, and how."""

    n: int = 48
    side: int = 10
    step_px: float = 5.0
    jitter: float = 0.25
    """Of positions, as share of the step"""
    kind: str = "particles"
    phase_rad: float = 0.8
    outer_zone_nm: float = 45.0
    defocus_um: float = 4.0
    photons: float = 1e6
    blur_px: float = 0.0
    """Rms vibration of the beam while a frame is taken"""
    spiral: bool = False
    seed: int = 1


@dataclass(frozen=True)
class Scan:
    """What the program is told, and the truth."""

    frames: Array
    positions_um: F64
    energy_ev: float
    distance_m: float
    truth: C128
    """On fine pixels"""
    truth_origin_um: F64
    setting: Setting
    in_file: C64 | None = None

    @property
    def pixel_nm(self) -> float:
        """As the header says."""
        return object_pixel_nm(self.energy_ev, self.distance_m, DETECTOR_PIXEL_UM, self.frames.shape[-1])


@dataclass(frozen=True)
class Light:
    """How frames differ from still ones in one light, where they do."""

    travel_px: tuple[float, float] = (0.0, 0.0)
    """(y, x) by which the beam moves while a frame is taken"""
    levels: F64 = field(default_factory=lambda: np.ones(1))
    """(POSITION,) or (1,)"""


def positions_of(setting: Setting, rng: np.random.Generator) -> F64:
    """(POSITION, 2) in um, about zero."""
    step_um = setting.step_px * PIXEL_NM * 1e-3
    count = setting.side**2
    if setting.spiral:
        order = np.arange(count) + 0.5
        radius, angle = step_um * np.sqrt(order / np.pi), order * np.pi * (3.0 - 5.0**0.5)
        return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    places = np.indices((setting.side, setting.side)).reshape(2, -1).T * step_um
    places = places + rng.uniform(-setting.jitter, setting.jitter, places.shape) * step_um
    return np.asarray(places - places.mean(axis=0))


def object_of(setting: Setting, shape: tuple[int, int], rng: np.random.Generator) -> C128:
    """Transmission exp(-OD / 2 - i phase) on fine pixels."""
    y, x = ((np.arange(n) - n / 2) * PIXEL_NM / OVER * 1e-3 for n in shape)
    y, x = y[:, None], x[None]
    matter = np.zeros(shape)
    if setting.kind in ("particles", "weak"):
        for _ in range(40):
            cy, cx = rng.uniform(y.min(), y.max()), rng.uniform(x.min(), x.max())
            along, across, turn = rng.uniform(0.05, 0.13), rng.uniform(0.5, 1.0), rng.uniform(0.0, np.pi)
            u = (y - cy) * np.cos(turn) + (x - cx) * np.sin(turn)
            v = (x - cx) * np.cos(turn) - (y - cy) * np.sin(turn)
            inside = (u / along) ** 4 + (v / along / across) ** 4 < 1.0
            matter = np.maximum(matter, inside * rng.uniform(0.4, 1.0))
        texture = [gaussian_filter(rng.normal(size=shape), width) for width in (1.5, 5.0)]
        matter = gaussian_filter(matter, 1.0) * (1.0 + sum(0.12 * part / part.std() for part in texture))
    elif setting.kind == "star":
        spokes = (np.sin(12 * np.arctan2(y, x)) > 0) & (np.hypot(y, x) > 0.02)
        matter = gaussian_filter(spokes.astype(float), 1.0)
    elif setting.kind == "blots":
        blots = gaussian_filter(rng.normal(size=shape), 6.0)
        matter = np.clip(blots / blots.std(), 0.0, 2.0) * 0.5
    phase = setting.phase_rad * (0.15 if setting.kind == "weak" else 1.0)
    return np.asarray(np.exp(-(0.35 + 1j) * phase * matter))


def measure(
    setting: Setting,
    light: Light | None = None,
    *,
    other: Setting | None = None,
    real_positions: Callable[[F64], F64] | None = None,
    pattern_shift_px: tuple[float, float] = (0.0, 0.0),
) -> Scan:
    """A scan with Poisson noise.

    Parameters
    ----------
    other
        a second sample, on which every second frame was taken
    real_positions
        where the beam really was, from the positions that the file has
    pattern_shift_px
        (y, x) detector pixels by which the optical axis lies off the frames' centre
    """
    light = light or Light()
    rng = np.random.default_rng(setting.seed)
    told = positions_of(setting, rng)
    real = told if real_positions is None else real_positions(told)
    fine_um = PIXEL_NM / OVER * 1e-3
    size = OVER * setting.n
    first = np.floor(real.min(axis=0) / fine_um).astype(int) - size
    last = np.ceil(real.max(axis=0) / fine_um).astype(int) + size
    shape = (int(last[0] - first[0]), int(last[1] - first[1]))
    samples = [object_of(one, shape, np.random.default_rng([one.seed, 7])) for one in (setting, other) if one]
    beam = zone_plate_probe(
        (size, size), PIXEL_NM / OVER, ENERGY_EV, outer_zone_nm=setting.outer_zone_nm, central_stop_fraction=0.3,
        defocus_um=setting.defocus_um,
    )  # fmt: skip
    beam = beam * np.exp(-((np.hypot(*(np.indices((size, size)) - size // 2)) / (HOOD * size)) ** 8))
    spectrum = np.fft.fft2(beam / np.linalg.norm(beam))
    frequency = np.fft.fftfreq(size)
    tilt = np.exp(2j * np.pi * sum(
        shift * np.indices((size, size))[axis] / size for axis, shift in enumerate(pattern_shift_px)
    ))  # fmt: skip
    inner = slice((size - setting.n) // 2, (size - setting.n) // 2 + setting.n)
    levels = np.broadcast_to(light.levels, len(real))
    frames = np.empty((len(real), setting.n, setting.n), np.uint32)
    moving = any(light.travel_px) or setting.blur_px > 0.0
    parts = (np.arange(7) + 0.5) / 7 - 0.5 if moving else np.zeros(1)
    for number, place in enumerate(real):
        counts: Array = np.zeros((setting.n, setting.n))
        for part in parts:
            swing = rng.normal(0.0, setting.blur_px, 2) if setting.blur_px else np.zeros(2)
            there = place / fine_um + OVER * (part * np.array(light.travel_px) + swing)
            corner = np.floor(there).astype(int)
            off = there - corner
            ramp = np.exp(-2j * np.pi * (frequency[:, None] * off[0] + frequency[None] * off[1]))
            moved = np.fft.ifft2(spectrum * ramp)
            at = corner - first - size // 2
            window = samples[number % len(samples)][at[0] : at[0] + size, at[1] : at[1] + size]
            field_ = np.fft.fftshift(np.fft.fft2(moved * window * tilt, norm="ortho"))
            counts = counts + np.abs(field_[inner, inner]) ** 2 / len(parts)
        frames[number] = rng.poisson(counts * setting.photons * levels[number])
    distance_m = PIXEL_NM * setting.n * DETECTOR_PIXEL_UM / (1239.841984 / ENERGY_EV) * 1e-6
    return Scan(frames, told, ENERGY_EV, distance_m, samples[0], first * fine_um, setting)


def correlation_with_truth(scan: Scan, object_: Array, origin_um: tuple[float, float], light: Array) -> float:
    """Of the phase of an object (Y, X) with that of the truth, where there is light; offset, ramp and shift are free.

    NaN where the truth has no structure.
    """
    pixel_um = scan.pixel_nm * 1e-3
    y, x = (origin + np.arange(n) * pixel_um for origin, n in zip(origin_um, object_.shape, strict=True))
    fine_um = PIXEL_NM / OVER * 1e-3
    grid = np.meshgrid(
        *((axis - start) / fine_um for axis, start in zip((y, x), scan.truth_origin_um, strict=True)), indexing="ij"
    )
    blurred = [uniform_filter(part, OVER) for part in (scan.truth.real, scan.truth.imag)]
    real, imaginary = (map_coordinates(part, grid, order=3, mode="nearest") for part in blurred)
    truth = real + 1j * imaginary
    weight = (light > 0.3 * np.median(light[light > 0.05 * light.max()])).astype(float)
    found = np.nan_to_num(np.asarray(object_, np.complex128), nan=1.0)
    shift = np.zeros(2)
    for _ in range(3):
        same = remove_ramp(shift_image(found, shift), truth, weight)
        step = register_pair(truth, same, weight)
        if np.abs(shift + step).max() > 12.0:
            break
        shift = shift + step
    same = remove_ramp(shift_image(found, shift), truth, weight)
    inside = weight > 0.0
    one, other = (np.angle(image * np.exp(-1j * np.angle(image[inside].mean())))[inside] for image in (same, truth))
    if other.std() < 1e-6:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _told(factor: float = 1.0, turn_deg: float = 0.0) -> Callable[[Scan], Scan]:
    """Positions in the file are the true ones, scaled and turned."""
    angle = np.deg2rad(turn_deg)
    matrix = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return lambda scan: replace(scan, positions_um=scan.positions_um @ matrix.T)


def _swapped(scan: Scan) -> Scan:
    """Columns of positions in the other order; the truth is that along the axes of the file.

    Frames turned likewise explain all of it, and nothing in them tells which of both is swapped: it is said.
    """
    return replace(
        scan,
        positions_um=scan.positions_um[:, ::-1].copy(),
        truth=scan.truth.T.copy(),
        truth_origin_um=scan.truth_origin_um[::-1].copy(),
    )


def _shuffled(scan: Scan) -> Scan:
    order = np.random.default_rng([scan.setting.seed, 11]).permutation(len(scan.frames))
    return replace(scan, frames=scan.frames[order])


def _scattered(rms_px: float) -> Callable[[Scan], Scan]:
    def spoil(scan: Scan) -> Scan:
        rng = np.random.default_rng([scan.setting.seed, 13])
        error_um = rng.normal(0.0, rms_px * PIXEL_NM * 1e-3 / np.sqrt(2.0), scan.positions_um.shape)
        return replace(scan, positions_um=scan.positions_um + error_um)

    return spoil


def _drifting(px: float) -> Callable[[Scan], Scan]:
    def spoil(scan: Scan) -> Scan:
        along = np.linspace(-0.5, 0.5, len(scan.frames))[:, None] ** 2 * np.array([1.0, -0.7])
        return replace(scan, positions_um=scan.positions_um + 4.0 * px * PIXEL_NM * 1e-3 * along)

    return spoil


def _frames(change: Callable[[Array, np.random.Generator], Array]) -> Callable[[Scan], Scan]:
    return lambda scan: replace(scan, frames=change(scan.frames, np.random.default_rng([scan.setting.seed, 17])))


def _noise(frames: Array, rng: np.random.Generator) -> Array:
    return rng.poisson(frames.mean(axis=0, keepdims=True) + np.zeros(frames.shape)).astype(np.uint32)


def _hot(frames: Array, rng: np.random.Generator) -> Array:
    hot = frames.copy()
    hot[:, rng.random(frames.shape[1:]) < 0.01] = frames.max()
    return hot


def _gaps(frames: Array, rng: np.random.Generator) -> Array:
    gaps = frames.copy()
    gaps[:, :, 17:19] = 0
    gaps[:, 30:32] = 0
    return gaps


def _dim(frames: Array, rng: np.random.Generator) -> Array:
    levels = np.ones(len(frames))
    levels[::15] = 0.05
    return rng.binomial(frames, levels[:, None, None]).astype(np.uint32)


def _flicker(frames: Array, rng: np.random.Generator) -> Array:
    levels = rng.uniform(0.6, 1.0, len(frames))
    return rng.binomial(frames, levels[:, None, None]).astype(np.uint32)


def _half_lost(frames: Array, rng: np.random.Generator) -> Array:
    lost = frames.copy()
    lost[len(lost) // 2 :] = np.roll(lost[len(lost) // 2 :], 3, axis=0)
    return lost


@dataclass(frozen=True)
class Spoiling:
    """One way in which a scan goes wrong: while it is measured, and in the file."""

    setting: Callable[[Setting], Setting] = lambda setting: setting
    measured: Callable[[Setting], Scan] = measure
    file: Callable[[Scan], Scan] = lambda scan: scan

    def scan(self, setting: Setting) -> Scan:
        """The spoilt scan."""
        return self.file(self.measured(self.setting(setting)))


def _but(**changes: object) -> Callable[[Setting], Setting]:
    return lambda setting: replace(setting, **changes)  # type: ignore[arg-type]


def _flying(steps: float) -> Callable[[Setting], Scan]:
    return lambda setting: measure(setting, Light(travel_px=(0.0, steps * setting.step_px)))


def _off(*shift_px: float) -> Callable[[Setting], Scan]:
    return lambda setting: measure(setting, pattern_shift_px=(shift_px[0], shift_px[1]))


SPOILT: dict[str, Spoiling] = {
    "distance x2": Spoiling(file=lambda scan: replace(scan, distance_m=2.0 * scan.distance_m)),
    "distance x10": Spoiling(file=lambda scan: replace(scan, distance_m=10.0 * scan.distance_m)),
    "distance x1000": Spoiling(file=lambda scan: replace(scan, distance_m=1000.0 * scan.distance_m)),
    "energy of another edge": Spoiling(file=lambda scan: replace(scan, energy_ev=530.0)),
    "energy x1.1": Spoiling(file=lambda scan: replace(scan, energy_ev=770.0)),
    "mirrored": Spoiling(file=_frames(lambda frames, rng: turned(frames, 2))),
    "mirrored along y": Spoiling(file=_frames(lambda frames, rng: turned(frames, 1))),
    "transposed": Spoiling(file=_frames(lambda frames, rng: turned(frames, 4))),
    "mirrored, weak": Spoiling(_but(kind="weak"), file=_frames(lambda frames, rng: turned(frames, 2))),
    "centre off by 4 px": Spoiling(measured=_off(4.0, -2.0)),
    "centre off by 10 px": Spoiling(measured=_off(-8.0, 6.0)),
    "positions x1.05": Spoiling(file=_told(1.05)),
    "positions x1.1": Spoiling(file=_told(1.1)),
    "positions x1.3": Spoiling(file=_told(1.3)),
    "positions x0.8": Spoiling(file=_told(0.8)),
    "positions turned by 5 degrees": Spoiling(file=_told(1.0, 5.0)),
    "positions turned by 20 degrees": Spoiling(file=_told(1.0, 20.0)),
    "positions shuffled": Spoiling(file=_shuffled),
    "positions swapped": Spoiling(file=lambda scan: _swapped(scan)),
    "positions scattered by 2 px": Spoiling(file=_scattered(2.0)),
    "positions scattered by 6 px": Spoiling(file=_scattered(6.0)),
    "drift by 6 px": Spoiling(file=_drifting(6.0)),
    "frames lag behind": Spoiling(file=_frames(lambda frames, rng: np.roll(frames, 1, axis=0))),
    "frames lost on the way": Spoiling(file=_frames(_half_lost)),
    "dark not taken off": Spoiling(file=_frames(lambda frames, rng: frames + np.uint32(20))),
    "dim frames": Spoiling(file=_frames(_dim)),
    "flicker": Spoiling(file=_frames(_flicker)),
    "fly scan over one step": Spoiling(measured=_flying(1.0)),
    "fly scan over two steps": Spoiling(measured=_flying(2.0)),
    "vibration by 1.5 px": Spoiling(_but(blur_px=1.5)),
    "vibration by 4 px": Spoiling(_but(blur_px=4.0)),
    "gaps as zero": Spoiling(file=_frames(_gaps)),
    "hot pixels": Spoiling(file=_frames(_hot)),
    "vacuum": Spoiling(_but(kind="vacuum")),
    "noise only": Spoiling(file=_frames(_noise)),
    "50 photons": Spoiling(_but(photons=50.0)),
    "300 photons": Spoiling(_but(photons=300.0)),
    "counts in ADU": Spoiling(file=_frames(lambda frames, rng: frames * np.uint32(50))),
    "brightest count is 1": Spoiling(file=_frames(lambda frames, rng: (frames / frames.max()).astype(np.float32))),
    "mirrored, counts in ADU": Spoiling(file=_frames(lambda frames, rng: turned(frames, 2) * np.uint32(50))),
    "two samples mixed": Spoiling(
        measured=lambda setting: measure(setting, other=replace(setting, seed=setting.seed + 50))
    ),
    "weak object": Spoiling(_but(kind="weak")),
    "weak object in little light": Spoiling(_but(kind="weak", photons=2e3)),
    "exact raster": Spoiling(_but(jitter=0.0)),
    "steps too wide": Spoiling(_but(step_px=14.0)),
    "saturated": Spoiling(file=_frames(lambda frames, rng: np.minimum(frames, np.uint32(np.quantile(frames, 0.99))))),
}
"""Ways of spoiling a scan. Some leave the object right: what counts is its correlation with the truth."""

SOUND: dict[str, Setting] = {
    "particles": Setting(),
    "star": Setting(kind="star"),
    "blots": Setting(kind="blots"),
    "other side of the focus": Setting(defocus_um=-4.0),
    "far from the focus": Setting(defocus_um=6.0, step_px=6.0),
    "spiral": Setting(spiral=True),
    "wide steps": Setting(step_px=7.0),
    "narrow steps": Setting(step_px=3.0, side=12),
    "small frames": Setting(n=32, defocus_um=2.5, step_px=4.0),
    "1e7 photons": Setting(photons=1e7),
    "1e5 photons": Setting(photons=1e5),
    "1e4 photons": Setting(photons=1e4),
    "1e4 photons, star": Setting(photons=1e4, kind="star"),
    "a little vibration": Setting(blur_px=0.5),
    "fine zone plate": Setting(outer_zone_nm=30.0, defocus_um=3.0),
    "phase of 1.5": Setting(phase_rad=1.5),
    "few positions": Setting(side=7),
    "weak, 1e7 photons": Setting(kind="weak", photons=1e7),
}
