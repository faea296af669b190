"""What is published of a campaign: its tables with their units, and its scans."""

from pathlib import Path

import pandas as pd

from storage.columns import TableSpec
from storage.place import fetched
from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.errors import InputError
from stxmdist.particles.flag_words import FLAG_WORDS, flags_of
from stxmdist.planning.published import PublishedCampaign, simulated_scans
from stxmdist.planning.tables import table_specs
from stxmdist.results.page import campaign_html
from stxmdist.results.particle import ParticleResults
from stxmdist.results.scan import RUN, ScanResults
from stxmdist.results.tables import described, with_units

SHEET = ("modality", "electrode_id", "cycle", "c_rate", "direction", "soc_nominal", "soc_coulometric", "chemistry",
         "pair_id", "region_id", "cell_id", "beamtime_id", "roi_rule")  # fmt: skip
"""Columns of the sample sheet that say what a scan is of"""


class CampaignResults:
    """What is published of a campaign; ``campaign.particles`` and the other tables, ``campaign.scan("id").soc``.

    What it says of the campaign is read when it is made; what is published is looked up anew whenever it is asked for.
    """

    TABLES = tuple(table_specs())

    def __init__(self, path: str | Path) -> None:
        self.campaign = load(path, lenient=True)
        self._published: tuple[object, PublishedCampaign] | None = None

    @property
    def published(self) -> PublishedCampaign:
        """What is published now.

        Raises
        ------
        StoreError
            where the store's place holds something else, or a store of another version.

        Examples
        --------
        >>> list(campaign.published.publications)[0]
        'ingest'
        """
        store = Store(self.campaign.store)
        if (store.root / "store.json").exists():
            store.open()
        seen = {path: path.stat().st_mtime_ns for path in store.published_path.glob("*.json")}
        if self._published is None or self._published[0] != seen:
            self._published = (seen, PublishedCampaign(store))
        return self._published[1]

    # --- scans ------------------------------------------------------------------------------------------------

    def scan(self, scan_id: str) -> ScanResults:
        """One scan of the sample sheet.

        Raises
        ------
        CampaignError
            for a name that the sheet does not have, with the nearest that it has.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").stages()[-1]
        'network'
        """
        self.campaign.scan(scan_id)
        return ScanResults(self, scan_id)

    def particle(self, scan_id: str, particle_id: int) -> ParticleResults:
        """One particle; the same as ``campaign.scan(scan_id).particle(particle_id)``.

        Examples
        --------
        >>> campaign.particle("stxm-E01-c001-r1", 1).particle_id
        1
        """
        return self.scan(scan_id).particle(particle_id)

    @property
    def sheet(self) -> pd.DataFrame:
        """The scans of the sample sheet that are processed, one row each, by their names.

        Examples
        --------
        >>> campaign.sheet.loc["stxm-E01-c001-r1", "modality"]
        'stxm'
        """
        rows = [{name: getattr(scan, name) for name in SHEET} for scan in self.campaign.scans]
        table = pd.DataFrame(
            rows, columns=list(SHEET), index=pd.Index([s.scan_id for s in self.campaign.scans], name="scan_id")
        )
        return with_units(table, table_specs()["particles"])

    @property
    def simulated(self) -> frozenset[str]:
        """The scans whose files were simulated, not measured.

        Examples
        --------
        >>> "stxm-E01-c001-r1" in campaign.simulated
        True
        """
        return simulated_scans(self.campaign)

    # --- tables -----------------------------------------------------------------------------------------------

    def table(self, name: str) -> pd.DataFrame:
        """A table of the campaign; ``attrs["units"]`` and ``attrs["descriptions"]`` say what its columns are.

        The column ``flags`` is ``table["flags"]``: ``table.flags`` is pandas' own.

        Raises
        ------
        InputError
            when no table of this name has been published.

        Examples
        --------
        >>> campaign.table("electrodes").attrs["units"]["c_rate"]
        '1/h'
        """
        found = self.table_if_any(name)
        if found is None:
            raise InputError(
                where=self.campaign.path,
                problem="no table of this name has been published",
                got=repr(name),
                wanted="one of " + ", ".join(self.TABLES),
                mend=RUN,
            )
        return found

    def table_if_any(self, name: str) -> pd.DataFrame | None:
        """The same; None where it is not published.

        Examples
        --------
        >>> campaign.table_if_any("no such table") is None
        True
        """
        found = self.published.table(name) if name in self.TABLES else None
        return None if found is None else self.with_units(name, found)

    def with_units(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """A table with the units and meanings of its columns in ``attrs``.

        Examples
        --------
        >>> import pandas
        >>> campaign.with_units("particles", pandas.DataFrame({"d_eq_um": [0.5]})).attrs["units"]
        {'d_eq_um': 'um'}
        """
        return with_units(table, _spec(name))

    @property
    def flags(self) -> pd.DataFrame:
        """Which flags each particle has: one column of true and false for each flag, rows as in ``particles``.

        ``attrs["descriptions"]`` says what each flag means.

        Raises
        ------
        InputError
            when the particles have not been published.

        Examples
        --------
        >>> unflagged = campaign.particles[~campaign.flags.any(axis="columns")]
        >>> set(unflagged["flags"]) <= {""}
        True
        """
        particles = self.table("particles")
        flagged = [flags_of(words) for words in particles["flags"]]
        found = dict.fromkeys([*FLAG_WORDS, *(flag for flags in flagged for flag in flags)])
        columns = {
            flag: ([flag in flags for flags in flagged], "", FLAG_WORDS.get(flag, flag))
            for flag in found
            if any(flag in flags for flags in flagged)
        }
        table = described(columns)
        return table.set_axis(particles.index) if len(table) else pd.DataFrame(index=particles.index)

    @property
    def report(self) -> Path:
        """The report's page; it may not be there yet.

        Examples
        --------
        >>> campaign.report.name
        'index.html'
        """
        return fetched(Store(self.campaign.store).report_path) / "index.html"

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in self.TABLES:
            return self.table(name)
        raise AttributeError(f"a campaign has the tables {', '.join(self.TABLES)}; not {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.TABLES]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.campaign.name!r}, {len(self.campaign.scans)} scans, {self.campaign.store})"

    def _repr_html_(self) -> str:
        return campaign_html(self)


def _spec(name: str) -> TableSpec:
    return table_specs()[name]
