"""The spectrum of a pixel or a particle with its error, and the sum of end-members that was fitted to it.

Nothing is fitted here: the fit is what the published thicknesses say, so that it is the one whose state of charge the
maps show. Optical densities of several pixels are means of theirs, and so are thicknesses, because the fit is linear.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from storage.output import Output
from stxmdist.arrays import F64, Array, Mask
from stxmdist.campaign.scan import Scan
from stxmdist.campaign.schema import ExploredSpectrum
from stxmdist.dashboard.images import TRUSTED
from stxmdist.dashboard.refused import NotHere
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.standing import fit_choices
from stxmdist.errors import Explained
from stxmdist.measures import AlignMeasures, FitMeasures
from stxmdist.planning.columns import number
from stxmdist.planning.end_members import EndMemberSource, end_members_of, source_of
from stxmdist.planning.explored import file_of
from stxmdist.spectra.density.mean_spectrum import excess_variance, mean_spectrum
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.mean_fit import mean_fit

TERMS = ("discharged", "charged", "background")


@dataclass(frozen=True, eq=False)
class Fitted:
    """The fit of a spectrum, at the energies that took part in it."""

    energy_ev: F64
    """(ENERGY used,)"""
    od: F64
    """(ENERGY used,)"""
    terms: F64
    """(TERM, ENERGY used) what the sum is of: discharged, charged, and what no end-member explains"""
    thickness: F64
    """(2,) of the discharged and the charged end-member"""
    thickness_unit: str
    """``nm``, or ``reference``"""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Optical density over photon energy of some pixels of a scan."""

    energy_ev: F64
    """(ENERGY,)"""
    od: F64
    """(ENERGY,) mean over the pixels; NaN where none has a number"""
    se: F64
    """(ENERGY,) standard error by counting, of the pixels and of the incident beam"""
    n_pixels: int
    fit: Fitted | None
    why: str = ""
    """Why there is no fit"""

    @property
    def residual(self) -> F64:
        """(ENERGY used,) measured less fitted; without elements where there is no fit."""
        if self.fit is None:
            return np.zeros(0)
        return np.asarray(self.od[_places(self.energy_ev, self.fit.energy_ev)] - self.fit.od)

    @property
    def residual_se(self) -> F64:
        """(ENERGY used,) standard error of the residual by counting."""
        if self.fit is None:
            return np.zeros(0)
        return np.asarray(self.se[_places(self.energy_ev, self.fit.energy_ev)])


@dataclass(frozen=True)
class Pixel:
    """One pixel of a scan."""

    row: int
    column: int
    y_um: float
    x_um: float


def pixel_at(output: Output, y_um: float, x_um: float) -> Pixel:
    """The pixel of an output nearest to a place.

    Raises
    ------
    NotHere
        for a place outside the field.
    """
    axes = [np.asarray(output.read(name), np.float64) for name in ("y_um", "x_um")]
    found = []
    for axis, wanted in zip(axes, (y_um, x_um), strict=True):
        nearest = int(np.argmin(np.abs(axis - wanted)))
        pitch = abs(axis[-1] - axis[0]) / max(1, len(axis) - 1)
        if len(axis) > 1 and abs(axis[nearest] - wanted) > pitch:
            raise NotHere(f"The place x = {x_um:g}, y = {y_um:g} µm lies outside the field of this scan.")
        found.append(nearest)
    row, column = found
    return Pixel(row, column, float(axes[0][row]), float(axes[1][column]))


def spectrum_of_pixel(now: Snapshot, scan: Scan, align: Output, pixel: Pixel) -> Spectrum:
    """The spectrum of one pixel."""
    part = (slice(pixel.row, pixel.row + 1), slice(pixel.column, pixel.column + 1))
    return _spectrum(now, scan, align, part, np.ones((1, 1), bool), "This pixel")


def spectrum_of_particle(now: Snapshot, scan: Scan, align: Output, labels: Output, particle: int) -> Spectrum:
    """The mean spectrum of the pixels of a particle whose fit counts.

    Raises
    ------
    NotHere
        where the scan has no particle of this number.
    """
    part, inside = region_of(labels, particle)
    return _spectrum(now, scan, align, part, inside, "This particle")


def region_of(labels: Output, particle: int, margin_px: int = 0) -> tuple[tuple[slice, slice], Mask]:
    """The smallest rectangle that holds a particle, and the mask (Y, X) of the particle in it.

    Raises
    ------
    NotHere
        where the scan has no particle of this number.
    """
    numbers = labels.read("labels")
    rows, columns = (np.flatnonzero((numbers == particle).any(axis=axis)) for axis in (1, 0))
    if particle <= 0 or not rows.size:
        raise NotHere(f"This scan has no particle {particle}.")
    part = (_around(rows, margin_px, numbers.shape[0]), _around(columns, margin_px, numbers.shape[1]))
    return part, np.asarray(numbers[part] == particle)


