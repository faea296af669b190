"""One entry of a CXI file: frames, positions and geometry of one photon energy, checked."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.orientation import DEFAULT, Orientation, orientation_of
from stxmdist.readers.recording import Floats
from stxmdist.units import HC_EV_NM, JOULE_PER_EV, ev_from_joule

HAS_SIGNAL = 0x1000
"""The one bit of a CXI mask that does not mean bad."""
# No photon of a microscope has this energy in joule (6 TeV): it was written in eV or keV.
MOST_JOULE = 1e-6
# In metres: no scan of an X-ray microscope is wider, no detector pixel larger.
MOST_TRANSLATION_M = 0.02
MOST_PIXEL_M = 2e-3
MOST_DISTANCE_M = 200.0
# Files round wavelengths to three or four digits.
WAVELENGTH_TOLERANCE = 0.01
PIXEL_TOLERANCE = 0.01


@dataclass(frozen=True)
class Exposure:
    """A ptychography scan at one photon energy, frames and mask as they lie in the file."""

    name: str
    dataset: str
    frame_shape: tuple[int, int]
    dtype: np.dtype[Any]
    energy_ev: float
    positions_um: Floats
    """(POSITION, 2) float64, (y, x) of the beam on the sample"""
    good: NDArray[np.bool_]
    distance_m: float
    pixel_um: tuple[float, float]
    """Along the file's (rows, columns)"""
    orientation: Orientation
    illumination: NDArray[np.complex64] | None
    """(MODE, rows, columns)"""
    dwell_ms: float
    title: str
    lacks: tuple[str, ...]
    notes: tuple[str, ...]


def entry_names(tree: Tree) -> tuple[str, ...]:
    """Names of the entries, by their number."""
    names = [name for name in tree.names(tree.root) if re.fullmatch(r"entry_\d+", name)]
    return tuple(sorted(names, key=lambda name: int(name.removeprefix("entry_"))))


def exposure(tree: Tree, name: str) -> Exposure:
    """The scan of one entry.

    Raises
    ------
    InputError
        for what is missing, contradicts itself or cannot be in SI units, with its path in the file.
    """
    entry = tree.group(name)
    where = f"{tree.path}:{name}"
    frames = _first(tree.dataset(part, entry) for part in ("instrument_1/detector_1/data", "data_1/data"))
    if frames is None:
        raise _lacking(where, "diffraction frames", "data_1/data or instrument_1/detector_1/data")
    if frames.ndim != 3 or frames.dtype.kind not in "iuf" or 0 in frames.shape:
        raise InputError(
            where=f"{where}: {frames.name}",
            problem="the frames are not a list of images",
            got=f"shape {frames.shape}, type {frames.dtype}",
            wanted="(POSITION, rows, columns) of numbers",
            mend="Write the frames of a raster one after the other, with one translation each",
        )
    detector = _first(tree.group(part, entry) for part in ("instrument_1/detector_1", "detector_1"))
    shape = (int(frames.shape[1]), int(frames.shape[2]))
    energy_ev, energy_lacks = _energy(tree, entry, where)
    pixel_um, orientation, geometry_lacks = _detector(tree, detector, where)
    good, mask_lacks, mask_notes = _good(tree, detector, shape, where)
    illumination, illumination_notes = _illumination(tree, entry, shape)
    notes = mask_notes + illumination_notes
    if frames.dtype.kind == "f":
        notes += (f"frames are {frames.dtype}, not whole counts",)
    if detector is not None and tree.get("data_dark", detector) is not None:
        notes += ("dark frames are in the file and are not subtracted",)
    if hdf5.written(frames) is not None:
        notes += ("some frames were never written (aborted scan): they read as zero",)
    return Exposure(
        name=name,
        dataset=str(frames.name) if frames.file.filename == str(tree.path) else _path_of(tree, entry, name),
        frame_shape=shape,
        dtype=frames.dtype.newbyteorder("="),
        energy_ev=energy_ev,
        positions_um=_positions(tree, entry, int(frames.shape[0]), where),
        good=good,
        distance_m=_distance(tree, detector, where),
        pixel_um=pixel_um,
        orientation=orientation,
        illumination=illumination,
        dwell_ms=_dwell(tree, detector, where),
        title=tree.text("title", entry),
        lacks=energy_lacks + geometry_lacks + mask_lacks,
        notes=notes,
    )


