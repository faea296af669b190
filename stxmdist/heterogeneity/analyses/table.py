"""The analyses of a campaign. Adding one is one file with a function ``(Evidence) -> table`` and one line here.

``infer`` makes each table, and the data dictionary, exports and Python's ``campaign.table(name)`` know it by its entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from stxmdist.heterogeneity.analyses import electrode_columns
from stxmdist.heterogeneity.analyses.adjusted_effects import ADJUSTED_COLUMNS
from stxmdist.heterogeneity.analyses.anomalies import ANOMALY_COLUMNS
from stxmdist.heterogeneity.analyses.calibration import CALIBRATION_COLUMNS, CORRECTED_COLUMNS
from stxmdist.heterogeneity.analyses.connectivity import CONNECTIVITY_COLUMNS, CONTACT_COLUMNS, TORTUOSITY_COLUMNS
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.left_out import LEFT_OUT_COLUMNS
from stxmdist.heterogeneity.analyses.polarisation import POLARISATION_COLUMNS
from stxmdist.heterogeneity.analyses.reaction_rates import REACTION_RATE_COLUMNS
from stxmdist.heterogeneity.analyses.transport import EXPONENT_COLUMNS, TRANSPORT_COLUMNS
from stxmdist.heterogeneity.analyses.two_phase import TWO_PHASE_COLUMNS
from stxmdist.heterogeneity.reaction_rows import REACTION_COLUMNS
from stxmdist.registry import Entry, Table
from stxmdist.table_columns import TableColumn

Analysis: TypeAlias = Callable[[Evidence], pd.DataFrame]
"""From the evidence to one table of the campaign, with the columns of its entry; of nothing, a table without rows."""


@dataclass(frozen=True)
class AnalysisEntry(Entry[Analysis]):
    """One analysis: where its function is, and the table that it gives."""

    meaning: str
    """Of the table: what one row is"""
    columns: tuple[TableColumn, ...]
    source: str
    """Paper and equation of the method, or ``own``"""


ANALYSES: Table[AnalysisEntry] = Table(
    "analysis",
    {
        # Statistics: what stands beside effects and variances.
        "adjusted_effects": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.adjusted_effects:adjusted_effects",
            meaning="one row per endpoint and property of particles, the other properties held",
            columns=ADJUSTED_COLUMNS,
            source="Fuller, Measurement Error Models (1987), 2.2; t over electrodes",
        ),
        "left_out": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.left_out:left_out",
            meaning="one row per electrode, condition and endpoint: particles without the number, flags, and limits",
            columns=LEFT_OUT_COLUMNS,
            source="Manski, Am. Econ. Rev. 80, 319 (1990)",
        ),
        "anomalies": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.anomalies:anomalies",
            meaning="one row per particle whose mean spectrum is unlike that of the others of its scan",
            columns=ANOMALY_COLUMNS,
            source="Benjamini, Hochberg, J. R. Stat. Soc. B 57, 289 (1995)",
        ),
        "boundary_axes": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.boundary_axes:boundary_axes",
            meaning="one row per electrode and condition: do boundaries in particles keep to these' long axes",
            columns=electrode_columns.BOUNDARY_AXES,
            source="Mardia, Jupp, Directional Statistics (2000), 2.2 and 9.5; shuffled within scans",
        ),
        # Both modalities: how one follows the other, and what follows for all particles.
        "calibration": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.calibration:calibration",
            meaning="one row per metric: how the wide field follows ptychography, and how far they agree",
            columns=CALIBRATION_COLUMNS,
            source="Fuller 1987, 1.2.3; Linnet, Clin. Chem. 39, 424 (1993); Bland, Altman, Lancet 327, 307 (1986)",
        ),
        "corrected_particles": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.calibration:corrected_particles",
            meaning="one row per metric of a wide-field particle without a pair: as ptychography would have read it",
            columns=CORRECTED_COLUMNS,
            source="inverse of the calibration, to first order; own",
        ),
        "two_phase": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.two_phase:two_phase",
            meaning="one row per electrode, condition and metric: many wide-field particles calibrated by a few pairs",
            columns=TWO_PHASE_COLUMNS,
            source="Cochran 1977, 12.6; Saerndal, Swensson, Wretman 1992, 9.7",
        ),
        # Transport: what reacts, how fast, and through what.
        "reactions": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.reactions:reactions",
            meaning="one row per particle that was seen at two times",
            columns=REACTION_COLUMNS,
            source="Lim et al., Science 353, 566 (2016)",
        ),
        "reaction_rates": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.reaction_rates:reaction_rates",
            meaning="one row per region that was seen at two times, and one per electrode and condition",
            columns=REACTION_RATE_COLUMNS,
            source="Lim et al., Science 353, 566 (2016); uniformity own",
        ),
        "polarisation": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.polarisation:polarisation",
            meaning="one row per particle that was seen at several linear polarisations",
            columns=POLARISATION_COLUMNS,
            source="Stohr, Siegmann, Magnetism (2006), 9.7",
        ),
        "contacts": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.connectivity:contacts",
            meaning="one row per pair of particles of a scan that touch",
            columns=CONTACT_COLUMNS,
            source="Ombrini et al., 2025 (abstract); definition of a contact own",
        ),
        "connectivity": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.connectivity:connectivity",
            meaning="one row per scan: how its particles hang together, and whether those that touch are alike",
            columns=CONNECTIVITY_COLUMNS,
            source="Ombrini et al., 2025 (abstract); Moran, Biometrika 37, 17 (1950)",
        ),
        "tortuosity": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.connectivity:tortuosity",
            meaning="one row per thin section and direction, and one per other scan that says why it has none",
            columns=TORTUOSITY_COLUMNS,
            source="Epstein, Chem. Eng. Sci. 44, 777 (1989)",
        ),
        "transport": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.transport:transport",
            meaning="one row per electrode and condition: the current that its active area carries",
            columns=TRANSPORT_COLUMNS,
            source="Li et al., Nat. Mater. 13, 1149 (2014)",
        ),
        "rate_exponents": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.transport:rate_exponents",
            meaning="with what power of the rate current density and active share grow",
            columns=EXPONENT_COLUMNS,
            source="Li et al., Nat. Mater. 13, 1149 (2014)",
        ),
        "sizes": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.sizes:sizes",
            meaning="one row per electrode and condition: sizes of its particles, freed of what fields cut",
            columns=electrode_columns.SIZES,
            source="Miles 1974; Woodruff, J. Am. Stat. Assoc. 47, 635 (1952); Hatch, Choate 1929",
        ),
        "closure": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.closure:closure",
            meaning="one row per electrode and condition, and one of all: state of charge against coulometry",
            columns=electrode_columns.CLOSURE,
            source="own; Schuirmann, J. Pharmacokinet. Biopharm. 15, 657 (1987)",
        ),
        "metric_summaries": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.metric_summaries:metric_summaries",
            meaning="one row per electrode, condition and metric of particles: mean, spread, and share beyond its null",
            columns=electrode_columns.METRIC_SUMMARIES,
            source="own",
        ),
        "neighbours": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.neighbours:neighbours",
            meaning="one row per electrode, condition and distance of particles, and of all: do neighbours react alike",
            columns=electrode_columns.NEIGHBOURS,
            source="Stoyan, Stoyan, Fractals, Random Shapes and Point Fields (1994), 14.4; Cliff, Ord 1981, 1.3",
        ),
        "mosaic": AnalysisEntry(
            "stxmdist.heterogeneity.analyses.mosaic:mosaic",
            meaning="one row per electrode and condition: do its particles react one by one, and in two groups",
            columns=electrode_columns.MOSAIC,
            source="own; Hartigan, Hartigan, Ann. Stat. 13, 70 (1985); Ashman, Bird, Zepf, Astron. J. 108, 2348 (1994)",
        ),
    },
)
