"""From a beamtime of soft X-ray microscopy on battery cathodes to publishable statistics of heterogeneity."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from stxmdist.results import CampaignResults

__version__ = "0.1.0"
__all__ = ["open"]


def open(path: "str | Path") -> "CampaignResults":
    """What a campaign has found so far: tables as data frames, images of a scan as labelled arrays."""
    # Imported here, so that `import stxmdist` stays light.
    from stxmdist.results import CampaignResults

    return CampaignResults(path)