def reconstruction_facts(tree: Tree, entry: Any) -> dict[str, Any]:
    """Facts of a file that holds a reconstructed image: its pixel is lambda z / (2 corner).

    The corner of the detector is at half its width, so that this is lambda z / (N p), as a Fourier transform has it.
    Codes that use sin(atan(.)) instead differ by 0.7 % at COSMIC.
    """
    image = tree.dataset("image_1/data", entry)
    facts: dict[str, Any] = {"shape": list(image.shape), "type": str(image.dtype)}
    joule = tree.number("instrument_1/source_1/energy", entry)
    if joule is not None and 0 < joule < MOST_JOULE:
        facts["energy_ev"] = round(ev_from_joule(joule), 3)
    said = tree.number("process_1/Param/pixnm", entry)
    corner = tree.numbers("instrument_1/detector_1/corner_position", entry)
    if said is not None and said > 0:
        facts["object_pixel_nm"] = said
    elif corner is not None and corner.size == 3 and "energy_ev" in facts and (np.abs(corner) > 0).all():
        x, y, z = np.abs(corner.reshape(-1).astype(float))
        facts["object_pixel_nm"] = float(HC_EV_NM / facts["energy_ev"] * z / (2 * np.hypot(x, y) / np.sqrt(2)))
    return facts


def _path_of(tree: Tree, entry: Any, name: str) -> str:
    """Path through which linked frames are found again: the one in the file itself, not in the linked file."""
    parts = ("instrument_1/detector_1/data", "data_1/data")
    return f"/{name}/{_first(part for part in parts if tree.dataset(part, entry) is not None)}"


def _energy(tree: Tree, entry: Any, where: str) -> tuple[float, tuple[str, ...]]:
    """Photon energy in eV from joule, checked against the wavelength; and what is lacking."""
    places = ("instrument_1/source_1/energy", "instrument_1/beam_1/energy", "instrument_1/beam_1/incident_beam_energy")
    place = _first(part for part in places if tree.number(part, entry) is not None)
    wavelength_m = tree.number("instrument_1/source_1/wavelength", entry)
    from_wavelength = HC_EV_NM / (wavelength_m * 1e9) if wavelength_m and wavelength_m > 0 else None
    if place is None:
        if from_wavelength is None:
            raise _lacking(where, "the photon energy", "instrument_1/source_1/energy in J")
        return from_wavelength, ("photon energy (taken from the wavelength)",)
    value = tree.number(place, entry) or 0.0
    unit = hdf5.text_of(hdf5.attribute(tree.get(place, entry), "units") or "").lower()
    if unit in axes.EV_PER_UNIT:
        value *= axes.EV_PER_UNIT[unit] * JOULE_PER_EV
    if not 0 < value < MOST_JOULE:
        raise InputError(
            where=f"{where}/{place}",
            problem="the photon energy is not in joule",
            got=f"{value:g}" + (", which looks like eV" if value >= 1 else ""),
            wanted="the energy in J, as CXI is in SI units throughout"
            + (f" ({value * JOULE_PER_EV:.6g} J)" if value >= 1 else ""),
            mend="Multiply it by 1.602176634e-19 J/eV in the file, or give it the attribute units = 'eV'",
        )
    energy_ev = ev_from_joule(value)
    if from_wavelength is not None and abs(from_wavelength / energy_ev - 1) > WAVELENGTH_TOLERANCE:
        raise InputError(
            where=f"{where}/{place}",
            problem="photon energy and wavelength contradict each other",
            got=f"{energy_ev:.4g} eV, and a wavelength of {from_wavelength:.4g} eV",
            wanted="the same within 1 %",
            mend="Correct the wrong one in the file, or remove the wavelength",
        )
    return energy_ev, ()


