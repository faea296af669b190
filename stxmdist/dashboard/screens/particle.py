"""One particle in every detail: crops in both microscopes, spectrum, profile, doubts, partner, neighbours."""

import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from skimage.measure import find_contours

from storage.output import Output
from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.figures.plot import Drawn, as_drawn
from stxmdist.dashboard.figures.profile import profile_figure
from stxmdist.dashboard.images import TRUSTED, Frame, MapView, map_view
from stxmdist.dashboard.refused import NotHere
from stxmdist.dashboard.screen import Crumb, Page, Screen
from stxmdist.dashboard.screens.scan import SpectrumPart, spectrum_part
from stxmdist.dashboard.spectra import region_of
from stxmdist.dashboard.visit import Visit
from stxmdist.dashboard.words import figure, flags_in_words, plus_minus
from stxmdist.measures import AlignMeasures
from stxmdist.particles.radial_profile import radial_profile
from stxmdist.pixel_pitch import pitch_yx_um
from stxmdist.planning.columns import column, number, text_of, words
from stxmdist.planning.tables import NULL_BANDS, table_specs
from stxmdist.planning.verdict import MODALITIES

WIDER = 2.2
"""A crop is so many times as wide as the particle"""
MOST_NEIGHBOURS = 8
BANDED = (
    ("core_shell_index", "rim less core"),
    ("soc_one_sidedness", "one-sidedness"),
    ("soc_var_intra", "variance within"),
    ("soc_moran", "likeness of near pixels"),
    ("boundary_density_per_um", "boundary per area (1/µm)"),
)
"""Columns that twins were measured for, and their words"""


@dataclass(frozen=True)
class Crop:
    """A particle in one microscope."""

    title: str
    maps: tuple[MapView, ...]
    group: str
    """Maps of one scan move together"""


@dataclass(frozen=True)
class Banded:
    """A metric beside what homogeneous twins show."""

    name: str
    value: str
    band: str
    said: str
    beyond: bool


@dataclass(frozen=True)
class Neighbour:
    """A particle nearby."""

    number: int
    address: str
    distance_um: float
    contact: str
    soc: str
    difference: str


@dataclass(frozen=True)
class Partner:
    """The same particle in the other microscope."""

    scan_id: str
    number: int
    address: str
    relation: str
    rows: tuple[tuple[str, str, str, str], ...]
    """Name, here, there, difference"""
    said: str


@dataclass(frozen=True, kw_only=True)
class ParticlePage(Page):
    """What the template of the screen shows."""

    scan: Scan
    number: int
    before: str | None
    after: str | None
    facts: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    simulated: bool
    crops: tuple[Crop, ...]
    crops_said: str
    spectrum: SpectrumPart
    profile: Drawn | str
    banded: tuple[Banded, ...]
    partners: tuple[Partner, ...]
    neighbours: tuple[Neighbour, ...]
    others: tuple[tuple[str, str, str], ...]
    """Every further column that is known: name, value with unit, meaning"""
    python: str


def page(visit: Visit) -> ParticlePage:
    """Everything that is published of the particle that the address names with ``scan`` and ``particle``."""
    now, scan = visit.now, visit.scan
    wanted = visit.integer("particle")
    if wanted is None:
        raise NotHere("The address names no particle.")
    labels = now.output("segment", scan.scan_id)
    if labels is None:
        raise NotHere(f"No particles of scan {scan.scan_id!r} are published yet.")
    region_of(labels, wanted)
    table = now.table("particles")
    here = None if table is None else table[words(table, "scan_id") == scan.scan_id]
    row = _row(here, wanted)
    before, after = _steps(visit, here, labels, wanted)
    partners = tuple(_partners(visit, scan, wanted))
    crops = [_crop(visit, scan, wanted, "own", None)]
    width = crops[0][1]
    crops += [_crop(visit, now.scan(each.scan_id), each.number, "partner", width) for each in partners[:1]]
    code = f"import stxmdist\ncampaign = stxmdist.open({json.dumps(str(now.campaign.path), ensure_ascii=False)})\n"
    code += f"particle = campaign.scan({json.dumps(scan.scan_id, ensure_ascii=False)}).particle({wanted})\n"
    return ParticlePage(
        title=f"Particle {wanted} of {scan.scan_id}",
        crumbs=(
            Crumb(text_of(scan.electrode_id, "no electrode")),
            Crumb(scan.scan_id, visit.link("scan", scan=scan.scan_id, particle=wanted)),
            Crumb(f"Particle {wanted}"),
        ),
        scan=scan,
        number=wanted,
        before=before,
        after=after,
        facts=_facts(row),
        flags=flags_in_words(text_of(row.get("flags"))),
        simulated=scan.scan_id in now.simulated,
        crops=tuple(crop for crop, _ in crops),
        crops_said="" if partners else _why_alone(visit, scan),
        spectrum=spectrum_part(visit),
        profile=_profile(visit, scan, labels, wanted),
        banded=_banded(visit, scan, row, wanted),
        partners=partners,
        neighbours=_neighbours(visit, scan, here, row, wanted),
        others=_others(row),
        python=code,
    )


