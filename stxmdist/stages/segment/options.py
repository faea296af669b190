"""Options of segment: how particles are found and described."""

from dataclasses import dataclass, field
from typing import Literal

from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.particles.across import AcrossOptions
from stxmdist.particles.cracked import JoinOptions
from stxmdist.particles.inside import ChemistryOptions
from stxmdist.particles.segment import SegmentOptions
from stxmdist.particles.sharp_sizes import RimOptions
from stxmdist.spectra.checks.component_count import CountOptions


@dataclass(frozen=True)
class MisfitOptions:
    """When a particle is said to be explained badly by its end-members."""

    least_share: float = 0.05
    """A particle is flagged ``misfit`` where the end-members leave over more than this share of its optical density"""
    gross_share: float = 0.25
    """The same for the flag ``gross misfit``: its state of charge says little"""


@dataclass(frozen=True)
class Options(MicroscopePsf):
    """How particles are found and described; the microscope's point spread functions stand here for all stages."""

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    """How the map is cut into particles."""
    join: JoinOptions = field(default_factory=JoinOptions)
    """When regions are put together again as one cracked plate."""
    across: AcrossOptions = field(default_factory=AcrossOptions)
    """When an outline is parted into two plates that lie across one another."""
    rim: RimOptions = field(default_factory=RimOptions)
    """What is assumed of the rims of plates, for their sizes."""
    chemistry: ChemistryOptions = field(default_factory=ChemistryOptions)
    """Limits of phases and of activity."""
    leak_sd: float = 0.002
    """How well the leak fraction of wide-field scans is known."""
    end_member_sd: float | None = None
    """What unlike end-members add to the error of every state of charge; None: what their own uncertainty makes of it.
    """
    misfit: MisfitOptions = field(default_factory=MisfitOptions)
    """When particles are said to be explained badly."""
    components: CountOptions = field(default_factory=CountOptions)
    """When particles are said to hold more than the end-members."""
    edge_policy: Literal["mask", "shrink"] = "mask"
    """``mask``: pixels at edges stay in their particle's mean and are left out of all that looks inside; ``shrink``:
    the outlines themselves are drawn in by as much, and what lies outside is no particle any more (sizes shrink too)"""
    edge_sigmas: float = 2.0
    """Pixels within so many PSF sigmas of an outline are classed as edge: their spectra are mixtures."""
    correct_psf_bias: bool = True
    """Subtract from each particle what imaging through the point spread function adds to its state of charge."""
