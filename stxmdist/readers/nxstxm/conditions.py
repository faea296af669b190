"""What an NXstxm file says beside its images: photon energies, dwell times, the ring current."""

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.conversions import Converted, energies_ev
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.nxstxm.channel import Channel
from stxmdist.readers.nxstxm.entry import Entry
from stxmdist.readers.nxstxm.layout import Layout

# The ring current hardly changes within a frame: about this many rows of it are read for the mean.
RING_ROWS = 32


def energies_of(tree: Tree, channel: Channel, choices: ReadChoices) -> Converted:
    """Photon energies (ENERGY,) in eV in the file's order.

    Raises
    ------
    InputError
        where there are none, or fewer than images.
    """
    where = f"{tree.path}:{channel.path}/energy"
    values = channel.axes.get("energy", np.empty(0))
    if not values.size:
        raise InputError(
            where=where,
            problem="the file does not say its photon energy",
            got="no energy and no photon_energy beside the data",
            wanted="one number in eV per image",
            mend="Add the dataset energy to the group",
        )
    n_images = channel.data.shape[channel.roles.index("energy")] if "energy" in channel.roles else 1
    if n_images > values.size:
        raise InputError(
            where=where,
            problem="there are more images than photon energies",
            got=f"{n_images} images, {values.size} energies",
            wanted="one energy per image",
            mend="Correct the energies in the file",
        )
    return energies_ev(values, channel.units.get("energy", ""), "energy", choices, where)


def dwell_of(tree: Tree, entry: Entry, channel: Channel, n_energies: int) -> tuple[F64, tuple[str, ...]]:
    """Dwell time (ENERGY,) in ms in the file's order, and what is lacking."""
    unknown = np.full(n_energies, np.nan)
    # Binned values of pystxmcontrol have theirs beside them.
    for place in (f"{channel.path}/count_time", f"{entry.group.name}/counter0/count_time"):
        values = tree.numbers(place)
        if values is not None and values.size:
            break
    else:
        return unknown, ("dwell time",)
    values = np.asarray(values, np.float64).reshape(-1)
    unit = hdf5.text_attribute(tree.get(place), "units")
    factor = axes.factor_if_known(unit, axes.MS_PER_UNIT)
    lacks: tuple[str, ...] = ()
    if factor is None:
        # pystxmcontrol writes its dwell times in ms, NeXus wants seconds.
        factor = 1.0 if entry.pystxmcontrol else 1e3
        lacks = (f"unit of count_time (taken as {'ms' if entry.pystxmcontrol else 's'})",)
    elif np.isnan(factor):
        return unknown, (f"dwell time (its unit {unit!r} is not known)",)
    if values.size == 1:
        values = np.repeat(values, n_energies)
    if values.size % n_energies:
        return unknown, ("dwell time",)
    dwell_ms = values.reshape(n_energies, -1).mean(axis=1) * factor
    return np.where(dwell_ms > 0, dwell_ms, np.nan), lacks


def ring_current_of(tree: Tree, entry: Entry, channel: Channel, layout: Layout) -> tuple[F64, tuple[str, ...]]:
    """Ring current (ENERGY,) in mA, energies ascending: mean over a frame, NaN where the file does not say; lacks."""
    unknown = np.full(len(layout.order), np.nan)
    dataset = tree.dataset("control/data", entry.group)
    if dataset is None or dataset.dtype.kind not in "iuf":
        return unknown, ("ring current",)
    unit = hdf5.text_attribute(dataset, "units")
    factor = axes.factor_if_known(unit, axes.MA_PER_UNIT) or 1.0
    if np.isnan(factor):
        return unknown, (f"ring current (its unit {unit!r} is not known)",)
    values = unknown.copy()
    if dataset.shape == (len(layout.order),):
        values = np.asarray(tree.read(dataset), np.float64)[list(layout.order)]
    elif dataset.shape == channel.data.shape:
        lengths = [length for number, length in enumerate(dataset.shape) if number != layout.energy_axis]
        for index, frame in enumerate(layout.order):
            if frame >= layout.n_planes:
                continue
            selection: list[int | slice] = [slice(None, None, max(1, length // RING_ROWS)) for length in lengths[:1]]
            selection += [slice(None)] * (len(lengths) - 1)
            if layout.energy_axis is not None:
                selection.insert(layout.energy_axis, frame)
            measured = np.asarray(tree.read(dataset, tuple(selection)), np.float64)
            known = np.isfinite(measured) & (measured > 0)
            values[index] = measured[known].mean() if known.any() else np.nan
    current_ma = np.where(values > 0, values * factor, np.nan)
    return current_ma, ("ring current",) if np.isnan(current_ma).all() else ()
