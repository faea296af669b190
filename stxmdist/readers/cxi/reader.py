"""CXI: far-field ptychography in HDF5, in SI units (ALS, cdtools, ptypy), and its NeXus form NXcxi_ptycho (Diamond).

One entry is one photon energy; ``entry_1`` to ``entry_N`` are one scan at several energies. Arrays are found under
``entry_1/data_1`` or ``entry_1/instrument_1/detector_1`` and ``entry_1/sample_1/geometry_1``. In NXcxi_ptycho the
frames of a raster may keep its rows and columns, the photon energy is that of the beam, and positions may be
transformations of the sample.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import Array, Index
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.cxi.dark import mean_dark, without_dark
from stxmdist.readers.cxi.detector import is_bad
from stxmdist.readers.cxi.entry import (
    FRAMES,
    Exposure,
    entry_names,
    exposure,
    frames_of,
    is_nexus,
    reconstruction_facts,
)
from stxmdist.readers.cxi.orientation import Orientation
from stxmdist.readers.description import described, ptychography_facts
from stxmdist.readers.frames.centring import centred
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.ptychography_checks import refuse_near_field
from stxmdist.readers.recording import Description, Facts, PtychographyRecording

# Entries of one scan are taken with one detector at one place; files round to single precision.
SAME = 1e-4
RAW = "data_1/exp_frames"
"""Frames of COSMIC before they are prepared"""
SIGNATURE_GROUPS = (
    RAW,
    "data_1/data",
    "instrument_1/detector_1",
    "instrument_1/source_1",
    "image_1/data",
    "sample_1/geometry_1",
)


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 with the groups of CXI."""
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        if tree.text("entry_1/definition").upper() == "NXSTXM":
            return False
        return (
            tree.get("cxi_version") is not None
            or any(
                # Names are looked up without following links: a refused link is for `open` to report.
                tree.holds(f"{entry}/{part}")
                for entry in entry_names(tree)
                for part in SIGNATURE_GROUPS
            )
            or any(is_nexus(tree, entry) for entry in entry_names(tree) if entry in tree.own_names(tree.root))
        )


def describe(path: Path) -> Description:
    """What the entries of the file hold."""
    with hdf5.opened(path) as tree:
        names = entry_names(tree)
        first = tree.group(names[0]) if names else None
        facts: Facts = {
            "entries": len(names),
            "cxi_version": tree.number("cxi_version"),
            "title": tree.text("title", first) if first is not None else "",
        }
        with_frames = [name for name in names if _frames_there(tree, name)]
        image = tree.dataset("image_1/data", first) if first is not None and not with_frames else None
        if first is not None and image is not None:
            found, energy_ev = reconstruction_facts(tree, first, image)
            energies_ev = () if energy_ev is None else (energy_ev,)
            return described(path, "cxi", "reconstruction", facts | found, open, ptychography_facts, energies_ev)
    return described(path, "cxi", "ptychography" if with_frames else "unknown", facts, open, ptychography_facts)


def open(path: Path, choices: ReadChoices) -> tuple[PtychographyRecording, ...]:
    """The ptychography scan of a file, with all its photon energies.

    Raises
    ------
    InputError
        for a damaged file, one that lacks what a reconstruction needs, or frames that do not match positions.
    UnsupportedError
        for a reconstructed image, and for near-field data.
    """
    with hdf5.opened(path) as tree:
        names = [name for name in entry_names(tree) if _frames_there(tree, name)]
        if not names:
            _refuse_without_frames(tree)
        exposures = [exposure(tree, name, choices) for name in names]
        _agree(path, exposures)
        order, notes = axes.energy_order(np.array([item.energy_ev for item in exposures]), path)
        exposures = [exposures[index] for index in order]
        for item in exposures:
            _refuse_near_field(tree, item)
        return (_recording(tree, exposures, notes),)


@dataclass(frozen=True)
class _Frames:
    path: Path
    datasets: tuple[str, ...]
    """One per energy"""
    centres: tuple[tuple[int, int], ...]
    """Pixel (row, column) of the zero frequency in the file, one per energy"""
    darks: tuple[str | None, ...]
    """Where the dark frames are, one per energy"""
    masks: tuple[str | None, ...]
    """Where masks that differ from frame to frame are, one per energy"""
    kept: tuple[Index, ...]
    """Numbers in the file of the frames that have a position, one array per energy"""
    orientation: Orientation


