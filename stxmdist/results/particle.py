"""One particle: its row, flags, spectrum and crops, and the same particle as the other microscope saw it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from stxmdist.arrays import F64, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.measures import AlignMeasures, FitMeasures
from stxmdist.particles.flag_words import flags_of
from stxmdist.planning.columns import number
from stxmdist.planning.published import PublishedCampaign
from stxmdist.records import read_from_json
from stxmdist.results.arrays import WHERE, ScanArrays, require_image
from stxmdist.results.drawing import ParticlePicture, draw_particle, new_figure, plane_of
from stxmdist.results.page import particle_html
from stxmdist.results.tables import described
from stxmdist.spectra.density.mean_spectrum import excess_variance, mean_spectrum
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.mean_fit import mean_fit
from stxmdist.spectra.fitting.model import ModelOptions, pre_edge

MARGIN_PX = 4
"""Of a crop, around the outline"""
TRUSTED = (MaskClass.valid, MaskClass.edge)
"""Classes of pixels that carry a number"""
PICTURED = ("soc", "optical_density")
TERMS = ("discharged", "charged", "background", "background_slope", "before_edge")
"""What a fitted spectrum is the sum of, in this order; a fit has the first two, and others as its options say"""


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels."""

    y: slice
    x: slice


class ParentScan(ScanArrays, Protocol):
    """The scan of a particle; ``ScanResults`` is one."""

    @property
    def published(self) -> PublishedCampaign:
        """What is published of the campaign."""

    @property
    def end_members(self) -> EndMembers:
        """Those of its fit."""

    @property
    def pairs(self) -> pd.DataFrame:
        """The particles that both microscopes saw."""

    def beside(self, scan_id: str) -> "ParentScan":
        """Another scan of the campaign."""

    def particle(self, particle_id: int) -> "ParticleResults":
        """One of its particles."""

    def not_as_published(self, got: str, wanted: str) -> InputError:
        """The refusal of outputs that belong to different runs."""


