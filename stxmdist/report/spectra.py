"""F2: end-members, mean spectra of particles with their fit, and the residual of the fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from scipy.optimize import nnls

from stxmdist.arrays import F64
from stxmdist.campaign.scan import Scan
from stxmdist.errors import Explained
from stxmdist.measures import FitMeasures, SegmentMeasures
from stxmdist.planning.columns import number
from stxmdist.planning.end_members import EndMemberSource, end_members_of
from stxmdist.records import read_from_json
from stxmdist.report.canvas import COLOURS, INK, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of, not_drawn
from stxmdist.spectra.checks.residual_shapes import in_words, residual_shape
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.model import ModelOptions

MOST_SCANS = 12
MOST_DISCUSSED = 3
COLUMNS = 3


@dataclass(frozen=True, eq=False)
class MeanSpectrum:
    """Mean optical density inside the particles of a scan, at the energies at which it is known."""

    energy_ev: F64
    """(ENERGY,)"""
    mean_od: F64
    """(ENERGY,)"""
    two_se: F64
    """(ENERGY,) two standard errors"""


@dataclass(frozen=True, eq=False)
class FittedSpectrum:
    """The sum of end-members that comes closest to a mean spectrum."""

    energy_ev: F64
    """(ENERGY used,)"""
    od: F64
    """(ENERGY used,)"""
    terms: F64
    """(ENERGY used, TERM) what the sum is of"""


def end_members(evidence: Evidence) -> Picture | Absent:
    """Absorption of the two states between which the fit decides, with the energies that were measured."""
    title = "End-members"
    wanted: dict[EndMemberSource, list[str]] = {}
    for scan in evidence.having("align"):
        source = evidence.campaign.references.get(scan.scan_id)
        if source is not None:
            wanted.setdefault(source, []).append(scan.scan_id)
    found = []
    why = "No scan has come as far as the fit."
    for references, scans in wanted.items():
        try:
            found.append((end_members_of(references), scans))
        except Explained as error:
            why = str(error)
    if not found:
        return Absent("F2", title, why)
    figure = blank(7.6, 2.7 * len(found))
    for (axes,), (members, scans) in zip(grid_of_axes(figure, len(found), 1), found, strict=True):
        _end_members(axes, members, np.unique(np.concatenate([_energies(evidence, scan_id) for scan_id in scans])))
    sources = "; ".join(dict.fromkeys(members.source.rstrip(".") for members, _ in found))
    return Picture(
        "F2-end-members",
        title,
        "The fit divides each pixel between these two states: dashed is the discharged, solid the charged one. Ticks "
        "at the bottom are the energies that were measured; one standard deviation of the end-members is shaded where "
        f"it is known. Source: {sources}. "
        + " ".join(dict.fromkeys(flag for members, _ in found for flag in members.flags)),
        f"Absorption spectra of {len(found)} pair(s) of end-members over photon energy.",
        figure,
    )


def _end_members(axes: Axes, members: EndMembers, energies_ev: F64) -> None:
    # Scans of other edges are refused by the fit; they have no place on this axis.
    energies_ev = energies_ev[members.spans(energies_ev, 0.0)]
    low, high = (energies_ev.min() - 4.0, energies_ev.max() + 4.0) if energies_ev.size else (-np.inf, np.inf)
    inside = (members.energy_ev >= low) & (members.energy_ev <= high)
    inside = inside if inside.sum() > 2 else np.ones(inside.shape, bool)
    scale = 1e3 if members.thickness_unit == "nm" else 1.0
    for mu, name, colour, dash in zip(members.mu_per_nm, members.names, COLOURS, ("--", "-"), strict=False):
        axes.plot(members.energy_ev[inside], scale * mu[inside], dash, color=colour, label=name)
    if members.mu_sd_per_nm is not None:
        for mu, sd, colour in zip(members.mu_per_nm, members.mu_sd_per_nm, COLOURS, strict=False):
            band = (scale * (mu - sd)[inside], scale * (mu + sd)[inside])
            axes.fill_between(members.energy_ev[inside], *band, color=colour, alpha=0.15, lw=0)
    axes.vlines(energies_ev, 0, 0.045, transform=axes.get_xaxis_transform(), color=INK, lw=0.6)
    unit = "absorption (1/µm)" if members.thickness_unit == "nm" else "optical density of the reference"
    axes.set(xlabel="photon energy (eV)", ylabel=unit)
    axes.legend()


def _energies(evidence: Evidence, scan_id: str) -> F64:
    output = evidence.output("align", scan_id)
    assert output is not None
    return np.asarray(output.read("energy_ev"), np.float64)


def spectra(evidence: Evidence) -> Picture | Absent:
    """For each fitted scan: the mean spectrum of its particles with its fit, and the fit's mean residual below."""
    title = "Mean spectra and residuals"
    scans = evidence.having("fit", "align")
    if not scans:
        return Absent("F2", title, "No scan has been fitted.")
    # Scans of many energies come first: a pair of energies is a map, not a spectrum.
    scans.sort(key=lambda scan: (scan.modality != "stxm", -len(_energies(evidence, scan.scan_id))))
    shown = scans[:MOST_SCANS]
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    figure = blank(3.3 * columns if columns > 1 else 5.0, 2.75 * lines)
    parts = np.ravel(figure.subfigures(lines, columns, squeeze=False))
    for part, scan in zip(parts, shown, strict=False):
        _panel(part, evidence, scan)
    return Picture(
        "F2-spectra",
        title,
        "Above: mean optical density inside particles (points; bars are two standard errors, mostly smaller than the "
        "points) and the sum of the two end-members that comes closest (line). Below: measured minus fitted optical "
        "density, the mean over the pixels that are not masked, with two standard errors shaded. Structure in the "
        "residual is what the end-members do not explain." + not_drawn(scans, shown) + _discussed(evidence, scans),
        f"Mean spectra of {len(shown)} scans with their fits, and the residual of each fit.",
        figure,
        ("scans",),
    )


