"""The scan that a dialect of NXstxm writes down, and the groups and datasets that several dialects share."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.writers.contract import FrameOf, checked_shape

AXES = ("energy", "sample_y", "sample_x")
MICROMETRE = "µm".encode()
TURN_S = 0.15
"""Time to turn round at the end of a scan line"""


@dataclass(frozen=True)
class Scan:
    """Everything that a dialect writes down."""

    frame_of: FrameOf
    energy_ev: F64
    y_um: F64
    x_um: F64
    dwell_ms: F64
    ring_current_ma: F64
    start: datetime | None
    measured: tuple[int, ...]
    dtype: np.dtype[np.generic]
    exact: bool
    """Whether counts that the type does not hold are refused; else they are rounded."""
    where: str

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.energy_ev.size, self.y_um.size, self.x_um.size)

    @property
    def end(self) -> datetime | None:
        if self.start is None:
            return None
        lines = self.x_um.size * np.nan_to_num(self.dwell_ms[list(self.measured)]) * 1e-3 + TURN_S
        return self.start + timedelta(seconds=float(self.y_um.size * lines.sum()))


def write_frames(scan: Scan, image: h5py.Dataset, flat: h5py.Dataset | None = None) -> None:
    """Each measured frame into (ENERGY, Y, X), and into the detector's (ENERGY * Y * X,) or (ENERGY, Y * X)."""
    pixels = scan.y_um.size * scan.x_um.size
    for index in scan.measured:
        where = f"{scan.where}, frame {index}"
        counts = checked_shape(np.asarray(scan.frame_of(index)), scan.shape[1:], where)
        if scan.exact and not np.array_equal(counts.astype(image.dtype), counts, equal_nan=counts.dtype.kind == "f"):
            raise InputError(
                where=where,
                problem="the counts do not fit the type in which they are kept",
                got=f"{counts.min()} to {counts.max()}",
                wanted=f"numbers that {image.dtype} holds",
                mend="Give another dtype",
            )
        image[index] = counts
        if flat is not None and flat.ndim == 1:
            flat[index * pixels : (index + 1) * pixels] = counts.ravel()
        elif flat is not None:
            flat[index] = counts.ravel()


def new_group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    """A group that says its NeXus class."""
    group = parent.create_group(name)
    if nx_class:
        group.attrs["NX_class"] = np.bytes_(nx_class)
    return group


def put(group: h5py.Group, name: str, value: ArrayLike, units: bytes | str = "", **attributes: object) -> h5py.Dataset:
    """A dataset of at least one dimension, strings as fixed bytes, as the beamlines' writers make them."""
    array = np.atleast_1d(np.asarray(value))
    dataset = group.create_dataset(name, data=np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array)
    if units:
        dataset.attrs["units"] = np.bytes_(units if isinstance(units, bytes) else units.encode())
    for key, content in attributes.items():
        dataset.attrs[key] = content
    return dataset


def new_counts(group: h5py.Group, name: str, scan: Scan, dtype: np.dtype[np.generic], fill: float) -> h5py.Dataset:
    """A compressed dataset for the scan, (ENERGY, Y, X), an image in a chunk."""
    return _compressed(group, name, scan.shape, (1, *scan.shape[1:]), dtype, fill)


def new_flat_counts(group: h5py.Group, scan: Scan, dtype: np.dtype[np.generic], fill: float) -> h5py.Dataset:
    """A compressed dataset for the detector's reading in the order of time, (ENERGY * Y * X,)."""
    energies, rows, columns = scan.shape
    return _compressed(group, "data", (energies * rows * columns,), (rows * columns,), dtype, fill)


def _compressed(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype[np.generic],
    fill: float,
) -> h5py.Dataset:
    return group.create_dataset(
        name,
        shape,
        dtype,
        chunks=chunks,
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fillvalue=fill if np.issubdtype(dtype, np.floating) else 0,
    )


def describe_root(file: h5py.File, scan: Scan) -> None:
    """The attributes of the file itself."""
    file.attrs["NX_class"] = np.bytes_("NXroot")
    file.attrs["NeXus_version"] = np.bytes_("4.4.3")
    file.attrs["HDF5_Version"] = np.bytes_(h5py.version.hdf5_version)
    file.attrs["file_name"] = np.bytes_(Path(scan.where).name)
    if scan.start is not None:
        file.attrs["file_time"] = np.bytes_(scan.start.isoformat(timespec="seconds"))
    file.attrs["default"] = np.bytes_("entry1")


def put_times(entry: h5py.Group, scan: Scan) -> None:
    """Start and end of the scan, where they are known."""
    for name, moment in (("start_time", scan.start), ("end_time", scan.end)):
        if moment is not None:
            put(entry, name, moment.isoformat(timespec="seconds"))


def new_entry(file: h5py.File, scan: Scan, source: str) -> tuple[h5py.Group, h5py.Group]:
    """entry1 with what the definition requires of it, and its instrument."""
    entry = new_group(file, "entry1", "NXentry")
    put(entry, "title", "Sample")
    put_times(entry, scan)
    put(entry, "definition", "NXstxm", version=np.bytes_("1.3"))
    instrument = new_group(entry, "instrument", "NXinstrument")
    described = new_group(instrument, "source", "NXsource")
    put(described, "name", source)
    put(described, "type", "Synchrotron X-ray Source")
    put(described, "probe", "x-ray")
    if np.isfinite(scan.ring_current_ma[0]):
        put(described, "current", float(scan.ring_current_ma[0]), "mA")
    put(new_group(instrument, "monochromator", "NXmonochromator"), "energy", scan.energy_ev, "eV")
    put(new_group(entry, "sample", "NXsample"), "rotation_angle", 0.0, "deg")
    return entry, instrument


def describe_axes(group: h5py.Group) -> None:
    """The attributes by which NXdata says which dataset is the signal, and along which axes it lies."""
    group.attrs["signal"] = np.bytes_("data")
    group.attrs["axes"] = np.array(AXES, dtype="S8")
    for index, axis in enumerate(AXES):
        group.attrs[f"{axis}_indices"] = np.array([index], dtype=np.uint32)


def new_channel(entry: h5py.Group, name: str, scan: Scan, fill: float) -> h5py.Group:
    """The NXdata group of a counter, all but the frames' values."""
    channel = new_group(entry, name, "NXdata")
    describe_axes(channel)
    new_counts(channel, "data", scan, scan.dtype, fill).attrs["units"] = np.bytes_(" ")
    put(channel, "count_time", scan.dwell_ms * 1e-3, "s")
    for axis, values, units in zip(
        AXES, (scan.energy_ev, scan.y_um, scan.x_um), (b"eV", MICROMETRE, MICROMETRE), strict=True
    ):
        put(channel, axis, values, units, target=np.bytes_(f"{channel.name}/{axis}"))
    put(channel, "stxm_scan_type", "sample image stack")
    return channel


def put_ring_current(entry: h5py.Group, channel: h5py.Group, scan: Scan) -> None:
    """The ring current as the NXmonitor ``control``, on links to the channel's axes."""
    control = new_group(entry, "control", "NXmonitor")
    describe_axes(control)
    current = new_counts(control, "data", scan, np.dtype(np.float64), np.nan)
    current.attrs["units"] = np.bytes_("mA")
    for index in scan.measured:
        current[index] = scan.ring_current_ma[index]
    for axis in AXES:
        control[axis] = channel[axis]
