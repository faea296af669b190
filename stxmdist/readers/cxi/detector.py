"""The detector of a CXI entry: distance, pixels, orientation, mask, centre, and the illumination on it."""

import numpy as np

from stxmdist.arrays import C64, Array, Mask
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.cxi.orientation import DEFAULT, Orientation, orientation_of
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Group
from stxmdist.readers.ptychography_checks import MOST_PIXEL_M, checked_distance_m, checked_pixel_um, lacking

HAS_SIGNAL = 0x1000
"""The one bit of a CXI mask that does not mean bad."""
POLARITY = "0 where a pixel is good, any bit where it is bad"
PIXEL_TOLERANCE = 0.01
NEARLY_ALL = 0.9
"""A pixel that is bad in so many frames is bad in all; another one only where it is said"""
# Corrections that NXcxi_ptycho has a place for, and that are not applied on reading.
NOT_APPLIED = {
    "flatfield": "the frames are not divided by the flat field that is in the file",
}


def distance_m(tree: Tree, detector: Group | None, where: str) -> tuple[float, tuple[str, ...]]:
    """Distance of the detector in m, said or taken from its corner, and what is worth noting."""
    said = _length_m(tree, "distance", detector, where)
    if said is None and detector is not None:
        corner = tree.numbers("corner_position", detector)
        said = float(abs(corner.reshape(-1)[2])) if corner is not None and corner.size == 3 else None
    if said is None:
        raise lacking(where, "the distance of the detector", "instrument_1/detector_1/distance in m")
    # Along the beam or against it: the frames are the same.
    notes = (f"the distance of the detector is {said:g} m in the file: taken as {-said:g} m",) if said < 0 else ()
    return checked_distance_m(abs(said), f"{where}/instrument_1/detector_1/distance"), notes


def pixel_and_orientation(
    tree: Tree, detector: Group | None, where: str
) -> tuple[tuple[float, float], Orientation, tuple[str, ...], tuple[str, ...]]:
    """Pixel (rows, columns) in um, orientation, what is lacking, and what is worth noting.

    y_pixel_size is the pixel's extent along the rows' axis of the image, as in files whose basis is transposed too.
    """
    basis = tree.numbers("basis_vectors", detector) if detector is not None else None
    if basis is not None and basis.ndim == 3 and (basis == basis[:1]).all():
        # Written once for each frame.
        basis = basis[0]
    names = ("y_pixel_size", "x_pixel_size")
    sizes = [_length_m(tree, name, detector, where) for name in names]
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    known = [size for size in sizes if size is not None]
    in_mm = all(MOST_PIXEL_M < size <= 1e3 * MOST_PIXEL_M for size in known)
    if known and in_mm and not any(says_unit(tree, name, detector) for name in names):
        notes = (f"detector pixels have no unit: {known[0]:g} is taken for mm",)
        sizes = [None if size is None else 1e-3 * size for size in sizes]
    if basis is None:
        orientation: Orientation | None = DEFAULT
        lacks = (f"basis_vectors (taken as {DEFAULT.words})",)
    else:
        orientation = orientation_of(basis)
    if orientation is None:
        raise UnsupportedError(
            where=f"{where}/instrument_1/detector_1/basis_vectors",
            problem="the detector's axes do not lie along those of the scan",
            got=np.array2string(np.asarray(basis), separator=", ").replace("\n", ""),
            wanted="a (3, 2) matrix whose columns lie along x and y within five degrees",
            mend="Turn the frames upright and write them again",
        )
    if basis is not None:
        lengths = np.linalg.norm(basis if basis.shape == (3, 2) else basis.T, axis=0)
        # Unit vectors say the direction alone.
        if (lengths < MOST_PIXEL_M).all():
            # With transposed frames of oblong pixels, x_pixel_size may mean either side.
            certain = sizes[0] == sizes[1] or not orientation.transposed
            for size, length in zip(sizes, lengths, strict=True):
                if certain and size is not None and abs(size / length - 1) > PIXEL_TOLERANCE:
                    raise InputError(
                        where=f"{where}/instrument_1/detector_1",
                        problem="pixel size and basis vectors contradict each other",
                        got=f"{size * 1e6:g} um and {length * 1e6:g} um",
                        wanted="the same within 1 %",
                        mend="Correct the wrong one in the file",
                    )
            sizes = [float(length) for length in lengths]
    if sizes[0] is None or sizes[1] is None:
        raise lacking(where, "the size of the detector's pixels", "instrument_1/detector_1/x_pixel_size in m")
    place = f"{where}/instrument_1/detector_1/x_pixel_size"
    return checked_pixel_um((sizes[0], sizes[1]), place), orientation, lacks, notes


def centre(
    tree: Tree, detector: Group | None, shape: tuple[int, int], pixel_um: tuple[float, float], where: str
) -> tuple[int, int] | None:
    """Pixel (row, column) of the direct beam by beam_center_y and beam_center_x; None where they are not said."""
    found = []
    for name, n, pixel in zip(("beam_center_y", "beam_center_x"), shape, pixel_um, strict=True):
        value = tree.number(name, detector) if detector is not None else None
        if value is None:
            return None
        unit = hdf5.text_attribute(tree.get(name, detector), "units", "m")
        if unit.lower() not in ("pixel", "pixels", "px"):
            factor = axes.factor_of(unit, axes.UM_PER_UNIT, f"{where}/instrument_1/detector_1/{name}")
            value *= (factor or 1e6) / pixel
        # Writers that do not know the centre leave zero there.
        if not 0.5 <= value < n - 0.5:
            return None
        found.append(int(np.floor(value + 0.5)))
    return found[0], found[1]


