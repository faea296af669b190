"""NXstxm as six beamlines write it, one function each.

``pollux`` (SLS) follows the NeXus definition; ``softimax`` (MAX IV) and ``cls`` (Canadian Light Source) nearly do;
``hermes`` (SOLEIL) leaves out the classes, ``diamond`` (I08) is older than the definition, and ``pystxmcontrol``
(ALS) has its own layout under the definition's name.

Source: NXstxm application definition 1.1, manual.nexusformat.org; files of the beamlines.
"""

import h5py
import numpy as np

from stxmdist.writers.nxstxm.nexus import (
    AXES,
    Scan,
    describe_root,
    new_channel,
    new_counts,
    new_entry,
    new_flat_counts,
    new_group,
    put,
    put_ring_current,
    put_times,
    write_frames,
)


def pollux(file: h5py.File, scan: Scan, beamline: str = "", source: str = "Swiss Light Source") -> None:
    """As the definition has it, with the ring current as NXmonitor and the detector's reading in the order of time."""
    describe_root(file, scan)
    entry, instrument = new_entry(file, scan, source)
    entry.attrs["default"] = np.bytes_("counter0")
    if beamline:
        put(new_group(entry, "collection", "NXcollection"), "beamline", beamline)
    channel = new_channel(entry, "counter0", scan, np.nan)
    put_ring_current(entry, channel, scan)
    detector = new_flat_counts(new_group(instrument, "counter0", "NXdetector"), scan, scan.dtype, np.nan)
    plate = new_group(instrument, "zone_plate", "NXfresnel_zone_plate")
    put(plate, "outer_diameter", np.int32(240), " ")
    put(plate, "outermost_zone_width", np.int32(35), " ")
    write_frames(scan, channel["data"], detector)


def softimax(file: h5py.File, scan: Scan) -> None:
    """As PolLux does, under another name of the beamline."""
    pollux(file, scan, beamline="SLS Sophie at Softimax MAXIV", source="MAX IV")


def cls(file: h5py.File, scan: Scan) -> None:
    """As pyStxm does: the dataset is marked as the signal, and frames are NaN until they are measured."""
    describe_root(file, scan)
    entry, instrument = new_entry(file, scan, "Canadian Light Source")
    entry.attrs["default"] = np.bytes_("counter0")
    channel = new_channel(entry, "counter0", scan, np.nan)
    channel["data"].attrs["signal"] = "1"
    put_ring_current(entry, channel, scan)
    detector = new_flat_counts(new_group(instrument, "counter0", "NXdetector"), scan, scan.dtype, np.nan)
    write_frames(scan, channel["data"], detector)


def diamond(file: h5py.File, scan: Scan) -> None:
    """From before the definition: the energy is ``photon_energy``, and the datasets number their axes from 1."""
    file.attrs["NX_class"] = np.bytes_("NXroot")
    entry = new_group(file, "entry1", "NXentry")
    put(entry, "definition", "NXstxm")
    put_times(entry, scan)
    channel = new_group(entry, "Counter1", "NXdata")
    put(channel, "photon_energy", scan.energy_ev, "eV", axis=np.int32(1))
    put(channel, "sample_y", scan.y_um, "um", axis=np.int32(2))
    put(channel, "sample_x", scan.x_um, "um", axis=np.int32(3))
    put(channel, "count_time", scan.dwell_ms * 1e-3, "s")
    put(channel, "scan_type", "sample image stack")
    write_frames(scan, new_counts(channel, "data", scan, scan.dtype, np.nan))


def hermes(file: h5py.File, scan: Scan) -> None:
    """Without NeXus classes and without a description of the axes; only the beamline's name says whose file it is."""
    entry = file.create_group("entry1")
    put(entry, "definition", "NXstxm")
    put_times(entry, scan)
    put(entry.create_group("collection"), "beamline", "Hermes")
    channel = entry.create_group("Counter0")
    put(channel, "energy", scan.energy_ev)
    put(channel, "sample_y", scan.y_um)
    put(channel, "sample_x", scan.x_um)
    put(channel, "count_time", scan.dwell_ms * 1e-3)
    put(channel, "stxm_scan_type", "sample image stack")
    write_frames(scan, new_counts(channel, "data", scan, scan.dtype, np.nan))


def pystxmcontrol(file: h5py.File, scan: Scan) -> None:
    """Version 3: dwell times are in ms, units are left out, nothing is compressed, and frames are 0 until measured."""
    energies, rows, columns = scan.shape
    entry = new_group(file, "entry0", "NXentry")
    if scan.start is not None:
        entry["start_time"] = str(scan.start).encode()
        entry["end_time"] = str(scan.end).encode()
    entry["title"] = b"ALS"
    entry["version"] = 3.0
    entry["definition"] = [b"NXstxm"]
    entry["experimenters"] = b""
    instrument = new_group(entry, "instrument", "NXinstrument")
    source = new_group(instrument, "source", "NXsource")
    source["type"], source["name"], source["probe"] = "Synchrotron X-ray Source", "ALS", "x-ray"
    new_group(instrument, "monochromator", "NXmonochromator")["energy"] = scan.energy_ev
    counter = new_group(instrument, "default", "NXdetector")
    counter.attrs["type"] = np.bytes_("photon")
    raw = counter.create_dataset("data", (energies, rows * columns), scan.dtype)
    raw.attrs["energies"] = scan.energy_ev
    grid = np.meshgrid(scan.y_um, scan.x_um, indexing="ij")
    for name, values in (("sample_x", grid[1]), ("sample_y", grid[0]), ("sample_z", np.zeros((rows, columns)))):
        motor = new_group(instrument, name, "NXdetector")
        motor["data"] = np.broadcast_to(values.ravel(), (energies, rows * columns))
    new_group(instrument, "motors", "NXdetector")
    sample = new_group(entry, "sample", "NXsample")
    sample["rotation_angle"], sample["description"], sample["comment"] = "", "", ""
    channel = new_group(entry, "default", "NXdata")
    channel.attrs["axes"] = [np.bytes_(axis) for axis in AXES]
    channel.attrs["signal"] = "data"
    channel["stxm_scan_type"] = ["Image"]
    image = channel.create_dataset("data", scan.shape, scan.dtype)
    for number, (axis, values) in enumerate(zip(AXES, (scan.energy_ev, scan.y_um, scan.x_um), strict=True), start=1):
        channel[axis] = values
        channel[axis].attrs["axis"] = number
    channel["count_time"] = scan.dwell_ms
    channel["motor_name_x"], channel["motor_name_y"] = "SampleX", "SampleY"
    write_frames(scan, image, raw)