def _discussed(evidence: Evidence, scans: Sequence[Scan]) -> str:
    """What the residuals look like, in words, of the scans with the largest R-factors."""
    fitted = [(fit, scan) for scan in scans if (fit := evidence.figures(FitMeasures, "fit", scan.scan_id)) is not None]
    fitted.sort(key=lambda pair: -np.nan_to_num(number(pair[0].r_factor)))
    said = []
    for fit, scan in fitted[:MOST_DISCUSSED]:
        model = _fitted(evidence, scan, fit, _mean_spectrum(evidence, scan))
        words = []
        if model is not None and fit.residual is not None and fit.residual.size == len(model.od):
            words.append(in_words(residual_shape(fit.residual, model.od, fit.energy_ev, model.terms)))
        segment = evidence.figures(SegmentMeasures, "segment", scan.scan_id)
        if segment is not None and segment.missing_component:
            words.append(f"From the single particles: {segment.missing_component}.")
        if segment is not None and segment.third_phase_not_excluded:
            words.append(f"Not excluded: {segment.third_phase}.")
        if words:
            said.append(f" {label_of(scan)}: {' '.join(words)}")
    return "".join(said)


def _mean_spectrum(evidence: Evidence, scan: Scan) -> MeanSpectrum:
    align = evidence.output("align", scan.scan_id)
    assert align is not None
    energy, mean, variance = (align.read(name) for name in ("energy_ev", "mean_od", "mean_od_variance"))
    known = np.isfinite(mean) & np.isfinite(variance)
    return MeanSpectrum(energy[known], mean[known], 2 * np.sqrt(variance[known]))


def _panel(part: SubFigure, evidence: Evidence, scan: Scan) -> None:
    fit = evidence.figures(FitMeasures, "fit", scan.scan_id)
    measured = _mean_spectrum(evidence, scan)
    upper, lower = part.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1]})
    marker = "o" if len(_energies(evidence, scan.scan_id)) < 40 else "."
    upper.errorbar(
        measured.energy_ev, measured.mean_od, measured.two_se, fmt=marker, ms=3, lw=0.7, color=INK, label="measured"
    )
    fitted = None if fit is None else _fitted(evidence, scan, fit, measured)
    if fitted is not None:
        upper.plot(fitted.energy_ev, fitted.od, "-", color=COLOURS[1], lw=1.1, label="fit")
    upper.set(ylabel="optical density")
    modality = "STXM" if scan.modality == "stxm" else "ptychography"
    upper.set_title(f"{evidence.label(scan)}, {modality}\n{'' if fit is None else _in_figures(fit)}", fontsize=7.5)
    lower.axhline(0, color="#888888", lw=0.6)
    if fit is not None and fit.residual is not None:
        if fit.residual_se is not None:
            band = (fit.residual - 2 * fit.residual_se, fit.residual + 2 * fit.residual_se)
            lower.fill_between(fit.energy_ev, *band, color=COLOURS[4], alpha=0.5, lw=0)
        lower.plot(fit.energy_ev, fit.residual, marker + "-", ms=2.5, lw=0.8, color=COLOURS[0])
    lower.set(xlabel="photon energy (eV)", ylabel="residual")
    lower.locator_params(axis="y", nbins=3)
    lower.locator_params(axis="x", nbins=5)


def _in_figures(fit: FitMeasures) -> str:
    """R-factor, reduced chi-square and energy shift, as far as they are known."""
    said = []
    if np.isfinite(number(fit.r_factor)):
        said.append(f"R {fit.r_factor:.2g}")
    if np.isfinite(number(fit.chi2_reduced)):
        said.append(f"χ²/ν {fit.chi2_reduced:.2f}")
    if np.isfinite(fit.energy_shift_ev):
        se = f" ± {1e3 * fit.energy_shift_se_ev:.0f}" if np.isfinite(fit.energy_shift_se_ev) else ""
        said.append(f"shift {1e3 * fit.energy_shift_ev:+.0f}{se} meV")
    return ", ".join(said)


def _fitted(evidence: Evidence, scan: Scan, fit: FitMeasures, measured: MeanSpectrum) -> FittedSpectrum | None:
    """The sum of the scan's end-members nearest to its mean spectrum, at its energy shift."""
    references = evidence.campaign.references.get(scan.scan_id)
    chosen = np.isin(np.round(measured.energy_ev, 6), np.round(fit.energy_ev, 6))
    if references is None or chosen.sum() < 2:
        return None
    energy_ev, mean_od = measured.energy_ev[chosen], measured.mean_od[chosen]
    try:
        options = read_from_json(ModelOptions, evidence.published.options("fit", scan.scan_id))
        shift_ev = float(np.nan_to_num(fit.energy_shift_ev))
        matrix = design_matrix(end_members_of(references), energy_ev, shift_ev, fit.background)
    except Explained:
        return None
    level = 0.0
    before = energy_ev < number(options.pre_edge_below_ev)
    if before.any():
        # As the fit does: the optical density before the edge is no part of the sum of end-members.
        level = float(mean_od[before].mean())
        matrix[:, :2] -= matrix[before, :2].mean(axis=0)
    weight = 1.0 / np.maximum(measured.two_se[chosen], 1e-6)
    # A background may be negative: its columns are there twice, with both signs.
    both = np.concatenate([matrix, -matrix[:, 2:]], axis=1)
    thickness, _ = nnls(both * weight[:, None], (mean_od - level) * weight)
    return FittedSpectrum(energy_ev, level + both @ thickness, matrix)
