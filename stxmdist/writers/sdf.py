"""Self-describing files of the ALS microscopes: a ``.hdr`` of nested structs and one ``.xim`` of numbers per frame.

Numbers have the few decimals of real files where these say them exactly, else as many digits as it takes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64, Array
from stxmdist.writers.atomic import replacing
from stxmdist.writers.contract import FrameOf, checked_shape

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_LINE_OVERHEAD_S = 0.15
"""Time to turn round at the end of a scan line"""
_ENERGY_OVERHEAD_S = 4.0
"""Time in which monochromator and zone plate move to the next photon energy"""


def write_stack(
    path: str | Path,
    frame_of: FrameOf,
    energy_ev: ArrayLike,
    y_um: ArrayLike,
    x_um: ArrayLike,
    dwell_ms: ArrayLike,
    ring_current_ma: ArrayLike,
    *,
    start_time: datetime | None = None,
    frames: Iterable[int] | None = None,
    channel: str = "counter0",
) -> tuple[Path, ...]:
    """Write an image stack as ``base.hdr`` and ``base_aNNN.xim``, one frame in memory at a time.

    The header comes last, and every file appears whole: a scan that others can see is complete.

    Parameters
    ----------
    path
        of the header, ends in ``.hdr``
    frame_of
        energy index to counts (Y, X); integers are written as integers, floats with six decimals or more; a frame of
        nothing but NaN is left out as one that was never measured
    energy_ev
        (ENERGY,)
    y_um, x_um
        (Y,), (X,) pixel centres, ascending or descending
    dwell_ms, ring_current_ma
        (ENERGY,) or one number; NaN is left out
    start_time
        None leaves all times out
    frames
        energy indices that were measured before the scan was aborted; the header announces all energies even so, as
        beamlines do. None: all

    Returns
    -------
    every path written, the header first
    """
    header_path = Path(path)
    energy, y, x = (np.asarray(axis, dtype=np.float64) for axis in (energy_ev, y_um, x_um))
    dwell = np.broadcast_to(np.asarray(dwell_ms, dtype=np.float64), energy.shape)
    current = np.broadcast_to(np.asarray(ring_current_ma, dtype=np.float64), energy.shape)
    measured = list(range(energy.size)) if frames is None else sorted(set(frames))
    written = {}
    for index in measured:
        frame_path = header_path.with_name(f"{header_path.stem}_a{index:03d}.xim")
        counts = frame_of(index)
        if not np.isnan(counts).all():
            _write(frame_path, frame_text(counts, (y.size, x.size), str(frame_path)))
            written[index] = frame_path
    _write(
        header_path, header_text(header_path.name, energy, y, x, dwell, current, start_time, tuple(written), channel)
    )
    return (header_path, *written.values())


def frame_text(counts: Array, shape: tuple[int, int], where: str) -> str:
    """A frame (Y, X) as a ``.xim``: a line per row, a tab after every number."""
    checked_shape(counts, shape, where)
    if np.issubdtype(counts.dtype, np.integer):
        return "".join("\t".join(map(str, row)) + "\t\n" for row in counts.tolist())
    text = np.char.mod("%.6f", counts)
    longer = (text.astype(np.float64).astype(counts.dtype) != counts) & ~np.isnan(counts)
    if longer.any():
        text = text.astype(object)
        # Enough digits for any number of the type.
        text[longer] = np.char.mod("%.17g" if counts.dtype == np.float64 else "%.9g", counts[longer])
    return "".join("\t".join(row) + "\t\n" for row in text.tolist())


def header_text(
    label: str,
    energy_ev: F64,
    y_um: F64,
    x_um: F64,
    dwell_ms: F64,
    ring_current_ma: F64,
    start_time: datetime | None,
    frames: Sequence[int],
    channel: str = "counter0",
) -> str:
    """The ``.hdr`` of an image stack, in the grammar of COSMIC's files of 2018."""
    parts = [
        (
            f'ScanDefinition = {{ Label = "{label}"; Type = "NEXAFS Image Scan"; Flags = "Image Stack"; '
            f"{_member('Dwell', float(np.median(dwell_ms)), 0)}\n\tRegions = (1,\n{{\n"
        ),
        _axis("PAxis", "Sample X", "um", x_um, 3),
        "\n",
        _axis("QAxis", "Sample Y", "um", y_um, 3),
        "});\n\n",
        _axis("StackAxis", "Energy", "eV", energy_ev, 1, past_the_end=False),
        f'\n\tChannels = (1,\n{{ Name = "{channel}"; Unit = "counts";}});\n}};\n',
        f" {_time(start_time)}BeamFeedback = false; ShutterAutomatic = true;\n",
        (
            f'Channels = (1,\n{{ ID = 4; Type = 0; Name = "{channel}"; Controller = 0; DeviceNumber = 0; '
            'UnitName = "counts"; LinearCoefficient = 1; ConstantCoefficient = 0; ProcessString = "I";});\n\n'
        ),
        *_motors(energy_ev, y_um, x_um),
        (
            f" {_member('StorageRingCurrent', ring_current_ma[0], 2)} EPUPhase = 0; Polarization = 0; "
            "PMT_CounterDivider = 10; Ao = 1906.5;\n"
        ),
        _image_scan(energy_ev, y_um, x_um, dwell_ms),
        *_images(energy_ev, y_um.size, x_um.size, dwell_ms, ring_current_ma, start_time, frames),
    ]
    return "".join(parts)


