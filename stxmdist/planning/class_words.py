"""What a mask class says of pixels to a person: in words, with the limit that decided, and the option that mends it."""

from dataclasses import dataclass

from stxmdist.arrays import MaskClass
from stxmdist.spectra.checks.classes import ClassOptions


@dataclass(frozen=True)
class ClassWords:
    """A sentence in three parts: so many pixels ``are``, because of ``cause``; ``mend``."""

    are: str
    """Verb and predicate, behind a number of pixels"""
    cause: str
    mend: str
    """An option as it is written under ``stages``, or what else to do"""


def words_of(kind: MaskClass, limits: ClassOptions) -> ClassWords:
    """The words of a class under the limits of the fit."""
    match kind:
        case MaskClass.background:
            return ClassWords(
                "are background",
                f"their step of optical density at the edge is below {limits.least_od_jump:g}, or they are thinner "
                f"than {limits.least_thickness_nm:g} nm",
                "fit: classes: least_od_jump and least_thickness_nm; if the field is empty, exclude the scan in the "
                "sample sheet",
            )
        case MaskClass.thick:
            return ClassWords(
                "are too thick",
                f"above an optical density of {limits.most_od:g} leaking light and dark counts dominate",
                "fit: classes: most_od, with absorbance: leak_fraction as it was measured",
            )
        case MaskClass.low_count:
            few = f"fewer than {limits.least_counts:g} counts are left, or " if limits.least_counts > 0.0 else ""
            return ClassWords(
                "have too few counts",
                f"{few}the standard error of their state of charge is above {limits.most_soc_se:g}",
                "fit: classes: most_soc_se, or a longer dwell",
            )
        case MaskClass.missing:
            return ClassWords(
                "were not measured",
                "the scan was aborted, or frames cannot be read",
                "`stxmdist status --notes` says what is missing; scan again, or exclude the scan in the sample sheet",
            )
        case MaskClass.saturated:
            return ClassWords(
                "are saturated", "the detector counted as much as it can", "ingest: saturated_fraction, or less light"
            )
        case MaskClass.outside:
            return ClassWords(
                "left the field of view",
                "by drift between energies, or by a wrong alignment",
                "align: register: false, if the stack was aligned before",
            )
        case MaskClass.poor_fit:
            return ClassWords(
                "fit poorly",
                f"their reduced chi-square is above {limits.most_chi2:g}",
                "fit: background: constant, or references of this sample (references: discharged, charged)",
            )
        case MaskClass.overlap:
            return ClassWords(
                "hold two plates",
                "these lie across one another, and what a pixel of both holds is of neither alone",
                "a thinner dispersion; segment: across decides when plates are parted",
            )
        case MaskClass.edge:
            return ClassWords(
                "lie at edges", "the point spread function mixes them with their surroundings", "segment: edge_sigmas"
            )
        case MaskClass.valid:
            return ClassWords(
                "have a state of charge",
                "but no region of them stands out from its surroundings and is large enough for a particle",
                "segment: segment: minimum_diameter_um and minimum_thickness_nm",
            )
