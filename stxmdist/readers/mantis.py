"""Stacks that Mantis saved: HDF5 in the Data Exchange layout, with the extension for spectromicroscopy.

    implements = "information:exchange:spectromicroscopy"
    exchange/data with the attribute axes "x:y:energy"; exchange/x, y in um, energy in eV
    spectromicroscopy/normalization/white_spectrum (ENERGY,): the incident beam, once it was chosen

``data`` are the numbers that Mantis once loaded, most often counts. Where its user said that they are optical density
already, the white spectrum is one everywhere. Layout learned from file_dataexch_hdf5.py of mantis_xray 3.3, and proved
on files written by it.
"""

from itertools import permutations
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.conversions import Converted, positions_um
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_stack import Role, as_they_are, dataset_stack, is_numeric
from stxmdist.readers.hdf5_types import Dataset
from stxmdist.readers.image_stack import Quantity, StoredStack, pixel_or_chosen, recording_of
from stxmdist.readers.recording import Description, StxmRecording

USUAL_AXES: tuple[Role, ...] = ("x", "y", "energy")
ORDERS = {":".join(order): order for order in permutations(USUAL_AXES)}
WHITE = "spectromicroscopy/normalization/white_spectrum"


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 that implements an exchange of spectromicroscopy, with images and their energies."""
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        implements = tree.text("implements") if tree.holds("implements") else ""
        return "spectromicroscopy" in implements and all(tree.holds(f"exchange/{name}") for name in ("data", "energy"))


def describe(path: Path) -> Description:
    """What the stack holds."""
    with hdf5.opened(path) as tree:
        kind = "tomography stack" if tree.holds("exchange/theta") else "image stack"
    return described(path, "mantis", kind, {}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The one stack of a file.

    Raises
    ------
    InputError
        for a damaged file, or axes that do not fit the images.
    UnsupportedError
        for stacks over angles as well.
    """
    with hdf5.opened(path) as tree:
        data = tree.dataset("exchange/data")
        if tree.holds("exchange/theta"):
            raise UnsupportedError(
                where=path,
                problem="a stack over energies and angles is not processed",
                got="exchange/theta beside the energies",
                wanted="images over photon energies alone",
                mend="Save one angle of it, or leave it out of the sample sheet (exclude)",
            )
        if data is None or not is_numeric(data, 3):
            raise _unusable(path, f"exchange/data of shape {None if data is None else data.shape}")
        order = _order(path, data)
        energy_ev = _axis(tree, "energy")
        if energy_ev is None:
            raise _unusable(path, "no numbers in exchange/energy")
        lengths = dict(zip(order, data.shape, strict=True))
        y, x = (_coordinates(tree, letter, lengths[letter], choices) for letter in ("y", "x"))
        sizes: dict[Role, int] = {"energy": energy_ev.size, "y": y.values.size, "x": x.values.size}
        stack = dataset_stack(tree, data, order, sizes, as_they_are)
        quantity, notes = _meaning(tree)
        stored = StoredStack(
            path=path,
            format="mantis",
            energy_ev=energy_ev,
            y_um=y.values,
            x_um=x.values,
            dwell_ms=np.full(energy_ev.size, np.nan),
            rows=stack.rows,
            files=tree.files,
            lacks=tuple(dict.fromkeys((*y.lacks, *x.lacks))),
            notes=(*notes, *y.notes, *x.notes),
            energy_unit=_unit(tree, "energy") or "eV",
            quantity=quantity,
        )
    return (recording_of(stored, choices),)


def _order(path: Path, data: Dataset) -> tuple[Role, ...]:
    """What each axis of the data is: as the attribute says, which older files leave out or say of the image alone."""
    said = hdf5.text_attribute(data, "axes")
    if said in ("", "x:y"):
        return USUAL_AXES
    order = ORDERS.get(said.replace("z", "energy"))
    if order is None:
        raise _unusable(path, f"axes {said!r}")
    return order


def _coordinates(tree: Tree, letter: str, length: int, choices: ReadChoices) -> Converted:
    """Coordinates (PIXEL,) in um."""
    values = _axis(tree, letter)
    if values is not None:
        return positions_um(values, _unit(tree, letter), letter, choices, f"{tree.path}:exchange/{letter}")
    pixel_um, lacks = pixel_or_chosen(None, choices)
    return Converted(pixel_um * np.arange(length, dtype=np.float64), lacks=lacks)


def _axis(tree: Tree, name: str) -> F64 | None:
    """Coordinates (PIXEL,) or energies (ENERGY,) in the file's unit, None where it holds none."""
    values = tree.numbers(f"exchange/{name}")
    return None if values is None or values.dtype.kind == "c" else np.asarray(values, np.float64).reshape(-1)


def _unit(tree: Tree, name: str) -> str:
    return hdf5.text_attribute(tree.get(f"exchange/{name}"), "units")


def _meaning(tree: Tree) -> tuple[Quantity, tuple[str, ...]]:
    """What the numbers are, and what is to be said of the incident beam in the file."""
    white = tree.numbers(WHITE) if tree.holds(WHITE) else None
    if white is None or not white.size:
        return "counts", ()
    if (white == 1).all():
        return "optical_density", ()
    return "counts", (f"the file holds an incident beam of {white.size} energies, which is not used",)


def _unusable(path: Path, got: str) -> InputError:
    return InputError(
        where=path,
        problem="the stack cannot be understood",
        got=got,
        wanted="exchange/data over x, y and energy, with exchange/x, y and energy",
        mend="Save it again with Mantis",
    )
