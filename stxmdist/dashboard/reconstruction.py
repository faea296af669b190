"""What a page says of the reconstruction of a ptychography scan."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from bokeh.palettes import Viridis256
from PIL import Image

from storage.output import Output
from stxmdist.arrays import F64, Array
from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.figures.plot import Drawn, as_drawn
from stxmdist.dashboard.figures.reconstruction import dose_figure, error_figure, position_figure, ring_figure
from stxmdist.dashboard.images import nearest_energy
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.words import figure, percent
from stxmdist.measures import ReconstructFigures

HEIGHT = 220
MOST_MODES = 4


@dataclass(frozen=True)
class TileCell:
    """One tile at one energy."""

    verdict: str
    reason: str


@dataclass(frozen=True)
class TileRow:
    """All tiles at one energy, with medians over them."""

    energy: str
    cells: tuple[TileCell, ...]
    residual: str
    noise: str
    held_out: str
    half_period_nm: str
    overlap: str
    moved_px: str
    dose_mgy: str


@dataclass(frozen=True)
class ProbeMode:
    """A mode of the illumination as a picture, brightness its amplitude and colour its phase."""

    picture: str
    """As an address that holds the picture itself"""
    words: str


@dataclass(frozen=True)
class Reconstruction:
    """The reconstruction of a scan."""

    facts: tuple[tuple[str, str], ...]
    rows: tuple[TileRow, ...]
    error: Drawn | str
    ring: Drawn | str
    positions: Drawn | str
    dose: Drawn | str
    probe: tuple[ProbeMode, ...]
    probe_said: str
    notes: tuple[str, ...]


def reconstruction(now: Snapshot, scan: Scan, energy_ev: float) -> Reconstruction | str:
    """The reconstruction of a ptychography scan, or why there is nothing to show."""
    if scan.modality != "ptychography":
        return "A wide-field scan is not reconstructed."
    output = now.output("reconstruct", scan.scan_id)
    if output is None:
        return "The stage reconstruct has published nothing for this scan."
    about = now.figures(ReconstructFigures, "reconstruct", scan.scan_id)
    if about is None:
        return "Another version of stxmdist reconstructed this scan; run the campaign again."
    energies = np.asarray(output.read("energy_ev"), np.float64)
    pixel_nm = 1.0 if about.pixel_nm is None else float(np.mean(about.pixel_nm))
    at = nearest_energy(energies, energy_ev)
    half_nm = _median(about.half_bit_half_period_px) * pixel_nm
    error = as_drawn(
        error_figure(energies, output.read("error"), about.shot_noise_residual),
        "Error over iterations, median over tiles; dashed: what noise alone leaves",
        f"Amplitude residual over iterations at {len(energies)} energies.",
        height=HEIGHT,
    )
    ring = as_drawn(
        ring_figure(energies, output.read("frc"), pixel_nm, half_nm),
        f"Fourier ring correlation; dashed: half-bit half-period {figure(half_nm)} nm",
        f"Fourier ring correlation over spatial frequency; the halves agree to {figure(half_nm)} nm half-period.",
        height=HEIGHT,
    )
    dose: Drawn | str = "The dose is not known, because the chemistry of the sample is not."
    per_energy = about.dose_mgy.reshape(len(energies), -1) if about.dose_mgy.size % len(energies) == 0 else None
    if per_energy is not None and np.isfinite(per_energy).any():
        medians = np.array([_median(row) for row in per_energy])
        total = float(np.nansum(medians))
        dose = as_drawn(
            dose_figure(energies, medians),
            f"Absorbed dose, {figure(total)} MGy together",
            f"Absorbed dose at each energy, {figure(total)} MGy together.",
            height=HEIGHT,
        )
    probe, said = _probe(output, at, about)
    return Reconstruction(
        _facts(about, pixel_nm, half_nm),
        _rows(energies, about, pixel_nm),
        error,
        ring,
        _positions(output, at, pixel_nm, energies),
        dose,
        probe,
        f"{energies[at]:.1f} eV, first tile. {said}",
        about.notes,
    )


def _facts(about: ReconstructFigures, pixel_nm: float, half_nm: float) -> tuple[tuple[str, str], ...]:
    good = about.verdict.count("good")
    return (
        ("reconstructions good", f"{good} of {len(about.verdict)}"),
        ("pixel", figure(pixel_nm, 3, "nm")),
        ("half-bit half-period", figure(half_nm, 3, "nm")),
        ("frames left out", f"{sum(about.frames_left_out)} of {sum(about.frames)}"),
        ("counts per frame", figure(_median(about.counts_per_frame))),
        ("overlap", percent(_median(about.overlap))),
        ("positions moved by", figure(_median(about.moved_px), 2, "px")),
        (
            "depth of field",
            figure(None if about.depth_of_field_nm is None else _median(about.depth_of_field_nm), 3, "nm"),
        ),
    )


def _rows(energies: F64, about: ReconstructFigures, pixel_nm: float) -> tuple[TileRow, ...]:
    n = len(energies)
    if len(about.verdict) % n:
        return ()
    tiles = len(about.verdict) // n

    def median(values: F64, row: int) -> float:
        return _median(values[row * tiles : (row + 1) * tiles])

    return tuple(
        TileRow(
            f"{energies[row]:.1f}",
            tuple(
                TileCell(about.verdict[row * tiles + tile], about.reason[row * tiles + tile]) for tile in range(tiles)
            ),
            figure(median(about.residual, row)),
            figure(median(about.shot_noise_residual, row)),
            figure(median(about.held_out_residual, row)),
            figure(median(about.half_bit_half_period_px, row) * pixel_nm),
            percent(median(about.overlap, row)),
            figure(median(about.moved_px, row), 2),
            figure(median(about.dose_mgy, row)),
        )
        for row in range(n)
    )


def _positions(output: Output, at: int, pixel_nm: float, energies: F64) -> Drawn | str:
    names = ("tile_start_positions_px", "tile_positions_px")
    if not set(names) <= set(output.arrays()):
        return "The positions of this scan were not kept."
    start, refined = (np.asarray(output.read(name, (at, 0)), np.float64) for name in names)
    known = np.isfinite(start).all(axis=1) & np.isfinite(refined).all(axis=1)
    if not known.any():
        return "Positions are not known at this energy."
    moved_nm = pixel_nm * float(np.sqrt(np.mean((refined - start)[known] ** 2)))
    words = (
        f"{int(known.sum())} positions of the first tile at {energies[at]:.1f} eV, moved by {figure(moved_nm)} nm rms."
    )
    return as_drawn(position_figure(start[known], refined[known], pixel_nm), words, words, height=260)


def _probe(output: Output, at: int, about: ReconstructFigures) -> tuple[tuple[ProbeMode, ...], str]:
    if "probe" not in output.arrays():
        return (), "The illumination was not kept."
    probe = output.read("probe", (at, 0))
    if not np.isfinite(probe).all():
        return (), "The illumination is not known at this energy."
    power = (np.abs(probe) ** 2).sum(axis=(1, 2), dtype=np.float64)
    shares = power / max(float(power.sum()), 1e-30)
    modes = tuple(
        ProbeMode(_data_uri(amplitude_picture(np.abs(mode))), f"mode {i + 1}, {percent(share, 1)} of the power")
        for i, (mode, share) in enumerate(zip(probe[:MOST_MODES], shares, strict=False))
    )
    left = len(probe) - len(modes)
    return modes, f"{left} weaker modes are not shown." if left else ""


def amplitude_picture(amplitude: Array) -> Array:
    """Colours (Y, X, 3) uint8 of an amplitude, upright: rows of the array go up on the sample."""
    top = float(amplitude.max()) or 1.0
    places = np.clip(np.round(255 * np.sqrt(amplitude / top)), 0, 255).astype(int)
    colours = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in Viridis256], np.uint8)
    return np.asarray(colours[places][::-1])


def _data_uri(colours: Array) -> str:
    written = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colours)).save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


def _median(values: Array) -> float:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else float("nan")