def _positions(tree: Tree, entry: Any, n_frames: int, where: str) -> Floats:
    """Positions (POSITION, 2) of the beam on the sample in um, (y, x): minus the sample's translation (x, y, z)."""
    places = ("sample_1/geometry_1/translation", "data_1/translation", "instrument_1/detector_1/translation")
    place = _first(part for part in places if tree.numbers(part, entry) is not None)
    if place is None:
        raise _lacking(where, "the positions", "sample_1/geometry_1/translation (POSITION, 3) in m")
    values = tree.numbers(place, entry)
    translation_m = np.asarray(values, np.float64)
    if translation_m.ndim != 2 or translation_m.shape[1] not in (2, 3) or not np.isfinite(translation_m).all():
        raise InputError(
            where=f"{where}/{place}",
            problem="the translations are not positions of the sample",
            got=f"shape {translation_m.shape}" + ("" if np.isfinite(translation_m).all() else " with NaN or infinity"),
            wanted="(POSITION, 3) finite numbers in m",
            mend="Write one (x, y, z) per frame",
        )
    if len(translation_m) != n_frames:
        raise InputError(
            where=f"{where}/{place}",
            problem="positions and frames do not match",
            got=f"{len(translation_m)} positions and {n_frames} frames",
            wanted="one position per frame",
            mend="Bring frames and positions of the same scan together; drop those that have no partner",
        )
    span_m = np.ptp(translation_m[:, :2], axis=0).max()
    if span_m == 0:
        raise InputError(
            where=f"{where}/{place}",
            problem="all positions are equal",
            got=f"{n_frames} times {translation_m[0, :2].tolist()} m",
            wanted="positions of a scan",
            mend="Write the positions that the scan had",
        )
    if span_m > MOST_TRANSLATION_M:
        raise InputError(
            where=f"{where}/{place}",
            problem="the translations are not in metres",
            got=f"a scan {span_m:g} m wide",
            wanted="translations in m, as CXI is in SI units throughout",
            mend="Multiply them by 1e-6 if they are in um",
        )
    unit = hdf5.text_of(hdf5.attribute(tree.get(place, entry), "units") or "m")
    factor = axes.factor_of(unit, axes.UM_PER_UNIT, f"{where}/{place}")
    return np.ascontiguousarray(-translation_m[:, [1, 0]] * (factor or 1e6))


def _distance(tree: Tree, detector: Any, where: str) -> float:
    distance_m = tree.number("distance", detector) if detector is not None else None
    if distance_m is None and detector is not None:
        corner = tree.numbers("corner_position", detector)
        distance_m = float(abs(corner.reshape(-1)[2])) if corner is not None and corner.size == 3 else None
    if distance_m is None:
        raise _lacking(where, "the distance of the detector", "instrument_1/detector_1/distance in m")
    if not 0 < distance_m <= MOST_DISTANCE_M:
        raise InputError(
            where=f"{where}/instrument_1/detector_1/distance",
            problem="the distance of the detector cannot be",
            got=f"{distance_m:g} m",
            wanted=f"more than 0 and at most {MOST_DISTANCE_M:g} m",
            mend="Write it in metres",
        )
    return distance_m


