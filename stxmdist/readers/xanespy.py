"""Frame sets of xanespy: HDF5 with optical density, transmission or counts over time steps and photon energies.

    /NAME, attributes xanespy_version and latest_data_name: one field of view
    /NAME/imported (or aligned, ...): energies (TIME, ENERGY) in eV, pixel_sizes (TIME, ENERGY) with the attribute unit,
    timestep_names (TIME,), and optical_depths or intensities (TIME, ENERGY, Y, X)

Optical depths are taken where the file has them, else intensities. Complex numbers are those of ptychography: the
transmission is the squared modulus of an intensity, the optical density twice the real part of an optical depth. Each
time step of each field is a region. Layout learned from txmstore.py and importers.py of xanespy 0.3.3, and proved on a
file of its tests. Rows are taken to grow with y.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64, Array
from stxmdist.errors import InputError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_stack import as_they_are, dataset_stack, is_numeric
from stxmdist.readers.hdf5_types import Dataset, Group
from stxmdist.readers.image_stack import Quantity, StoredStack, pixel_or_chosen, recording_of
from stxmdist.readers.recording import Description, StxmRecording

IMAGES = ("optical_depths", "intensities")
N_AXES = 4
# Microscopes whose magnification follows the energy have other pixels at each: beyond this it is worth saying.
PIXELS_DIFFER = 1e-3


@dataclass(frozen=True)
class _FrameSet:
    """One field of view in one state of analysis."""

    name: str
    group: Group
    images: str
    data: Dataset


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 with a frame set over energies."""
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        return bool(_frame_sets(tree))