class ParticleResults:
    """One particle of a scan.

    Examples
    --------
    >>> particle = campaign.scan("stxm-E01-c001-r1").particle(1)
    >>> particle.soc.dims
    ('y', 'x')
    >>> list(particle.spectrum)[:5]
    ['energy_ev', 'optical_density', 'optical_density_se', 'fit', 'residual']
    """

    def __init__(self, scan: ParentScan, particle_id: int, row: pd.Series) -> None:
        self.scan = scan
        self.particle_id = particle_id
        self._row = row

    @property
    def row(self) -> pd.Series:
        """Its row of the table of particles; ``attrs["units"]`` has the units.

        Examples
        --------
        >>> row = campaign.scan("stxm-E01-c001-r1").particle(1).row
        >>> row.attrs["units"]["d_eq_um"]
        'um'
        """
        return self._row

    @property
    def flags(self) -> dict[str, str]:
        """Its reservations, each with its meaning in words; empty if there is none.

        Examples
        --------
        >>> flags = campaign.scan("stxm-E01-c001-r1").particle(1).flags
        >>> all(words for words in flags.values())
        True
        """
        return flags_of(self._row["flags"])

    # --- images -----------------------------------------------------------------------------------------------

    @cached_property
    def window(self) -> Window:
        """The smallest rectangle of the scan's images that holds the particle.

        Only labels around its centre are read, however large the image is.

        Raises
        ------
        InputError
            when the published labels do not hold it.

        Examples
        --------
        >>> particle = campaign.scan("stxm-E01-c001-r1").particle(1)
        >>> particle.window.y.stop - particle.window.y.start == particle.crop("labels", margin_px=0).sizes["y"]
        True
        """
        labels = self.scan.array("labels")
        y_um, x_um = (np.asarray(labels[axis], np.float64) for axis in ("y", "x"))
        at = (_nearest(y_um, number(self._row["y_um"])), _nearest(x_um, number(self._row["x_um"])))
        half = max(8, int(2.0 * np.sqrt(number(self._row["n_pixels"]))))
        whole = max(labels.shape)
        while True:
            part = tuple(slice(max(0, i - half), min(n, i + half)) for i, n in zip(at, labels.shape, strict=True))
            mine = np.asarray(labels[part]) == self.particle_id
            if half >= whole or (mine.any() and not _leaves(mine, part, labels.shape)):
                break
            half *= 2
        if not mine.any():
            raise self.scan.not_as_published(f"labels without particle {self.particle_id}", "the labels of its table")
        rows, columns = (np.flatnonzero(mine.any(axis=axis)) for axis in (1, 0))
        y, x = (slice(p.start + i[0], p.start + i[-1] + 1) for p, i in zip(part, (rows, columns), strict=True))
        return Window(y, x)

    def crop(self, name: str, margin_px: int = MARGIN_PX) -> xr.DataArray:
        """Part of an array of the scan around the particle, so many pixels wider than its outline.

        Raises
        ------
        InputError
            where the scan has no such array; where it is no image.

        Examples
        --------
        >>> crop = campaign.scan("stxm-E01-c001-r1").particle(1).crop("optical_density", margin_px=2)
        >>> crop.dims
        ('energy', 'y', 'x')
        """
        array = self.scan.array(name)
        require_image(self.scan.scan_id, array)
        # Images of one scan have one grid; those of reconstruction reach further than the aligned ones.
        labels = self.scan.array("labels")
        parts = {}
        for axis, part in (("y", self.window.y), ("x", self.window.x)):
            ours, theirs = np.asarray(labels[axis], np.float64), np.asarray(array[axis], np.float64)
            first, last = (_nearest(theirs, float(ours[i])) for i in (part.start, part.stop - 1))
            first, last = min(first, last), max(first, last)
            parts[axis] = slice(max(0, first - margin_px), min(len(theirs), last + 1 + margin_px))
        return array.isel(parts)

    def __getattr__(self, name: str) -> xr.DataArray:
        if name not in WHERE:
            raise AttributeError(
                f"a particle has row, flags, spectrum, twin, and the arrays of its scan as crops; not {name!r}"
            )
        return self.crop(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *WHERE]

    @property
    def mask(self) -> xr.DataArray:
        """Whether a pixel of the crops is one of the particle's, (y, x).

        Examples
        --------
        >>> particle = campaign.scan("stxm-E01-c001-r1").particle(1)
        >>> int(particle.mask.sum()) == int(particle.row["n_pixels"])
        True
        """
        mine = self.crop("labels") == self.particle_id
        return mine.rename("mask").assign_attrs(units="", long_name=f"pixels of particle {self.particle_id}")

    # --- spectrum ---------------------------------------------------------------------------------------------

    @cached_property
    def spectrum(self) -> pd.DataFrame:
        """Mean optical density of its fitted pixels over energy, with its error, the fit and what that leaves over.

        The fit is the sum of the end-members in the mean thicknesses of these pixels, of the background, and of what
        was taken off before the edge; each has its column. ``optical_density_se`` is of counting and of the incident
        beam. Energies that the fit left out have NaN from ``fit`` on.

        Raises
        ------
        InputError
            where the scan is not fitted, or was fitted with other end-members than the campaign names now.

        Source of the logarithm of few counts: Haldane, Ann. Hum. Genet. 20, 309 (1956).

        Examples
        --------
        >>> spectrum = campaign.scan("stxm-E01-c001-r1").particle(1).spectrum
        >>> spectrum.attrs["units"]["energy_ev"]
        'eV'
        """
        scan = self.scan
        align, fit = scan.stage("align"), scan.stage("fit")
        here = {"y": self.window.y, "x": self.window.x}
        transmission = np.asarray(align["transmission"].isel(here))
        thickness = np.asarray(fit["thickness_nm"].isel(here), np.float64)
        mine = np.asarray(scan.array("labels").isel(here)) == self.particle_id
        used = np.asarray(align["energy_used"]) == 1
        # As for the state of charge, pixels of other classes do not count.
        trusted = np.isin(np.asarray(fit["mask_class"].isel(here)), TRUSTED)
        fitted = mine & trusted & np.isfinite(thickness).all(axis=0) & np.isfinite(transmission[used]).all(axis=0)
        chosen = fitted if fitted.any() else mine
        counts = np.where(used, np.asarray(align["effective_counts"], np.float64), np.nan)
        mean_od, noise = mean_spectrum(transmission, chosen, counts, np.zeros(len(counts)))
        variance = noise * self._correlated(int(chosen.sum())) + np.asarray(align["i0_relative_variance"])
        energy_ev = np.asarray(align["energy"], np.float64)
        means = thickness[:, chosen].mean(axis=1) if fitted.any() else np.full(2, np.nan)
        background = np.asarray(fit["background"].isel(here), np.float64)[chosen].mean() if fitted.any() else np.nan
        terms = self._terms(energy_ev, mean_od, variance, means, float(background))
        total = np.sum(list(terms.values()), axis=0)
        columns: dict[str, tuple[object, str, str]] = {
            "energy_ev": (energy_ev, "eV", "photon energy"),
            "optical_density": (mean_od, "1", "mean optical density of the pixels of the particle that are fitted"),
            "optical_density_se": (np.sqrt(variance), "1", "its standard error, by counting and by the incident beam"),
            "fit": (total, "1", "sum of the terms that were fitted"),
            "residual": (mean_od - total, "1", "measured less fitted optical density"),
        }
        columns |= {name: (values, "1", f"optical density of {name} in the fit") for name, values in terms.items()}
        table = described(columns)
        table.attrs |= {"pixels": int(chosen.sum()), "end_members": scan.end_members.source}
        return table

    def _correlated(self, n: int) -> float:
        """By how much the variance of a mean of ``n`` pixels exceeds that of independent ones."""
        align = self.scan.published.figures(AlignMeasures, "align", self.scan.scan_id)
        return 1.0 if align is None else excess_variance(n, align.noise_correlation_px2)

    def _terms(
        self, energy_ev: F64, mean_od: F64, variance: F64, thickness: F64, background_od: float
    ) -> dict[str, F64]:
        """Term of the fit to its optical density (ENERGY,), NaN where an energy took no part."""
        published, scan_id = self.scan.published, self.scan.scan_id
        fit = published.figures(FitMeasures, "fit", scan_id)
        assert fit is not None
        used: Mask = np.isin(np.round(energy_ev, 6), np.round(fit.energy_ev, 6))
        options = read_from_json(ModelOptions, published.options("fit", scan_id))
        shift_ev = float(np.nan_to_num(fit.energy_shift_ev))
        design = design_matrix(self.scan.end_members, energy_ev[used], shift_ev, fit.background)
        # Null of the record is NaN where the record holds a number.
        below_ev = number(options.pre_edge_below_ev)
        before = None if np.isnan(below_ev) else pre_edge(scan_id, energy_ev[used], below_ev)
        found = mean_fit(mean_od[used], variance[used], design, thickness, background_od, before)
        names = TERMS[: design.shape[1]] + (TERMS[-1:] if before is not None else ())
        terms = {}
        for name, values in zip(names, found.T, strict=True):
            terms[name] = np.full(len(energy_ev), np.nan)
            terms[name][used] = values
        return terms

    # --- the other microscope ---------------------------------------------------------------------------------

    @property
    def twins(self) -> tuple["ParticleResults", ...]:
        """The same particle in the scan of its pair, largest overlap first; several where one is seen as several.

        Raises
        ------
        InputError
            where no pairs are published yet.

        Examples
        --------
        >>> pairs = campaign.pairs
        >>> isinstance(campaign.scan("stxm-E01-c001-r1").particle(1).twins, tuple)
        True
        """
        own, other = ("stxm", "ptychography") if self.scan.about.modality == "stxm" else ("ptychography", "stxm")
        pairs = self.scan.pairs
        mine = pairs[(pairs[f"scan_id_{own}"] == self.scan.scan_id) & (pairs[f"particle_id_{own}"] == self.particle_id)]
        mine = mine.sort_values("iou", ascending=False)
        return tuple(
            self.scan.beside(str(scan_id)).particle(int(particle_id))
            for scan_id, particle_id in zip(mine[f"scan_id_{other}"], mine[f"particle_id_{other}"], strict=True)
        )

    @property
    def twin(self) -> "ParticleResults | None":
        """The first of ``twins``; None where the other microscope did not see it.

        Examples
        --------
        >>> twin = campaign.scan("stxm-E01-c001-r1").particle(1).twin
        >>> twin is None or twin.scan.about.modality == "ptychography"
        True
        """
        return next(iter(self.twins), None)

    # --- pictures ---------------------------------------------------------------------------------------------

    def plot(self) -> Figure:
        """Draw its state of charge, optical density, spectrum and residual; returns the figure.

        Examples
        --------
        >>> len(campaign.scan("stxm-E01-c001-r1").particle(1).plot().axes) >= 4
        True
        """
        return self._draw(new_figure(9.0, 5.0))

    def _draw(self, figure: Figure) -> Figure:
        crops = {}
        for name in PICTURED:
            plane, at = plane_of(self.scan, self.crop(name), None)
            crops[name] = (plane, ", ".join(at))
        classes, mask = np.asarray(self.crop("mask_class")), np.asarray(self.mask)
        title = f"{self.scan.scan_id}, particle {self.particle_id}: {self._in_words}"
        return draw_particle(ParticlePicture(title, crops, classes, mask, self.spectrum), figure)

    @property
    def _in_words(self) -> str:
        soc, se = number(self._row["soc_mean"]), number(self._row["soc_se"])
        return f"state of charge {soc:.3f} ± {se:.3f}" if np.isfinite(soc) else "no state of charge"

    def __repr__(self) -> str:
        return f"ParticleResults({self.scan.scan_id!r}, {self.particle_id}: {self._in_words})"

    def _repr_html_(self) -> str:
        title = f"{self.scan.scan_id}, particle {self.particle_id}: {self._in_words}"
        return particle_html(title, self._row, self.flags, self._draw)


def _nearest(axis: F64, value: float) -> int:
    return int(np.argmin(np.abs(axis - value)))


def _leaves(mine: Mask, part: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a particle reaches the rim of a part of an image that goes on there."""
    rims = (
        (mine[0], part[0].start > 0),
        (mine[-1], part[0].stop < shape[0]),
        (mine[:, 0], part[1].start > 0),
        (mine[:, -1], part[1].stop < shape[1]),
    )
    return any(bool(rim.any()) and goes_on for rim, goes_on in rims)
