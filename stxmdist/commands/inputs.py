"""What comes in: simulated campaigns, descriptions of files, a campaign file to begin with."""

from pathlib import Path
from typing import TYPE_CHECKING

from stxmdist import readers
from stxmdist.campaign.clusters import usable_cores
from stxmdist.campaign.init import Started
from stxmdist.campaign.init import init as write_campaign
from stxmdist.commands.notes import Note, unsaid
from stxmdist.readers.recording import Description

if TYPE_CHECKING:
    from stxmdist.simulation.folder import SimulatedCampaign


def simulate(
    folder: str | Path,
    size: str = "small",
    seed: int = 0,
    *,
    workers: int | None = None,
    note: Note = unsaid,
) -> "SimulatedCampaign":
    """Simulate a campaign into a folder: beamline files in their real formats, sample sheet, campaign file, truth.

    Parameters
    ----------
    size
        ``small`` (the demo), ``medium`` (a day of beamtime), ``large``, or ``hard`` (what goes wrong)
    seed
        the same seed gives the same files
    workers
        processes; one for each core of this machine if None
    note
        takes a line of progress at a time, such as ``print``

    Raises
    ------
    InputError
        for a size that there is none of.

    Examples
    --------
    >>> simulate(folder / "made", "smal")
    Traceback (most recent call last):
    ...
    stxmdist.errors.InputError: ...Did you mean 'small'...
    """
    # Who looks into a file waits for no simulation to be imported.
    from stxmdist.simulation.folder import simulate as simulate_campaign

    return simulate_campaign(Path(folder), size, seed, workers=workers or usable_cores(), report=note)


def inspect(file: str | Path) -> Description:
    """What a beamline file holds, in words and numbers.

    Raises
    ------
    InputError
        for what is no file of a beamline.

    Examples
    --------
    >>> found = inspect(campaign.campaign.scans[0].file)
    >>> found.format, found.kind
    ('sdf', 'image stack')
    """
    return readers.describe(Path(file))


def init(folder: str | Path) -> Started:
    """Write a commented campaign.yaml and a samples.csv from a folder of beamline files; add rows for new files later.

    Raises
    ------
    InputError
        for a folder without files that can be read.

    Examples
    --------
    >>> import shutil
    >>> beamline = shutil.copytree(path.parent / "beamline", folder / "beamline")
    >>> init(beamline).campaign.name
    'campaign.yaml'
    """
    return write_campaign(Path(folder), readers.describe)