def good_pixels(
    tree: Tree, detector: Group | None, shape: tuple[int, int], where: str
) -> tuple[Mask, tuple[str, ...], tuple[str, ...]]:
    """Good pixels (rows, columns): no bit of the CXI mask is set but that of a signal; what is lacking; notes."""
    place = f"{where}/instrument_1/detector_1/mask"
    mask = None
    for name in ("mask", "pixel_mask"):
        mask = tree.numbers(name, detector) if detector is not None and mask is None else mask
    if mask is not None and not np.isfinite(mask).all():
        raise InputError(
            where=place,
            problem="the mask does not hold whole numbers",
            got=f"{mask.dtype} with NaN or infinity",
            wanted="whole numbers, 0 where a pixel is good",
            mend="Write the mask again as unsigned integers",
        )
    if mask is None:
        return np.ones(shape, bool), ("mask (all pixels are taken as good)",), ()
    notes: tuple[str, ...] = ()
    bad = is_bad(mask)
    if bad.ndim >= 3 and bad.shape[-2:] == shape:
        bad = bad.reshape(-1, *shape).mean(axis=0) >= NEARLY_ALL
    if mask.dtype.kind == "b" and bad.all():
        # A program that writes truth values says with them which pixels are good.
        notes = ("the mask holds nothing but True: all pixels are taken as good",)
        bad = np.zeros(shape, bool)
    if bad.shape != shape or bad.all():
        raise InputError(
            where=place,
            problem="the mask leaves no pixel" if bad.shape == shape else "the mask does not fit the frames",
            got=f"shape {mask.shape}" + (", every pixel bad" if bad.all() else ""),
            wanted=f"shape {shape}, {POLARITY}",
            mend="Correct the mask: if it marks the good pixels, it has the opposite polarity and is to be inverted",
        )
    return ~bad, (), notes


def is_bad(mask: Array) -> Mask:
    """Pixels (...) that values of a CXI mask mark."""
    return np.asarray((mask.astype(np.int64) & ~HAS_SIGNAL) != 0)


def says_unit(tree: Tree, name: str, detector: Group | None) -> bool:
    """Whether a length of the detector says its unit."""
    return detector is not None and bool(hdf5.text_attribute(tree.get(name, detector), "units"))


def mask_of_frames(tree: Tree, detector: Group | None, n_frames: int, shape: tuple[int, int]) -> str | None:
    """Path of a mask that differs from frame to frame, None where there is none."""
    for name in ("mask", "pixel_mask"):
        mask = tree.dataset(name, detector) if detector is not None else None
        if mask is not None:
            own = mask.shape[-2:] == shape and int(np.prod(mask.shape[:-2])) == n_frames > 1
            return str(mask.name) if own else None
    return None


def illumination(tree: Tree, entry: Group, shape: tuple[int, int]) -> tuple[C64 | None, tuple[str, ...]]:
    """Start of the probe (MODE, rows, columns) complex64, if there is one that fits; and what is worth noting."""
    values = tree.numbers("instrument_1/source_1/illumination", entry)
    if values is None:
        return None, ()
    values = values.reshape(-1, *values.shape[-2:]) if values.ndim >= 2 else values
    if values.shape[1:] != shape or not np.isfinite(values).all() or not np.abs(values).max() > 0:
        return None, (f"the illumination in the file (shape {values.shape}) does not fit the frames and is not used",)
    return values.astype(np.complex64), ()


def dwell_ms(tree: Tree, detector: Group | None) -> tuple[float, tuple[str, ...]]:
    """Exposure time of a frame in ms, NaN where the file does not say; and what is lacking."""
    for name in ("count_time", "exposure_time"):
        values = tree.numbers(name, detector) if detector is not None else None
        if values is not None and values.size and np.isfinite(values).all() and np.median(values) > 0:
            unit = hdf5.text_attribute(tree.get(name, detector), "units", "s")
            factor = axes.factor_if_known(unit, axes.MS_PER_UNIT) or 1e3
            unknown = (f"dwell time (its unit {unit!r} is not known)",) if np.isnan(factor) else ()
            return float(np.median(values)) * factor, unknown
    return float("nan"), ()


def not_applied(tree: Tree, detector: Group | None) -> tuple[str, ...]:
    """Notes about corrections that the file offers and that are not applied."""
    return tuple(
        note for name, note in NOT_APPLIED.items() if detector is not None and tree.get(name, detector) is not None
    )


def _length_m(tree: Tree, name: str, detector: Group | None, where: str) -> float | None:
    """A length of the detector in m, by its unit, metres where it has none."""
    value = tree.number(name, detector) if detector is not None else None
    if value is None:
        return None
    unit = hdf5.text_attribute(tree.get(name, detector), "units", "m")
    factor = axes.factor_of(unit, axes.UM_PER_UNIT, f"{where}/instrument_1/detector_1/{name}") or 1e6
    # Metres stay exactly as they are.
    return value if factor == 1e6 else value * factor / 1e6


__all__ = [
    "POLARITY",
    "centre",
    "distance_m",
    "dwell_ms",
    "good_pixels",
    "illumination",
    "is_bad",
    "mask_of_frames",
    "not_applied",
    "pixel_and_orientation",
    "says_unit",
]