def _recording(tree: Tree, exposures: list[Exposure], notes: tuple[str, ...]) -> PtychographyRecording:
    first = exposures[0]
    way = first.orientation
    good = np.logical_and.reduce([centred(item.good, item.centre) for item in exposures])
    datasets, centres, darks, masks, kept = (
        tuple(getattr(item, name) for item in exposures) for name in ("dataset", "centre", "dark", "masks", "kept")
    )
    lit = [item for item in exposures if item.illumination is not None]
    if lit and len(exposures) > 1:
        notes += (f"the illumination is that of {lit[0].energy_ev:g} eV",)
    illumination = lit[0].illumination if lit else None
    pixel_um = first.pixel_um[::-1] if way.transposed else first.pixel_um
    return PtychographyRecording(
        source=tree.path,
        format="cxi",
        energy_ev=np.array([item.energy_ev for item in exposures]),
        positions_um=np.stack([item.positions_um for item in exposures]),
        frame_shape=way.shape(first.frame_shape),
        frame_dtype=first.dtype if not any(darks + masks) else np.dtype(np.float32),
        good=way.canonical(good).astype(bool),
        distance_m=first.distance_m,
        detector_pixel_um=pixel_um,
        illumination=None if illumination is None else way.canonical(illumination).astype(np.complex64),
        read=partial(_read, _Frames(tree.path, datasets, centres, darks, masks, kept, way)),
        files=tree.files,
        dwell_ms=first.dwell_ms,
        orientation=way.words,
        start_time=tree.text("start_time", tree.group(first.name)),
        lacks=tuple(dict.fromkeys(lack for item in exposures for lack in item.lacks)),
        notes=notes + tuple(dict.fromkeys(note for item in exposures for note in item.notes)),
    )


def _read(frames: _Frames, energy: int, positions: slice) -> Array:
    """Frames (POSITION, QY, QX) of one energy, rows along +y, columns along +x.

    In the file's type; in float32 where the dark is taken off, or a mask marks pixels of single frames by NaN.
    """
    chosen = frames.kept[energy][positions]
    if (positions.step or 1) < 1:
        raise ValueError(f"positions are read in ascending order, got {positions}")
    start, stop = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
    masks = frames.masks[energy]
    with hdf5.opened(frames.path) as tree:
        dataset = tree.data(frames.datasets[energy])
        tree.check_size(dataset, (max(0, stop - start), *dataset.shape[-2:]))
        raw = frames_of(tree, dataset, start, stop)[chosen - start]
        bad = None if masks is None else is_bad(frames_of(tree, tree.data(masks), start, stop)[chosen - start])
    raw = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    dark = frames.darks[energy]
    if dark is not None:
        raw = without_dark(raw, mean_dark(frames.path, dark))
    elif any(frames.darks + frames.masks):
        raw = raw.astype(np.float32)
    if bad is not None:
        raw[bad] = np.nan
    raw = centred(raw, frames.centres[energy])
    canonical: Array = frames.orientation.canonical(raw)
    return canonical


def _frames_there(tree: Tree, name: str) -> bool:
    return any(tree.holds(f"{name}/{part}") for part in FRAMES)


def _refuse_without_frames(tree: Tree) -> None:
    for name in entry_names(tree):
        if tree.holds(f"{name}/{RAW}"):
            raise UnsupportedError(
                where=tree.path,
                problem="raw camera frames of COSMIC say neither positions, energy, distance nor pixel size",
                got=f"{name}/{RAW}",
                wanted="frames with their geometry, as the beamline's preprocessing writes them (NXptycho or CXI)",
                mend="Give that file",
            )
        if tree.holds(f"{name}/image_1/data"):
            raise UnsupportedError(
                where=tree.path,
                problem="a reconstruction (an image without its diffraction frames) is not processed",
                got=f"{name}/image_1/data",
                wanted="diffraction frames in entry_1/data_1/data",
                mend="Give the CXI file of the scan itself",
            )
    raise InputError(
        where=tree.path,
        problem="the CXI file holds no diffraction frames",
        got="entries " + (", ".join(entry_names(tree)) or "none"),
        wanted="entry_1/data_1/data or entry_1/instrument_1/detector_1/data",
        mend="Copy the file again from the beamline",
    )


def _agree(path: Path, exposures: list[Exposure]) -> None:
    """Refuse entries that are not one scan: other frames, another place of the detector or number of positions."""
    first = exposures[0]
    for item in exposures[1:]:
        for what, here, there in (
            ("frames' shape", item.frame_shape, first.frame_shape),
            ("frames' type", item.dtype, first.dtype),
            ("number of positions", len(item.positions_um), len(first.positions_um)),
            ("orientation", item.orientation.words, first.orientation.words),
        ):
            if here != there:
                raise _not_one_scan(path, item, first, what, here, there)
        for what, size, other in (
            ("distance in m", item.distance_m, first.distance_m),
            ("pixel height in um", item.pixel_um[0], first.pixel_um[0]),
            ("pixel width in um", item.pixel_um[1], first.pixel_um[1]),
        ):
            if abs(size - other) > SAME * other:
                raise _not_one_scan(path, item, first, what, size, other)


def _not_one_scan(path: Path, item: Exposure, first: Exposure, what: str, here: object, there: object) -> InputError:
    return InputError(
        where=f"{path}:{item.name}",
        problem=f"the entries differ in {what}, so they are not one scan at several energies",
        got=f"{here} in {item.name}, {there} in {first.name}",
        wanted="the same in all entries",
        mend="Write each scan to a file of its own",
    )


def _refuse_near_field(tree: Tree, item: Exposure) -> None:
    refuse_near_field(
        tree.path,
        f"{tree.path}:{item.name}",
        item.title,
        energy_ev=item.energy_ev,
        distance_m=item.distance_m,
        pixel_um=item.pixel_um[::-1] if item.orientation.transposed else item.pixel_um,
        positions_um=item.positions_um,
    )


__all__ = ["describe", "detects", "open"]