def _around(places: Array, margin: int, n: int) -> slice:
    return slice(max(0, int(places[0]) - margin), min(n, int(places[-1]) + 1 + margin))


def _spectrum(now: Snapshot, scan: Scan, align: Output, part: tuple[slice, slice], chosen: Mask, who: str) -> Spectrum:
    energy_ev = np.asarray(align.read("energy_ev"), np.float64)
    fit = now.output("fit", scan.scan_id)
    why = "" if fit is not None else "The stage fit has published nothing for this scan."
    if fit is not None:
        trusted = np.isin(fit.read("mask_class", part), TRUSTED)
        if (chosen & trusted).any():
            chosen = chosen & trusted
        else:
            why = f"{who} has no fit: its mask class says why."
    transmission = align.read("transmission", (slice(None), *part))
    counts = np.asarray(align.read("effective_counts"), np.float64)
    shared = align.read("i0_relative_variance") if "i0_relative_variance" in align.arrays() else np.zeros(len(counts))
    od, noise = mean_spectrum(transmission, chosen, counts, np.zeros(len(counts)))
    aligned = now.figures(AlignMeasures, "align", scan.scan_id)
    alike = 1.0 if aligned is None else excess_variance(int(chosen.sum()), aligned.noise_correlation_px2)
    variance = alike * noise + np.asarray(shared, np.float64)
    found = None
    if fit is not None and not why:
        thickness = fit.read("thickness_nm", (slice(None), *part))[:, chosen].mean(axis=1, dtype=np.float64)
        level = float(fit.read("background", part)[chosen].mean(dtype=np.float64))
        try:
            found = _fitted(now, scan, energy_ev, od, variance, thickness, level)
        except Explained as error:
            why = f"The end-members cannot be read: {error}"
        else:
            why = "" if found else "Another version of stxmdist fitted this scan."
    return Spectrum(energy_ev, od, np.sqrt(variance), int(chosen.sum()), found, why)


def _fitted(
    now: Snapshot, scan: Scan, energy_ev: F64, od: F64, variance: F64, thickness: F64, level: float
) -> Fitted | None:
    about = now.figures(FitMeasures, "fit", scan.scan_id)
    if about is None:
        return None
    used = np.asarray(about.energy_ev, np.float64)
    here = _places(energy_ev, used)
    before = used < number(fit_choices(now, scan.scan_id).pre_edge_below_ev)
    found = mean_fit(od[here], variance[here], _design(now, scan, about), thickness, level, before).T
    terms = np.stack([found[0], found[1], found[2:].sum(axis=0)])
    return Fitted(used, terms.sum(axis=0), terms, thickness, about.thickness_unit)


def _design(now: Snapshot, scan: Scan, about: FitMeasures) -> F64:
    """(ENERGY used, TERM) of the scan's fit; the same for all of its pixels, and made once."""

    def make() -> F64:
        shift_ev = float(np.nan_to_num(about.energy_shift_ev))
        members = end_members_of_scan(now, scan)
        return design_matrix(members, np.asarray(about.energy_ev), shift_ev, about.background)

    return now.once(("design", scan.scan_id), make)


def end_members_of_scan(now: Snapshot, scan: Scan) -> EndMembers:
    """The two states between which the fit of a scan decides.

    Raises
    ------
    InputError
        where their files cannot be read.
    """
    align = now.output("align", scan.scan_id)
    energy_ev = None if align is None else np.asarray(align.read("energy_ev"), np.float64)
    source = source_of(now.campaign, scan.chemistry, energy_ev, partial(_path_of, now))
    return _members(now, source)


def _members(now: Snapshot, source: EndMemberSource) -> EndMembers:
    return now.once(("end-members", source), lambda: end_members_of(source))


def _path_of(now: Snapshot, reference: Path | ExploredSpectrum) -> str:
    if isinstance(reference, Path):
        return str(reference)
    output = now.output("explore", reference.scan_id)
    return str(reference if output is None else output.path / file_of(reference.scan_id, reference.name))


def _places(energy_ev: F64, wanted_ev: F64) -> Array:
    """Where in all energies those stand that were used."""
    return np.asarray(np.argmin(np.abs(energy_ev[:, None] - wanted_ev), axis=0))
