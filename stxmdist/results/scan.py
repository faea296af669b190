"""One scan of a campaign: its arrays by name, its quality, its resolution, its end-members, its pictures.

The file is longer than 400 lines because every call of a scan stands here, each with an example that runs.
"""

from typing import Protocol

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from storage.output import Output
from stxmdist.campaign.manifest import Campaign
from stxmdist.campaign.scan import Scan
from stxmdist.errors import InputError
from stxmdist.measures import FitMeasures, ReconstructFigures
from stxmdist.planning.end_members import end_members_of, published_source
from stxmdist.planning.published import PublishedCampaign
from stxmdist.ptychography.frc import ring_frequencies
from stxmdist.results.arrays import COMPUTED, UNALIGNED, WHERE, presented
from stxmdist.results.drawing import draw_scan
from stxmdist.results.page import scan_html
from stxmdist.results.particle import ParticleResults
from stxmdist.results.tables import described
from stxmdist.spectra.end_members.references import EndMembers

RUN = "Run the campaign (`campaign.run()` or `stxmdist run`); `stxmdist status` says what is missing"


class ParentCampaign(Protocol):
    """The campaign of a scan; ``CampaignResults`` is one."""

    campaign: Campaign

    @property
    def published(self) -> PublishedCampaign:
        """What is published."""

    def table(self, name: str) -> pd.DataFrame:
        """A table of the campaign."""

    def table_if_any(self, name: str) -> pd.DataFrame | None:
        """The same; None where it is not published."""

    def with_units(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """A table with the units of its columns."""

    def scan(self, scan_id: str) -> "ScanResults":
        """Another scan."""


class ScanResults:
    """The published results of one scan.

    ``scan.soc``, ``scan.object`` and so on (``dir(scan)`` has them all) are xarray.DataArray on Dask with units and
    meaning, read when used.

    Examples
    --------
    >>> scan = campaign.scan("stxm-E01-c001-r1")
    >>> scan.soc.dims, scan.soc.attrs["units"]
    (('y', 'x'), '1')
    >>> scan.mask_class.attrs["flag_meanings"].split()[:3]
    ['valid', 'background', 'edge']
    """

    def __init__(self, campaign: ParentCampaign, scan_id: str) -> None:
        self._campaign = campaign
        self.scan_id = scan_id

    @property
    def published(self) -> PublishedCampaign:
        """What is published of the campaign now.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").published.has("fit", "stxm-E01-c001-r1")
        True
        """
        return self._campaign.published

    @property
    def about(self) -> Scan:
        """What the sample sheet says of the scan.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").about.electrode_id
        'E01'
        """
        return self._campaign.campaign.scan(self.scan_id)

    def stages(self) -> list[str]:
        """The stages that have published this scan.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").stages()[0]
        'ingest'
        """
        return self.published.stages_of(self.scan_id)

    def output(self, stage: str) -> Output:
        """What a stage has published for this scan.

        Raises
        ------
        InputError
            when it has published nothing.

        Examples
        --------
        >>> "soc" in campaign.scan("stxm-E01-c001-r1").output("fit").arrays()
        True
        """
        output = self.published.output(stage, self.scan_id)
        if output is None:
            raise InputError(
                where=self.scan_id,
                problem=f"stage {stage} has published nothing for this scan",
                got=f"what {', '.join(self.stages())} left" if self.stages() else "no output",
                wanted=f"a finished {stage}",
                mend=RUN,
            )
        return output

    def stage(self, name: str) -> xr.Dataset:
        """Everything that a stage left for this scan, as an xarray.Dataset on Dask.

        Raises
        ------
        InputError
            when the stage has published nothing for it.

        Examples
        --------
        >>> "chi2_reduced" in campaign.scan("stxm-E01-c001-r1").stage("fit")
        True
        """
        output = self.output(name)
        # In the files, axes whose values are names are numbered; here they can be chosen by name.
        named = {dim: values for dim, (values, _) in output.coordinates().items() if values.dtype.kind == "U"}
        dataset = output.dataset().assign_coords(named)
        return dataset.assign({str(name): presented(array) for name, array in dataset.data_vars.items()})

    def array(self, name: str) -> xr.DataArray:
        """An array by its name; ``scan.array("soc")`` is ``scan.soc``.

        Raises
        ------
        InputError
            where there is none of this name, or this scan has none.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").array("counts").attrs["units"]
        'count'
        """
        if name not in WHERE:
            raise InputError(
                where=self.scan_id,
                problem="a scan has no array of this name",
                got=repr(name),
                wanted="one of " + ", ".join(WHERE),
                mend="Choose one of those; `scan.stage(name)` has everything that a stage left",
            )
        found = self.stage(WHERE[name])
        if name in COMPUTED:
            return presented(COMPUTED[name](found))
        kept = name.removesuffix(UNALIGNED)
        if kept not in found:
            raise InputError(
                where=self.scan_id,
                problem=f"stage {WHERE[name]} leaves no {name} of this scan, by its modality or its options",
                got=", ".join(map(str, found)),
                wanted=name,
                mend="Ask for one of those",
            )
        return found[kept]

    def __getattr__(self, name: str) -> xr.DataArray:
        if name not in WHERE:
            raise AttributeError(f"a scan has {', '.join(WHERE)}; not {name!r}")
        return self.array(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *WHERE]

    # --- numbers ----------------------------------------------------------------------------------------------

    @property
    def quality(self) -> pd.DataFrame:
        """Every quality figure of the scan: a row for each figure of each stage; ``stxmdist.measures`` explains them.

        Examples
        --------
        >>> quality = campaign.scan("stxm-E01-c001-r1").quality
        >>> float(quality.loc[("fit", "chi2_reduced"), "value"]) < 3.0
        True
        """
        rows = [
            {"stage": stage, "figure": name, "value": value}
            for stage in self.stages()
            for name, value in self._quality_of(stage).items()
        ]
        return pd.DataFrame(rows, columns=["stage", "figure", "value"]).set_index(["stage", "figure"])

    def _quality_of(self, stage: str) -> dict[str, object]:
        found = self.published.scan(stage, self.scan_id)
        return {} if found is None else dict(found.quality)

    @property
    def frc(self) -> xr.DataArray:
        """Fourier ring correlation (energy, tile, frequency) of reconstructions from two halves of the frames.

        ``cycles_per_px`` and ``per_nm`` are the rings' spatial frequencies, ``half_bit_half_period_nm`` (energy, tile)
        is the resolution by the half-bit criterion.

        Raises
        ------
        InputError
            for scans that are not reconstructed, wide-field scans among them.

        Source: van Heel and Schatz, J. Struct. Biol. 151, 250 (2005).

        Examples
        --------
        >>> campaign.scan("ptycho-E01-c001-r1").frc.dims
        ('energy', 'tile', 'frequency')
        """
        frc = self.stage("reconstruct")["frc"]
        frequency = ring_frequencies(np.asarray(frc))
        about = {"units": "1/px", "long_name": "spatial frequency of the ring"}
        frc = frc.assign_coords(cycles_per_px=(frc.dims, frequency, about))
        figures = self.published.figures(ReconstructFigures, "reconstruct", self.scan_id)
        if figures is None or figures.pixel_nm is None:
            return frc
        pixel_nm = float(np.mean(figures.pixel_nm))
        half = figures.half_bit_half_period_px.reshape(frc.shape[:2]) * pixel_nm
        named = {"units": "nm", "long_name": "half-period at which the correlation falls below half a bit"}
        return frc.assign_coords(
            per_nm=(frc.dims, frequency / pixel_nm, about | {"units": "1/nm"}),
            half_bit_half_period_nm=(frc.dims[:2], half, named),
        )

    @property
    def end_members(self) -> EndMembers:
        """The end-members of the fit, with their errors and where they come from.

        Raises
        ------
        InputError
            where the stack is not aligned yet, or the fit used others than the campaign names now.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").end_members.names
        ('LiFePO4', 'FePO4')
        """
        self.output("align")
        source = published_source(self.published, self._campaign.campaign, self.about)
        assert source is not None
        members = end_members_of(source)
        fit = self.published.figures(FitMeasures, "fit", self.scan_id)
        if fit is not None and fit.end_members != members.source:
            raise InputError(
                where=self.scan_id,
                problem="the published fit used other end-members than the campaign names now",
                got=fit.end_members,
                wanted=members.source,
                mend="Run the campaign again, or name those again",
            )
        return members

    @property
    def references(self) -> pd.DataFrame:
        """The end-members of the fit over energy, ``_sd`` is their error; ``attrs["source"]`` says where they are from.

        Raises
        ------
        InputError
            as ``end_members``.

        Examples
        --------
        >>> list(campaign.scan("stxm-E01-c001-r1").references)[:3]
        ['energy_ev', 'discharged', 'charged']
        """
        members = self.end_members
        unit = "1/nm" if members.thickness_unit == "nm" else "1"
        columns: dict[str, tuple[object, str, str]] = {"energy_ev": (members.energy_ev, "eV", "photon energy")}
        for name, words, mu in zip(("discharged", "charged"), members.names, members.mu_per_nm, strict=True):
            columns[name] = (mu, unit, f"absorption of {words}")
        if members.mu_sd_per_nm is not None:
            for name, sd in zip(("discharged", "charged"), members.mu_sd_per_nm, strict=True):
                columns[f"{name}_sd"] = (sd, unit, f"standard deviation of {name}")
        table = described(columns)
        table.attrs |= {"source": members.source, "flags": list(members.flags)}
        return table

    # --- particles --------------------------------------------------------------------------------------------

    @property
    def particles(self) -> pd.DataFrame:
        """The rows of the scan's particles, as soon as they are found: before ``infer`` without what it adds.

        Raises
        ------
        InputError
            where they are not found yet.

        Examples
        --------
        >>> set(campaign.scan("stxm-E01-c001-r1").particles["scan_id"])
        {'stxm-E01-c001-r1'}
        """
        self.output("segment")
        table = self._campaign.table_if_any("particles")
        mine = None if table is None else table[table["scan_id"] == self.scan_id]
        if mine is None or mine.empty:
            mine = self.published.table_of("segment", self.scan_id, "particles")
        assert mine is not None
        return self._campaign.with_units("particles", mine.reset_index(drop=True))

    def particle(self, particle_id: int) -> ParticleResults:
        """One particle of the scan, by its number in the label image and in the table.

        Raises
        ------
        InputError
            where there is no particle of this number, or none was looked for yet.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").particle(1).particle_id
        1
        """
        table = self.particles
        row = table[table["particle_id"] == particle_id]
        if row.empty:
            known = sorted(map(int, table["particle_id"]))
            some = ", ".join(map(str, known[:12])) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
            raise InputError(
                where=self.scan_id,
                problem="the scan has no particle of this number",
                got=particle_id,
                wanted=f"one of {some}" if known else "a scan in which particles were found",
                mend="`scan.particles` lists them; `scan.plot('labels')` shows where they are",
            )
        return ParticleResults(self, int(particle_id), row.iloc[0])

    @property
    def pairs(self) -> pd.DataFrame:
        """The particles that both microscopes saw, of all scans: the campaign's table ``pairs``.

        Examples
        --------
        >>> "iou" in campaign.scan("stxm-E01-c001-r1").pairs
        True
        """
        return self._campaign.table("pairs")

    def beside(self, scan_id: str) -> "ScanResults":
        """Another scan of the same campaign.

        Examples
        --------
        >>> campaign.scan("stxm-E01-c001-r1").beside("ptycho-E01-c001-r1").about.modality
        'ptychography'
        """
        return self._campaign.scan(scan_id)

    def not_as_published(self, got: str, wanted: str) -> InputError:
        """The refusal of outputs that belong to different runs.

        Examples
        --------
        >>> print(campaign.scan("stxm-E01-c001-r1").not_as_published("one", "another").problem)
        published outputs do not fit together
        """
        return InputError(
            where=self.scan_id, problem="published outputs do not fit together", got=got, wanted=wanted, mend=RUN
        )

    # --- pictures ---------------------------------------------------------------------------------------------

    def plot(self, what: str = "soc", energy_ev: float | None = None, axes: Axes | None = None) -> Axes:
        """Draw an array of the scan with a scale bar and its unit, masked pixels in grey; returns the axes.

        Parameters
        ----------
        what
            an array with axes y and x: ``soc``, ``optical_density``, ``object`` (its phase), ``mask_class``, ``labels``
        energy_ev
            of a stack, the energy that is drawn, the nearest measured one; where None, that at which particles absorb
            most
        axes
            of matplotlib; a new figure if None

        Raises
        ------
        InputError
            for arrays that are no images, or that this scan has not.

        Examples
        --------
        >>> axes = campaign.scan("stxm-E01-c001-r1").plot("optical_density", energy_ev=708.2)
        >>> axes.get_title()
        'stxm-E01-c001-r1, 708.2 eV'
        """
        return draw_scan(self, what, energy_ev, axes)

    def __repr__(self) -> str:
        return f"ScanResults({self.scan_id!r}: {', '.join(self.stages()) or 'nothing published yet'})"

    def _repr_html_(self) -> str:
        return scan_html(self)
