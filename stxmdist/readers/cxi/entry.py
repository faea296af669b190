"""One entry of a CXI or NXcxi_ptycho file: frames, positions and geometry of one photon energy, checked."""

import re
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C64, F64, Array, Index, Mask
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.choices import AS_THE_FILE_SAYS, ReadChoices
from stxmdist.readers.cxi import dark as cxi_dark
from stxmdist.readers.cxi import detector as cxi_detector
from stxmdist.readers.cxi.orientation import Orientation
from stxmdist.readers.cxi.positions import SeenBy, beam_positions, distance_meant
from stxmdist.readers.frames.pixels import MOSTLY_BAD, inverted, refuse_inverted
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Dataset, Group
from stxmdist.readers.ptychography_checks import LEAST_EV, MOST_EV, energy_without_unit, lacking, photon_energy_ev
from stxmdist.readers.recording import Facts
from stxmdist.units import HC_EV_NM, ev_from_joule

NEXUS = ("nxcxi_ptycho", "nxptycho")
"""Definitions of NeXus for ptychography, in lower case: the contributed one, and the name in its drafts."""
UNSAID = ("instrument/detector/data", "instrument/sample/transformations")
"""What an entry of a draft holds that says no definition, as COSMIC writes it"""
SURELY_BAD = 0.97
"""A mask of which so much is bad, with the light there, marks the good pixels; of fewer it may be either"""
FRAMES = (
    "instrument_1/detector_1/data",
    "data_1/data",
    "instrument/detector/data",
    "data/data",
)
DETECTORS = ("instrument_1/detector_1", "detector_1", "instrument/detector")
BEAMS = ("instrument_1/beam_1", "beam_1", "instrument/beam")
BEAM_ENERGIES = ("incident_beam_energy", "incident_energy", "energy")
SOURCE = "instrument_1/source_1"
# Files round wavelengths to three or four digits.
WAVELENGTH_TOLERANCE = 0.01
# Energies that are written once for each frame are equal within this part.
SAME_ENERGY = 1e-4
# So many frames are compared with a mask that leaves hardly a pixel.
FRAMES_LOOKED_AT = 16


@dataclass(frozen=True)
class Exposure:
    """A ptychography scan at one photon energy, frames and mask as they lie in the file."""

    name: str
    dataset: str
    scan: tuple[int, ...]
    """Shape of the frames without rows and columns: (POSITION,), or (rows, columns) of a raster"""
    frame_shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    energy_ev: float
    positions_um: F64
    """(POSITION, 2) float64, (y, x) of the beam on the sample"""
    kept: Index
    """(POSITION,) number in the file of each frame: those without a position are left out"""
    masks: str | None
    """Path of a mask that differs from frame to frame"""
    good: Mask
    distance_m: float
    pixel_um: tuple[float, float]
    """Along the file's (rows, columns)"""
    orientation: Orientation
    centre: tuple[int, int]
    """Pixel (row, column) of the zero frequency"""
    illumination: C64 | None
    """(MODE, rows, columns)"""
    dark: str | None
    """Path of the dark frames, None where there are none to be subtracted"""
    dwell_ms: float
    title: str
    lacks: tuple[str, ...]
    notes: tuple[str, ...]


def entry_names(tree: Tree) -> tuple[str, ...]:
    """Names of the entries, by their number: entry_1, entry_2 ..., and others that say NXcxi_ptycho."""
    own = tree.own_names(tree.root)
    names = [
        name
        for name in tree.names(tree.root)
        if re.fullmatch(r"entry_\d+", name)
        or (re.fullmatch(r"entry\d*", name) and name in own and is_nexus(tree, name))
    ]
    return tuple(sorted(names, key=lambda name: int(re.sub(r"\D", "", name) or 0)))


def is_nexus(tree: Tree, name: str) -> bool:
    """Whether an entry says that it is NXcxi_ptycho, or one of its drafts, or is laid out as one without saying so."""
    said = tree.text(f"{name}/definition").lower()
    return said in NEXUS or (not said and all(tree.holds(f"{name}/{part}") for part in UNSAID))


