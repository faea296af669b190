"""Particles of a simulated campaign, recovered against true: who was found, and how far off its state of charge is."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from storage.tables import read_table
from stxmdist.arrays import F64, I64, Array, Mask
from stxmdist.pixel_pitch import axis_pitch_um
from stxmdist.planning.columns import rows_of
from stxmdist.planning.published import PublishedCampaign

WIDE_IN_SIGMAS = 8.0
"""Narrower particles are mostly edge: nothing is asked of them."""
FOUND_IOU = 0.5
"""Above one half, a label can have one partner only."""
NORMAL_95 = 1.96
MATCHES = (
    "scan_id", "particle_id", "d_eq_um", "d_recovered_um", "soc", "soc_recovered", "soc_se", "soc_sd", "soc_var_intra",
    "found_id",
)  # fmt: skip


@dataclass(frozen=True)
class Matched:
    """What became of the wide particles of one scan."""

    modality: str
    n_true: int
    pairs: pd.DataFrame
    """One row per found particle, columns ``MATCHES``"""
    n_extra: int
    """Wide particles that were recovered where none is true"""
    true: pd.DataFrame
    """Rows of truth/particles of the scan"""
    recovered: pd.DataFrame
    """Published rows of the scan"""


@dataclass(frozen=True)
class TrueParticle:
    """What is read of a row of truth/particles."""

    particle_id: float
    d_eq_um: float
    soc_mean: float
    soc_sd: float


@dataclass(frozen=True)
class FoundParticle:
    """What is read of a row of the published particles."""

    particle_id: float
    d_eq_um: float
    soc_mean: float
    soc_se: float
    soc_sd: float
    soc_var_intra: float

    @property
    def variance_inside(self) -> float:
        """Variance of soc inside the particle, before it was clipped at 0 where the table has it so."""
        return self.soc_var_intra if math.isfinite(self.soc_var_intra) else self.soc_sd**2


@dataclass(frozen=True)
class ParticleScore:
    """How particles were recovered; NaN where there is no particle to say it."""

    modality: str
    n_true: int
    n_found: int
    found: float
    """Share of the true particles"""
    lost: int
    """True particles that none was found for"""
    lost_across: int
    """Of these, how many lie across another plate: an outline of both is at most one of them"""
    extra: int
    """Recovered where none is true"""
    soc_rms_error: float
    soc_bias: float
    soc_inside: float
    """Share of true states of charge inside their 95 % interval"""
    soc_sd_ratio: float
    """Recovered over true spread inside particles"""
    diameter_ratio: float
    """Median of recovered over true"""
    wanted: str
    """The targets, in words"""


def match_scan(published: PublishedCampaign, truth_folder: Path, true: pd.DataFrame, modality: str) -> Matched | None:
    """Pair the wide true particles of a scan with its published labels; None where nothing is published of it.

    Parameters
    ----------
    true
        rows of truth/particles of this scan
    """
    scan_id = str(true["scan_id"].iloc[0])
    output = published.output("segment", scan_id)
    if output is None:
        return None
    recovered = read_table(output.path / "particles.parquet")
    labels = output.read("labels").astype(np.int64)
    truth, inside = sampled(truth_folder / "maps" / f"{scan_id}.zarr", output.read("y_um"), output.read("x_um"))
    wide = wide_particles(true)
    iou = overlaps(truth, labels)
    by_id = {row.particle_id: row for row in rows_of(FoundParticle, recovered)}
    rows = []
    for particle in rows_of(TrueParticle, wide):
        number = int(particle.particle_id)
        line = iou[number, 1:] if number < len(iou) else np.zeros(0)
        if not line.size or line.max() < FOUND_IOU:
            continue
        found = by_id.get(float(line.argmax()) + 1.0)
        if found is not None:
            rows.append(
                (scan_id, number, particle.d_eq_um, found.d_eq_um, particle.soc_mean, found.soc_mean, found.soc_se,
                 particle.soc_sd, found.variance_inside, int(found.particle_id))
            )  # fmt: skip
    least_um = WIDE_IN_SIGMAS * float(true["psf_sigma_um"].iloc[0])
    outside = set(np.unique(labels[~inside]).tolist())
    candidates = recovered[~recovered["touches_border"].astype(bool) & (recovered["d_eq_um"] > least_um)]
    extra = [
        label
        for label in candidates["particle_id"]
        # Of what reaches beyond the map of the truth, nothing can be said.
        if label not in outside and not (iou[1:, label] >= FOUND_IOU).any()
    ]
    return Matched(modality, len(wide), pd.DataFrame(rows, columns=list(MATCHES)), len(extra), true, recovered)


def wide_particles(true: pd.DataFrame) -> pd.DataFrame:
    """The rows of truth/particles of which something is asked: neither narrow nor cut by the field."""
    return true[~true["touches_border"] & (true["d_eq_um"] > WIDE_IN_SIGMAS * true["psf_sigma_um"])]


def _lost_across(scan: Matched) -> int:
    # Designs that lay no plates across others do not speak of it.
    if "overlapping" not in scan.true:
        return 0
    wide = wide_particles(scan.true)
    return int((wide["overlapping"].astype(bool) & ~wide["particle_id"].isin(scan.pairs["particle_id"])).sum())


def sampled(path: Path, y_um: Array, x_um: Array) -> tuple[I64, Mask]:
    """The true labels (Y, X) nearest to the pixels of another grid, 0 beyond the map; and where the map reaches."""
    group = zarr.open_group(path, mode="r")
    labels = np.asarray(group["labels"][:], dtype=np.int64)  # type: ignore[index]
    steps = []
    for name, axis in (("y", y_um), ("x", x_um)):
        true = np.asarray(group[name][:], dtype=np.float64)  # type: ignore[index]
        steps.append(np.rint((axis - true[0]) / axis_pitch_um(true)).astype(np.int64))
    known = [(step >= 0) & (step < n) for step, n in zip(steps, labels.shape, strict=True)]
    inside = np.logical_and.outer(*known)
    clipped = [np.clip(step, 0, n - 1) for step, n in zip(steps, labels.shape, strict=True)]
    return np.where(inside, labels[np.ix_(*clipped)], 0), inside


def overlaps(true: I64, recovered: I64) -> F64:
    """Intersection over union (TRUE, RECOVERED) of every true label with every recovered one, number 0 included."""
    n_true, n_recovered = int(true.max()) + 1, int(max(recovered.max(), 0)) + 1
    joint = np.bincount(
        (true * n_recovered + np.maximum(recovered, 0)).ravel(), minlength=n_true * n_recovered
    ).reshape(n_true, n_recovered)
    union = joint.sum(axis=1)[:, None] + joint.sum(axis=0) - joint
    return np.asarray(joint / np.maximum(union, 1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SocErrors:
    """How far off states of charge are; NaN where no particle says it."""

    rms: float
    bias: float
    inside: Mask
    """(PARTICLE,) whether the true one lies in the 95 % interval; without a state of charge there is none"""

    @classmethod
    def of(cls, found: pd.DataFrame) -> "SocErrors":
        """Of particles with the columns ``soc``, ``soc_recovered`` and ``soc_se``."""
        error = (found["soc_recovered"] - found["soc"]).to_numpy(dtype=float)
        known = error[np.isfinite(error)]
        return cls(
            rms=float(np.sqrt(np.mean(known**2))) if known.size else math.nan,
            bias=float(known.mean()) if known.size else math.nan,
            inside=np.abs(error) <= NORMAL_95 * found["soc_se"].to_numpy(dtype=float),
        )


def summary(name: str, scans: Iterable[Matched], wanted: str) -> ParticleScore:
    """The figures of several scans taken together, of which the targets ``wanted`` are asked."""
    scans = list(scans)
    n_true = sum(scan.n_true for scan in scans)
    filled = [scan.pairs for scan in scans if len(scan.pairs)]
    pairs = pd.concat(filled) if filled else pd.DataFrame(columns=list(MATCHES), dtype=float)
    errors = SocErrors.of(pairs)
    intra = pairs[["soc_sd", "soc_var_intra"]].astype(float).dropna()
    spread_true, spread = float((intra["soc_sd"] ** 2).sum()), float(intra["soc_var_intra"].sum())
    ratio = (pairs["d_recovered_um"] / pairs["d_eq_um"]).to_numpy(dtype=float)
    return ParticleScore(
        modality=name,
        n_true=n_true,
        n_found=len(pairs),
        found=len(pairs) / n_true if n_true else math.nan,
        lost=n_true - len(pairs),
        lost_across=sum(_lost_across(scan) for scan in scans),
        extra=sum(scan.n_extra for scan in scans),
        soc_rms_error=errors.rms,
        soc_bias=errors.bias,
        soc_inside=float(errors.inside.mean()) if len(pairs) else math.nan,
        # Of root mean squares: the variance inside particles is computed from them.
        soc_sd_ratio=math.sqrt(max(spread, 0.0) / spread_true) if spread_true > 0 else math.nan,
        diameter_ratio=float(np.median(ratio)) if len(pairs) else math.nan,
        wanted=wanted,
    )
