"""From a beamtime of soft X-ray microscopy on battery cathodes to publishable statistics of heterogeneity.

In a notebook::

    import stxmdist

    campaign = stxmdist.open("campaign.yaml")
    campaign.plan()  # what a run takes
    campaign.run()  # only what is missing
    campaign.particles  # a data frame, a row for each particle
    campaign.scan("E1_c020_r1").plot("soc")
    campaign.scan("E1_c020_r1").particle(7)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from stxmdist.commands.energies import Sample, energies
    from stxmdist.commands.inputs import init, inspect, simulate
    from stxmdist.commands.open_campaign import OpenCampaign
    from stxmdist.planning.next_beamtime import Wish
    from stxmdist.planning.validation import validate

__version__ = "0.1.0"
__all__ = ["Sample", "Wish", "energies", "init", "inspect", "open", "simulate", "validate"]

_WHERE = {
    "Sample": "stxmdist.commands.energies",
    "Wish": "stxmdist.planning.next_beamtime",
    "energies": "stxmdist.commands.energies",
    "init": "stxmdist.commands.inputs",
    "inspect": "stxmdist.commands.inputs",
    "simulate": "stxmdist.commands.inputs",
    "validate": "stxmdist.planning.validation",
}


def open(path: "str | Path") -> "OpenCampaign":
    """A campaign by its campaign.yaml: what may be done with it, and what it has found so far.

    Raises
    ------
    CampaignError
        with every mistake of the campaign file; ``stxmdist.validate(path)`` lists those of rows of the sheet as well.

    Examples
    --------
    >>> stxmdist.open(path).campaign.chemistry
    'LFP'
    """
    # Imported here, as all the others are on use, so that `import stxmdist` stays light.
    from stxmdist.commands.open_campaign import OpenCampaign

    return OpenCampaign(path)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'stxmdist' has {', '.join(__all__)}; not {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
