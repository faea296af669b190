"""The tables of the page: electrodes, effects, quality of every scan with what was left out, and provenance."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stxmdist.planning.stages import STAGES
from stxmdist.report.evidence import Evidence, number, numbers, text_of, words
from stxmdist.report.gallery import half_period_nm
from stxmdist.report.variance import ENDPOINTS, TERMS
from stxmdist.runner import CAMPAIGN

MOST_ROWS = 400
"""Longer tables are cut on the page; the CSV beside has all of it."""

DASH = "–"


@dataclass(frozen=True)
class Sheet:
    """A table as it stands on the page."""

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    """Columns that are aligned to the right"""
    tables: tuple[str, ...] = ()
    """Tables of the campaign that hold all of it"""
    empty: str = "Nothing."
    """What is said where there are no rows"""


def figure_of(value: Any, digits: int = 3) -> str:
    """A number with so many digits that count; a dash where it is not known."""
    value = number(value)
    if not np.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    text = f"{value:#.{digits}g}".rstrip(".")
    if "e" in text:
        exponent = int(text.split("e")[1])
        text = f"{value:.{digits - 1 - exponent}f}" if -8 < exponent < 0 else f"{value:.{digits - 1}e}"
        text = f"{value:.0f}" if 0 <= exponent < 9 else text
    return text.replace("-", "−")


def plain(value: Any) -> str:
    """A number that was set, such as a cycle or a rate: no more digits than it has."""
    value = number(value)
    return f"{value:.9g}" if np.isfinite(value) else DASH


def interval_of(value: Any, low: Any, high: Any, digits: int = 3) -> str:
    """A number with its interval, if it has one."""
    text = figure_of(value, digits)
    if not (np.isfinite(number(low)) and np.isfinite(number(high))):
        return text
    return f"{text} ({figure_of(low, digits)} to {figure_of(high, digits)})"


def probability_of(p: Any) -> str:
    """A probability: three decimals, and a bound below a thousandth."""
    value = number(p)
    if not np.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def electrodes(evidence: Evidence) -> Sheet:
    """T1: one row per electrode and condition."""
    table = evidence.table("electrodes")
    rows = []
    for row in table.to_dict("records")[:MOST_ROWS]:
        coulometric, mean = number(row.get("soc_coulometric")), number(row.get("soc_mean"))
        rows.append(
            (
                str(row["electrode_id"]),
                plain(row.get("cycle")),
                plain(row.get("c_rate")),
                text_of(row.get("direction"), DASH),
                plain(row["n_regions"]),
                plain(row["n_particles"]),
                interval_of(mean, row.get("soc_ci_low"), row.get("soc_ci_high")),
                figure_of(coulometric),
                figure_of(mean - coulometric, 2),
                figure_of(row.get("sd_inter")),
                figure_of(row.get("sd_intra")),
                figure_of(row.get("icc"), 2),
                interval_of(row.get("active_fraction"), row.get("active_ci_low"), row.get("active_ci_high"), 2),
                "/".join(figure_of(row.get(name), 2) for name in ("d10_um", "d50_um", "d90_um")),
                text_of(row.get("note")),
            )
        )
    header = (
        "electrode", "cycle", "rate (C)", "direction", "regions", "particles", "state of charge (95 % interval)",
        "coulometry", "difference", "SD between particles", "SD within", "ICC", "active fraction (95 % interval)",
        "D10/D50/D90 (µm)", "note",
    )  # fmt: skip
    return Sheet(
        "T1",
        "Electrodes",
        "One row per electrode and condition. State of charge is the mean by mass; spreads are free of noise; ICC is "
        "the part of the spread of pixels that lies between particles. Where no interval stands, none can be given.",
        header,
        tuple(rows),
        (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
        ("electrodes",),
        "No electrode has been summarised.",
    )


def effects(evidence: Evidence) -> Sheet:
    """T2: one row per effect and method, with its p and the smallest p that the design can give."""
    records = evidence.table("effects").to_dict("records")[:MOST_ROWS]
    rows = [
        (
            ENDPOINTS.get(row["endpoint"], str(row["endpoint"])) + (" *" if row.get("primary") is True else ""),
            TERMS.get(row["term"], str(row["term"])),
            str(row["method"]),
            interval_of(row.get("estimate"), row.get("ci_low"), row.get("ci_high")),
            text_of(row.get("unit")),
            probability_of(row.get("p")),
            probability_of(row.get("p_min_attainable")),
            probability_of(row.get("q_fdr")),
            plain(row["n_electrodes"]),
            plain(row["n_particles"]),
            text_of(row.get("note")),
        )
        for row in records
    ]
    header = (
        "endpoint", "term", "method", "estimate (95 % interval)", "unit", "p", "smallest attainable p", "q (FDR)",
        "electrodes", "particles", "note",
    )  # fmt: skip
    return Sheet(
        "T2",
        "Effects",
        "p is the probability of an effect as large or larger where there is none. The smallest attainable p is what "
        "the exact test gives at best with so many electrodes: where it is large, a large p says nothing. q corrects "
        "p for the number of tests. A star marks the test that was declared before looking; it is not corrected.",
        header,
        tuple(rows),
        (3, 5, 6, 7, 8, 9),
        ("effects",),
        "No effect was tested.",
    )


def quality(evidence: Evidence) -> Sheet:
    """T3: how far every scan came, and how good it is."""
    rows = []
    particles = evidence.table("particles")
    counts = dict(zip(*np.unique(words(particles, "scan_id").astype(str), return_counts=True), strict=True))
    for row in evidence.scans[:MOST_ROWS]:
        scan_id = row["scan_id"]
        done = [stage for stage in STAGES if evidence.has(stage, scan_id)]
        fit = evidence.quality("fit", scan_id)
        align, absorbance = (evidence.quality(stage, scan_id) for stage in ("align", "absorbance"))
        pixels = fit.get("pixels") or {}
        total = sum(pixels.values())
        untrusted = sum(n for name, n in pixels.items() if name not in ("valid", "background", "edge"))
        residual = numbers(evidence.quality("reconstruct", scan_id).get("residual"))
        shift = number(fit.get("energy_shift_ev")), number(fit.get("energy_shift_se_ev"))
        register = evidence.quality("register", scan_id)
        rows.append(
            (
                scan_id,
                text_of(row.get("electrode_id"), DASH),
                plain(row.get("cycle")),
                done[-1] if done else "none",
                str(fit.get("energies_used") or absorbance.get("energies_measured") or DASH),
                percent_of(absorbance.get("i0_relative_se")),
                figure_of(align.get("largest_shift_px"), 2),
                f"{1e3 * shift[0]:+.0f} ± {1e3 * shift[1]:.0f}".replace("-", "−") if np.isfinite(shift).all() else DASH,
                figure_of(fit.get("r_factor"), 2),
                figure_of(fit.get("chi2_reduced")),
                percent_of(untrusted / total if total else None),
                figure_of(np.median(residual) if residual.size else None, 2),
                figure_of(half_period_nm(evidence, scan_id)),
                _registered(register),
                str(counts.get(scan_id, 0)) if evidence.has("segment", scan_id) else DASH,
            )
        )
    header = (
        "scan", "electrode", "cycle", "last stage done", "energies", "error of I0", "largest drift (px)",
        "energy shift (meV)", "R-factor", "χ²/ν", "pixels masked", "amplitude residual", "FRC half-period (nm)",
        "registration", "particles",
    )  # fmt: skip
    return Sheet(
        "T3",
        "Quality of every scan",
        "Medians over pixels, tiles and energies. Pixels masked: too thick, too few counts, missing, saturated, "
        "drifted out or badly fitted.",
        header,
        tuple(rows),
        (2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14),
        ("scans",),
        "The sample sheet has no usable rows.",
    )


def percent_of(share: Any) -> str:
    """A share in per cent."""
    value = number(share)
    return f"{100 * value:.2g} %" if np.isfinite(value) else DASH


def _registered(found: Any) -> str:
    if not found:
        return DASH
    if not found.get("accepted"):
        return str(found.get("reason") or "refused")
    return f"± {1e3 * number(found.get('error_um')):.0f} nm, {int(found.get('pairs') or 0)} pairs"


def exclusions(evidence: Evidence) -> Sheet:
    """T3, second part: what was left out, where and why."""
    together: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in evidence.all_exclusions:
        key = tuple(text_of(row.get(name)) for name in ("what", "scan_id", "stage", "why"))
        together.setdefault(key, []).append(row)
    rows = []
    for (what, scan_id, stage, why), alike in list(together.items())[:MOST_ROWS]:
        where = text_of(alike[0].get("where")) + (f" and {len(alike) - 1} more" if len(alike) > 1 else "")
        n = sum(int(np.nan_to_num(number(row.get("n")), nan=1.0)) for row in alike)
        rows.append((what, scan_id, stage, where, str(n), why))
    return Sheet(
        "T3-exclusions",
        "What was left out, and why",
        "Everything that does not enter the statistics, with its reason.",
        ("what", "scan", "stage", "which", "how many", "why"),
        tuple(rows),
        (4,),
        ("exclusions",),
        "Nothing was left out.",
    )


def software(evidence: Evidence) -> Sheet:
    """T4: versions."""
    versions: dict[str, list[str]] = {}
    for source in (*(publication.software for publication in evidence.publications.values()), evidence.software):
        for name, version in source.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    rows = tuple((name, ", then ".join(found)) for name, found in sorted(versions.items()))
    caption = f"Seed {evidence.seed}. " if evidence.seed is not None else ""
    return Sheet(
        "T4-software", "Software", caption + "Versions that computed what is published.", ("part", "version"), rows
    )


def stages(evidence: Evidence) -> Sheet:
    """T4: what each stage was told, when, and which outputs it left."""
    rows = []
    for name, publication in evidence.publications.items():
        mine = {scan: digest for (stage, scan), digest in evidence.published.items() if stage == name}
        rows.append(
            (
                name,
                str(publication.version),
                publication.time,
                str(len(mine)),
                figure_of(sum(publication.scans[scan].core_seconds for scan in mine if scan in publication.scans)),
                json.dumps(publication.options, sort_keys=True),
                digests_of(mine),
            )
        )
    return Sheet(
        "T4-stages",
        "Stages",
        "Digests name the folders of the store; the same digest means the same inputs, options and version.",
        ("stage", "version", "published", "outputs", "core seconds", "options", "digests"),
        tuple(rows),
        (1, 3, 4),
        ("scans",),
        "No stage has published anything.",
    )


def digests_of(mine: dict[str, str]) -> str:
    """Scans and digests on one line, the first hundred."""
    parts = [digest if scan == CAMPAIGN else f"{scan} {digest}" for scan, digest in sorted(mine.items())]
    return "; ".join(parts[:100]) + (f"; and {len(parts) - 100} more" if len(parts) > 100 else "")


def provenance(evidence: Evidence) -> Sequence[Sheet]:
    """Both parts of T4."""
    return software(evidence), stages(evidence)
