"""The stages of a campaign, in the order of a run: adding one is one file and one line."""

from collections.abc import Collection

from stxmdist.planning.survey import AnyStage
from stxmdist.registry import Entry, Table

STAGES: Table[Entry[AnyStage]] = Table(
    "stage",
    {
        "ingest": Entry("stxmdist.stages.ingest:STAGE"),
        "reconstruct": Entry("stxmdist.stages.reconstruct.stage:STAGE"),
        "stitch": Entry("stxmdist.stages.stitch:STAGE"),
        "absorbance": Entry("stxmdist.stages.absorbance:STAGE"),
        "align": Entry("stxmdist.stages.align:STAGE"),
        "explore": Entry("stxmdist.stages.explore:STAGE"),
        "fit": Entry("stxmdist.stages.fit:STAGE"),
        "segment": Entry("stxmdist.stages.segment.stage:STAGE"),
        "register": Entry("stxmdist.stages.register:STAGE"),
        "network": Entry("stxmdist.stages.network:STAGE"),
        "react": Entry("stxmdist.stages.react:STAGE"),
        "infer": Entry("stxmdist.stages.infer:STAGE"),
        # It draws, and so lies a floor above: named here, not imported.
        "report": Entry("stxmdist.report.stage:STAGE"),
    },
)


def chosen_stages(names: Collection[str]) -> tuple[str, ...]:
    """The stages of these names in the order of a run; all of them where none is named.

    Raises
    ------
    InputError
        for a name that no stage has.
    """
    for name in names:
        STAGES.require(name)
    return tuple(name for name in STAGES if not names or name in names)