def exposure(tree: Tree, name: str, choices: ReadChoices = AS_THE_FILE_SAYS) -> Exposure:
    """The scan of one entry.

    Raises
    ------
    InputError
        for what is missing, contradicts itself or cannot be in its units, with its path in the file.
    """
    entry = tree.group(name)
    where = f"{tree.path}:{name}"
    found = ((place, tree.dataset(place, entry)) for place in FRAMES)
    place, frames = next(((place, frames) for place, frames in found if frames is not None), ("", None))
    if entry is None or frames is None:
        raise lacking(where, "diffraction frames", "data_1/data or instrument_1/detector_1/data")
    scan = tuple(int(length) for length in frames.shape[:-2])
    # Some writers keep axes of one position each.
    scan = scan if len(scan) <= 2 else tuple(length for length in scan if length > 1) or (1,)
    if len(scan) not in (1, 2) or frames.dtype.kind not in "iuf" or 0 in frames.shape:
        raise InputError(
            where=f"{where}: {frames.name}",
            problem="the frames are not a list of images",
            got=f"shape {frames.shape}, type {frames.dtype}",
            wanted="(POSITION, rows, columns) of numbers, or (scan rows, scan columns, rows, columns) of a raster",
            mend="Write the frames one after the other, with one translation each",
        )
    tree.check_size(frames, frames.shape[-2:])
    part = next((part for part in DETECTORS if tree.group(part, entry) is not None), None)
    detector = None if part is None else tree.group(part, entry)
    shape = (int(frames.shape[-2]), int(frames.shape[-1]))
    energy_ev, energy_lacks, energy_notes = _energy(tree, entry, where, is_nexus(tree, name), choices.energy_unit)
    pixel_um, orientation, geometry_lacks, pixel_notes = cxi_detector.pixel_and_orientation(tree, detector, where)
    distance_m, distance_notes = cxi_detector.distance_m(tree, detector, where)
    dark, dark_notes = (None, ()) if part is None else cxi_dark.dark_place(tree, f"/{name}/{part}", shape)
    good, mask_lacks, mask_notes = cxi_detector.good_pixels(tree, detector, shape, where)
    if np.count_nonzero(~good) > MOSTLY_BAD * good.size:
        good, more = _right_way_round(tree, frames, dark, good, f"{where}/instrument_1/detector_1/mask")
        mask_notes += more
    illumination, illumination_notes = cxi_detector.illumination(tree, entry, shape)
    dwell_ms, dwell_lacks = cxi_detector.dwell_ms(tree, detector)
    upright_um = pixel_um[::-1] if orientation.transposed else pixel_um
    seen_by = SeenBy(energy_ev, distance_m, upright_um, orientation.shape(shape), choices.position_unit)
    beams = beam_positions(tree, entry, scan, where, seen_by)
    if not cxi_detector.says_unit(tree, "distance", detector):
        distance_m, more = distance_meant(beams.positions_um, seen_by)
        distance_notes += more
    notes = energy_notes + pixel_notes + distance_notes + beams.notes
    notes += mask_notes + illumination_notes + dark_notes + cxi_detector.not_applied(tree, detector)
    middle = (shape[0] // 2, shape[1] // 2)
    centre = cxi_detector.centre(tree, detector, shape, pixel_um, where) if is_nexus(tree, name) else None
    if centre not in (None, middle):
        notes += (f"the frames' centre is pixel {centre}: brought to the middle, {middle}",)
    if len(scan) == 2:
        notes += (f"a raster of {scan[0]} x {scan[1]} frames, read row by row",)
    if frames.dtype.kind == "f":
        notes += (f"frames are {frames.dtype}, not whole counts",)
    if hdf5.written(frames) is not None:
        notes += ("some frames were never written (aborted scan): they read as zero",)
    return Exposure(
        name=name,
        dataset=f"/{name}/{place}",
        scan=scan,
        frame_shape=shape,
        dtype=frames.dtype.newbyteorder("="),
        energy_ev=energy_ev,
        positions_um=beams.positions_um,
        kept=beams.kept,
        masks=cxi_detector.mask_of_frames(tree, detector, int(np.prod(scan)), shape),
        good=good,
        distance_m=distance_m,
        pixel_um=pixel_um,
        orientation=orientation,
        centre=centre or middle,
        illumination=illumination,
        dark=dark,
        dwell_ms=dwell_ms,
        title=tree.text("title", entry),
        lacks=energy_lacks + geometry_lacks + mask_lacks + dwell_lacks,
        notes=notes,
    )


def _right_way_round(
    tree: Tree, frames: Dataset, dark: str | None, good: Mask, where: str
) -> tuple[Mask, tuple[str, ...]]:
    """A mask that leaves hardly a pixel, turned round if it surely marks the good ones; and what is worth noting."""
    chosen = np.unique(np.linspace(0, np.prod(frames.shape[:-2]) - 1, FRAMES_LOOKED_AT).astype(int))
    seen = np.concatenate([frames_of(tree, frames, int(at), int(at) + 1) for at in chosen])
    if dark is not None:
        seen = cxi_dark.without_dark(seen, cxi_dark.mean_dark(tree.path, dark))
    if np.count_nonzero(~good) > SURELY_BAD * good.size and inverted(good, seen):
        return ~good, ("the mask marks the good pixels, where all the light is, and is turned round",)
    refuse_inverted(good, seen, where, cxi_detector.POLARITY)
    return good, ()


def frames_of(tree: Tree, dataset: Dataset, start: int, stop: int) -> Array:
    """Frames (POSITION, rows, columns) of a list of frames, or of a raster counted row by row."""
    scan = dataset.shape[:-2]
    *slow, fast = [axis for axis, length in enumerate(scan) if length > 1] or [0]
    n_columns = scan[fast]
    pieces = []
    for row in range(start // n_columns, -(-stop // n_columns)):
        where: list[int | slice] = [0] * len(scan)
        where[fast] = slice(max(0, start - row * n_columns), stop - row * n_columns)
        if slow:
            where[slow[0]] = row
        pieces.append(tree.read(dataset, tuple(where)))
    return np.concatenate(pieces) if pieces else np.empty((0, *dataset.shape[-2:]), dataset.dtype)


def reconstruction_facts(tree: Tree, entry: Group, image: Dataset) -> tuple[Facts, float | None]:
    """Facts of a file that holds a reconstructed image, whose pixel is lambda z / (2 corner); its photon energy in eV.

    The corner of the detector is at half its width, so that this is lambda z / (N p), as a Fourier transform has it.
    Codes that use sin(atan(.)) instead differ by 0.7 % at COSMIC.
    """
    facts: Facts = {"shape": list(image.shape), "type": str(image.dtype)}
    joule = tree.number(f"{SOURCE}/energy", entry)
    energy_ev = None
    if joule is not None and LEAST_EV <= ev_from_joule(joule) <= MOST_EV:
        energy_ev = facts["energy_ev"] = round(ev_from_joule(joule), 3)
    said = tree.number("process_1/Param/pixnm", entry)
    corner = tree.numbers("instrument_1/detector_1/corner_position", entry)
    if said is not None and said > 0:
        facts["object_pixel_nm"] = said
    elif corner is not None and corner.size == 3 and energy_ev is not None and (np.abs(corner) > 0).all():
        x, y, z = np.abs(corner.reshape(-1).astype(float))
        facts["object_pixel_nm"] = float(HC_EV_NM / energy_ev * z / (2 * np.hypot(x, y) / np.sqrt(2)))
    return facts, energy_ev


def _energy(
    tree: Tree, entry: Group, where: str, nexus: bool, chosen: str | None
) -> tuple[float, tuple[str, ...], tuple[str, ...]]:
    """Photon energy in eV from joule, or by its unit, checked against the wavelength; what is lacking; notes.

    In NXcxi_ptycho the energy of the source is that of the machine: the beam says that of the photons.
    """
    beams = [f"{beam}/{energy}" for beam in BEAMS for energy in BEAM_ENERGIES]
    places = [*beams, f"{SOURCE}/energy"] if nexus else [f"{SOURCE}/energy", *beams]
    place = next((place for place in places if _constant(tree, place, entry, where) is not None), None)
    wavelength_m = tree.number(f"{SOURCE}/wavelength", entry)
    from_wavelength = HC_EV_NM / (wavelength_m * 1e9) if wavelength_m and wavelength_m > 0 else None
    if place is None:
        if from_wavelength is None:
            raise lacking(where, "the photon energy", f"{SOURCE}/energy in J, or {BEAMS[0]}/incident_beam_energy")
        return from_wavelength, ("photon energy (taken from the wavelength)",), ()
    value = _constant(tree, place, entry, where) or 0.0
    unit = hdf5.text_attribute(tree.get(place, entry), "units")
    notes: tuple[str, ...] = ()
    if unit:
        energy_ev = photon_energy_ev(value, unit, f"{where}/{place}")
    else:
        energy_ev, notes = energy_without_unit(value, f"{where}/{place}", chosen)
    if from_wavelength is not None and abs(from_wavelength / energy_ev - 1) > WAVELENGTH_TOLERANCE:
        raise InputError(
            where=f"{where}/{place}",
            problem="photon energy and wavelength contradict each other",
            got=f"{energy_ev:.4g} eV, and a wavelength of {from_wavelength:.4g} eV",
            wanted="the same within 1 %",
            mend="Correct the wrong one in the file, or remove the wavelength",
        )
    return energy_ev, (), notes


def _constant(tree: Tree, place: str, entry: Group, where: str) -> float | None:
    """The one value of a dataset, written once or for each frame; None where there is none."""
    values = tree.numbers(place, entry)
    if values is None or not values.size:
        return None
    values = np.real(values).astype(np.float64).reshape(-1)
    if np.ptp(values) > SAME_ENERGY * abs(values[0]):
        raise InputError(
            where=f"{where}/{place}",
            problem="the entry holds several photon energies",
            got=f"{values.min():g} to {values.max():g}",
            wanted="one entry for each photon energy",
            mend="Write the frames of each energy to an entry of their own",
        )
    return float(values[0])
