"""A campaign in Python: all that the command line does, with results as values; ``stxmdist.open`` gives one."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from stxmdist.campaign.manifest import Campaign, CampaignError
from stxmdist.commands import drawn, keeping, runs
from stxmdist.commands.design import BeamtimeDesign, design, sample_of
from stxmdist.commands.energies import ProposedEnergies, Sample, energies
from stxmdist.commands.notes import Note, unsaid
from stxmdist.export.write import Exported, export
from stxmdist.planning.changed_options import ChangedOptions, merged_stages, with_changed
from stxmdist.planning.execute import RunRequest
from stxmdist.planning.forecast import Forecast
from stxmdist.planning.next_beamtime import Wish
from stxmdist.planning.options import parse_options
from stxmdist.planning.pilot import pilot_scans
from stxmdist.planning.status import Status, status_of
from stxmdist.planning.validation import Validation, validate
from stxmdist.results.campaign import CampaignResults
from stxmdist.results.drawn_figure import DrawnFigure
from stxmdist.runner.run import Watcher, nobody_watches
from stxmdist.scoring.score import score


class OpenCampaign(CampaignResults):
    """A campaign file, with what may be done with it and what it has found.

    It does not change: ``with_options`` gives another one. ``campaign.particles`` and the other tables are data frames,
    ``campaign.scan("id").soc`` and the other arrays xarray on Dask.

    Examples
    --------
    >>> import stxmdist
    >>> campaign = stxmdist.open(path)
    >>> campaign.validate().mistakes
    0
    """

    def __init__(self, path: str | Path, options: ChangedOptions | None = None) -> None:
        super().__init__(path)
        self.options: ChangedOptions = options or {}
        """Stage to the options that stand above those of the campaign file"""

    @property
    def path(self) -> Path:
        """The campaign file.

        Examples
        --------
        >>> campaign.path.name
        'campaign.yaml'
        """
        return self.campaign.path

    def with_options(self, **stages: dict[str, Any]) -> "OpenCampaign":
        """The same campaign with other options of its stages, those of earlier calls included; this one stays.

        A run with it leaves its outputs beside those of other options and shows them instead: what is published of a
        campaign is what its last run made. ``campaign.run()`` shows the others again and computes nothing twice, until
        ``gc`` removes them.

        Raises
        ------
        CampaignError
            for a stage, an option or a value that there is none of, with the nearest that there is.

        Examples
        --------
        >>> quick = campaign.with_options(fit={"fitter": "nnls"})
        >>> quick.options
        {'fit': {'fitter': 'nnls'}}
        >>> campaign.with_options(fit={"fiter": "nnls"})
        Traceback (most recent call last):
        ...
        stxmdist.campaign.problems.CampaignError: ...Did you mean 'fitter'.
        """
        changed = merged_stages(self.options, stages)
        refuse_wrong(self.campaign, changed)
        return OpenCampaign(self.path, changed)

    # --- before a run -----------------------------------------------------------------------------------------

    def validate(self) -> Validation:
        """Every mistake and warning, each with its line and its mend, and what readers had to assume.

        Examples
        --------
        >>> list(campaign.validate().table().columns)[:3]
        ['file', 'line', 'where']
        """
        return validate(self.path, self.options)

    def plan(self, stages: Collection[str] = (), scans: Collection[str] = ()) -> Forecast:
        """Units, bytes, memory and time of a run of some stages and scans, all where none are named; computes nothing.

        Raises
        ------
        InputError
            for mistakes in the campaign, and a stage or a scan that there is none of.

        Examples
        --------
        >>> forecast = campaign.plan(stages=["ingest", "align"])
        >>> list(forecast.table()["stage"])
        ['ingest', 'align']
        """
        return runs.plan(self.path, stages, scans, self.options)

    # --- runs -------------------------------------------------------------------------------------------------

    def run(
        self,
        stages: Collection[str] = (),
        scans: Collection[str] = (),
        options: ChangedOptions | None = None,
        cluster: str | int | None = None,
        *,
        prefect: bool = True,
        watch: Watcher = nobody_watches,
        note: Note = unsaid,
    ) -> runs.Outcome:
        """Bring the campaign up to date: every stage in order, only what is missing.

        In a script, call it below ``if __name__ == "__main__":``, for worker processes import the script as well.

        Parameters
        ----------
        stages, scans
            only these; all where none are named
        options
            as of ``with_options``, for this run
        cluster
            number of workers on this machine, address of a Dask scheduler, or ``inline``: in this process; None: as the
            campaign file says
        prefect
            whether a Prefect server records the run
        watch
            sees the progress after every unit
        note
            takes a line for people at a time, such as ``print``

        Raises
        ------
        InputError
            for mistakes in the campaign, and a stage, a scan or a cluster that there is none of.

        Examples
        --------
        >>> outcome = campaign.run(stages=["ingest"], cluster="inline", prefect=False)
        >>> outcome.complete
        True
        """
        changed = merged_stages(self.options, options or {})
        refuse_wrong(self.campaign, changed)
        request = RunRequest(str(self.path), tuple(stages), tuple(scans), _named(cluster), options=changed)
        return runs.Outcome(runs.run(request, prefect=prefect, watch=watch, note=note))

    def retry(
        self,
        cluster: str | int | None = None,
        *,
        prefect: bool = True,
        watch: Watcher = nobody_watches,
        note: Note = unsaid,
    ) -> runs.Outcome:
        """Run the units again that failed in earlier runs; arguments as of ``run``.

        Examples
        --------
        >>> campaign.retry(cluster="inline", prefect=False).refusals.empty
        True
        """
        request = RunRequest(str(self.path), (), (), _named(cluster), retry=True, options=self.options)
        return runs.Outcome(runs.run(request, prefect=prefect, watch=watch, note=note))

    # --- afterwards -------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """How far every scan is, what failed and why, what came out, and what is out of date.

        Examples
        --------
        >>> campaign.status().table()["scan"][0]
        'stxm-E01-c001-r1'
        """
        return status_of(self.path, self.options)

    def verify(self, *, inputs: bool = False) -> keeping.Verified:
        """Compute the digests of all published files again; with ``inputs``, read the beamline files whole as well.

        Examples
        --------
        >>> campaign.verify().whole
        True
        """
        return keeping.verify(self.path, inputs=inputs)

    def gc(self, *, dry_run: bool = False) -> keeping.Collected:
        """Remove what nothing refers to: outputs of earlier options, and leftovers of crashes.

        Examples
        --------
        >>> campaign.gc(dry_run=True).dry_run
        True
        """
        return keeping.gc(self.path, dry_run=dry_run)

    def draw_report(self) -> runs.DrawnReport:
        """Draw the report again from what is published; ``campaign.report`` is its page.

        Examples
        --------
        >>> campaign.draw_report().page.name
        'index.html'
        """
        return runs.draw_report(self.path, self.options)

    @property
    def figures(self) -> pd.DataFrame:
        """The figures of the report by their names, with what each answers; ``campaign.figure(name)`` draws one.

        Examples
        --------
        >>> campaign.figures.loc["F5-state-of-charge", "question"]
        'How charged are the particles, and does it close?'
        """
        return drawn.figures(self.published)

    def figure(self, name: str) -> DrawnFigure:
        """A figure of the report, drawn from what is published now: ``figure``, ``data``, ``caption`` and ``save``.

        Raises
        ------
        InputError
            for a name that there is none of, and where the campaign cannot give this figure, with why.

        Examples
        --------
        >>> campaign.figure("F5-state-of-charge").save(folder / "figure.svg").exists()
        True
        """
        return drawn.figure(self.path, name, self.options)

    def export(
        self, to: str, out: str | Path | None = None, scans: Collection[str] = (), *, force: bool = False
    ) -> Exported:
        """Write the published results for other programs; arguments as of ``stxmdist.export.write.export``.

        Examples
        --------
        >>> campaign.export("csv", out=folder / "csv").complete
        True
        """
        return export(self.path, to, out=out, scans=tuple(scans), force=force)

    def score(self) -> dict[str, Any]:
        """The results of a simulated campaign beside its truth: lists of rows by the name of what is compared.

        Raises
        ------
        InputError
            where there is no truth beside the campaign file.

        Examples
        --------
        >>> rows = campaign.score()["particles"]
        >>> rows[0]["modality"]
        'stxm'
        """
        return score(self.campaign.store, self.path.parent / "truth")

    # --- the next beamtime ------------------------------------------------------------------------------------

    def design(
        self, wish: Wish | None = None, *, endpoint: str = "soc_mean", n: int = 5, most_electrodes: int = 40
    ) -> BeamtimeDesign:
        """Particles, regions, electrodes, energies and photons for a wanted interval, by the variances of this one.

        Raises
        ------
        InputError
            for wishes that cannot be, and a campaign without results.

        Examples
        --------
        >>> plan = campaign.design(stxmdist.Wish(half_width=0.05))
        >>> "hours" in plan.table()
        True
        """
        return design(self.path, wish or Wish(), endpoint=endpoint, n=n, most_electrodes=most_electrodes)

    def energies(
        self,
        n: int = 5,
        *,
        edge: str | None = None,
        sample: Sample | None = None,
        photons: float | None = None,
        dose_mgy: float | None = None,
        background: bool = False,
        shift: bool = False,
    ) -> ProposedEnergies:
        """Photon energies for the campaign's chemistry; without a ``sample``, for particles as it has found them.

        Arguments as of ``stxmdist.energies``.

        Examples
        --------
        >>> len(campaign.energies(3).table())
        3
        """
        found = self.table_if_any("particles")
        if sample is None and found is not None and len(found):
            sample = sample_of(pilot_scans(self.published, self.campaign))
        return energies(
            self.campaign.chemistry,
            n,
            edge=edge,
            sample=sample,
            photons=photons,
            dose_mgy=dose_mgy,
            background=background,
            shift=shift,
        )

    def __repr__(self) -> str:
        changed = f", options {dict(self.options)}" if self.options else ""
        return f"{super().__repr__()[:-1]}{changed})"


def refuse_wrong(campaign: Campaign, changed: ChangedOptions) -> None:
    """Refuse options that the file could not have, with every mistake at once.

    Raises
    ------
    CampaignError
        for a stage, an option or a value that there is none of.
    """
    _, problems = parse_options(with_changed(campaign, changed))
    if problems:
        raise CampaignError(campaign.path, problems)


def _named(cluster: str | int | None) -> str | None:
    return None if cluster is None else str(cluster)
