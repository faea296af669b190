"""How the particles of each field hang together, and whether what hangs together is alike."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import numbers, text
from stxmdist.heterogeneity.connected import alike_by_contact, parts_of
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.rows import CONDITION
from stxmdist.table_columns import TableColumn

PERMUTATIONS = 499

CONTACT_COLUMNS = (
    TableColumn("scan_id", "", "the acquisition", "string"),
    TableColumn("particle_id", "", "label of a particle", "int64"),
    TableColumn("neighbour_id", "", "label of a particle that it touches, the larger of both", "int64"),
    TableColumn("gap_nm", "nm", "least distance between both outlines; 0 where their pixels touch"),
    TableColumn("least_gap_nm", "nm", "what is closer than this counts as a contact"),
)

TORTUOSITY_COLUMNS = (
    TableColumn("scan_id", "", "the acquisition", "string"),
    TableColumn("direction_of_transport", "", "vertical or horizontal in the image", "string"),
    TableColumn("porosity", "1", "share of the section that is pore"),
    TableColumn("relative_diffusivity", "1", "effective over free diffusivity through the pores of the section"),
    TableColumn("tortuosity", "1", "porosity over relative diffusivity"),
    TableColumn("note", "", "why there is no number; empty where there is one", "string"),
)

CONNECTIVITY_COLUMNS = (
    TableColumn("scan_id", "", "the acquisition", "string"),
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("cycle", "1", "number of cycles"),
    TableColumn("c_rate", "1/h", "rate of the last half cycle"),
    TableColumn("direction", "", "charge or discharge", "string"),
    TableColumn("region_id", "", "the field of view", "string"),
    TableColumn("n_particles", "1", "particles of the field, cut ones among them", "int64"),
    TableColumn("n_contacts", "1", "pairs of particles that touch", "int64"),
    TableColumn("mean_degree", "1", "particles that a particle touches, on average"),
    TableColumn("isolated_share", "1", "share of the particles that touch none"),
    TableColumn("n_components", "1", "parts that hang together, single particles among them", "int64"),
    TableColumn("giant_share", "1", "share of the particles that the largest part holds"),
    TableColumn("soc_giant", "1", "mean state of charge of the largest part"),
    TableColumn("soc_isolated", "1", "mean state of charge of particles that touch none"),
    TableColumn("soc_contact_correlation", "1", "correlation of the states of charge of particles that touch"),
    TableColumn("soc_contact_p", "1", "how often states dealt out anew within the field correlate as much"),
    TableColumn("soc_component_icc", "1", "share of the variance of state of charge that lies between the parts"),
    TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string"),
)


def contacts(evidence: Evidence) -> pd.DataFrame:
    """The contact graph of every scan, one row per contact, columns ``CONTACT_COLUMNS``."""
    return evidence.contacts.reindex(columns=[column.name for column in CONTACT_COLUMNS])


def tortuosity(evidence: Evidence) -> pd.DataFrame:
    """Tortuosity of every section, and why other scans have none, columns ``TORTUOSITY_COLUMNS``."""
    return evidence.tortuosity.reindex(columns=[column.name for column in TORTUOSITY_COLUMNS])


def connectivity(evidence: Evidence) -> pd.DataFrame:
    """One row per scan, columns ``CONNECTIVITY_COLUMNS``.

    The share of the largest part grows with the particles on the field and falls with what the field cuts: it compares
    fields of one size. Contacts are those in the plane of the projection.

    Source: Ombrini et al., 2025 (abstract); correlation over contacts: Moran, Biometrika 37, 17 (1950).
    """
    rows = []
    if len(evidence.particles):
        edges = dict(tuple(evidence.contacts.groupby("scan_id"))) if len(evidence.contacts) else {}
        rng = evidence.generator("connectivity")
        for scan_id, here in evidence.particles.groupby("scan_id", sort=True):
            rows.append(_row(here, edges.get(scan_id), rng))
    return pd.DataFrame(rows, columns=[column.name for column in CONNECTIVITY_COLUMNS])


def _row(here: pd.DataFrame, edges: pd.DataFrame | None, rng: np.random.Generator) -> dict[str, object]:
    ids = here["particle_id"].to_numpy(dtype=np.int64)
    soc = numbers(here, "soc_mean")
    order = np.argsort(ids)
    ids, soc = ids[order], soc[order]
    one, other = (_places(ids, edges, name) for name in ("particle_id", "neighbour_id"))
    known = (one >= 0) & (other >= 0)
    one, other = one[known], other[known]
    part, degree = parts_of(len(ids), one, other)
    sizes = np.bincount(part)
    giant = part == np.argmax(sizes)
    found = alike_by_contact(soc, one, other, part, rng, PERMUTATIONS)
    return {
        "scan_id": here["scan_id"].iloc[0],
        **{name: here[name].iloc[0] if name in here else None for name in ("electrode_id", *CONDITION)},
        "region_id": text(here, "region_id")[0],
        "n_particles": len(ids),
        "n_contacts": len(one),
        "mean_degree": float(degree.mean()),
        "isolated_share": float((degree == 0).mean()),
        "n_components": len(sizes),
        "giant_share": float(sizes.max() / len(ids)),
        "soc_giant": _mean(soc[giant]) if sizes.max() > 1 else UNKNOWN,
        "soc_isolated": _mean(soc[degree == 0]),
        "soc_contact_correlation": found.correlation,
        "soc_contact_p": found.p,
        "soc_component_icc": found.icc,
        "note": found.note,
    }


def _places(ids: I64, edges: pd.DataFrame | None, name: str) -> I64:
    """Places of labels among the particles of the table; -1 for those that are not in it."""
    if edges is None:
        return np.zeros(0, dtype=np.int64)
    labels = edges[name].to_numpy(dtype=np.int64)
    at = np.minimum(np.searchsorted(ids, labels), len(ids) - 1)
    return np.where(ids[at] == labels, at, -1)


def _mean(values: F64) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else UNKNOWN
