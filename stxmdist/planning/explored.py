"""Spectra that explorations find, named as end-members of a fit: ``explore:SCAN:cluster-1``."""

from pathlib import Path
from typing import Any

from stxmdist.campaign.problems import did_you_mean
from stxmdist.campaign.schema import ExploredSpectrum, References
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import condition_number
from stxmdist.spectra.end_members.references import EndMembers

EXPLORED = {"clusters": "cluster", "nmf": "nmf"}
"""Method to the kind of spectra it finds that may stand for a substance"""

MOST_ALIKE = 20.0
"""Condition number of a pair of explored spectra. Noise in a state of charge grows with it: clusters may part thin from
thick instead of one phase from another, and a fit with them would say nothing.
"""

FOLDER = "spectra"
"""Inside an output: a file of two columns for each of them"""


def file_of(scan_id: str, name: str) -> str:
    """Where in its output an exploration leaves one spectrum."""
    return f"{FOLDER}/{scan_id}-{name}.csv"


def named_by(references: References | None) -> tuple[ExploredSpectrum, ...]:
    """The explored spectra that the references of a campaign name."""
    if references is None:
        return ()
    named = (references.discharged, references.charged)
    return tuple(reference for reference in named if isinstance(reference, ExploredSpectrum))


def names_found(options: Any) -> list[str]:
    """Names of the spectra that explorations with these options find, as references have them."""
    numbers = {"clusters": options.clusters.number, "nmf": options.nmf.components}
    methods = [method for method in EXPLORED if method in options.methods]
    return [f"{EXPLORED[method]}-{i + 1}" for method in methods for i in range(numbers[method])]


def refuse_alike(members: EndMembers) -> None:
    """Refuse two explored spectra that are hardly more than thin and thick of the same.

    Raises
    ------
    InputError
        with what else to name
    """
    condition = condition_number(members.mu_per_nm.T)
    if condition > MOST_ALIKE:
        raise InputError(
            where=f"references ({members.source})",
            problem="the two spectra found by exploring differ by little but thickness",
            got=f"condition number {condition:.3g}",
            wanted=f"at most {MOST_ALIKE:g}; pure LiFePO4 and FePO4 have 5",
            mend="Name clusters whose spectra differ in shape, look for more of them, or name factors (nmf)",
        )


def require_spectrum(path: Path) -> None:
    """Refuse a spectrum that an exploration should have left and did not; files that people name pass.

    Raises
    ------
    InputError
        with the nearest that it did leave
    """
    if path.is_file():
        return
    known = sorted(file.stem for file in path.parent.glob("*.csv"))
    raise InputError(
        where=f"references, {path.stem}",
        problem="the exploration found no such spectrum",
        got="a cluster without pixels, or fewer factors" if known else "no spectrum at all",
        wanted="one of " + ", ".join(known) if known else "a scan that can be read, of three energies or more",
        mend=did_you_mean(path.stem, known, "Name a spectrum of another scan"),
    )
