"""Energy stacks of MISTRAL (ALBA), as the beamline's pipeline leaves them: HDF5 with transmission images.

    SpecNormalized/spectroscopy_normalized_aligned, or spectroscopy_normalized, or FastAligned/spec_aligned, (ENERGY, Y,
    X); beside it: energy (ENERGY,) in eV, x_pixel_size and y_pixel_size (1,) in um, ExpTimes (ENERGY,) in s

The images are divided by those without a sample, by exposure times and by ring currents. Layout learned from
bl09-imaging of ALBA, which writes it, and from the reader in Mantis. Rows are taken to grow with y.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_stack import as_they_are, dataset_stack, is_numeric
from stxmdist.readers.hdf5_types import Dataset
from stxmdist.readers.image_stack import StoredStack, pixel_or_chosen, recording_of
from stxmdist.readers.recording import Description, StxmRecording

# The best first: aligned images before those as measured.
PLACES = (
    ("SpecNormalized", "spectroscopy_normalized_aligned"),
    ("FastAligned", "spec_aligned"),
    ("SpecNormalized", "spectroscopy_normalized"),
)
MS_PER_S = 1e3


@dataclass(frozen=True)
class _Place:
    group: str
    name: str
    data: Dataset


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 with a normalised energy stack of the beamline."""
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        return bool(_places(tree))


def describe(path: Path) -> Description:
    """What the stack holds."""
    return described(path, "mistral", "image stack", {}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The one stack of a file, aligned if the file has it so.

    Raises
    ------
    InputError
        for a damaged file, and where there is not one energy for each image.
    """
    with hdf5.opened(path) as tree:
        place, *others = _places(tree)
        energy_ev = _energies(tree, place)
        n_images, ny, nx = place.data.shape
        stack = dataset_stack(
            tree, place.data, ("energy", "y", "x"), {"energy": energy_ev.size, "y": ny, "x": nx}, as_they_are
        )
        pixels = [pixel_or_chosen(_pixel_um(tree, place, letter), choices) for letter in "yx"]
        y_um, x_um = (pixel * np.arange(n, dtype=np.float64) for n, (pixel, _) in zip((ny, nx), pixels, strict=True))
        stored = StoredStack(
            path=path,
            format="mistral",
            energy_ev=energy_ev,
            y_um=y_um,
            x_um=x_um,
            dwell_ms=_exposures_ms(tree, place, n_images),
            rows=stack.rows,
            files=tree.files,
            lacks=tuple(dict.fromkeys(lack for _, lacks in pixels for lack in lacks)),
            notes=tuple(f"{place.name} is read, not {other.name}" for other in others[:1]),
            energy_unit=hdf5.text_attribute(tree.get(f"{place.group}/energy"), "units", "eV"),
            quantity="transmission",
        )
    return (recording_of(stored, choices),)


def _places(tree: Tree) -> tuple[_Place, ...]:
    found = []
    for group, name in PLACES:
        data = tree.dataset(f"{group}/{name}") if tree.holds(f"{group}/{name}") else None
        if data is not None and is_numeric(data, 3):
            found.append(_Place(group, name, data))
    return tuple(found)


def _energies(tree: Tree, place: _Place) -> F64:
    """Photon energies (ENERGY,) in the file's unit."""
    values = tree.numbers(f"{place.group}/energy")
    if values is None or values.dtype.kind == "c":
        raise InputError(
            where=f"{tree.path}:{place.group}/energy",
            problem="the file does not say its photon energies",
            got="no numbers at this place",
            wanted="one number in eV per image",
            mend="Write them again with the beamline's pipeline",
        )
    return np.asarray(values, np.float64).reshape(-1)


def _pixel_um(tree: Tree, place: _Place, letter: str) -> float | None:
    name = f"{place.group}/{letter}_pixel_size"
    size = tree.number(name)
    unit = hdf5.text_attribute(tree.get(name), "units", "um")
    return size * (axes.factor_of(unit, axes.UM_PER_UNIT, tree.path) or 1.0) if size is not None and size > 0 else None


def _exposures_ms(tree: Tree, place: _Place, n_images: int) -> F64:
    """Exposure time (ENERGY,) in ms, NaN where the file does not say."""
    values = tree.numbers(f"{place.group}/ExpTimes")
    if values is None or values.size != n_images or values.dtype.kind == "c":
        return np.full(n_images, np.nan)
    return np.asarray(values, np.float64).reshape(-1) * MS_PER_S
