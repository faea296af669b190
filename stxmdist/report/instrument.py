"""Q1: the incident beam and the drift of every wide-field scan over photon energy."""

import numpy as np

from stxmdist.pixel_pitch import pitch_yx_um
from stxmdist.report.canvas import COLOURS, DASHES, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of, not_drawn

MOST_SCANS = 12


def beam_and_drift(evidence: Evidence) -> Picture | Absent:
    """Incident beam over energy, and how far each frame had to be moved, for every wide-field scan."""
    title = "Incident beam and drift"
    scans = evidence.having("absorbance", modality="stxm")
    if not scans:
        return Absent("Q1", title, "No wide-field scan has an incident beam.")
    shown = scans[:MOST_SCANS]
    figure = blank(7.6, 1.75 * len(shown))
    cells = grid_of_axes(figure, len(shown), 2)
    for (left, right), scan in zip(cells, shown, strict=True):
        absorbance, align = (evidence.output(stage, scan.scan_id) for stage in ("absorbance", "align"))
        assert absorbance is not None
        energy, i0 = absorbance.read("energy_ev"), absorbance.read("i0_counts")
        se = np.sqrt(absorbance.read("i0_variance"))
        left.fill_between(energy, i0 - 2 * se, i0 + 2 * se, color=COLOURS[4], alpha=0.5, lw=0)
        left.plot(energy, i0, ".-", ms=3, lw=0.9, color=COLOURS[0])
        left.set(ylabel="incident counts\nper pixel")
        left.set_ylim(0, 1.15 * float(np.nanmax(i0, initial=1e-9)))
        left.set_title(label_of(scan), fontsize=8)
        if align is None:
            right.axis("off")
            right.text(0.5, 0.5, "not aligned", ha="center", va="center", transform=right.transAxes)
            continue
        shift_nm = align.read("shift_px") * 1e3 * pitch_yx_um(absorbance.read("y_um"), absorbance.read("x_um"))
        for axis, name in ((0, "y"), (1, "x")):
            right.plot(
                energy, shift_nm[:, axis], marker=".", ms=3, lw=0.9, ls=DASHES[axis], color=COLOURS[axis], label=name
            )
        right.set(ylabel="moved by (nm)")
    for axes in cells[-1]:
        axes.set_xlabel("photon energy (eV)")
    handles, labels = next((a.get_legend_handles_labels() for _, a in cells if a.lines), ([], []))
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return Picture(
        "Q1-beam-and-drift",
        title,
        "Left: incident beam from pixels without particles, with two standard errors shaded. Right: by how much the "
        "image at each energy was moved to correct drift." + not_drawn(scans, shown),
        f"Incident beam and drift over photon energy of {len(shown)} wide-field scans.",
        figure,
        ("scans",),
    )
