"""One scan: images at every energy, states of charge and their errors, spectra to click, and whether to believe it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import MaskClass
from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.figures.plot import Drawn, as_drawn
from stxmdist.dashboard.figures.spectrum import RESIDUAL_HEIGHT, spectrum_figure
from stxmdist.dashboard.images import LAYERS, MapView, map_view, seen
from stxmdist.dashboard.over_energy import OverEnergy, over_energy
from stxmdist.dashboard.reconstruction import Reconstruction, reconstruction
from stxmdist.dashboard.refused import NotHere
from stxmdist.dashboard.report_files import page_of_scan
from stxmdist.dashboard.screen import Crumb, Page, Screen
from stxmdist.dashboard.spectra import Spectrum, pixel_at, spectrum_of_particle, spectrum_of_pixel
from stxmdist.dashboard.standing import Standing, fit_choices, standing_of
from stxmdist.dashboard.tiles import CLASS_COLOURS
from stxmdist.dashboard.visit import Visit
from stxmdist.dashboard.words import figure, percent
from stxmdist.measures import FitMeasures, SegmentMeasures
from stxmdist.planning.class_words import words_of
from stxmdist.planning.columns import column, number, text_of, words
from stxmdist.planning.verdict import MODALITIES

IMAGES = ("od", "phase", "amplitude", "counts")
"""What may be shown at every energy, the first that is published by itself"""
MAPS = ("soc", "soc_se", "classes", "chi2", "thickness", "fused")
"""What the fit and the registration leave"""
MOST_PARTICLES = 200
"""In the table of a page; the others are reached on the map"""
SPECTRUM_HEIGHT = 380


@dataclass(frozen=True)
class Tab:
    """One of several images of which one is shown."""

    title: str
    address: str
    current: bool


@dataclass(frozen=True)
class ClassRow:
    """Pixels of one mask class."""

    name: str
    colour: str
    n: int
    share: float
    said: str
    mend: str


@dataclass(frozen=True)
class ParticleRow:
    """One particle in the table of the scan."""

    number: int
    address: str
    d_eq_um: float
    soc_mean: float
    soc_se: float
    soc_sd: float
    phase_class: str
    flags: str


@dataclass(frozen=True)
class SpectrumPart:
    """The spectrum of what was clicked."""

    title: str
    drawn: Drawn | None
    facts: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    """Energy, optical density, error, fit, residual: the figure in numbers"""
    said: str = ""
    particle: str | None = None
    """Address of the screen of the particle"""
    tabs: tuple[Tab, ...] = ()
    """The pixel, and the particle that it belongs to"""


@dataclass(frozen=True, kw_only=True)
class ScanPage(Page):
    """What the template of the screen shows."""

    scan: Scan
    condition: tuple[tuple[str, str], ...]
    standing: Standing
    simulated: bool
    before: str | None
    after: str | None
    image: MapView | None
    image_said: str
    images: tuple[Tab, ...]
    map: MapView | None
    map_said: str
    maps: tuple[Tab, ...]
    energies: tuple[float, ...]
    energy: int
    energy_steps: tuple[str | None, str | None]
    spectrum: SpectrumPart
    classes: tuple[ClassRow, ...]
    fit_facts: tuple[tuple[str, str], ...]
    fit_said: tuple[str, ...]
    particles: tuple[ParticleRow, ...]
    n_particles: int
    over_energy: OverEnergy
    reconstruction: Reconstruction | str
    report: str | None
    """Address of its page in the report"""


def page(visit: Visit) -> ScanPage:
    """Everything that is published of a scan, in the state that the address asks for.

    The address names ``scan``; it may give ``energy`` (eV), ``image``, ``map``, ``x`` and ``y`` (um) or ``particle``.
    """
    now, scan = visit.now, visit.scan
    shown = [name for name in IMAGES if seen(now, scan.scan_id, name) is not None]
    named = visit.text("image", shown[0] if shown else "od")
    image = map_view(visit, scan.scan_id, named)
    maps = [name for name in MAPS if seen(now, scan.scan_id, name) is not None]
    map_named = visit.text("map", maps[0] if maps else "soc")
    mapped = map_view(visit, scan.scan_id, map_named)
    energies = () if image is None else image.energies_ev
    energy = 0 if image is None else image.energy
    energy_ev = energies[energy] if energies else float("nan")
    before, after = _neighbours(visit, scan)
    rows, n_particles = _particles(visit, scan)
    fit_facts, fit_said = _fit(visit, scan)
    done = now.published.stages_of(scan.scan_id)
    nothing = f"published as far as {done[-1]}" if done else "no stage has published it"
    return ScanPage(
        title=scan.scan_id,
        crumbs=(Crumb(text_of(scan.electrode_id, "no electrode")), Crumb(scan.scan_id)),
        scan=scan,
        condition=_condition(scan),
        standing=standing_of(now, scan),
        simulated=scan.scan_id in now.simulated,
        before=before,
        after=after,
        image=image,
        image_said=f"There is no image of this scan yet: {nothing}.",
        images=_tabs(visit, "image", shown, named),
        map=mapped,
        map_said=f"There is no map of its state of charge yet: {nothing}.",
        maps=_tabs(visit, "map", maps, map_named),
        energies=energies,
        energy=energy,
        energy_steps=_energy_steps(visit, energies, energy),
        spectrum=spectrum_part(visit),
        classes=_classes(visit, scan),
        fit_facts=fit_facts,
        fit_said=fit_said,
        particles=rows,
        n_particles=n_particles,
        over_energy=over_energy(now, scan, energy_ev),
        reconstruction=reconstruction(now, scan, energy_ev),
        report=page_of_scan(now, scan.scan_id),
    )


def _condition(scan: Scan) -> tuple[tuple[str, str], ...]:
    rows = (
        ("modality", MODALITIES[scan.modality]),
        ("electrode", text_of(scan.electrode_id)),
        ("cycle", figure(scan.cycle) if scan.cycle is None else f"{scan.cycle:g}"),
        ("rate", "" if scan.c_rate is None else f"{scan.c_rate:g} C"),
        ("direction", text_of(scan.direction)),
        ("region", text_of(scan.region_id)),
        ("chemistry", scan.chemistry),
        ("by the cycler", "" if scan.soc_coulometric is None else figure(scan.soc_coulometric)),
    )
    return tuple((name, value) for name, value in rows if value)


def _neighbours(visit: Visit, scan: Scan) -> tuple[str | None, str | None]:
    names = list(visit.now.scans)
    if scan.scan_id not in names:
        return None, None
    at = names.index(scan.scan_id)
    kept = {"image": visit.query.get("image"), "map": visit.query.get("map")}
    before = visit.link("scan", scan=names[at - 1], **kept) if at > 0 else None
    return before, visit.link("scan", scan=names[at + 1], **kept) if at + 1 < len(names) else None


def _tabs(visit: Visit, key: str, names: Sequence[str], current: str) -> tuple[Tab, ...]:
    return tuple(Tab(LAYERS[name].title, visit.here("scan", **{key: name}), name == current) for name in names)


def _energy_steps(visit: Visit, energies: Sequence[float], at: int) -> tuple[str | None, str | None]:
    def step(to: int) -> str | None:
        return visit.here("scan", energy=f"{energies[to]:.3f}") if 0 <= to < len(energies) else None

    return step(at - 1), step(at + 1)


def _classes(visit: Visit, scan: Scan) -> tuple[ClassRow, ...]:
    segment = visit.now.figures(SegmentMeasures, "segment", scan.scan_id)
    fit = visit.now.figures(FitMeasures, "fit", scan.scan_id)
    pixels: Mapping[str, int] = {}
    if segment is not None:
        pixels = segment.pixels_of_field
    elif fit is not None:
        pixels = fit.pixels
    total = max(1, sum(pixels.values()))
    limits = fit_choices(visit.now, scan.scan_id).classes
    rows = []
    for name, n in sorted(pixels.items(), key=lambda item: -item[1]):
        kind = MaskClass[name]
        said = words_of(kind, limits)
        # What is said of valid pixels is meant for scans in which no particle was found.
        good = kind == MaskClass.valid
        cause = (fit.cause if kind == MaskClass.poor_fit and fit is not None else "") or said.cause
        mend = (fit.mend if kind == MaskClass.poor_fit and fit is not None else "") or said.mend
        colour = "#{:02x}{:02x}{:02x}".format(*CLASS_COLOURS[kind])
        rows.append(
            ClassRow(
                name.replace("_", " "),
                colour,
                n,
                n / total,
                said.are if good else f"{said.are}: {cause}",
                "" if good else mend,
            )
        )
    return tuple(rows)


def _fit(visit: Visit, scan: Scan) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    fit = visit.now.figures(FitMeasures, "fit", scan.scan_id)
    segment = visit.now.figures(SegmentMeasures, "segment", scan.scan_id)
    if fit is None:
        return (), ("The stage fit has published nothing for this scan.",)
    shift = f"{1e3 * fit.energy_shift_ev:+.0f} ± {1e3 * fit.energy_shift_se_ev:.0f} meV".replace("-", "−")
    facts = [
        ("reduced χ²", figure(fit.chi2_reduced)),
        ("R-factor", percent(fit.r_factor, 2)),
        ("energy shift", shift if np.isfinite(fit.energy_shift_ev) else figure(None)),
        ("energies used", str(fit.energies_used)),
        ("background", fit.background.replace("_", " ")),
    ]
    said = [f"End-members: {fit.end_members}.", fit.background_said]
    if segment is not None:
        facts += [
            ("particles", f"{segment.particles_with_soc} of {segment.particles}"),
            ("psf σ", figure(segment.psf_sigma_nm, 2, "nm")),
        ]
        said += [segment.missing_component, segment.third_phase if segment.third_phase_not_excluded else ""]
    return tuple(facts), tuple(f"{one[0].upper()}{one[1:].removesuffix('.')}." for one in said if one)


def _particles(visit: Visit, scan: Scan) -> tuple[tuple[ParticleRow, ...], int]:
    table = visit.now.table("particles")
    if table is None:
        return (), 0
    here = table[words(table, "scan_id") == scan.scan_id]
    numbers = {name: column(here, name) for name in ("particle_id", "d_eq_um", "soc_mean", "soc_se", "soc_sd")}
    texts = {name: words(here, name) for name in ("phase_class", "flags")}
    rows = tuple(
        ParticleRow(
            int(numbers["particle_id"][i]),
            visit.link("particle", scan=scan.scan_id, particle=int(numbers["particle_id"][i])),
            d_eq_um=float(numbers["d_eq_um"][i]),
            soc_mean=float(numbers["soc_mean"][i]),
            soc_se=float(numbers["soc_se"][i]),
            soc_sd=float(numbers["soc_sd"][i]),
            phase_class=str(texts["phase_class"][i]),
            flags=str(texts["flags"][i]),
        )
        for i in range(min(len(here), MOST_PARTICLES))
    )
    return rows, len(here)


def spectrum_part(visit: Visit) -> SpectrumPart:
    """The spectrum of the particle or the pixel that the address names; of neither, an invitation."""
    now, scan = visit.now, visit.scan
    align, labels = now.output("align", scan.scan_id), now.output("segment", scan.scan_id)
    if align is None:
        return SpectrumPart(
            "Spectrum", None, (), (), "No spectrum: the stage align has published nothing for this scan."
        )
    particle = visit.integer("particle")
    if particle is not None:
        if labels is None:
            raise NotHere(f"No particles of scan {scan.scan_id!r} are published.")
        spectrum = spectrum_of_particle(now, scan, align, labels, particle)
        return _part(visit, spectrum, f"Particle {particle}", particle, ())
    if not visit.query.get("x") or not visit.query.get("y"):
        said = "Click a pixel of a map, or press Enter on it, to see its spectrum with error, fit and residual."
        return SpectrumPart("Spectrum", None, (), (), said)
    pixel = pixel_at(align, visit.number("y"), visit.number("x"))
    here = 0 if labels is None else int(labels.read("labels", (pixel.row, pixel.column)))
    tabs: tuple[Tab, ...] = ()
    if here > 0:
        tabs = (
            Tab("this pixel", visit.here("scan"), True),
            Tab(f"particle {here}", visit.here("scan", particle=here), False),
        )
    spectrum = spectrum_of_pixel(now, scan, align, pixel)
    title = f"Pixel at x {pixel.x_um:.3f}, y {pixel.y_um:.3f} µm"
    return _part(visit, spectrum, title, here if here > 0 else None, tabs)


def _part(visit: Visit, spectrum: Spectrum, title: str, particle: int | None, tabs: tuple[Tab, ...]) -> SpectrumPart:
    scan_id = visit.scan.scan_id
    energy = visit.number("energy", float(spectrum.energy_ev[len(spectrum.energy_ev) // 2]))
    fit, said = spectrum.fit, spectrum.why
    facts = [("pixels", str(spectrum.n_pixels))]
    if fit is not None:
        unit = "nm" if fit.thickness_unit == "nm" else "of reference"
        total = float(fit.thickness.sum())
        facts += [
            ("charged share of it", figure(float(fit.thickness[1] / total)) if total else figure(None)),
            ("discharged", figure(float(fit.thickness[0]), 3, unit)),
            ("charged", figure(float(fit.thickness[1]), 3, unit)),
            ("residual, rms over σ", figure(_rms_over_error(spectrum), 2)),
        ]
    rows = []
    fitted = {} if fit is None else {round(float(ev), 4): i for i, ev in enumerate(fit.energy_ev)}
    for i, ev in enumerate(spectrum.energy_ev):
        row = [f"{ev:.2f}", figure(float(spectrum.od[i]), 4), figure(float(spectrum.se[i]), 2)]
        at = fitted.get(round(float(ev), 4))
        if fit is not None and at is not None:
            row += [figure(float(fit.od[at]), 4), figure(float(spectrum.residual[at]), 2)]
        else:
            row += [figure(None)] * 2
        rows.append(tuple(row))
    words = f"{title}: optical density at {len(spectrum.energy_ev)} energies" + (
        f", fitted with reduced residual {figure(_rms_over_error(spectrum), 2)}." if fit is not None else "."
    )
    drawn = as_drawn(
        spectrum_figure(spectrum, energy),
        "points: measured ± 1 σ by counting; lines: fit and its parts; below: the residual"
        if fit
        else "measured ± 1 σ",
        words,
        height=SPECTRUM_HEIGHT if fit else SPECTRUM_HEIGHT - RESIDUAL_HEIGHT,
    )
    address = None if particle is None else visit.link("particle", scan=scan_id, particle=particle)
    return SpectrumPart(title, drawn, tuple(facts), tuple(rows), said, address, tabs)


def _rms_over_error(spectrum: Spectrum) -> float:
    ratio = spectrum.residual / spectrum.residual_se
    known = ratio[np.isfinite(ratio)]
    return number(float(np.sqrt(np.mean(known**2)))) if known.size else float("nan")


SCREEN = Screen(page, parts={"spectrum": spectrum_part})
