"""The likely cause why pixels of a stack carry no state of charge, or a poor one, and what would mend it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from stxmdist.arrays import F64
from stxmdist.spectra.checks.residual_shapes import SHAPES, ResidualShape

MUCH_MASKED = 0.2
"""A cause is looked for where more than this share of the pixels that hold something is masked"""
MUCH_MISFIT = 0.05
"""or where the end-members leave over more than this share of the mean spectrum's optical density"""
MUCH_OD = 0.05
"""More optical density than this before the edge, above or below that of the end-members, is a background"""
OTHER_REFERENCES = 0.3
"""Where more than this share is left over, the end-members are of another compound or edge"""
MOSTLY = 0.5
"""A shape that explains more than this share of the squared residual is named"""
NOT_OF_PARTICLES = ("background", "outside", "valid")

_SHAPE_MENDS = {
    "constant": "stages: fit: background: constant",
    "slope": "stages: fit: background: power_law",
    "energy": "references measured at the same beamline (references: discharged, charged)",
    "broadening": "references measured with the same slits (references: discharged, charged)",
    "saturation": "stages: absorbance: leak_fraction, or thinner particles",
}


@dataclass(frozen=True, eq=False)
class FitEvidence:
    """What is known of a stack and of some pixels that were fitted."""

    pixels: Mapping[str, int]
    """Mask class to number of pixels"""
    most_od: float
    """Limit of optical density"""
    largest_od: float
    """Optical density that one pixel in fifty exceeds"""
    least_counts: float
    """Counts per pixel of the mean spectrum at its strongest absorption"""
    least_counts_ev: float
    """The energy of that"""
    least_od_jump: float
    """Limit of the step at the edge"""
    largest_od_jump: float
    """Step that one pixel in fifty exceeds"""
    background: str
    """What was fitted beside the end-members"""
    before_edge_od: float
    """Mean optical density before the edge; NaN without energies there"""
    explained_od: float
    """What the end-members absorb there"""
    shift_ev: float
    """The energy shift that was found"""
    shift_at_bound: bool
    misfit_share: float
    """What the model leaves over of the mean spectrum, relative to the end-members' optical density; NaN: not known"""
    end_members: str
    """Where they come from"""
    shape: ResidualShape | None = field(default=None)
    """What the residual of the mean spectrum looks like"""


@dataclass(frozen=True)
class Cause:
    """Why pixels have no number, and what mends it; both empty where nothing is wrong."""

    said: str = ""
    mend: str = ""


def likely_cause(evidence: FitEvidence) -> Cause:
    """The cause that the data suggest, with its numbers, and the option or input that mends it."""
    masked = {name: n for name, n in evidence.pixels.items() if name not in NOT_OF_PARTICLES and n}
    valid, held = evidence.pixels.get("valid", 0), sum(masked.values())
    if not valid and not held:
        return _nothing_there(evidence)
    if held > MUCH_MASKED * (valid + held):
        return _of_class(max(masked, key=lambda name: masked[name]), evidence)
    if evidence.misfit_share > MUCH_MISFIT:
        return _misfit(evidence)
    return Cause()


def _nothing_there(evidence: FitEvidence) -> Cause:
    return Cause(
        f"the step of optical density at the edge is {evidence.largest_od_jump:.2f} at most, where particles have "
        f"{evidence.least_od_jump:g} or more",
        "another scan or edge; stages: fit: classes: least_od_jump",
    )


def _of_class(worst: str, evidence: FitEvidence) -> Cause:
    if worst == "thick":
        return Cause(
            f"optical density reaches {evidence.largest_od:.1f} where {evidence.most_od:g} is the limit",
            "thinner particles, or stages: fit: classes: most_od",
        )
    if worst == "low_count":
        return Cause(
            f"{evidence.least_counts:.3g} counts per pixel are left at the white line ({evidence.least_counts_ev:.1f} "
            "eV)",
            "a longer dwell, or stages: fit: classes: most_soc_se",
        )
    if worst == "missing":
        return Cause("the pixels were not measured at every energy", "a scan that was finished, or fewer energies")
    return _misfit(evidence)


def _misfit(evidence: FitEvidence) -> Cause:
    excess = evidence.before_edge_od - evidence.explained_od
    if evidence.background == "none" and abs(excess) > MUCH_OD:
        said = (
            f"{evidence.before_edge_od:.2f} of optical density before the edge where the end-members have "
            f"{evidence.explained_od:.2f}"
        )
        if excess < 0.0:
            return Cause(
                said + ": more light comes through than falls on the sample, or the free field absorbs more",
                "stages: absorbance: i0, or stages: fit: background: constant",
            )
        return Cause(said, "stages: fit: background: constant")
    share = f"{evidence.misfit_share:.0%}" if np.isfinite(evidence.misfit_share) else "an unknown share"
    left = f"the end-members ({evidence.end_members}) leave over {share} of the optical density"
    if evidence.misfit_share > OTHER_REFERENCES:
        return Cause(f"{left}: they are of another compound or edge", "references: discharged, charged of this sample")
    if evidence.shift_at_bound:
        return Cause(
            f"the energy scale is off by {evidence.shift_ev:+.2f} eV or more, the largest shift that is looked for",
            "stages: fit: largest_energy_shift_ev, or references measured at the same beamline",
        )
    if not evidence.misfit_share > MUCH_MISFIT:
        return Cause(
            f"the end-members ({evidence.end_members}) leave over {share} of the mean spectrum and more of single "
            "particles: a third phase in some of them",
            "references: discharged, charged of this sample; stages: explore shows what is there",
        )
    if evidence.shape is not None and max(evidence.shape.shares.values(), default=0.0) > MOSTLY:
        # The shapes are in the order of their shares.
        name, part = next(iter(evidence.shape.shares.items()))
        said, mend = f"{left}, {part:.0%} of its squares like {SHAPES[name]}", _SHAPE_MENDS[name]
        beside = evidence.misfit_share * np.sqrt(1.0 - part)
        if beside > 2.0 * MUCH_MISFIT:
            said += f", and {beside:.0%} besides"
            mend += "; for the rest references: discharged, charged of this sample"
        return Cause(said, mend)
    return Cause(
        f"{left}, in a shape of its own: a third phase or another reference",
        "references: discharged, charged of this sample; stages: explore shows what is there",
    )


def misfit_share(misfit_od: F64, cathode_od: F64) -> float:
    """Length of a misfit (ENERGY,) relative to that of the end-members' optical density; NaN where not known."""
    known = np.isfinite(misfit_od) & np.isfinite(cathode_od)
    whole = float((cathode_od[known] ** 2).sum())
    return float(np.sqrt((misfit_od[known] ** 2).sum() / whole)) if known.any() and whole > 0.0 else float("nan")