def describe(path: Path) -> Description:
    """What the frame sets hold."""
    with hdf5.opened(path) as tree:
        sets = _frame_sets(tree)
        beamline = hdf5.text_attribute(sets[0].group.parent, "beamline") if sets else ""
    return described(path, "xanespy", "image stack", {"beamline": beamline}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The stacks of a file, one for each time step of each field of view.

    Raises
    ------
    InputError
        for a damaged file, and where there is not one energy for each image.
    """
    with hdf5.opened(path) as tree:
        sets = _frame_sets(tree, choices.channel)
        if not sets:
            raise InputError(
                where=path,
                problem="the file has no images of this name",
                got=repr(choices.channel),
                wanted=" or ".join(dict.fromkeys(frames.images for frames in _frame_sets(tree))),
                mend="Name these behind the file, or nothing: optical depths are taken before intensities",
            )
        several = len(sets) > 1
        return tuple(recording for frames in sets for recording in _recordings(tree, frames, several, choices))


def _frame_sets(tree: Tree, channel: str | None = None) -> tuple[_FrameSet, ...]:
    """Every field of view, with the images of the name that was chosen, else the best that it has."""
    found = []
    for name in tree.own_names(tree.root):
        parent = tree.group(name)
        if parent is None or not hdf5.text_attribute(parent, "latest_data_name"):
            continue
        group = tree.group(hdf5.text_attribute(parent, "latest_data_name"), parent)
        if group is None or tree.dataset("energies", group) is None:
            continue
        for images in IMAGES if channel is None else (channel,):
            data = tree.dataset(images, group)
            if data is not None and is_numeric(data, N_AXES):
                found.append(_FrameSet(name, group, images, data))
                break
    return tuple(found)


def _recordings(tree: Tree, frames: _FrameSet, several: bool, choices: ReadChoices) -> Iterator[StxmRecording]:
    n_times, n_energies, ny, nx = frames.data.shape
    energies = _table(tree, frames, "energies")
    if energies is None or energies.shape != (n_times, n_energies):
        raise InputError(
            where=f"{tree.path}:{frames.group.name}/energies",
            problem="there is not one photon energy for each image",
            got=f"energies of shape {None if energies is None else energies.shape}, {n_times} x {n_energies} images",
            wanted="as many energies as images",
            mend="Import the scan into xanespy again",
        )
    names = _time_steps(tree, frames, n_times)
    pixels_um = _pixels_um(tree, frames, n_times)
    quantity, of = _meaning(frames)
    others = [other for other in IMAGES if other != frames.images and tree.dataset(other, frames.group) is not None]
    for time in range(n_times):
        stack = dataset_stack(
            tree, frames.data, (time, "energy", "y", "x"), {"energy": n_energies, "y": ny, "x": nx}, of
        )
        said_um, notes = _one_pixel(pixels_um[time])
        pixel_um, lacks = pixel_or_chosen(said_um, choices)
        if others:
            notes += (f"{frames.images} of {frames.group.name} are read, not {others[0]}",)
        parts = [frames.name] * several + [names[time]] * (n_times > 1)
        stored = StoredStack(
            path=tree.path,
            format="xanespy",
            energy_ev=energies[time],
            y_um=pixel_um * np.arange(ny, dtype=np.float64),
            x_um=pixel_um * np.arange(nx, dtype=np.float64),
            dwell_ms=np.full(n_energies, np.nan),
            rows=stack.rows,
            files=tree.files,
            lacks=lacks,
            notes=notes,
            quantity=quantity,
            region=" ".join(parts),
        )
        yield recording_of(stored, choices)


def _table(tree: Tree, frames: _FrameSet, name: str) -> F64 | None:
    """Real numbers of a frame set (TIME, ENERGY), or None."""
    values = tree.numbers(name, frames.group)
    return None if values is None or values.dtype.kind == "c" else np.asarray(values, np.float64)


def _time_steps(tree: Tree, frames: _FrameSet, n_times: int) -> list[str]:
    dataset = tree.dataset("timestep_names", frames.group)
    usual = [f"step {time}" for time in range(n_times)]
    if dataset is None or dataset.shape != (n_times,):
        return usual
    # A sign that separates region and channel behind a file may not stand in the name of a region.
    names = [hdf5.text_of(tree.read(dataset, time)).replace(":", "-").replace("#", "-") for time in range(n_times)]
    return names if all(names) and len(set(names)) == n_times else usual


def _pixels_um(tree: Tree, frames: _FrameSet, n_times: int) -> F64:
    """Pixel sizes (TIME, ENERGY) in um; NaN where the file does not say."""
    sizes = _table(tree, frames, "pixel_sizes")
    if sizes is None or sizes.ndim == 0 or len(sizes) != n_times:
        return np.full((n_times, 1), np.nan)
    unit = hdf5.text_attribute(tree.get("pixel_sizes", frames.group), "unit", "um")
    return sizes.reshape(n_times, -1) * (axes.factor_of(unit, axes.UM_PER_UNIT, tree.path) or 1.0)


def _one_pixel(sizes_um: F64) -> tuple[float | None, tuple[str, ...]]:
    """The pixel of a stack, and what is to be said where its images differ."""
    known = sizes_um[np.isfinite(sizes_um) & (sizes_um > 0)]
    if not known.size:
        return None, ()
    pixel, least, most = (float(of(known)) for of in (np.median, np.min, np.max))
    if most - least <= PIXELS_DIFFER * pixel:
        return pixel, ()
    return pixel, (f"pixels are {least * 1e3:.4g} to {most * 1e3:.4g} nm wide: taken as {pixel * 1e3:.4g} nm",)


def _meaning(frames: _FrameSet) -> tuple[Quantity, Callable[[Array], F64]]:
    """What the images are, and how that is had from their numbers."""
    is_complex = frames.data.dtype.kind == "c"
    if frames.images == "optical_depths":
        return "optical_density", _twice_the_real_part if is_complex else as_they_are
    return ("transmission", _squared_modulus) if is_complex else ("counts", as_they_are)


def _twice_the_real_part(depths: Array) -> F64:
    """Optical density ln(|O0|^2 / |O|^2) of the logarithm ln(O0 / O) of a complex transmission."""
    return np.asarray(2.0 * depths.real, np.float64)


def _squared_modulus(transmission: Array) -> F64:
    """Transmission |O|^2, up to a factor, of a complex one."""
    return np.asarray(np.abs(transmission), np.float64) ** 2
