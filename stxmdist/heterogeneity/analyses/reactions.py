"""Every particle that was seen at two times, as the stage ``react`` left it."""

import pandas as pd

from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.reaction_rows import REACTION_COLUMNS


def reactions(evidence: Evidence) -> pd.DataFrame:
    """One row per particle and pair of times, columns ``REACTION_COLUMNS``; none where no region was seen twice."""
    names = [column.name for column in REACTION_COLUMNS]
    return evidence.reactions[names] if len(evidence.reactions) else pd.DataFrame(columns=names)
