"""NeXus: the aligned stack as NXstxm, and maps of state of charge, thickness and particles as NXdata beside it.

A program that opens the file shows the map of the state of charge, to which the chain of ``default`` leads.

The stack is transmission, that is counts over an incident beam of one: programs that take an NXstxm file for counts,
stxmdist among them, find the right optical density. Source: NeXus application definition NXstxm, and NXdata.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from storage.atomic import plain_json
from stxmdist import __version__
from stxmdist.arrays import F32, F64, Array, MaskClass
from stxmdist.export.moments import Moment, span_of
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.source import ExportSource, Stack
from stxmdist.records import read_from_json

PlaneOf = Callable[[int], F32]
"""Energy index to an image (Y, X)."""

ENTRY = "entry1"
MAPS = "maps"
COMPONENTS = ("discharged", "charged")
TIMES = ("start_time", "end_time")
CONDITION_UNITS = {"cycle": "", "c_rate": "1/h", "soc_nominal": "", "soc_coulometric": ""}


@dataclass(frozen=True)
class ExposureAbout:
    """What ingest says of the exposure of diffraction frames."""

    dwell_ms: float = float("nan")
    """Of one frame"""


def offer(source: ExportSource, scan_id: str) -> Offer:
    """One file for a scan."""
    wanted = {"fit": "maps of state of charge and thickness", "segment": "particles"}
    missing = {stage: why for stage in wanted if (why := source.published.why_unusable(stage, scan_id))}
    stages = ("align", *(stage for stage in wanted if stage not in missing))
    lacks = tuple(Lack(scan_id, wanted[stage], why) for stage, why in missing.items())
    notes: tuple[str, ...] = ()
    times = _times(source, scan_id)
    if times is None:
        said = "the recording does not say when it was made"
        notes = (f"{scan_id}: {' and '.join(TIMES)} are left out, although NXstxm asks for them: {said}",)
    elif times[0].remark and source.time_zone is None:
        notes = (
            "recordings that name no time zone are taken for UTC, which the files say; name theirs with --timezone",
        )
    return Offer((Piece(scan_id, f"{scan_id}.nxs", partial(_write, source, scan_id, stages)),), lacks, notes)


def _write(source: ExportSource, scan_id: str, stages: tuple[str, ...], target: Path) -> None:
    stack = source.stack(scan_id)
    with h5py.File(target, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": ENTRY, "creator": "stxmdist", "file_time": source.time})
        entry = _group(file, ENTRY, "NXentry")
        entry.attrs["default"] = MAPS if len(stages) > 1 else "transmission"
        _put(entry, "definition", "NXstxm")
        _put(entry, "title", f"{source.campaign.name}, {scan_id}")
        _put(entry, "program_name", "stxmdist").attrs["version"] = __version__
        _write_times(entry, _times(source, scan_id))
        _write_instrument(entry, source, scan_id, stack)
        _write_sample(entry, source, scan_id)
        _write_stacks(entry, source, scan_id, stack)
        if len(stages) > 1:
            # Maps are no channels of the detector, which the definition takes every NXdata of its entry for.
            maps = _group(entry, MAPS, "NXsubentry")
            maps.attrs["default"] = "state_of_charge" if "fit" in stages else "particles"
            if "fit" in stages:
                _write_maps(maps, source, scan_id)
            if "segment" in stages:
                _write_particles(maps, source, scan_id)
        _write_provenance(entry, source, scan_id, stages)


def _write_times(entry: h5py.Group, times: tuple[Moment, Moment] | None) -> None:
    if times is None:
        return
    for name, moment in zip(TIMES, times, strict=True):
        _put(entry, name, moment.text)
    remarks = [f"{name}: {moment.remark}" for name, moment in zip(TIMES, times, strict=True) if moment.remark]
    # Validators refuse attributes that the definition does not know, but not a note.
    note = _group(entry, "notes", "NXnote")
    _put(note, "type", "text/plain")
    _put(note, "description", ". ".join(remarks))


def _write_instrument(entry: h5py.Group, source: ExportSource, scan_id: str, stack: Stack) -> None:
    instrument = _group(entry, "instrument", "NXinstrument")
    beam = _group(instrument, "source", "NXsource")
    _put(beam, "type", "Synchrotron X-ray Source")
    # Recordings rarely say where they were made; the sample sheet names the beamtime.
    _put(beam, "name", source.campaign.scan(scan_id).beamtime_id or "not recorded")
    _put(beam, "probe", "x-ray")
    # The definition wants energies and the detector's readings point after point.
    points, pixels = stack.transmission.size, stack.transmission[0].size
    packed = {"chunks": (pixels,), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    monochromator = _group(instrument, "monochromator", "NXmonochromator")
    energy_ev = monochromator.create_dataset("energy", (points,), np.float64, **packed)
    energy_ev.attrs["units"] = "eV"
    detector = _group(instrument, "detector", "NXdetector")
    readings = detector.create_dataset("data", (points,), np.float32, **packed)
    readings.attrs["long_name"] = "transmission, aligned"
    for energy, plane in enumerate(stack.transmission):
        part = slice(energy * pixels, (energy + 1) * pixels)
        energy_ev[part], readings[part] = stack.energy_ev[energy], plane.ravel()


def _write_sample(entry: h5py.Group, source: ExportSource, scan_id: str) -> None:
    sample = _group(entry, "sample", "NXsample")
    condition = source.condition(scan_id)
    _put(sample, "name", str(condition["electrode_id"]))
    _put(sample, "description", f"battery cathode, {condition['chemistry']}")
    # Asked for by the definition; no recording says it.
    _put(sample, "rotation_angle", np.float64(np.nan), "deg")
    about = _group(sample, "condition", "NXcollection")
    for name, value in condition.items():
        _put(about, name, value, CONDITION_UNITS.get(name, ""))


def _write_stacks(entry: h5py.Group, source: ExportSource, scan_id: str, stack: Stack) -> None:
    axes = {
        "energy": (stack.energy_ev, "eV"),
        "sample_y": (stack.y_um, "um"),
        "sample_x": (stack.x_um, "um"),
    }
    energies = range(len(stack.energy_ev))
    described: tuple[tuple[str, str, PlaneOf, PlaneOf], ...] = (
        (
            "transmission",
            "transmission, aligned; counts over the incident beam",
            stack.transmission.__getitem__,
            stack.transmission_se,
        ),
        ("optical_density", "-ln of the aligned transmission", stack.optical_density, stack.optical_density_se),
    )
    dwell_s = _dwell_s(source, scan_id)
    # In an NXstxm entry every NXdata is a channel of the detector, with these names.
    for name, meaning, plane_of, error_of in described:
        group = _data(entry, name, "data", axes)
        _put(group, "stxm_scan_type", "sample image stack")
        for dataset, function in (("data", plane_of), ("data_errors", error_of)):
            values = _planes(group, dataset, stack.transmission.shape)
            for energy in energies:
                values[energy] = function(energy)
            values.attrs["units"] = ""
        group["data"].attrs["long_name"] = meaning
        group["data_errors"].attrs["long_name"] = "standard error, from counting"
        if dwell_s is not None and len(dwell_s) == len(energies):
            _put(group, "count_time", dwell_s, "s")
        _put(group, "energy_used", stack.energy_used).attrs["long_name"] = "1 where the energy takes part in the fit"


def _write_maps(parent: h5py.Group, source: ExportSource, scan_id: str) -> None:
    fit = source.output("fit", scan_id)
    y_um, x_um = source.axes("fit", scan_id)
    axes = {"sample_y": (y_um, "um"), "sample_x": (x_um, "um")}
    present = fit.arrays()

    def of(name: str) -> Array | None:
        return source.image("fit", scan_id, name) if name in present else None

    classes = of("mask_class")
    maps: list[tuple[str, Array | None, Array | None, str, str]] = [
        ("state_of_charge", of("soc"), of("soc_se"), "", str(fit.attrs("soc")["long_name"])),
    ]
    thickness, covariance = of("thickness_nm"), of("thickness_covariance")
    if thickness is not None:
        about = fit.attrs("thickness_nm")
        for component, (word, pair) in enumerate(zip(COMPONENTS, (0, 2), strict=True)):
            error = None if covariance is None else np.sqrt(covariance[pair])
            meaning = f"{word} part of: {about['long_name']}"
            maps.append((f"thickness_{word}", thickness[component], error, _nexus_unit(about["units"]), meaning))
    for name, values, error, unit, meaning in maps:
        if values is None:
            continue
        group = _data(parent, name, name, axes)
        _put(group, name, values, unit).attrs["long_name"] = meaning
        group[name].attrs["units"] = unit
        if error is not None:
            _put(group, f"{name}_errors", error, unit).attrs["long_name"] = "standard error"
        if classes is not None:
            _put_classes(group, classes)


def _write_particles(parent: h5py.Group, source: ExportSource, scan_id: str) -> None:
    y_um, x_um = source.axes("segment", scan_id)
    group = _data(parent, "particles", "particles", {"sample_y": (y_um, "um"), "sample_x": (x_um, "um")})
    labels = _put(group, "particles", source.image("segment", scan_id, "labels"))
    labels.attrs["long_name"] = "particle number as in the table particles, 0 between particles, -1 not known"
    _put_classes(group, source.image("segment", scan_id, "mask_class"))


def _put_classes(group: h5py.Group, classes: Array) -> None:
    dataset = _put(group, "mask_class", classes)
    dataset.attrs["long_name"] = ", ".join(f"{int(item)} {item.name}" for item in MaskClass)


def _write_provenance(entry: h5py.Group, source: ExportSource, scan_id: str, stages: tuple[str, ...]) -> None:
    provenance = source.provenance(scan_id, stages)
    process = _group(entry, "process", "NXprocess")
    _put(process, "program", "stxmdist")
    _put(process, "version", __version__)
    _put(process, "date", source.time)
    note = _group(process, "provenance", "NXnote")
    _put(note, "type", "application/json")
    _put(note, "data", np.bytes_(json.dumps(plain_json(provenance), indent=1).encode()))
    _put(note, "description", source.origin(scan_id))


def _data(parent: h5py.Group, name: str, signal: str, axes: Mapping[str, tuple[F64, str]]) -> h5py.Group:
    """An NXdata group with its axes; whose signal is still to be written."""
    group = _group(parent, name, "NXdata")
    group.attrs["signal"] = signal
    group.attrs["axes"] = list(axes)
    for number, (axis, (values, unit)) in enumerate(axes.items()):
        group.attrs[f"{axis}_indices"] = number
        _put(group, axis, values, unit)
    return group


def _planes(group: h5py.Group, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    return group.create_dataset(
        name, shape, np.float32, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1, shuffle=True
    )


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _put(group: h5py.Group, name: str, value: object, units: str = "") -> h5py.Dataset:
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if np.asarray(value).size > 4096 else {}
    dataset = group.create_dataset(name, data=value, **packed)
    if units:
        dataset.attrs["units"] = units
    return dataset


def _nexus_unit(unit: object) -> str:
    """NeXus writes no unit for pure numbers."""
    return "" if unit == "1" else str(unit)


def _recorded(source: ExportSource, scan_id: str) -> Mapping[str, object]:
    """What the recording said of itself, as ingest kept it; empty where ingest is not published."""
    if source.published.why_unusable("ingest", scan_id):
        return {}
    output = source.output("ingest", scan_id)
    return output.attrs("counts" if "counts" in output.arrays() else "frames")


def _times(source: ExportSource, scan_id: str) -> tuple[Moment, Moment] | None:
    """Start and earliest end of the recording, None where it does not say its start."""
    said = str(_recorded(source, scan_id).get("start_time", ""))
    return span_of(said, _exposure_s(source, scan_id), source.time_zone)


def _exposure_s(source: ExportSource, scan_id: str) -> float | None:
    """All dwell times of a scan together in s, or None where they are not known."""
    if source.published.why_unusable("ingest", scan_id):
        return None
    ingest = source.output("ingest", scan_id)
    if "counts" in ingest.arrays():
        dwell_s = _dwell_s(source, scan_id)
        rows, columns = ingest.array("counts").shape[1:]
        return None if dwell_s is None else float(np.nansum(dwell_s)) * rows * columns
    exposure_ms = read_from_json(ExposureAbout, ingest.attrs("frames")).dwell_ms
    energies, positions = ingest.array("frames").shape[:2]
    return exposure_ms * 1e-3 * energies * positions if np.isfinite(exposure_ms) else None


def _dwell_s(source: ExportSource, scan_id: str) -> F64 | None:
    """(ENERGY,) exposure of a pixel in s, or None where it is not known."""
    if source.published.why_unusable("ingest", scan_id) or "dwell_ms" not in source.output("ingest", scan_id).arrays():
        return None
    output = source.output("ingest", scan_id)
    dwell_s: F64 = np.asarray(output.read("dwell_ms"), np.float64) * 1e-3
    return dwell_s if np.isfinite(dwell_s).any() else None
