"""Figures of the report, one at a time, from what is published."""

from pathlib import Path
from typing import cast

import pandas as pd

from storage.store import Store
from stxmdist.errors import StoreError
from stxmdist.measures import ReportMeasures
from stxmdist.planning.changed_options import ChangedOptions
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.published import PublishedCampaign
from stxmdist.report.canvas import Picture, drawing
from stxmdist.report.evidence import Evidence
from stxmdist.report.members import PARTS, entry_of, item_of
from stxmdist.report.part import Options
from stxmdist.report.stage import NAME, part_of
from stxmdist.results.drawn_figure import DrawnFigure
from stxmdist.runner import CAMPAIGN


def evidence_of(path: str | Path, options: ChangedOptions | None = None) -> Evidence:
    """What the report of a campaign is drawn from, as it is published now.

    Raises
    ------
    CampaignError
        with every mistake of the campaign file.
    """
    survey = survey_of(*campaign_and_options(path, options))
    drawn_with = cast(Options, survey.options.get(NAME, Options()))
    return Evidence.from_part(part_of(survey), Store(survey.campaign.store), drawn_with)


def figure(path: str | Path, name: str, options: ChangedOptions | None = None) -> DrawnFigure:
    """One figure of the report by its name.

    Raises
    ------
    InputError
        for a name that there is none of, and where the campaign cannot give this figure, with why.
    """
    entry_of(name)
    with drawing():
        found = item_of(evidence_of(path, options), name, Picture)
    return DrawnFigure(found)


def figures(published: PublishedCampaign) -> pd.DataFrame:
    """Names of the figures of the published report, or of all that there may be, with what each answers."""
    try:
        shown = published.figures(ReportMeasures, NAME, CAMPAIGN)
    except StoreError:
        shown = None
    names = tuple(PARTS) if shown is None else shown.names
    rows = {name: (entry_of(name).question, entry_of(name).section) for name in names}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["question", "section"]).rename_axis("name")
