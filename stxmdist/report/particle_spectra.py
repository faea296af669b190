"""The mean spectrum of every particle of a scan with its fit, as the page of the scan shows them.

The numbers are those of ``campaign.particle(scan_id, n).spectrum``: the same pixels, the same functions.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from storage.output import Output
from stxmdist.arrays import F32, F64, I32, Mask, MaskClass
from stxmdist.campaign.scan import Scan
from stxmdist.errors import Explained
from stxmdist.measures import AlignMeasures, FitMeasures
from stxmdist.planning.columns import number
from stxmdist.planning.end_members import end_members_of
from stxmdist.records import read_from_json
from stxmdist.report.evidence import Evidence
from stxmdist.spectra.density.mean_spectrum import excess_variance, mean_spectrum
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.fitting.mean_fit import mean_fit
from stxmdist.spectra.fitting.model import ModelOptions, pre_edge

TRUSTED = (MaskClass.valid, MaskClass.edge)
READ = ("transmission", "effective_counts", "i0_relative_variance", "energy_used", "thickness_nm", "background",
        "mask_class", "labels")  # fmt: skip
"""Arrays that a spectrum is made of"""
MOST_BYTES = 128_000_000
"""Of a stack that is read whole; of larger ones the window of one particle at a time is"""


@dataclass(frozen=True, eq=False)
class ParticleSpectrum:
    """Mean optical density of the fitted pixels of a particle (ENERGY,), its standard error and the fit."""

    od: F64
    se: F64
    fit: F64
    """NaN at energies that took no part, and where the particle is not fitted"""


@dataclass(frozen=True, eq=False)
class _Fit:
    """The linear model of a scan's fit at the energies that were used."""

    used: Mask
    """(ENERGY,)"""
    design: F64
    """(ENERGY used, TERM)"""
    before: Mask | None
    """(ENERGY used,) energies whose mean was taken off"""


def particle_spectra(evidence: Evidence, scan: Scan) -> tuple[F64, dict[int, ParticleSpectrum]]:
    """Energies (ENERGY,) in eV, and the number of each particle to its spectrum; none where the scan is not fitted."""
    align, fit, segment = (evidence.output(stage, scan.scan_id) for stage in ("align", "fit", "segment"))
    if align is None or fit is None or segment is None:
        return np.zeros(0), {}
    # An older version of the stages may have left less.
    held = {*align.arrays(), *fit.arrays(), *segment.arrays()}
    if not held >= set(READ):
        return np.zeros(0), {}
    energy_ev = np.asarray(align.read("energy_ev"), np.float64)
    used = np.asarray(align.read("energy_used")) == 1
    counts = np.where(used, np.asarray(align.read("effective_counts"), np.float64), np.nan)
    shared = np.asarray(align.read("i0_relative_variance"), np.float64)
    aligned = evidence.figures(AlignMeasures, "align", scan.scan_id)
    model = _model(evidence, scan, energy_ev)
    labels: I32 = segment.read("labels")
    thickness, background, classes = (fit.read(name) for name in ("thickness_nm", "background", "mask_class"))
    trusted = np.isin(classes, [int(kind) for kind in TRUSTED])
    stack = _Stack.of(align, labels.size * len(energy_ev) * 4)
    found = {}
    for label, box in enumerate(ndimage.find_objects(np.maximum(labels, 0)), start=1):
        if box is None:
            continue
        transmission = stack.window(box)
        mine = labels[box] == label
        here = np.asarray(thickness[(slice(None), *box)], np.float64)
        fitted = mine & trusted[box] & np.isfinite(here).all(axis=0) & np.isfinite(transmission[used]).all(axis=0)
        chosen = fitted if fitted.any() else mine
        od, noise = mean_spectrum(transmission, chosen, counts, np.zeros(len(counts)))
        n = int(chosen.sum())
        alike = 1.0 if aligned is None else excess_variance(n, aligned.noise_correlation_px2)
        variance = alike * noise + shared
        total = np.full(len(energy_ev), np.nan)
        if model is not None and fitted.any():
            level = float(np.asarray(background[box], np.float64)[chosen].mean())
            at = model.used
            terms = mean_fit(od[at], variance[at], model.design, here[:, chosen].mean(axis=1), level, model.before)
            total[at] = terms.sum(axis=1)
        found[label] = ParticleSpectrum(od, np.sqrt(variance), total)
    return energy_ev, found


@dataclass(frozen=True, eq=False)
class _Stack:
    """Transmission (ENERGY, Y, X), whole in memory or read window by window."""

    align: Output
    whole: F32 | None

    @classmethod
    def of(cls, align: Output, size_bytes: int) -> "_Stack":
        return cls(align, align.read("transmission") if size_bytes <= MOST_BYTES else None)

    def window(self, box: tuple[slice, ...]) -> F32:
        part = (slice(None), *box)
        return np.asarray(self.align.read("transmission", part) if self.whole is None else self.whole[part])


def _model(evidence: Evidence, scan: Scan, energy_ev: F64) -> _Fit | None:
    """The model of the fit; None where its end-members cannot be read, or another version wrote it down."""
    fit = evidence.figures(FitMeasures, "fit", scan.scan_id)
    source = evidence.campaign.references.get(scan.scan_id)
    if fit is None or source is None:
        return None
    used: Mask = np.isin(np.round(energy_ev, 6), np.round(fit.energy_ev, 6))
    try:
        options = read_from_json(ModelOptions, evidence.published.options("fit", scan.scan_id))
        shift_ev = float(np.nan_to_num(fit.energy_shift_ev))
        design = design_matrix(end_members_of(source), energy_ev[used], shift_ev, fit.background)
        below_ev = number(options.pre_edge_below_ev)
        before = None if np.isnan(below_ev) else pre_edge(scan.scan_id, energy_ev[used], below_ev)
    except (Explained, ValueError, TypeError):
        return None
    return _Fit(used, design, before)
