"""The stages of a campaign, in order. Each is one file with plan, work and finish, and wires without computing."""

from stxmdist.registry import Table
from stxmdist.runner import CAMPAIGN

__all__ = ["CAMPAIGN", "STAGES"]

STAGES = Table(
    "stage",
    {
        "ingest": "stxmdist.stages.ingest",
        "reconstruct": "stxmdist.stages.reconstruct.stage",
        "stitch": "stxmdist.stages.stitch",
        "absorbance": "stxmdist.stages.absorbance",
        "align": "stxmdist.stages.align",
        "explore": "stxmdist.stages.explore",
        "fit": "stxmdist.stages.fit",
        "segment": "stxmdist.stages.segment.stage",
        "register": "stxmdist.stages.register",
        "infer": "stxmdist.stages.infer",
        # Draws, and so lies a floor above: named here, not imported.
        "report": "stxmdist.report.stage",
    },
)
