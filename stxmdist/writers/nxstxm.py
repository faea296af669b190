"""Image stacks as NXstxm HDF5 files, in the dialects that beamlines write.

``pollux`` (SLS) follows the NeXus definition; ``softimax`` (MAX IV) and ``cls`` (Canadian Light Source) nearly so;
``hermes`` (SOLEIL) leaves out the classes, ``diamond`` (I08) is older than the definition, and ``pystxmcontrol``
(ALS) has its own layout under the definition's name.

Source: NXstxm application definition 1.1, manual.nexusformat.org; files of the beamlines.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64, Array
from stxmdist.errors import InputError
from stxmdist.writers.atomic import replacing

Frame = Callable[[int], Array]

ENDING = ".hdf5"
_AXES = ("energy", "sample_y", "sample_x")
_MICROMETRE = "µm".encode()
_TURN_S = 0.15
"""Turning round at the end of a scan line."""


@dataclass(frozen=True)
class _Scan:
    """All that a dialect writes down."""

    frame_of: Frame
    energy_ev: F64
    y_um: F64
    x_um: F64
    dwell_ms: F64
    ring_current_ma: F64
    start: datetime | None
    measured: tuple[int, ...]
    dtype: np.dtype[Any]
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
        lines = self.x_um.size * np.nan_to_num(self.dwell_ms[list(self.measured)]) * 1e-3 + _TURN_S
        return self.start + timedelta(seconds=float(self.y_um.size * lines.sum()))


@dataclass(frozen=True)
class _Dialect:
    """How a beamline writes, and the type of its counts."""

    write: Callable[[h5py.File, _Scan], None]
    counts: Any
    fill: float
    """What frames that were never measured hold; integers cannot hold NaN and become float64 then."""


def write_stack(
    path: str | Path,
    frame_of: Frame,
    energy_ev: ArrayLike,
    y_um: ArrayLike,
    x_um: ArrayLike,
    dwell_ms: ArrayLike,
    ring_current_ma: ArrayLike,
    *,
    start_time: datetime | None = None,
    dialect: str = "pollux",
    frames: Iterable[int] | None = None,
    dtype: Any = None,
) -> tuple[Path, ...]:
    """Write an image stack, one frame in memory at a time; the file appears whole or not at all.

    Parameters
    ----------
    frame_of
        energy index to counts (Y, X)
    energy_ev
        (ENERGY,)
    y_um, x_um
        (Y,), (X,) pixel centres, ascending or descending
    dwell_ms, ring_current_ma
        (ENERGY,) or one number, NaN where it is not known
    start_time
        None leaves all times out
    dialect
        one of ``DIALECTS``
    frames
        energy indices that were measured before the scan was aborted; the others are NaN, or 0 in pystxmcontrol's
        files, as those programs leave them. None: all
    dtype
        of the counts; None: the dialect's own, or that of the frames where it would lose of them

    Returns
    -------
    the one file

    Raises
    ------
    InputError
        for a dialect that is not known, frames that do not fit the axes or the type, integers asked to hold missing
        frames.
    """
    path = Path(path)
    if dialect not in DIALECTS:
        raise InputError(
            where=path,
            problem="there is no such dialect of NXstxm",
            got=repr(dialect),
            wanted="one of " + ", ".join(DIALECTS),
            mend="Choose one of those",
        )
    manner = DIALECTS[dialect]
    energy, y, x = (np.asarray(axis, dtype=np.float64) for axis in (energy_ev, y_um, x_um))
    measured = tuple(range(energy.size)) if frames is None else tuple(sorted(set(frames)))
    first = np.asarray(frame_of(measured[0])) if measured else np.zeros((y.size, x.size), manner.counts)
    scan = _Scan(
        frame_of=lambda index: first if index == measured[0] else frame_of(index),
        energy_ev=energy,
        y_um=y,
        x_um=x,
        dwell_ms=np.broadcast_to(np.asarray(dwell_ms, dtype=np.float64), energy.shape),
        ring_current_ma=np.broadcast_to(np.asarray(ring_current_ma, dtype=np.float64), energy.shape),
        start=start_time,
        measured=measured,
        dtype=_counts_type(manner, dtype, first.dtype, len(measured) < energy.size, path),
        exact=dtype is None,
        where=str(path),
    )
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        manner.write(file, scan)
    return (path,)


def _counts_type(manner: _Dialect, asked: Any, of_frames: np.dtype[Any], incomplete: bool, path: Path) -> np.dtype[Any]:
    wanted: np.dtype[Any] = np.dtype(manner.counts if asked is None else asked)
    if asked is None and of_frames.kind == "f" and not np.can_cast(of_frames, wanted):
        return of_frames
    if not incomplete or not np.isnan(manner.fill) or np.issubdtype(wanted, np.floating):
        return wanted
    if asked is None:
        return np.dtype(np.float64)
    raise InputError(
        where=path,
        problem="frames that were never measured are NaN, and integers have none",
        got=str(wanted),
        wanted="a floating type",
        mend="Leave dtype out or give float64",
    )


def _write_frames(scan: _Scan, image: h5py.Dataset, flat: h5py.Dataset | None = None) -> None:
    """Each measured frame into (ENERGY, Y, X), and into the detector's (ENERGY * Y * X,) or (ENERGY, Y * X)."""
    pixels = scan.y_um.size * scan.x_um.size
    for index in scan.measured:
        counts = np.asarray(scan.frame_of(index))
        if counts.shape != scan.shape[1:]:
            raise InputError(
                where=f"{scan.where}, frame {index}",
                problem="the frame does not fit the axes",
                got=f"shape {counts.shape}",
                wanted=f"{scan.shape[1:]}",
                mend="Give frames of the shape that y_um and x_um say",
            )
        if scan.exact and not np.array_equal(counts.astype(image.dtype), counts, equal_nan=counts.dtype.kind == "f"):
            raise InputError(
                where=f"{scan.where}, frame {index}",
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


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    if nx_class:
        group.attrs["NX_class"] = np.bytes_(nx_class)
    return group


def _put(group: h5py.Group, name: str, value: ArrayLike, units: bytes | str = "", **attributes: Any) -> h5py.Dataset:
    """A dataset of at least one dimension, strings as fixed bytes, as the beamlines' writers make them."""
    array = np.atleast_1d(np.asarray(value))
    dataset = group.create_dataset(name, data=np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array)
    if units:
        dataset.attrs["units"] = np.bytes_(units if isinstance(units, bytes) else units.encode())
    for key, content in attributes.items():
        dataset.attrs[key] = content
    return dataset


def _counts(group: h5py.Group, name: str, scan: _Scan, dtype: np.dtype[Any], fill: float) -> h5py.Dataset:
    return group.create_dataset(
        name,
        scan.shape,
        dtype,
        chunks=(1, *scan.shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fillvalue=fill if np.issubdtype(dtype, np.floating) else 0,
    )


def _flat(group: h5py.Group, scan: _Scan, dtype: np.dtype[Any], fill: float) -> h5py.Dataset:
    """The detector's reading in the order of time, (ENERGY * Y * X,)."""
    energies, rows, columns = scan.shape
    return group.create_dataset(
        "data",
        (energies * rows * columns,),
        dtype,
        chunks=(rows * columns,),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fillvalue=fill if np.issubdtype(dtype, np.floating) else 0,
    )


def _root(file: h5py.File, scan: _Scan) -> None:
    file.attrs["NX_class"] = np.bytes_("NXroot")
    file.attrs["NeXus_version"] = np.bytes_("4.4.3")
    file.attrs["HDF5_Version"] = np.bytes_(h5py.version.hdf5_version)
    file.attrs["file_name"] = np.bytes_(Path(scan.where).name)
    if scan.start is not None:
        file.attrs["file_time"] = np.bytes_(scan.start.isoformat(timespec="seconds"))
    file.attrs["default"] = np.bytes_("entry1")


def _times(entry: h5py.Group, scan: _Scan) -> None:
    for name, moment in (("start_time", scan.start), ("end_time", scan.end)):
        if moment is not None:
            _put(entry, name, moment.isoformat(timespec="seconds"))


def _entry(file: h5py.File, scan: _Scan, source: str) -> tuple[h5py.Group, h5py.Group]:
    """entry1 with what the definition requires of it, and its instrument."""
    entry = _group(file, "entry1", "NXentry")
    _put(entry, "title", "Sample")
    _times(entry, scan)
    _put(entry, "definition", "NXstxm", version=np.bytes_("1.3"))
    instrument = _group(entry, "instrument", "NXinstrument")
    described = _group(instrument, "source", "NXsource")
    _put(described, "name", source)
    _put(described, "type", "Synchrotron X-ray Source")
    _put(described, "probe", "x-ray")
    if np.isfinite(scan.ring_current_ma[0]):
        _put(described, "current", float(scan.ring_current_ma[0]), "mA")
    _put(_group(instrument, "monochromator", "NXmonochromator"), "energy", scan.energy_ev, "eV")
    _put(_group(entry, "sample", "NXsample"), "rotation_angle", 0.0, "deg")
    return entry, instrument


def _describe_axes(group: h5py.Group) -> None:
    group.attrs["signal"] = np.bytes_("data")
    group.attrs["axes"] = np.array(_AXES, dtype="S8")
    for index, axis in enumerate(_AXES):
        group.attrs[f"{axis}_indices"] = np.array([index], dtype=np.uint32)


def _channel(entry: h5py.Group, name: str, scan: _Scan, fill: float) -> h5py.Group:
    """The NXdata group of a counter, all but the frames' values."""
    channel = _group(entry, name, "NXdata")
    _describe_axes(channel)
    _counts(channel, "data", scan, scan.dtype, fill).attrs["units"] = np.bytes_(" ")
    _put(channel, "count_time", scan.dwell_ms * 1e-3, "s")
    for axis, values, units in zip(
        _AXES, (scan.energy_ev, scan.y_um, scan.x_um), (b"eV", _MICROMETRE, _MICROMETRE), strict=True
    ):
        _put(channel, axis, values, units, target=np.bytes_(f"{channel.name}/{axis}"))
    _put(channel, "stxm_scan_type", "sample image stack")
    return channel


def _monitor(entry: h5py.Group, channel: h5py.Group, scan: _Scan) -> None:
    """The ring current as the NXmonitor ``control``, on links to the channel's axes."""
    control = _group(entry, "control", "NXmonitor")
    _describe_axes(control)
    current = _counts(control, "data", scan, np.dtype(np.float64), np.nan)
    current.attrs["units"] = np.bytes_("mA")
    for index in scan.measured:
        current[index] = scan.ring_current_ma[index]
    for axis in _AXES:
        control[axis] = channel[axis]


def _write_pollux(file: h5py.File, scan: _Scan, beamline: str = "", source: str = "Swiss Light Source") -> None:
    _root(file, scan)
    entry, instrument = _entry(file, scan, source)
    entry.attrs["default"] = np.bytes_("counter0")
    if beamline:
        _put(_group(entry, "collection", "NXcollection"), "beamline", beamline)
    channel = _channel(entry, "counter0", scan, np.nan)
    _monitor(entry, channel, scan)
    detector = _flat(_group(instrument, "counter0", "NXdetector"), scan, scan.dtype, np.nan)
    plate = _group(instrument, "zone_plate", "NXfresnel_zone_plate")
    _put(plate, "outer_diameter", np.int32(240), " ")
    _put(plate, "outermost_zone_width", np.int32(35), " ")
    _write_frames(scan, channel["data"], detector)


def _write_softimax(file: h5py.File, scan: _Scan) -> None:
    _write_pollux(file, scan, beamline="SLS Sophie at Softimax MAXIV", source="MAX IV")


def _write_cls(file: h5py.File, scan: _Scan) -> None:
    """pyStxm's: the signal marked on the dataset, frames of NaN until they are measured."""
    _root(file, scan)
    entry, instrument = _entry(file, scan, "Canadian Light Source")
    entry.attrs["default"] = np.bytes_("counter0")
    channel = _channel(entry, "counter0", scan, np.nan)
    channel["data"].attrs["signal"] = "1"
    _monitor(entry, channel, scan)
    detector = _flat(_group(instrument, "counter0", "NXdetector"), scan, scan.dtype, np.nan)
    _write_frames(scan, channel["data"], detector)


def _write_diamond(file: h5py.File, scan: _Scan) -> None:
    """Older than the definition: ``photon_energy``, and axes numbered from 1 on the datasets."""
    file.attrs["NX_class"] = np.bytes_("NXroot")
    entry = _group(file, "entry1", "NXentry")
    _put(entry, "definition", "NXstxm")
    _times(entry, scan)
    channel = _group(entry, "Counter1", "NXdata")
    _put(channel, "photon_energy", scan.energy_ev, "eV", axis=np.int32(1))
    _put(channel, "sample_y", scan.y_um, "um", axis=np.int32(2))
    _put(channel, "sample_x", scan.x_um, "um", axis=np.int32(3))
    _put(channel, "count_time", scan.dwell_ms * 1e-3, "s")
    _put(channel, "scan_type", "sample image stack")
    _write_frames(scan, _counts(channel, "data", scan, scan.dtype, np.nan))


def _write_hermes(file: h5py.File, scan: _Scan) -> None:
    """No NeXus classes, no description of the axes; only the beamline's name tells whose it is."""
    entry = file.create_group("entry1")
    _put(entry, "definition", "NXstxm")
    _times(entry, scan)
    _put(entry.create_group("collection"), "beamline", "Hermes")
    channel = entry.create_group("Counter0")
    _put(channel, "energy", scan.energy_ev)
    _put(channel, "sample_y", scan.y_um)
    _put(channel, "sample_x", scan.x_um)
    _put(channel, "count_time", scan.dwell_ms * 1e-3)
    _put(channel, "stxm_scan_type", "sample image stack")
    _write_frames(scan, _counts(channel, "data", scan, scan.dtype, np.nan))


def _write_pystxmcontrol(file: h5py.File, scan: _Scan) -> None:
    """Version 3: groups named after the counter, dwell in ms, no units, nothing compressed, zeros until measured."""
    energies, rows, columns = scan.shape
    entry = _group(file, "entry0", "NXentry")
    if scan.start is not None:
        entry["start_time"] = str(scan.start).encode()
        entry["end_time"] = str(scan.end).encode()
    entry["title"] = b"ALS"
    entry["version"] = 3.0
    entry["definition"] = [b"NXstxm"]
    entry["experimenters"] = b""
    instrument = _group(entry, "instrument", "NXinstrument")
    source = _group(instrument, "source", "NXsource")
    source["type"], source["name"], source["probe"] = "Synchrotron X-ray Source", "ALS", "x-ray"
    _group(instrument, "monochromator", "NXmonochromator")["energy"] = scan.energy_ev
    counter = _group(instrument, "default", "NXdetector")
    counter.attrs["type"] = np.bytes_("photon")
    raw = counter.create_dataset("data", (energies, rows * columns), scan.dtype)
    raw.attrs["energies"] = scan.energy_ev
    grid = np.meshgrid(scan.y_um, scan.x_um, indexing="ij")
    for name, values in (("sample_x", grid[1]), ("sample_y", grid[0]), ("sample_z", np.zeros((rows, columns)))):
        motor = _group(instrument, name, "NXdetector")
        motor["data"] = np.broadcast_to(values.ravel(), (energies, rows * columns))
    _group(instrument, "motors", "NXdetector")
    sample = _group(entry, "sample", "NXsample")
    sample["rotation_angle"], sample["description"], sample["comment"] = "", "", ""
    channel = _group(entry, "default", "NXdata")
    channel.attrs["axes"] = [np.bytes_(axis) for axis in _AXES]
    channel.attrs["signal"] = "data"
    channel["stxm_scan_type"] = ["Image"]
    image = channel.create_dataset("data", scan.shape, scan.dtype)
    for number, (axis, values) in enumerate(zip(_AXES, (scan.energy_ev, scan.y_um, scan.x_um), strict=True), start=1):
        channel[axis] = values
        channel[axis].attrs["axis"] = number
    channel["count_time"] = scan.dwell_ms
    channel["motor_name_x"], channel["motor_name_y"] = "SampleX", "SampleY"
    _write_frames(scan, image, raw)


DIALECTS = {
    "pollux": _Dialect(_write_pollux, np.uint32, np.nan),
    "softimax": _Dialect(_write_softimax, np.float64, np.nan),
    "cls": _Dialect(_write_cls, np.float32, np.nan),
    "diamond": _Dialect(_write_diamond, np.float64, np.nan),
    "hermes": _Dialect(_write_hermes, np.float64, np.nan),
    "pystxmcontrol": _Dialect(_write_pystxmcontrol, np.float64, 0.0),
}
"""Names of the dialects; what is behind them is this module's."""
