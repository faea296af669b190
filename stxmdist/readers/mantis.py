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
from stxmdist.readers import axes, hdf5
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.hdf5 import Dataset, Tree
from stxmdist.readers.hdf5_stack import Role, as_they_are, dataset_stack, is_numeric
from stxmdist.readers.image_stack import UNKNOWN_PIXEL_UM, Quantity, StoredStack, recording_of
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


def open(path: Path) -> tuple[StxmRecording, ...]:
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
        energy_ev = _axis(tree, "energy", axes.EV_PER_UNIT)
        if energy_ev is None:
            raise _unusable(path, "no numbers in exchange/energy")
        lengths = dict(zip(order, data.shape, strict=True))
        coordinates = {letter: _axis(tree, letter, axes.UM_PER_UNIT) for letter in ("y", "x")}
        known = {name: values for name, values in coordinates.items() if values is not None}
        sizes: dict[Role, int] = {
            "energy": energy_ev.size,
            "y": known["y"].size if "y" in known else lengths["y"],
            "x": known["x"].size if "x" in known else lengths["x"],
        }
        stack = dataset_stack(tree, data, order, sizes, as_they_are)
        y_um, x_um = (
            known.get(letter, UNKNOWN_PIXEL_UM * np.arange(lengths[letter], dtype=np.float64))
            for letter in USUAL_AXES[1::-1]
        )
        quantity, notes = _meaning(tree)
        stored = StoredStack(
            path=path,
            format="mantis",
            energy_ev=energy_ev,
            y_um=y_um,
            x_um=x_um,
            dwell_ms=np.full(energy_ev.size, np.nan),
            rows=stack.rows,
            files=tree.files,
            lacks=() if len(known) == 2 else (f"pixel size (taken as {UNKNOWN_PIXEL_UM:g} um)",),
            notes=notes,
            quantity=quantity,
        )
    return (recording_of(stored),)


def _order(path: Path, data: Dataset) -> tuple[Role, ...]:
    """What each axis of the data is: as the attribute says, which older files leave out or say of the image alone."""
    said = hdf5.text_attribute(data, "axes")
    if said in ("", "x:y"):
        return USUAL_AXES
    order = ORDERS.get(said.replace("z", "energy"))
    if order is None:
        raise _unusable(path, f"axes {said!r}")
    return order


def _axis(tree: Tree, name: str, factors: dict[str, float]) -> F64 | None:
    """Coordinates (PIXEL,) or energies (ENERGY,) in um or eV, which are what Mantis works in."""
    place = f"exchange/{name}"
    values = tree.numbers(place)
    if values is None or values.dtype.kind == "c" or not values.size:
        return None
    factor = axes.factor_of(hdf5.text_attribute(tree.get(place), "units"), factors, f"{tree.path}:{place}")
    return np.asarray(values, np.float64).reshape(-1) * (factor or 1.0)


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
