"""What a campaign has found, for notebooks: tables as data frames, images of a scan as labelled arrays."""

import html
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.errors import InputError
from stxmdist.planning.published import PublishedCampaign, simulated_scans
from stxmdist.planning.tables import table_specs

WHERE = {
    "counts": "ingest",
    "frames": "ingest",
    "object": "stitch",
    "optical_density_unaligned": "absorbance",
    "od_variance_unaligned": "absorbance",
    "phase_unaligned": "absorbance",
    "transmission": "align",
    "optical_density": "align",
    "od_variance": "align",
    "phase": "align",
    "pca_spectra": "explore",
    "pca_maps": "explore",
    "nmf_spectra": "explore",
    "nmf_maps": "explore",
    "cluster_spectra": "explore",
    "cluster_labels": "explore",
    "target_maps": "explore",
    "thickness_nm": "fit",
    "soc": "fit",
    "soc_se": "fit",
    "chi2_reduced": "fit",
    "mask_class": "fit",
    "labels": "segment",
}
"""Which stage leaves the arrays that people ask for by name. Stacks aligned as maps and labels are have plain names;
frames of the others lie where they were measured, so that their spectra mix neighbouring pixels.
"""

UNALIGNED = "_unaligned"
"""Ending of the names of arrays that alignment has not moved yet"""


def _density(align: xr.Dataset) -> xr.DataArray:
    transmission = align["transmission"]
    named = {"units": "1", "long_name": "optical density of the aligned stack, -ln of the transmission"}
    density: xr.DataArray = -xr.apply_ufunc(np.log, transmission.where(transmission > 0.0))
    return density.rename("optical_density").assign_attrs(named)


def _variance(align: xr.Dataset) -> xr.DataArray:
    transmission = align["transmission"]
    named = {"units": "1", "long_name": "variance of the optical density of the aligned stack"}
    variance = 1.0 / (transmission.where(transmission > 0.0) * align["effective_counts"])
    return variance.rename("od_variance").assign_attrs(named)


COMPUTED: Mapping[str, Callable[[xr.Dataset], xr.DataArray]] = {"optical_density": _density, "od_variance": _variance}
"""What is not kept, and follows from what its stage leaves"""


class ScanResults:
    """The published images of one scan; `scan.soc`, `scan.object` and so on are xarray.DataArray, read when used."""

    def __init__(self, store: Store, scan_id: str) -> None:
        self._store = store
        self.scan_id = scan_id

    def stage(self, name: str) -> xr.Dataset:
        """Everything that a stage left for this scan, as an xarray.Dataset.

        Raises
        ------
        InputError
            when the stage has published nothing for it.
        """
        output = PublishedCampaign(self._store).output(name, self.scan_id)
        if output is None:
            raise InputError(
                where=self.scan_id,
                problem=f"stage {name} has published nothing for this scan",
                got="no output",
                wanted=f"a finished {name}",
                mend="Run the campaign; `stxmdist status` says what is missing",
            )
        # In the files, axes whose values are names are numbered; here they can be chosen by name.
        named = {dim: values for dim, (values, _) in output.coordinates().items() if values.dtype.kind == "U"}
        return output.dataset().assign_coords(named)

    def __getattr__(self, name: str) -> xr.DataArray:
        if name not in WHERE:
            raise AttributeError(f"a scan has {', '.join(WHERE)}; not {name!r}")
        found = self.stage(WHERE[name])
        if name in COMPUTED:
            return COMPUTED[name](found)
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

    def __dir__(self) -> list[str]:
        return ["scan_id", "stage", *WHERE]

    def __repr__(self) -> str:
        return f"ScanResults({self.scan_id!r}: {', '.join(self.stages())})"

    def stages(self) -> list[str]:
        """The stages that have published this scan."""
        return PublishedCampaign(self._store).stages_of(self.scan_id)


class CampaignResults:
    """What is published of a campaign; `campaign.particles` and the other tables, `campaign.scan("id").soc`."""

    TABLES = tuple(table_specs())

    def __init__(self, path: str | Path) -> None:
        self.campaign = load(path, lenient=True)
        self._store = Store(self.campaign.store).open()

    def scan(self, scan_id: str) -> ScanResults:
        """The images of one scan."""
        self.campaign.scan(scan_id)
        return ScanResults(self._store, scan_id)

    def table(self, name: str) -> pd.DataFrame:
        """A table of the campaign; ``data_dictionary.json`` beside it holds units and meanings.

        Raises
        ------
        InputError
            when no table of this name has been published.
        """
        found = PublishedCampaign(self._store).table(name)
        if found is None:
            raise InputError(
                where=self.campaign.path,
                problem="no table of this name has been published",
                got=repr(name),
                wanted="one of " + ", ".join(self.TABLES),
                mend="Run the campaign; `stxmdist status` says what is missing",
            )
        return found

    @property
    def simulated(self) -> frozenset[str]:
        """The scans whose files were simulated, not measured."""
        return simulated_scans(self.campaign)

    @property
    def report(self) -> Path:
        """The report's page."""
        return self._store.report_path / "index.html"

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in self.TABLES:
            return self.table(name)
        raise AttributeError(f"a campaign has the tables {', '.join(self.TABLES)}; not {name!r}")

    def __dir__(self) -> list[str]:
        return ["campaign", "scan", "table", "report", "simulated", *self.TABLES]

    def __repr__(self) -> str:
        return f"CampaignResults({self.campaign.name!r}, {len(self.campaign.scans)} scans, {self._store.root})"

    def _repr_html_(self) -> str:
        published = list(PublishedCampaign(self._store).publications)
        origin = " (simulated, not measured)" if self.simulated else ""
        rows = "".join(
            f"<tr><td>{html.escape(scan.scan_id)}</td><td>{scan.modality}</td>"
            f"<td>{html.escape(scan.electrode_id)}</td><td>{scan.cycle}</td></tr>"
            for scan in self.campaign.scans[:20]
        )
        more = f"<p>and {len(self.campaign.scans) - 20} more</p>" if len(self.campaign.scans) > 20 else ""
        return (
            f"<h4>{html.escape(self.campaign.name)}</h4><p>{len(self.campaign.scans)} scans{origin}; published: "
            f"{', '.join(published) or 'nothing yet'}</p><table><tr><th>scan</th><th>modality</th>"
            f"<th>electrode</th><th>cycle</th></tr>{rows}</table>{more}"
        )
