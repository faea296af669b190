"""F2: end-members, mean spectra of particles with what the fit makes of them, and the residual that is left."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import SubFigure
from scipy.optimize import nnls

from stxmdist.errors import Explained
from stxmdist.planning.end_members import EndMemberSource, end_members_of
from stxmdist.report.canvas import COLOURS, INK, Absent, Picture, as_svg, blank
from stxmdist.report.evidence import Evidence, label_of, number, numbers
from stxmdist.spectra.checks.residual_shapes import in_words, residual_shape
from stxmdist.spectra.end_members.design_matrix import design_matrix

MOST_SCANS = 12
MOST_DISCUSSED = 3
COLUMNS = 3


def end_members(evidence: Evidence) -> Picture | Absent:
    """Absorption of the two states between which the fit decides, with the energies that were measured."""
    title = "End-members"
    wanted: dict[EndMemberSource, list[str]] = {}
    for row in evidence.scans:
        references = evidence.references.get(row["scan_id"])
        if references and evidence.has("align", row["scan_id"]):
            wanted.setdefault(references, []).append(row["scan_id"])
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
    for axes, (members, scans) in zip(figure.subplots(len(found), squeeze=False)[:, 0], found, strict=True):
        energies = np.unique(np.concatenate([_energies(evidence, scan_id) for scan_id in scans]))
        # Scans of other edges are refused by the fit; they have no place on this axis.
        energies = energies[members.spans(energies, 0.0)]
        low, high = (energies.min() - 4.0, energies.max() + 4.0) if energies.size else (-np.inf, np.inf)
        inside = (members.energy_ev >= low) & (members.energy_ev <= high)
        inside = inside if inside.sum() > 2 else np.ones(inside.shape, bool)
        scale = 1e3 if members.thickness_unit == "nm" else 1.0
        for mu, name, colour, dash in zip(members.mu_per_nm, members.names, COLOURS, ("--", "-"), strict=False):
            axes.plot(members.energy_ev[inside], scale * mu[inside], dash, color=colour, label=name)
        for mu, sd, colour in zip(
            members.mu_per_nm, () if members.mu_sd_per_nm is None else members.mu_sd_per_nm, COLOURS, strict=False
        ):
            band = (scale * (mu - sd)[inside], scale * (mu + sd)[inside])
            axes.fill_between(members.energy_ev[inside], *band, color=colour, alpha=0.15, lw=0)
        axes.vlines(energies, 0, 0.045, transform=axes.get_xaxis_transform(), color=INK, lw=0.6)
        unit = "absorption (1/µm)" if members.thickness_unit == "nm" else "optical density of the reference"
        axes.set(xlabel="photon energy (eV)", ylabel=unit)
        axes.legend(title=members.source if len(members.source) < 60 else members.source[:57] + "...")
    return Picture(
        "F2-end-members",
        title,
        "What the fit decides between: dashed the discharged, solid the charged state. Ticks at the bottom are the "
        "energies that were measured; shaded is one standard deviation of the end-members, where it is known. "
        + " ".join(dict.fromkeys(flag for members, _ in found for flag in members.flags)),
        f"Absorption spectra of {len(found)} pair(s) of end-members over photon energy.",
        "svg",
        as_svg(figure),
    )


def _energies(evidence: Evidence, scan_id: str) -> Any:
    output = evidence.output("align", scan_id)
    assert output is not None
    return output.read("energy_ev")


def spectra(evidence: Evidence) -> Picture | Absent:
    """For each fitted scan: the mean spectrum of its particles with its fit, and the fit's mean residual below."""
    title = "Mean spectra and residuals"
    rows = [
        row for row in evidence.scans if evidence.has("fit", row["scan_id"]) and evidence.has("align", row["scan_id"])
    ]
    if not rows:
        return Absent("F2", title, "No scan has been fitted.")
    # Many energies say most; a pair of them is a map, not a spectrum.
    rows.sort(key=lambda row: (row["modality"] != "stxm", -len(_energies(evidence, row["scan_id"]))))
    shown = rows[:MOST_SCANS]
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    figure = blank(3.3 * columns if columns > 1 else 5.0, 2.75 * lines)
    parts = np.ravel(figure.subfigures(lines, columns, squeeze=False))
    for part, row in zip(parts, shown, strict=False):
        _panel(part, evidence, row)
    more = f" {len(rows) - len(shown)} more scans are not drawn." if len(rows) > len(shown) else ""
    return Picture(
        "F2-spectra",
        title,
        "Above: mean optical density inside particles (points; bars are two standard errors, mostly smaller than the "
        "points) and the sum of the two end-members that comes closest (line). Below: the mean over trusted pixels of "
        "measured minus fitted optical density, with two standard errors shaded. Structure in the residual is what the "
        "end-members do not explain." + more + _discussed(evidence, rows),
        f"Mean spectra of {len(shown)} scans with their fits, and the residual of each fit.",
        "svg",
        as_svg(figure),
        ("scans",),
    )


