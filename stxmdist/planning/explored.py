"""Spectra that explorations find, named as end-members of a fit: ``explore:SCAN:cluster-1``."""

from pathlib import Path

from stxmdist.campaign.problems import did_you_mean
from stxmdist.campaign.schema import ExploredSpectrum, References
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import condition_number
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.explore.contract import EXPLORERS, ExplorerEntry, numbered
from stxmdist.spectra.explore.explore_stack import ExploreOptions

MOST_ALIKE = 20.0
"""Largest condition number of a pair of explored spectra. Noise in the state of charge grows with it: clusters may
separate thin pixels from thick ones instead of one phase from another, and a fit with them would mean nothing.
"""

FOLDER = "spectra"
"""Folder of an output that holds a file of two columns for each explored spectrum"""


def file_of(scan_id: str, name: str) -> str:
    """Where in its output an exploration leaves one spectrum."""
    return f"{FOLDER}/{scan_id}-{name}.csv"


def named_by(references: References | None) -> tuple[ExploredSpectrum, ...]:
    """The explored spectra that the references of a campaign name."""
    if references is None:
        return ()
    named = (references.discharged, references.charged)
    return tuple(reference for reference in named if isinstance(reference, ExploredSpectrum))


def explorers_of_substances() -> dict[str, ExplorerEntry]:
    """The explorers whose spectra may stand for substances, by name."""
    return {name: entry for name, entry in EXPLORERS.items() if entry.substances}


def names_found(options: ExploreOptions) -> list[str]:
    """Names of the spectra that explorations with these options find, as references have them."""
    return [
        name
        for method, entry in explorers_of_substances().items()
        if method in options.methods
        for name in numbered(entry.part, entry.number_of_parts(options.of(method)))
    ]


def refuse_alike(members: EndMembers) -> None:
    """Refuse two explored spectra that differ by hardly more than the thickness of the sample.

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
    """Refuse the file of a spectrum that an exploration did not leave.

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
