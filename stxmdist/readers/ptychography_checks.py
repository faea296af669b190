"""The checks of every ptychography reader: that energy, distance, pixels and positions are possible in their units."""

import re
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from stxmdist.arrays import F64
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes
from stxmdist.readers.plausible import ENERGY_EV
from stxmdist.units import wavelength_nm

# No microscope works outside this range, which is so narrow that a soft X-ray energy in a wrong unit lies outside.
LEAST_EV, MOST_EV = 10.0, 60e3
# In metres: no detector pixel is larger, no detector farther away.
MOST_PIXEL_M = 2e-3
MOST_DISTANCE_M = 200.0
# No scan of an X-ray microscope is wider, and none is narrower than an atom.
LEAST_SPAN_UM, MOST_SPAN_UM = 1e-4, 2e4
# Beams nearer to one another than this are moved for nothing, in pixels of the object.
LEAST_STEP_PX = 0.5
UNITS_OF_POSITIONS = ("m", "mm", "um", "nm")
# A frame samples an illumination of at most half its window lambda z / p; ptychography needs every point of the
# sample to be lit several times. If the frames cannot even cover the scanned area once, they are no far-field data.
LEAST_COVERAGE = 1.0


def lacking(where: object, what: str, wanted: str) -> InputError:
    """The error for a fact that a reconstruction needs and the file does not say."""
    return InputError(
        where=where,
        problem=f"the file does not say {what}",
        got="nothing usable there",
        wanted=wanted,
        mend="Add it to the file: a reconstruction needs it",
    )


def photon_energy_ev(value: float, unit: str, where: object) -> float:
    """Photon energy in eV of a number in joule, eV or keV.

    Raises
    ------
    InputError
        for an impossible energy; the message says in which unit it would be possible.
    """
    factor = axes.factor_of(unit, axes.EV_PER_UNIT, where) or 1.0
    if LEAST_EV <= value * factor <= MOST_EV:
        return value * factor
    likely = [name for name in ("J", "eV", "keV") if LEAST_EV <= value * axes.EV_PER_UNIT[name.lower()] <= MOST_EV]
    meant = f" ({value * axes.EV_PER_UNIT[likely[0].lower()] / factor:.6g} {unit})" if likely else ""
    raise InputError(
        where=where,
        problem=f"the photon energy is not in {'joule' if unit.lower().startswith('j') else unit}",
        got=f"{value:g}" + (f", which looks like {' or '.join(likely)}" if likely else ""),
        wanted=f"the energy in {unit}{meant}, between {LEAST_EV:g} and {MOST_EV:g} eV",
        mend="Convert it in the file (1 eV is 1.602176634e-19 J), or correct its attribute units",
    )


def energy_without_unit(value: float, where: object, chosen: str | None = None) -> tuple[float, tuple[str, ...]]:
    """Photon energy in eV of a number that should be in joule and says no unit, and what is worth noting.

    Raises
    ------
    InputError
        for a number that is no photon energy in joule, eV or keV, or not in the ``chosen`` unit.
    """
    if chosen is not None:
        return photon_energy_ev(value, chosen, where), (f"the photon energy is in {chosen}, as was chosen",)
    if not ENERGY_EV.holds(value) and not ENERGY_EV.holds(1e3 * value):
        return photon_energy_ev(value, "J", where), ()
    meant = "eV" if ENERGY_EV.holds(value) else "keV"
    return photon_energy_ev(value, meant, where), (f"the photon energy has no unit: {value:g} is taken for {meant}",)


def unit_of_scan(values: F64, window_um: tuple[float, float], pixel_um: tuple[float, float]) -> str | None:
    """The unit that positions (POSITION, 2 or 3) without one are in; None where none makes sense.

    That is metres if they can be, else the largest unit in which beams that fit their window overlap and stand farther
    apart than a pixel of the object.

    Parameters
    ----------
    window_um, pixel_um
        (y, x) of the window lambda z / p of a frame in the sample's plane, and of the object
    """
    places = np.asarray(values, np.float64)[:, [1, 0]]
    for unit in UNITS_OF_POSITIONS:
        um = places * axes.UM_PER_UNIT[unit]
        span = float(np.ptp(um, axis=0).max())
        if not LEAST_SPAN_UM <= span <= MOST_SPAN_UM:
            continue
        if far_field_coverage(um, window_um) >= LEAST_COVERAGE and (
            unit == "m" or median_step(um) >= LEAST_STEP_PX * max(pixel_um)
        ):
            return unit
    return None


def median_step(positions: F64) -> float:
    """Median distance of positions (POSITION, 2) from the nearest other one."""
    distance, _ = cKDTree(np.unique(positions, axis=0)).query(np.unique(positions, axis=0), 2)
    return float(np.median(distance[:, 1]))


