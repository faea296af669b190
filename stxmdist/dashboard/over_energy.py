"""What a page says of the frames of a scan: incident beam, drift, and frames that are missing."""

from dataclasses import dataclass

import numpy as np

from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.figures.over_energy import beam_figure, drift_figure
from stxmdist.dashboard.figures.plot import Drawn, as_drawn
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.words import figure, percent, plural
from stxmdist.errors import StoreError
from stxmdist.measures import AbsorbanceMeasures, AlignMeasures, IngestMeasures
from stxmdist.pixel_pitch import pitch_yx_um
from stxmdist.records import read_from_json
from stxmdist.spectra.align.shifts import AlignOptions
from stxmdist.spectra.checks.drift_follows import drift_follows

HEIGHT = 190


@dataclass(frozen=True)
class OverEnergy:
    """The frames of a scan: figures, or a sentence why there is none, and what is to be said of them."""

    beam: Drawn | str
    beam_said: tuple[str, ...]
    drift: Drawn | str
    drift_said: tuple[str, ...]
    warnings: tuple[str, ...]
    frames: tuple[tuple[str, str], ...]
    """Name and value of what was counted"""
    frames_said: str


def over_energy(now: Snapshot, scan: Scan, energy_ev: float) -> OverEnergy:
    """The frames of a scan as far as they are published."""
    beam, beam_said = _beam(now, scan, energy_ev)
    drift, drift_said, warnings = _drift(now, scan, energy_ev)
    frames, frames_said = _frames(now, scan)
    return OverEnergy(beam, beam_said, drift, drift_said, warnings, frames, frames_said)


def _beam(now: Snapshot, scan: Scan, energy_ev: float) -> tuple[Drawn | str, tuple[str, ...]]:
    output = now.output("absorbance", scan.scan_id)
    if output is None:
        return "No incident beam: the stage absorbance has published nothing for this scan.", ()
    energies, i0 = (np.asarray(output.read(name), np.float64) for name in ("energy_ev", "i0_counts"))
    se = np.sqrt(np.asarray(output.read("i0_variance"), np.float64))
    spread = float(np.nanmax(i0) / max(float(np.nanmin(i0)), 1e-9) - 1.0)
    words = (
        f"Incident beam over {len(i0)} energies: between {np.nanmin(i0):.0f} and {np.nanmax(i0):.0f} counts a pixel."
    )
    about = now.figures(AbsorbanceMeasures, "absorbance", scan.scan_id)
    said = [f"It varies by {percent(spread)} over the energies."]
    if about is not None and about.i0_relative_se is not None:
        said.append(f"Known to {percent(about.i0_relative_se, 2)} from {percent(about.free_share)} of the field.")
    said += [] if about is None else about.notes
    drawn = as_drawn(beam_figure(energies, i0, se, energy_ev), "I0, two standard errors shaded", words, height=HEIGHT)
    return drawn, tuple(said)


def _drift(now: Snapshot, scan: Scan, energy_ev: float) -> tuple[Drawn | str, tuple[str, ...], tuple[str, ...]]:
    output = now.output("align", scan.scan_id)
    if output is None:
        return "No drift: the stage align has published nothing for this scan.", (), ()
    energies, shift_px, mean_od = (
        np.asarray(output.read(name), np.float64) for name in ("energy_ev", "shift_px", "mean_od")
    )
    pitch_nm = 1e3 * pitch_yx_um(output.read("y_um"), output.read("x_um"))
    limit_px = align_options(now, scan.scan_id).max_shift_px
    about = now.figures(AlignMeasures, "align", scan.scan_id)
    largest_px = float(np.nanmax(np.abs(shift_px), initial=0.0))
    warnings = []
    if largest_px > 0.9 * limit_px:
        warnings.append(
            f"A frame was moved by {largest_px:.1f} px, as far as the limit allows: raise align: max_shift_px."
        )
    follows = drift_follows(shift_px, mean_od)
    if follows.suspicious:
        warnings.append(
            f"The drift follows the absorption spectrum (correlation {figure(follows.correlation, 2)}): contrast pulls "
            "the registration. Step through the edge and watch outlines; `align: register: false` leaves frames alone."
        )
    if about is not None and about.frames_not_registered:
        missed = ", ".join(f"{each:.1f}" for each in about.energies_not_registered_ev)
        warnings.append(f"{plural(about.frames_not_registered, 'frame')} could not be registered: {missed} eV.")
    said = [
        f"Largest {largest_px:.2f} px; the limit is {limit_px:g} px ({figure(limit_px * float(pitch_nm.mean()))} nm)."
    ]
    if np.isfinite(follows.correlation):
        said.append(f"Correlation with absorption, less its line in time: {figure(follows.correlation, 2)}.")
    if about is not None and about.shift_quality is not None:
        said.append(f"Median height of the correlation peak {about.shift_quality:.2f}.")
    words = f"Drift over {len(energies)} energies. " + " ".join(said + warnings)
    drawn = as_drawn(
        drift_figure(energies, shift_px * pitch_nm, limit_px * float(pitch_nm.mean()), energy_ev),
        "By how much each frame was moved",
        words,
        height=HEIGHT,
    )
    return drawn, tuple(said), tuple(warnings)


def align_options(now: Snapshot, scan_id: str) -> AlignOptions:
    """How the frames of a scan were registered; the defaults where another version wrote it down."""
    written = now.published.options("align", scan_id).get("align")
    try:
        return read_from_json(AlignOptions, written) if isinstance(written, dict) else AlignOptions()
    except StoreError:
        return AlignOptions()


def _frames(now: Snapshot, scan: Scan) -> tuple[tuple[tuple[str, str], ...], str]:
    about = now.figures(IngestMeasures, "ingest", scan.scan_id)
    if about is None:
        return (), "Nothing is known of its frames: the stage ingest has published nothing for this scan."
    lost = about.frames - about.frames_valid
    counted = [
        ("frames", f"{about.frames_valid} of {about.frames}"),
        ("missing", figure(about.frames_missing or 0)),
        ("in part", figure(about.frames_in_part or 0)),
        ("saturated", figure(about.frames_saturated or 0)),
    ]
    absorbance = now.figures(AbsorbanceMeasures, "absorbance", scan.scan_id)
    if absorbance is not None and absorbance.spikes is not None:
        counted += [
            ("spikes mended", figure(absorbance.spikes)),
            ("lines masked", figure(absorbance.lines_masked or 0)),
        ]
    said = "Every frame was measured and read." if not lost else f"{plural(lost, 'frame')} cannot be used."
    return tuple(counted), " ".join([said, *(f"{note[:1].upper()}{note[1:]}." for note in about.notes)])