def _row(here: pd.DataFrame | None, wanted: int) -> dict[str, object]:
    """The particle's row of the table; empty where inference has not published it."""
    if here is None:
        return {}
    found = here[column(here, "particle_id") == wanted]
    return {str(name): value for name, value in found.iloc[0].items()} if len(found) else {}


def _steps(visit: Visit, here: pd.DataFrame | None, labels: Output, wanted: int) -> tuple[str | None, str | None]:
    known = column(here, "particle_id").astype(int) if here is not None else np.zeros(0, int)
    numbers = known if known.size else np.unique(labels.read("labels"))
    numbers = np.sort(numbers[numbers > 0])
    below, above = numbers[numbers < wanted], numbers[numbers > wanted]
    scan_id = visit.scan.scan_id
    before = visit.link("particle", scan=scan_id, particle=int(below[-1])) if below.size else None
    return before, visit.link("particle", scan=scan_id, particle=int(above[0])) if above.size else None


def _facts(row: dict[str, object]) -> tuple[tuple[str, str], ...]:
    def said(name: str, unit: str = "") -> str:
        return f"{plus_minus(number(row.get(name)), number(row.get(f'{name}_se')))} {unit}".strip()

    return (
        ("state of charge", plus_minus(number(row.get("soc_mean")), number(row.get("soc_se")))),
        ("spread within", said("soc_sd")),
        ("phases", text_of(row.get("phase_class"), "–")),
        ("diameter", said("d_eq_um", "µm")),
        ("area", said("area_um2", "µm²")),
        ("thickness", said("thickness_nm", "nm")),
        ("aspect", figure(number(row.get("aspect")))),
        ("pixels", f"{number(row.get('n_pixels')):.0f}" if row else figure(None)),
    )


def _crop(visit: Visit, scan: Scan, particle: int, group: str, width_um: float | None) -> tuple[Crop, float]:
    """Maps of a scan around a particle, ``width_um`` wide; of the particle's own width where None."""
    labels = visit.now.output("segment", scan.scan_id)
    assert labels is not None
    part, inside = region_of(labels, particle)
    y_um, x_um = (np.asarray(labels.read(name), np.float64) for name in ("y_um", "x_um"))
    own = y_um[part[0]], x_um[part[1]]
    if width_um is None:
        pitch = float(np.max(pitch_yx_um(y_um, x_um)))
        width_um = WIDER * max(float(np.ptp(axis)) + pitch for axis in own)
    focus = (float(own[1].mean()), float(own[0].mean()), width_um)
    outline = _outline(inside, *own)
    found = []
    for name in ("od", "soc"):
        view = map_view(visit, scan.scan_id, name, frames=(outline,))
        if view is not None:
            found.append(replace(view, focus=focus, outlines=None))
    title = f"{MODALITIES[scan.modality]}, particle {particle}"
    return Crop(title, tuple(found), group), width_um


def _outline(inside: np.ndarray, y_um: np.ndarray, x_um: np.ndarray) -> Frame:
    """The outline of a mask (Y, X) in um, the longest one where there are several."""
    lines = find_contours(np.pad(inside.astype(float), 1), 0.5)
    line = max(lines, key=len) - 1.0
    pitch = [float(axis[-1] - axis[0]) / max(1, len(axis) - 1) for axis in (y_um, x_um)]
    y, x = (axis[0] + step * line[:, i] for i, (axis, step) in enumerate(zip((y_um, x_um), pitch, strict=True)))
    return Frame("outline", tuple(map(float, x)), tuple(map(float, y)))


def _profile(visit: Visit, scan: Scan, labels: Output, wanted: int) -> Drawn | str:
    fit = visit.now.output("fit", scan.scan_id)
    if fit is None:
        return "No profile: the stage fit has published nothing for this scan."
    part, inside = region_of(labels, wanted, margin_px=1)
    soc, se, classes = (fit.read(name, part) for name in ("soc", "soc_se", "mask_class"))
    align = visit.now.figures(AlignMeasures, "align", scan.scan_id)
    pitch_nm = 1e3 * pitch_yx_um(labels.read("y_um"), labels.read("x_um"))
    correlation = 1.0 if align is None else align.noise_correlation_px2
    found = radial_profile(soc, se, inside, np.isin(classes, TRUSTED), pitch_nm, correlation)
    if not found.soc.size:
        return "No profile: none of its pixels has a state of charge."
    said = f"{found.beyond} of {found.soc.size} rings lie beyond the band of a homogeneous particle."
    caption = "rings from the outline inwards; grey: 95 % of a homogeneous particle's, by counting. " + said
    return as_drawn(profile_figure(found), caption, f"Radial profile of the state of charge. {said}", height=240)