def checked_distance_m(distance_m: float, where: object) -> float:
    """The distance of the detector, refused where it is impossible."""
    if 0 < distance_m <= MOST_DISTANCE_M:
        return distance_m
    raise InputError(
        where=where,
        problem="the distance of the detector is impossible",
        got=f"{distance_m:g} m",
        wanted=f"more than 0 and at most {MOST_DISTANCE_M:g} m",
        mend="Write it in metres",
    )


def checked_pixel_um(pixel_m: tuple[float, float], where: object) -> tuple[float, float]:
    """The detector's pixel (rows, columns) in um from m, refused where it is impossible."""
    if all(0 < size <= MOST_PIXEL_M for size in pixel_m):
        return pixel_m[0] * 1e6, pixel_m[1] * 1e6
    raise InputError(
        where=where,
        problem="the size of the detector's pixels is impossible",
        got=f"{pixel_m[0]:g} x {pixel_m[1]:g} m",
        wanted=f"more than 0 and at most {MOST_PIXEL_M:g} m",
        mend="Write it in metres",
    )


def checked_positions_um(values: F64, n_frames: int, where: object, unit: str = "metres") -> F64:
    """Positions (POSITION, 2 or 3) in um, whatever their origin and sign, refused where they are not those of a scan.

    ``unit`` is the one that the file wants, in words.
    """
    finite = bool(np.isfinite(values).all())
    if values.ndim != 2 or values.shape[1] not in (2, 3) or not finite:
        raise InputError(
            where=where,
            problem="the positions are not those of a scan",
            got=f"shape {values.shape}" + ("" if finite else " with NaN or infinity"),
            wanted=f"(POSITION, 2 or 3) finite numbers in {unit}",
            mend="Write one position per frame",
        )
    if len(values) != n_frames:
        raise InputError(
            where=where,
            problem="positions and frames do not match",
            got=f"{len(values)} positions and {n_frames} frames",
            wanted="one position per frame",
            mend="Bring frames and positions of the same scan together; drop those that have no partner",
        )
    span_um = float(np.ptp(values[:, :2], axis=0).max())
    if span_um == 0:
        raise InputError(
            where=where,
            problem="all positions are equal",
            got=f"{n_frames} times {values[0, :2].tolist()} um",
            wanted="positions of a scan",
            mend="Write the positions that the scan had",
        )
    if not LEAST_SPAN_UM <= span_um <= MOST_SPAN_UM:
        raise InputError(
            where=where,
            problem=f"the positions are not in {unit}",
            got=f"a scan {span_um:g} um wide",
            wanted=f"positions in {unit} of a scan between {LEAST_SPAN_UM:g} and {MOST_SPAN_UM:g} um wide",
            mend="Multiply them by " + ("1e-6 if they are in um" if unit == "metres" else "1e6 if they are in m"),
        )
    return np.ascontiguousarray(values, np.float64)


def far_field_coverage(positions_um: F64, window_um: tuple[float, float]) -> float:
    """How often far-field frames can have lit each point of the scanned area, at most.

    A frame of pixels p at distance z repeats after the window lambda z / p in the sample's plane; it is sampled twice
    only if the illumination fits into half of it (Rodenburg and Bates 1992; Batey et al. 2014 on what is lost
    otherwise). With N positions on an area A, each point is then lit N (window / 2)^2 / A times at most. Ptychography
    needs several; below one, neighbours cannot overlap and the frames can only be near-field or the geometry wrong.

    positions_um is (POSITION, 2), window_um (y, x).
    """
    half = [size / 2 for size in window_um]
    area = float(np.prod(np.ptp(positions_um, axis=0) + half))
    return len(positions_um) * half[0] * half[1] / area


def refuse_near_field(
    path: Path,
    where: object,
    title: str,
    *,
    energy_ev: float,
    distance_m: float,
    pixel_um: tuple[float, float],
    positions_um: F64,
) -> None:
    """Refuse frames that say they are near-field, or whose positions are too far apart for the far field.

    pixel_um is (y, x), positions_um (POSITION, 2).
    """
    titled = re.search(r"near[\s_-]*field", title, re.IGNORECASE)
    window = [wavelength_nm(energy_ev) * distance_m / pixel * 1e3 for pixel in pixel_um]
    coverage = far_field_coverage(positions_um, (window[0], window[1]))
    if not titled and coverage >= LEAST_COVERAGE:
        return
    named = re.search(r"near[\s_-]*field", path.stem, re.IGNORECASE)
    why = (
        f"the title {title!r}"
        if titled
        else f"{len(positions_um)} positions that far-field illuminations of at most {window[1] / 2:.3g} um "
        f"would cover {coverage:.2g} times" + (", and the name of the file" if named else "")
    )
    raise UnsupportedError(
        where=where,
        problem="near-field ptychography is not processed",
        got=why,
        wanted="far-field frames, whose illuminations overlap",
        mend="If it is far-field data, correct energy, distance, pixel size or positions in the file",
    )
