"""The tables of the page: electrodes, effects, quality of every scan with what was left out, and provenance."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.campaign.scan import Scan
from stxmdist.measures import AbsorbanceMeasures, AlignMeasures, FitMeasures, ReconstructFigures, RegisterMeasures
from stxmdist.planning.columns import number, rows_of, text_of, words
from stxmdist.planning.exclusions import Exclusion
from stxmdist.records import Json
from stxmdist.report.endpoints import meaning_of, term_of, unit_in_words
from stxmdist.report.evidence import Evidence, median_of
from stxmdist.report.manuscript import DASH, Manuscript, decimals_of, fixed, with_interval
from stxmdist.runner import CAMPAIGN

MOST_ROWS = 400
"""Longer tables are cut on the page; the CSV beside has all of it."""


@dataclass(frozen=True)
class Sheet(Manuscript):
    """A table of the page."""

    tables: tuple[str, ...] = ()
    """Tables of the campaign that hold all of it"""
    empty: str = "Nothing."
    """What is said where there are no rows"""
    rounded: tuple[tuple[str, ...], ...] | None = None
    """The rows for a manuscript, rounded by their errors; None: those of the page"""
    raw: pd.DataFrame | None = None
    """Its numbers in full; None: what the rows say"""


@dataclass(frozen=True)
class ElectrodeRow:
    """A row of the table ``electrodes``."""

    electrode_id: str
    cycle: float
    c_rate: float
    direction: str
    n_regions: float
    n_particles: float
    soc_mean: float
    soc_ci_low: float
    soc_ci_high: float
    soc_coulometric: float
    sd_inter: float
    sd_intra: float
    icc: float
    active_fraction: float
    active_ci_low: float
    active_ci_high: float
    d10_um: float
    d50_um: float
    d90_um: float
    note: str


@dataclass(frozen=True)
class EffectRow:
    """A row of the table ``effects``."""

    endpoint: str
    term: str
    method: str
    estimate: float
    ci_low: float
    ci_high: float
    unit: str
    p: float
    p_min_attainable: float
    q_fdr: float
    n_electrodes: float
    n_particles: float
    primary: bool
    note: str


def figure_of(value: object, digits: int = 3) -> str:
    """A number with so many significant digits; a dash where it is not known."""
    known = number(value)
    if not np.isfinite(known):
        return DASH
    if known == 0:
        return "0"
    text = f"{known:#.{digits}g}".rstrip(".")
    if "e" in text:
        exponent = int(text.split("e")[1])
        text = f"{known:.{digits - 1 - exponent}f}" if -8 < exponent < 0 else f"{known:.{digits - 1}e}"
        text = f"{known:.0f}" if 0 <= exponent < 9 else text
    return text.replace("-", "−")


def plain(value: object) -> str:
    """A number that was set, such as a cycle or a rate: no more digits than it has."""
    known = number(value)
    return f"{known:.9g}" if np.isfinite(known) else DASH


def interval_of(value: object, low: object, high: object, digits: int = 3) -> str:
    """A number with its interval, if it has one."""
    text = figure_of(value, digits)
    if not (np.isfinite(number(low)) and np.isfinite(number(high))):
        return text
    return f"{text} ({figure_of(low, digits)} to {figure_of(high, digits)})"


def probability_of(p: object) -> str:
    """A probability: three decimals, and a bound below a thousandth."""
    value = number(p)
    if not np.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def electrodes(evidence: Evidence) -> Sheet:
    """T1: one row per electrode and condition."""
    found = rows_of(ElectrodeRow, evidence.table("electrodes"))
    rows = [
        (
            row.electrode_id,
            plain(row.cycle),
            plain(row.c_rate),
            row.direction or DASH,
            plain(row.n_regions),
            plain(row.n_particles),
            interval_of(row.soc_mean, row.soc_ci_low, row.soc_ci_high),
            figure_of(row.soc_coulometric),
            figure_of(row.soc_mean - row.soc_coulometric, 2),
            figure_of(row.sd_inter),
            figure_of(row.sd_intra),
            figure_of(row.icc, 2),
            interval_of(row.active_fraction, row.active_ci_low, row.active_ci_high, 2),
            "/".join(figure_of(size_um, 2) for size_um in (row.d10_um, row.d50_um, row.d90_um)),
            row.note,
        )
        for row in found[:MOST_ROWS]
    ]
    header = (
        "electrode", "cycle", "rate (C)", "direction", "regions", "particles", "state of charge (95 % interval)",
        "coulometry", "difference", "SD between particles", "SD within", "ICC", "active fraction (95 % interval)",
        "D10/D50/D90 (µm)", "note",
    )  # fmt: skip
    return Sheet(
        "T1",
        "Electrodes",
        "One row per electrode and condition. State of charge is the mean by mass. Measurement noise is subtracted "
        "from the standard deviations (SD). ICC, the intraclass correlation, is the share of the variance of pixels "
        "that lies between particles. Where there is no interval, none can be given.",
        header,
        tuple(rows),
        (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
        ("electrodes",),
        "No electrode has been summarised.",
        tuple((*row[:6], *_rounded(each), *row[9:]) for row, each in zip(rows, found, strict=False)),
        evidence.table("electrodes"),
    )


def _rounded(row: ElectrodeRow) -> tuple[str, str, str]:
    """State of charge with its interval, coulometry, and their difference, by two digits of the error."""
    half = 0.5 * (row.soc_ci_high - row.soc_ci_low)
    return (
        with_interval(row.soc_mean, row.soc_ci_low, row.soc_ci_high),
        figure_of(row.soc_coulometric),
        fixed(row.soc_mean - row.soc_coulometric, decimals_of(half)),
    )


def effects(evidence: Evidence) -> Sheet:
    """T2: one row per effect and method, with its p and the smallest p that the design can give."""
    found = rows_of(EffectRow, evidence.table("effects"))
    rows = [
        (
            meaning_of(row.endpoint) + (" *" if row.primary else ""),
            term_of(row.term),
            row.method,
            interval_of(row.estimate, row.ci_low, row.ci_high),
            unit_in_words(row.unit),
            probability_of(row.p),
            probability_of(row.p_min_attainable),
            probability_of(row.q_fdr),
            plain(row.n_electrodes),
            plain(row.n_particles),
            row.note,
        )
        for row in found[:MOST_ROWS]
    ]
    header = (
        "endpoint", "term", "method", "estimate (95 % interval)", "unit", "p", "smallest attainable p", "q (FDR)",
        "electrodes", "particles", "note",
    )  # fmt: skip
    return Sheet(
        "T2",
        "Effects",
        "p is the probability to find an effect as large or larger where there is none. The smallest attainable p is "
        "the smallest that the exact test can give with so many electrodes: where it is large, a large p says nothing. "
        "q is p corrected for the number of tests (false discovery rate). A star marks the primary test, which was "
        "chosen before the data were seen; it is not corrected.",
        header,
        tuple(rows),
        (3, 5, 6, 7, 8, 9),
        ("effects",),
        "No effect was tested.",
        tuple(
            (*row[:3], with_interval(each.estimate, each.ci_low, each.ci_high), *row[4:])
            for row, each in zip(rows, found, strict=False)
        ),
        evidence.table("effects"),
    )


_OF_QUALITY = (
    "scan", "electrode", "cycle", "last stage done", "energies", "error of I0", "largest drift (px)",
    "energy shift (meV)", "R-factor", "χ²/ν", "pixels masked", "amplitude residual", "FRC half-period (nm)",
    "registration", "particles",
)  # fmt: skip


def quality_of(evidence: Evidence, scan: Scan, particles: int) -> tuple[tuple[str, str], ...]:
    """What T3 says of a scan with so many particles, (heading, words): also where the table has no room for it."""
    return tuple(zip(_OF_QUALITY, _quality_row(evidence, scan, particles), strict=True))


def quality(evidence: Evidence) -> Sheet:
    """T3: how far every scan came, and how good it is."""
    particles = words(evidence.table("particles"), "scan_id")
    counts = dict(zip(*np.unique(particles, return_counts=True), strict=True))
    rows = [_quality_row(evidence, scan, int(counts.get(scan.scan_id, 0))) for scan in evidence.scans[:MOST_ROWS]]
    return Sheet(
        "T3",
        "Quality of every scan",
        "Figures are medians over pixels, tiles and energies. Pixels are masked that are too thick, have too few "
        "counts, are missing or saturated, left the field by drift, or are fitted badly.",
        _OF_QUALITY,
        tuple(rows),
        (2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14),
        ("scans",),
        "The sample sheet has no usable rows.",
    )


def _quality_row(evidence: Evidence, scan: Scan, particles: int) -> tuple[str, ...]:
    scan_id = scan.scan_id
    done = evidence.published.stages_of(scan_id)
    absorbance = evidence.figures(AbsorbanceMeasures, "absorbance", scan_id)
    align = evidence.figures(AlignMeasures, "align", scan_id)
    fit = evidence.figures(FitMeasures, "fit", scan_id)
    reconstruct = evidence.figures(ReconstructFigures, "reconstruct", scan_id)
    measured = None if absorbance is None else absorbance.energies_measured
    energies = measured if fit is None else fit.energies_used
    return (
        scan_id,
        text_of(scan.electrode_id, DASH),
        plain(scan.cycle),
        done[-1] if done else "none",
        text_of(energies, DASH),
        percent_of(None if absorbance is None else absorbance.i0_relative_se),
        figure_of(None if align is None else align.largest_shift_px, 2),
        DASH if fit is None else _shift_mev(fit),
        figure_of(None if fit is None else fit.r_factor, 2),
        figure_of(None if fit is None else fit.chi2_reduced),
        percent_of(None if fit is None else _untrusted_share(fit)),
        figure_of(None if reconstruct is None else median_of(reconstruct.residual), 2),
        figure_of(evidence.half_period_nm(scan_id)),
        _registered(evidence.figures(RegisterMeasures, "register", scan_id)),
        str(particles) if evidence.has("segment", scan_id) else DASH,
    )


def _shift_mev(fit: FitMeasures) -> str:
    """How far the energies of a scan are off, with its standard error."""
    shift_mev, se_mev = 1e3 * fit.energy_shift_ev, 1e3 * fit.energy_shift_se_ev
    known = np.isfinite(shift_mev) and np.isfinite(se_mev)
    return f"{shift_mev:+.0f} ± {se_mev:.0f}".replace("-", "−") if known else DASH


def _untrusted_share(fit: FitMeasures) -> float | None:
    """Share of the pixels that are masked although there may be a particle."""
    total = sum(fit.pixels.values())
    untrusted = sum(n for name, n in fit.pixels.items() if name not in ("valid", "background", "edge"))
    return untrusted / total if total else None


def percent_of(share: object) -> str:
    """A share in per cent."""
    value = number(share)
    return f"{100 * value:.2g} %" if np.isfinite(value) else DASH


def _registered(found: RegisterMeasures | None) -> str:
    if found is None:
        return DASH
    if not found.accepted:
        return found.reason or "refused"
    return f"± {1e3 * found.error_um:.0f} nm, {found.pairs} pairs"


def exclusions(evidence: Evidence) -> Sheet:
    """T3, second part: what was left out, where and why."""
    together: dict[tuple[str, str, str, str], list[Exclusion]] = {}
    for row in evidence.exclusions:
        together.setdefault((row.what, row.scan_id, row.stage, row.why), []).append(row)
    rows = []
    for (what, scan_id, stage, why), alike in list(together.items())[:MOST_ROWS]:
        where = alike[0].where + (f" and {len(alike) - 1} more" if len(alike) > 1 else "")
        rows.append((what, scan_id, stage, where, str(sum(row.n for row in alike)), why))
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
    for source in (
        *(publication.software for publication in evidence.publications.values()),
        evidence.campaign.software,
    ):
        for name, version in source.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    rows = tuple((name, ", then ".join(found)) for name, found in sorted(versions.items()))
    seed = evidence.campaign.seed
    caption = "Versions of the programs that computed what is published."
    if seed is not None:
        caption += f" Random numbers were drawn with the seed {seed}."
    return Sheet("T4-software", "Software", caption, ("part", "version"), rows)


def stages(evidence: Evidence) -> Sheet:
    """T4: the options of each stage, when it was published, and which outputs it left."""
    rows = []
    for name, publication in evidence.publications.items():
        mine = evidence.published.digests(name)
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
        rows += [
            (f"{name} of {scan_id}", "", "", "", "", differing(publication.options, scan.options), "")
            for scan_id, scan in publication.scans.items()
            if scan_id in mine and scan.options
        ]
    return Sheet(
        "T4-stages",
        "Stages",
        "Digests are the names of folders in the store; the same digest means the same inputs, options and version. "
        "A scan to which the sample sheet gives options of its own has a line with those that differ.",
        ("stage", "version", "published", "outputs", "core seconds", "options", "digests"),
        tuple(rows),
        (1, 3, 4),
        ("scans",),
        "No stage has published anything.",
    )


def differing(common: Mapping[str, Json], own: Mapping[str, Json]) -> str:
    """Those options of one scan that are not as in common, by their paths."""
    found: dict[str, Json] = {}

    def compare(path: str, ours: Json, theirs: Json) -> None:
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            for name, value in ours.items():
                compare(f"{path}.{name}" if path else name, value, theirs.get(name))
        elif ours != theirs:
            found[path] = ours

    compare("", dict(own), dict(common))
    return json.dumps(found, sort_keys=True)


def digests_of(mine: dict[str, str]) -> str:
    """Scans and digests on one line, the first hundred."""
    parts = [digest if scan == CAMPAIGN else f"{scan} {digest}" for scan, digest in sorted(mine.items())]
    return "; ".join(parts[:100]) + (f"; and {len(parts) - 100} more" if len(parts) > 100 else "")