def _axis(struct: str, name: str, unit: str, points: F64, tabs: int, *, past_the_end: bool = True) -> str:
    # The real headers' Max of a scan axis is one step beyond the last point.
    step = (points[-1] - points[0]) / (points.size - 1) if points.size > 1 else 0.0
    largest = points[-1] + (step if past_the_end else 0.0)
    numbers = ", ".join([str(points.size), *(_exact(value, 4) for value in points)])
    indent = "\t" * tabs
    direction = -1 if step < 0 else 1
    return (
        f'{indent}{struct} = {{ Name = "{name}"; Unit = "{unit}"; Min = {_short(points[0])}; Max = {_short(largest)}; '
        f"Dir = {direction};\n{indent}\tPoints = ({numbers});\n}};\n"
    )


def _motors(energy_ev: F64, y_um: F64, x_um: F64) -> list[str]:
    motors = [
        ("Monochromator", "Beamline Energy", float(energy_ev[0]), 1, 64, 64),
        ("ExitVSlit", "XS121 Horiz Size", 25.0, 2, 61, 200),
        ("ExitHSlit", "XS121 Vert Size", 25.0, 5, 62, 200),
        ("SampleFineX", "FineX", float(x_um[0]), 0, 250, 100),
        ("SampleFineY", "FineY", float(y_um[0]), 0, 251, 1000),
        ("ZonePlateZ", "ZonePlate", -11.614 * float(energy_ev[0]), 1, 71, 1),
    ]
    return [
        f'{struct} = {{ Name = "{name}"; LastPosition = {_short(position)}; Status = 0; Type = {kind}; '
        f"ControllerID = {controller}; Vel = {velocity};}};\n\n"
        for struct, name, position, kind, controller, velocity in motors
    ]


def _image_scan(energy_ev: F64, y_um: F64, x_um: F64, dwell_ms: F64) -> str:
    regions = energy_regions(energy_ev, dwell_ms)
    structs = ",\n".join(
        f"{{ StartEnergy = {_short(start)}; EndEnergy = {_short(stop)}; Range = {_short(stop - start)}; "
        f"Step = {_short(step)}; Points = {count}; {_member('DwellTime', dwell, 0)}}}"
        for start, stop, step, count, dwell in regions
    )
    steps = [(axis[-1] - axis[0]) / max(axis.size - 1, 1) for axis in (x_um, y_um)]
    return (
        'ImageScan = { ScanType = "Image (Line - unidirection)"; Stage = "Fine"; Shutter = "Automatic"; '
        'Interferometry = "On"; SingleEnergy = false; AutoShutterPointScan = false;\n'
        f"\tEnergyRegions = ({len(regions)},\n{structs});\n"
        " PointDelay = 0.05; LineDelay = 150; AccelDist = 0.2; MultipleRegions = false;\n"
        f"\tSpatialRegions = (1,\n{{ CentreXPos = {x_um.mean():.4f}; CentreYPos = {y_um.mean():.4f}; "
        f"XRange = {steps[0] * x_um.size:.4f}; YRange = {steps[1] * y_um.size:.4f}; "
        f"XStep = {steps[0]:.4f}; YStep = {steps[1]:.4f}; XPoints = {x_um.size}; YPoints = {y_um.size}; "
        f"SquareRegion = {str(x_um.size == y_um.size).lower()}; SquarePixels = false;}});\n}};\n"
    )


def energy_regions(energy_ev: F64, dwell_ms: F64) -> list[tuple[float, float, float, int, float]]:
    """Runs of one step and one dwell: (start, stop, step, points, dwell), which together make the energies."""
    regions = []
    first = 0
    while first < energy_ev.size:
        last = first
        step = 0.0
        while last + 1 < energy_ev.size and dwell_ms[last + 1] == dwell_ms[first]:
            next_step = energy_ev[last + 1] - energy_ev[last]
            if last > first and abs(next_step - step) > 1e-3:
                break
            step = next_step
            last += 1
        count = last - first + 1
        regions.append((float(energy_ev[first]), float(energy_ev[last]), float(step), count, float(dwell_ms[first])))
        first = last + 1
    return regions


def _images(
    energy_ev: F64,
    rows: int,
    columns: int,
    dwell_ms: F64,
    ring_current_ma: F64,
    start_time: datetime | None,
    frames: Sequence[int],
) -> list[str]:
    seconds = np.cumsum(rows * (columns * np.nan_to_num(dwell_ms) * 1e-3 + _LINE_OVERHEAD_S) + _ENERGY_OVERHEAD_S)
    structs = []
    for index in frames:
        moment = None if start_time is None else start_time + timedelta(seconds=float(seconds[index]))
        time = "" if moment is None else f'Time = "{_short_time(moment)}"; '
        structs.append(
            f"Image{index:03d}_0 = {{{_member('StorageRingCurrent', ring_current_ma[index], 2)} "
            f"Energy = {energy_ev[index]:.2f}; "
            f"{time}ZP_dest= {-11.614 * energy_ev[index]:.2f}; ZP_error = 0.00;}};\n"
        )
    return structs


def _member(name: str, value: float, decimals: int) -> str:
    """A number with its name, or nothing where the number is not known."""
    return "" if np.isnan(value) else f"{name} = {_exact(value, decimals)};"


def _exact(value: float, decimals: int) -> str:
    """So many decimals where these say the number exactly, else as many as it takes."""
    text = f"{value:.{decimals}f}"
    return text if float(text) == value else repr(float(value))


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f'Time = "{_long_time(moment)}"; '


def _short(value: float) -> str:
    """At most four decimals, and none where they are zeros."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


# Not strftime: month names must not depend on the locale.
def _long_time(moment: datetime) -> str:
    return f"{moment.year} {_MONTHS[moment.month - 1]} {moment.day:02d} {moment:%H:%M:%S}"


def _short_time(moment: datetime) -> str:
    return f"{moment.year} {_MONTHS[moment.month - 1][:3]} {moment.day:02d} {moment:%H:%M:%S}"


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\r\n")