def _discussed(evidence: Evidence, rows: Sequence[Mapping[str, Any]]) -> str:
    """What the residuals look like, in words, of the scans whose fits leave most over."""
    worst = sorted(
        rows, key=lambda row: -np.nan_to_num(number(evidence.quality("fit", row["scan_id"]).get("r_factor")))
    )
    said = []
    for row in worst[:MOST_DISCUSSED]:
        quality = evidence.quality("fit", row["scan_id"])
        at, residual = numbers(quality.get("energy_ev")), numbers(quality.get("residual"))
        model = _model(evidence, row)
        words = []
        if model is not None and residual.size == at.size == len(model[1]):
            words.append(in_words(residual_shape(residual, model[1], at, model[2])))
        counted = evidence.quality("segment", row["scan_id"]).get("missing_component")
        if counted:
            words.append(f"Counted over particles: {counted}.")
        if words:
            said.append(f" {label_of(row)}: {' '.join(words)}")
    return "".join(said)


def _model(evidence: Evidence, row: Mapping[str, Any]) -> tuple[Any, Any, Any] | None:
    """Energies, fitted mean optical density and terms of a scan at all energies that its fit used."""
    align = evidence.output("align", row["scan_id"])
    assert align is not None
    energy, mean, variance = (align.read(name) for name in ("energy_ev", "mean_od", "mean_od_variance"))
    known = np.isfinite(mean) & np.isfinite(variance)
    return _fitted(evidence, row, energy[known], mean[known], 2 * np.sqrt(variance[known]))


def _panel(part: SubFigure, evidence: Evidence, row: Mapping[str, Any]) -> None:
    scan_id = row["scan_id"]
    align, quality = evidence.output("align", scan_id), evidence.quality("fit", scan_id)
    assert align is not None
    energy, mean, variance = (align.read(name) for name in ("energy_ev", "mean_od", "mean_od_variance"))
    known = np.isfinite(mean) & np.isfinite(variance)
    upper, lower = part.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1]})
    marker = "o" if len(energy) < 40 else "."
    error = 2 * np.sqrt(variance[known])
    upper.errorbar(energy[known], mean[known], error, fmt=marker, ms=3, lw=0.7, color=INK)
    fitted = _fitted(evidence, row, energy[known], mean[known], error)
    if fitted is not None:
        upper.plot(*fitted[:2], "-", color=COLOURS[1], lw=1.1)
    upper.set(ylabel="optical density")
    shift, se = number(quality.get("energy_shift_ev")), number(quality.get("energy_shift_se_ev"))
    said = [f"R {number(quality.get('r_factor')):.2g}" if quality.get("r_factor") is not None else ""]
    if quality.get("chi2_reduced") is not None:
        said.append(f"χ²/ν {number(quality['chi2_reduced']):.2f}")
    if np.isfinite(shift):
        said.append(
            f"shift {1e3 * shift:+.0f} ± {1e3 * se:.0f} meV" if np.isfinite(se) else f"shift {1e3 * shift:+.0f} meV"
        )
    modality = "STXM" if row["modality"] == "stxm" else "ptychography"
    upper.set_title(f"{label_of(row)}, {modality}\n{', '.join(part for part in said if part)}", fontsize=7.5)
    at, residual, residual_se = (numbers(quality.get(name)) for name in ("energy_ev", "residual", "residual_se"))
    lower.axhline(0, color="#888888", lw=0.6)
    if residual.size and residual.size == at.size:
        if residual_se.size == at.size:
            lower.fill_between(
                at, residual - 2 * residual_se, residual + 2 * residual_se, color=COLOURS[4], alpha=0.5, lw=0
            )
        lower.plot(at, residual, marker + "-", ms=2.5, lw=0.8, color=COLOURS[0])
    lower.set(xlabel="photon energy (eV)", ylabel="residual")
    lower.locator_params(axis="y", nbins=3)
    lower.locator_params(axis="x", nbins=5)


def _fitted(
    evidence: Evidence, row: Mapping[str, Any], energy: Any, mean: Any, error: Any
) -> tuple[Any, Any, Any] | None:
    """The sum of the scan's end-members nearest to its mean spectrum, at its energy shift: energies, sum and terms."""
    references = evidence.references.get(row["scan_id"])
    used = numbers(evidence.quality("fit", row["scan_id"]).get("energy_ev"))
    chosen = np.isin(np.round(energy, 6), np.round(used, 6))
    if references is None or chosen.sum() < 2:
        return None
    shift = np.nan_to_num(number(evidence.quality("fit", row["scan_id"]).get("energy_shift_ev")))
    options = evidence.publications["fit"].options
    try:
        matrix = design_matrix(
            end_members_of(references), energy[chosen], float(shift), options.get("background", "none")
        )
    except Explained:
        return None
    level = 0.0
    before = energy[chosen] < number(options.get("pre_edge_below_ev"))
    if before.any():
        # As the fit does: what stands before the edge is no part of the end-members' sum.
        level = float(mean[chosen][before].mean())
        matrix[:, :2] -= matrix[before, :2].mean(axis=0)
    weight = 1.0 / np.maximum(error[chosen], 1e-6)
    # A background may be negative: its columns stand twice, with both signs.
    both = np.concatenate([matrix, -matrix[:, 2:]], axis=1)
    thickness, _ = nnls(both * weight[:, None], (mean[chosen] - level) * weight)
    return energy[chosen], level + both @ thickness, matrix