def _detector(tree: Tree, detector: Any, where: str) -> tuple[tuple[float, float], Orientation, tuple[str, ...]]:
    """Pixel (rows, columns) in um, orientation, and what is lacking.

    y_pixel_size is the pixel's extent along the rows' axis of the image, as in files whose basis is transposed too.
    """
    basis = tree.numbers("basis_vectors", detector) if detector is not None else None
    sizes = [tree.number(name, detector) if detector is not None else None for name in ("y_pixel_size", "x_pixel_size")]
    lacks: tuple[str, ...] = ()
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
        raise _lacking(where, "the size of the detector's pixels", "instrument_1/detector_1/x_pixel_size in m")
    if not all(size is not None and 0 < size <= MOST_PIXEL_M for size in sizes):
        raise InputError(
            where=f"{where}/instrument_1/detector_1/x_pixel_size",
            problem="the size of the detector's pixels cannot be",
            got=f"{sizes[0]:g} x {sizes[1]:g} m",
            wanted=f"more than 0 and at most {MOST_PIXEL_M:g} m",
            mend="Write it in metres",
        )
    return (sizes[0] * 1e6, sizes[1] * 1e6), orientation, lacks


def _good(
    tree: Tree, detector: Any, shape: tuple[int, int], where: str
) -> tuple[NDArray[np.bool_], tuple[str, ...], tuple[str, ...]]:
    """Good pixels (rows, columns): no bit of the CXI mask is set but that of a signal; what is lacking; notes."""
    mask = tree.numbers("mask", detector) if detector is not None else None
    if mask is not None and not np.isfinite(mask).all():
        raise InputError(
            where=f"{where}/instrument_1/detector_1/mask",
            problem="the mask is no bit field",
            got=f"{mask.dtype} with NaN or infinity",
            wanted="whole numbers, 0 where a pixel is good",
            mend="Write the mask again as unsigned integers",
        )
    if mask is None:
        return np.ones(shape, bool), ("mask (all pixels are taken as good)",), ()
    notes: tuple[str, ...] = ()
    bad = (mask.astype(np.int64) & ~HAS_SIGNAL) != 0
    if bad.ndim == 3 and bad.shape[1:] == shape:
        notes = ("the mask of each frame is joined to one for all",)
        bad = bad.any(axis=0)
    if bad.shape != shape or bad.all():
        raise InputError(
            where=f"{where}/instrument_1/detector_1/mask",
            problem="the mask leaves no pixel" if bad.shape == shape else "the mask does not fit the frames",
            got=f"shape {mask.shape}" + (", every pixel bad" if bad.all() else ""),
            wanted=f"shape {shape}, 0 where a pixel is good",
            mend="Correct the mask: 0 is good, any bit is bad",
        )
    return ~bad, (), notes


def _illumination(
    tree: Tree, entry: Any, shape: tuple[int, int]
) -> tuple[NDArray[np.complex64] | None, tuple[str, ...]]:
    values = tree.numbers("instrument_1/source_1/illumination", entry)
    if values is None:
        return None, ()
    values = values.reshape(-1, *values.shape[-2:]) if values.ndim >= 2 else values
    if values.shape[1:] != shape or not np.isfinite(values).all() or not np.abs(values).max() > 0:
        return None, (f"the illumination in the file (shape {values.shape}) does not fit the frames and is not used",)
    return values.astype(np.complex64), ()


def _dwell(tree: Tree, detector: Any, where: str) -> float:
    for name in ("count_time", "exposure_time"):
        values = tree.numbers(name, detector) if detector is not None else None
        if values is not None and values.size and np.isfinite(values).all() and np.median(values) > 0:
            unit = hdf5.text_of(hdf5.attribute(tree.get(name, detector), "units") or "s")
            factor = axes.factor_of(unit, axes.MS_PER_UNIT, f"{where}/instrument_1/detector_1/{name}")
            return float(np.median(values)) * (factor or 1e3)
    return float("nan")


def _first(items: Any) -> Any:
    return next((item for item in items if item is not None), None)


def _lacking(where: str, what: str, wanted: str) -> InputError:
    return InputError(
        where=where,
        problem=f"the file does not say {what}",
        got="nothing usable there",
        wanted=wanted,
        mend="Add it to the file; a reconstruction cannot do without",
    )