def _banded(visit: Visit, scan: Scan, row: dict[str, object], wanted: int) -> tuple[Banded, ...]:
    table = visit.now.table(NULL_BANDS)
    if table is None or not row:
        return ()
    here = table[(words(table, "scan_id") == scan.scan_id) & (column(table, "particle_id") == wanted)]
    if not len(here):
        return ()
    rows = []
    for name, words_of_it in BANDED:
        value, error = number(row.get(name)), number(row.get(f"{name}_se"))
        low, high = (float(column(here, f"{name}_null_{end}")[0]) for end in ("low", "high"))
        if not np.isfinite([value, low, high]).all():
            continue
        beyond = not low <= value <= high
        said = "beyond what homogeneous twins show" if beyond else "as homogeneous twins are"
        band = f"{figure(low, 2)} to {figure(high, 2)}"
        rows.append(Banded(words_of_it, plus_minus(value, error), band, said, beyond))
    return tuple(rows)


def _partners(visit: Visit, scan: Scan, wanted: int) -> list[Partner]:
    """The same particle in the other microscope, as registration has paired them."""
    table = visit.now.table("pairs")
    if table is None:
        return []
    own, other = ("stxm", "ptychography") if scan.modality == "stxm" else ("ptychography", "stxm")
    mine = (words(table, f"scan_id_{own}") == scan.scan_id) & (column(table, f"particle_id_{own}") == wanted)
    found = []
    for _, pair in table[mine].iterrows():
        scan_id, there = text_of(pair[f"scan_id_{other}"]), int(pair[f"particle_id_{other}"])
        if visit.now.scans.get(scan_id) is None:
            continue
        soc, se = ([number(pair.get(f"{name}_{which}")) for which in (own, other)] for name in ("soc_mean", "soc_se"))
        size = [number(pair.get(f"d_eq_um_{which}")) for which in (own, other)]
        difference, error = soc[0] - soc[1], math.hypot(*se)
        sigmas = abs(difference) / error if error > 0 else float("nan")
        rows = (
            ("state of charge", plus_minus(soc[0], se[0]), plus_minus(soc[1], se[1]), plus_minus(difference, error, 2)),
            ("diameter (µm)", figure(size[0]), figure(size[1]), figure(size[0] - size[1], 2)),
        )
        said = (
            f"They differ by {figure(sigmas, 2)} standard errors; outlines overlap by {figure(number(pair['iou']), 2)}."
        )
        address = visit.link("particle", scan=scan_id, particle=there)
        found.append(Partner(scan_id, there, address, text_of(pair["relation"]), rows, said))
    return found


def _why_alone(visit: Visit, scan: Scan) -> str:
    if visit.now.table("pairs") is None:
        return "Whether another microscope saw it is not known: the stage infer has not published pairs."
    other = [each for each in visit.now.campaign.scans if scan.pair_id and each.pair_id == scan.pair_id]
    if len(other) < 2:
        return "No other microscope looked at this region."
    return (
        "No particle of the other microscope is paired with it: it lies outside of that field, or was not found there."
    )


def _neighbours(
    visit: Visit, scan: Scan, here: pd.DataFrame | None, row: dict[str, object], wanted: int
) -> tuple[Neighbour, ...]:
    if here is None or not row:
        return ()
    numbers, y, x, soc, se = (column(here, name) for name in ("particle_id", "y_um", "x_um", "soc_mean", "soc_se"))
    distance = np.hypot(y - number(row["y_um"]), x - number(row["x_um"]))
    contacts = visit.now.table("contacts")
    gaps: dict[int, float] = {}
    if contacts is not None:
        of_scan = contacts[words(contacts, "scan_id") == scan.scan_id]
        ends = [column(of_scan, name) for name in ("particle_id", "neighbour_id")]
        for first, second, gap in zip(*ends, column(of_scan, "gap_nm"), strict=True):
            for one, other in ((first, second), (second, first)):
                if one == wanted:
                    gaps[int(other)] = float(gap)
    order = [i for i in np.argsort(distance, kind="stable") if numbers[i] != wanted][:MOST_NEIGHBOURS]
    mine, mine_se = number(row.get("soc_mean")), number(row.get("soc_se"))
    return tuple(
        Neighbour(
            int(numbers[i]),
            visit.link("particle", scan=scan.scan_id, particle=int(numbers[i])),
            float(distance[i]),
            f"touches, gap {gaps[int(numbers[i])]:.0f} nm" if int(numbers[i]) in gaps else "",
            plus_minus(float(soc[i]), float(se[i])),
            plus_minus(float(soc[i]) - mine, float(np.hypot(se[i], mine_se)), 2),
        )
        for i in order
    )


def _others(row: dict[str, object]) -> tuple[tuple[str, str, str], ...]:
    """Every column of the table that is known of the particle, with its unit and meaning."""
    rows = []
    for spec in table_specs()["particles"].columns:
        if spec.name.endswith("_se") or spec.name not in row:
            continue
        value = row[spec.name]
        if spec.dtype == "float64":
            if not np.isfinite(number(value)):
                continue
            said = plus_minus(number(value), number(row.get(f"{spec.name}_se")))
        else:
            said = text_of(value)
        if said:
            rows.append((spec.name, f"{said} {'' if spec.unit == '1' else spec.unit}".strip(), spec.meaning))
    return tuple(rows)


SCREEN = Screen(page)
