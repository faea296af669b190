"""F2: optical densities of pixels at two energies, and their polar angles with two Gaussians, as Yu 2018 shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from stxmdist.arrays import F64, MaskClass
from stxmdist.campaign.scan import Scan
from stxmdist.errors import Explained
from stxmdist.measures import FitMeasures
from stxmdist.planning.end_members import EndMemberSource, end_members_of
from stxmdist.report.canvas import COLOURS, INK, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, not_drawn
from stxmdist.spectra.checks.polar_angles import BIN_DEG, TwoGaussians, histogram, polar_angle_deg, two_gaussians
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.fitters.contract import FitContext, FitOptions
from stxmdist.spectra.fitters.two_energy import pair_of

MOST_SCANS = 12
"""Of one modality"""
MOST_PX = 1024
"""Rows and columns of a scan that are read, from its middle"""
BINS = 120
LEAST_PIXELS = 50


@dataclass(frozen=True)
class _Pair:
    """Two energies, and between which end-members they decide: pixels of scans that share them are one cloud."""

    source: EndMemberSource
    energies_ev: tuple[float, float]
    """Where the discharged state absorbs more than the charged one, and the other way round; to .1 eV"""


@dataclass(frozen=True, eq=False)
class _Cloud:
    """The pixels of the scans of one modality."""

    modality: str
    pair: _Pair
    scans: Sequence[Scan]
    od: F64
    """(2, PIXEL)"""
    members: F64
    """(2, 2) optical density per nm at the two energies (rows) of the discharged and the charged end-member"""
    names: tuple[str, str]


def polar_angles(evidence: Evidence) -> Picture | Absent:
    """Density of pixels over optical density at two energies, and the histogram of their angle with two Gaussians."""
    title = "Optical density at two energies"
    wanted = [_wanted(evidence, modality) for modality in ("stxm", "ptychography")]
    clouds = [cloud for pair in wanted if pair is not None and (cloud := _cloud(evidence, *pair)) is not None]
    if not clouds:
        why = (
            "Of no fitted scan are end-members known here (a file may say of which edge they are), two energies that "
            "tell them apart, and pixels of particles with a fit."
        )
        return Absent("F2", title, why)
    figure = blank(7.6, 3.2 * len(clouds))
    said = []
    for (left, right), cloud in zip(grid_of_axes(figure, len(clouds), 2), clouds, strict=True):
        _density(left, cloud)
        said.append(f"{_named(cloud)}: {_angles(right, cloud)}")
    drawn = [scan for cloud in clouds for scan in cloud.scans]
    found = " ".join(said)
    return Picture(
        "F2-polar",
        title,
        "Left: pixels of particles by their optical density at the energies at which the two end-members differ most, "
        "darker where there are more (logarithmic); lines are the end-members at any thickness. Right: histogram of "
        "the angle in that plane, which thickness does not change, with the two Gaussians that are likeliest to give "
        "it (and their sum, dashed), as in Yu et al., Nat. Commun. 9, 921 (2018). Dotted lines are the end-members; "
        f"solid solutions lie between, and no Gaussian is theirs. {found}" + not_drawn(evidence.having("fit"), drawn),
        f"Density of pixels over two optical densities, and histograms of their angle. {found}",
        figure,
        dpi=200,
    )


def _named(cloud: _Cloud) -> str:
    modality = "Wide field" if cloud.modality == "stxm" else "Ptychography"
    return f"{modality}, {len(cloud.scans)} scan{'' if len(cloud.scans) == 1 else 's'}"


def _wanted(evidence: Evidence, modality: str) -> tuple[str, _Pair, list[Scan]] | None:
    """The pair of energies that most of the scans share, and those scans."""
    by_pair: dict[_Pair, list[Scan]] = {}
    for scan in evidence.having("align", "fit", "segment", modality=modality):
        pair = _pair(evidence, scan)
        if pair is not None:
            by_pair.setdefault(pair, []).append(scan)
    if not by_pair:
        return None
    pair = max(by_pair, key=lambda each: len(by_pair[each]))
    return modality, pair, by_pair[pair]


def _pair(evidence: Evidence, scan: Scan) -> _Pair | None:
    source = evidence.campaign.references.get(scan.scan_id)
    fit = evidence.figures(FitMeasures, "fit", scan.scan_id)
    if source is None or fit is None or fit.energy_ev.size < 2:
        return None
    try:
        # Without the scan's own shift, so that scans of the same energies share their pair.
        design = design_matrix(end_members_of(source), fit.energy_ev)
        chosen = pair_of(np.ones(fit.energy_ev.size), design, FitOptions(), FitContext())
    except Explained:
        return None
    low, high = np.round(fit.energy_ev[chosen], 1).tolist()
    return _Pair(source, (low, high))


def _cloud(evidence: Evidence, modality: str, pair: _Pair, scans: Sequence[Scan]) -> _Cloud | None:
    """The pixels of some of the scans, one image in memory at a time."""
    shown = scans[:MOST_SCANS]
    members = end_members_of(pair.source)
    shifts = [evidence.figures(FitMeasures, "fit", scan.scan_id).energy_shift_ev for scan in shown]  # type: ignore[union-attr]
    shift_ev = float(np.nan_to_num(np.nanmedian(shifts))) if np.isfinite(shifts).any() else 0.0
    od = np.concatenate([_pixels(evidence, scan, pair) for scan in shown], axis=1)
    if od.shape[1] < LEAST_PIXELS:
        return None
    return _Cloud(modality, pair, shown, od, members.at(np.array(pair.energies_ev), shift_ev).T, members.names)


def _pixels(evidence: Evidence, scan: Scan, pair: _Pair) -> F64:
    """Optical densities (2, PIXEL) of the pixels inside particles that the fit trusts."""
    align, segment = evidence.output("align", scan.scan_id), evidence.output("segment", scan.scan_id)
    assert align is not None
    assert segment is not None
    energy_ev = align.read("energy_ev")
    part = tuple(_middle(len(segment.read(name))) for name in ("y_um", "x_um"))
    here = (segment.read("labels", part) > 0) & (segment.read("mask_class", part) == MaskClass.valid)
    found = []
    for wanted in pair.energies_ev:
        place = int(np.argmin(np.abs(energy_ev - wanted)))
        seen = np.asarray(align.read("transmission", (slice(place, place + 1), *part))[0][here], np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(-np.log(seen))
    od = np.stack(found)
    return od[:, np.isfinite(od).all(axis=0)]


def _middle(n: int) -> slice:
    start = max(0, (n - MOST_PX) // 2)
    return slice(start, min(n, start + MOST_PX))


def _density(axes: Axes, cloud: _Cloud) -> None:
    x, y = cloud.od
    low, high = (np.quantile(cloud.od, at, axis=1) for at in (0.001, 0.999))
    room = 0.05 * (high - low)
    limits = [(min(0.0, float(a - r)), float(b + r)) for a, b, r in zip(low, high, room, strict=True)]
    counts, x_edges, y_edges = np.histogram2d(x, y, BINS, limits)
    shown = np.ma.masked_less(counts.T, 1)
    axes.imshow(
        shown, origin="lower", extent=(x_edges[0], x_edges[-1], y_edges[0], y_edges[-1]), aspect="auto",
        cmap="Greys", norm=LogNorm(0.5, max(2.0, float(counts.max()))), interpolation="nearest",
    )  # fmt: skip
    for member, name, colour, dash in zip(cloud.members.T, cloud.names, COLOURS, ("--", "-"), strict=False):
        reach = min(limits[0][1] / member[0], limits[1][1] / member[1])
        axes.plot([0.0, reach * member[0]], [0.0, reach * member[1]], dash, color=colour, lw=1.2, label=name)
    first, second = cloud.pair.energies_ev
    axes.set(xlim=limits[0], ylim=limits[1], xlabel=f"optical density at {first:g} eV")
    axes.set_ylabel(f"optical density at {second:g} eV")
    axes.set_title(_named(cloud), fontsize=8.5)
    axes.legend(loc="lower right" if cloud.members[1, 0] > cloud.members[0, 0] else "upper left", fontsize=7)


def _angles(axes: Axes, cloud: _Cloud) -> str:
    """Draw the histogram; returns the Gaussians in words."""
    middle, counts = histogram(polar_angle_deg(*cloud.od))
    found = two_gaussians(middle, counts)
    seen = np.flatnonzero(counts)
    left, right = middle[seen[0]], middle[seen[-1]]
    axes.stairs(counts, np.append(middle - 0.5 * BIN_DEG, middle[-1] + 0.5 * BIN_DEG), fill=True, color="#c4c4c4")
    for member, name, colour in zip(cloud.members.T, cloud.names, COLOURS, strict=False):
        at = float(polar_angle_deg(member[0], member[1]))
        left, right = min(left, at), max(right, at)
        axes.axvline(at, color=colour, lw=1.0, ls=":", label=f"_{name}")
    if found is not None:
        fine = np.linspace(left - 3.0, right + 3.0, 400)
        each = found.density(fine) * counts.sum() * BIN_DEG
        axes.plot(fine, each.sum(axis=0), "--", color=INK, lw=0.9, label="sum")
        for curve, colour, centre in zip(each, COLOURS[2:], found.centre_deg, strict=False):
            axes.plot(fine, curve, color=colour, lw=1.2, label=f"{centre:.1f}°")
    axes.set(yscale="log", ylim=(0.7, 2.0 * counts.max()), xlim=(left - 3.0, right + 3.0))
    axes.set(xlabel="polar angle (°)", ylabel=f"pixels per {BIN_DEG:g}°")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), title="Gaussians", title_fontsize=7)
    return _in_words(found, int(counts.sum()))


def _in_words(found: TwoGaussians | None, n: int) -> str:
    if found is None:
        return f"{n} pixels."
    parts = [
        f"{100 * share:.0f} % about {centre:.1f}° (SD {sd:.1f}°)"
        for share, centre, sd in zip(found.share, found.centre_deg, found.sd_deg, strict=True)
    ]
    return f"{' and '.join(parts)}, of {n} pixels."
