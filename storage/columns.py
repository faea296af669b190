"""Every column of the campaign's tables, declared once: name, type, unit, meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from storage.errors import StoreError

ColumnType = Literal["string", "float64", "int64", "bool"]


@dataclass(frozen=True)
class ColumnSpec:
    """One column. A value that is not known is null, whatever the type."""

    name: str
    dtype: ColumnType
    unit: str
    """``1`` for pure numbers, empty for names and codes."""
    meaning: str
    required: bool = True
    """Of the contract; others may be left out."""


@dataclass(frozen=True)
class TableSpec:
    """One table: its columns, in the order in which they are written."""

    name: str
    meaning: str
    columns: tuple[ColumnSpec, ...]

    def column(self, name: str) -> ColumnSpec | None:
        """The column of this name, if the table has it."""
        return next((column for column in self.columns if column.name == name), None)


def _columns(dtype: ColumnType, rows: Sequence[tuple[str, str, str]], required: bool = True) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(name, dtype, unit, meaning, required) for name, unit, meaning in rows)


_CONDITIONS = (
    *_columns(
        "string",
        (
            ("scan_id", "", "the acquisition"),
            ("file", "", "the beamline file, as the sample sheet names it"),
            ("modality", "", "stxm or ptychography"),
            ("electrode_id", "", "the electrode: the experimental unit of statistics"),
            ("cell_id", "", "the cell that was cycled"),
            ("beamtime_id", "", "the beamtime"),
            ("region_id", "", "the field of view on the electrode"),
        ),
    ),
    ColumnSpec("cycle", "float64", "1", "number of charge-discharge cycles behind the electrode"),
    ColumnSpec("c_rate", "float64", "1/h", "rate of the last half cycle"),
    ColumnSpec("direction", "string", "", "charge or discharge"),
    ColumnSpec("soc_nominal", "float64", "1", "state of charge that was aimed at"),
    ColumnSpec("soc_coulometric", "float64", "1", "state of charge from the charge that was passed"),
    *_columns(
        "string",
        (
            ("chemistry", "", "cathode material"),
            ("pair_id", "", "joins the scans of one field of view in two modalities"),
            ("roi_rule", "", "how the field of view was chosen: random, systematic or convenience"),
        ),
    ),
    ColumnSpec("time_h", "float64", "h", "when the region was in this state", required=False),
    ColumnSpec("polarisation_deg", "float64", "deg", "linear polarisation, from the horizontal", required=False),
    ColumnSpec("sample_geometry", "string", "", "dispersed, electrode or lamella", required=False),
)
"""What the sample sheet says of a scan. Excluded scans have no particles, so `exclude` and `reason` need not follow."""

_SHEET_REST = (
    ColumnSpec("exclude", "bool", "", "left out by the sample sheet", required=False),
    ColumnSpec("reason", "string", "", "why it was left out", required=False),
)

_NOTE = ColumnSpec(
    "note", "string", "", "why a number is missing or weak; empty if nothing is to be said", required=False
)

_PARTICLES = TableSpec(
    "particles",
    "one row per particle of each scan",
    (
        *_CONDITIONS,
        *_SHEET_REST,
        ColumnSpec("particle_id", "int64", "", "label of the particle in its scan"),
        *_columns(
            "float64",
            (("y_um", "um", "centre on the sample, vertical"), ("x_um", "um", "centre on the sample, horizontal")),
        ),
        ColumnSpec("n_pixels", "int64", "1", "pixels of the particle"),
        *_columns(
            "float64",
            (
                ("area_um2", "um2", "projected area"),
                ("d_eq_um", "um", "diameter of the circle of equal area"),
                ("aspect", "1", "long over short axis of the ellipse of equal second moments"),
                ("solidity", "1", "area over that of the convex hull"),
                ("thickness_nm", "nm", "mean thickness of both end-members together; null if references are relative"),
                ("soc_mean", "1", "state of charge, weighted by mass; 0 discharged, 1 charged, not clipped"),
                ("soc_se", "1", "standard error of soc_mean: statistical, systematic, and soc_se_overlap"),
                ("soc_sd", "1", "standard deviation of state of charge within the particle, noise removed"),
                ("f_charged", "1", "fraction of the mass in pixels that are charged"),
                ("f_mixed", "1", "fraction of the mass in pixels that are neither"),
                ("f_discharged", "1", "fraction of the mass in pixels that are discharged"),
            ),
        ),
        ColumnSpec("phase_class", "string", "", "charged, discharged, two-phase, solid-solution or unknown"),
        ColumnSpec("active", "bool", "", "whether the particle took part in the (de)lithiation"),
        ColumnSpec("core_shell_index", "float64", "1", "state of charge at the rim minus that of the core"),
        ColumnSpec("flags", "string", "", "reservations, separated by semicolons; empty if none"),
        ColumnSpec(
            "thickness_reference",
            "float64",
            "1",
            "mean thickness in reference samples, where the references are not per nm",
            required=False,
        ),
        *(
            ColumnSpec(name, "float64", unit, meaning, required=False)
            for name, unit, meaning in (
                ("area_um2_se", "um2", "standard error of area_um2"),
                ("d_eq_um_se", "um", "standard error of d_eq_um"),
                ("thickness_nm_se", "nm", "standard error of thickness_nm"),
                ("mass_um2_nm", "um2 nm", "area times thickness, both through the point spread function"),
                ("mass_um2_nm_se", "um2 nm", "standard error of mass_um2_nm"),
            )
        ),
        ColumnSpec("soc_se_stat", "float64", "1", "statistical part of soc_se", required=False),
        ColumnSpec("soc_se_sys", "float64", "1", "systematic part of soc_se", required=False),
        ColumnSpec(
            "soc_per_ev",
            "float64",
            "1/eV",
            "change of soc_mean per eV by which its scan's energies are too high",
            required=False,
        ),
        ColumnSpec(
            "soc_per_leak",
            "float64",
            "1",
            "change of soc_mean per unit of its scan's unsuspected leak fraction",
            required=False,
        ),
        ColumnSpec(
            "soc_per_i0",
            "float64",
            "1",
            "change of soc_mean per relative error of its scan's incident beam",
            required=False,
        ),
        *_columns(
            "float64",
            (
                ("soc_se_scan", "1", "part of soc_se_sys that all particles of the scan have in common"),
                ("soc_se_shift", "1", "part of soc_se_sys due to the energy scale, common to the scan"),
                ("soc_se_leak", "1", "part of soc_se_sys due to leaking light, common to the scan"),
                ("soc_se_background", "1", "part of soc_se_sys due to what else absorbs, common to the scan"),
                ("soc_se_misfit", "1", "part of soc_se_sys due to what the end-members leave over of the particle"),
                ("soc_se_overlap", "1", "part of soc_se due to another plate in the outline; 0: none suspected"),
                ("soc_third_bound", "1", "what a third phase that the scan would not show could change of soc_mean"),
            ),
            required=False,
        ),
        *_columns(
            "float64",
            (
                ("chi2_pooled", "1", "reduced chi-square of all pixels away from edges together"),
                ("p_missing_component", "1", "how often noise alone leaves as much beside the end-members"),
                (
                    "misfit_share",
                    "1",
                    "share of the optical density that the end-members leave over of the particle's mean spectrum",
                ),
                ("missing_share", "1", "share of the optical density that the end-members leave over, noise taken off"),
                ("components", "1", "spectra that the particle needs: 2, or 3 where one is missing"),
                ("residual_moran_p", "1", "how often noise alone clusters misfit as much (Moran's I)"),
            ),
            required=False,
        ),
        ColumnSpec(
            "soc_median", "float64", "1", "median state of charge of the pixels away from edges", required=False
        ),
        ColumnSpec(
            "soc_var_intra", "float64", "1", "square of soc_sd before it is clipped at 0: average this", required=False
        ),
        *_columns(
            "float64",
            (
                ("soc_sd_se", "1", "standard error of soc_sd"),
                ("p_active", "1", "probability that the true state of charge lies between the limits of activity"),
            ),
            required=False,
        ),
        ColumnSpec("touches_border", "bool", "", "cut by the edge of the field of view", required=False),
    ),
)

_ELECTRODES = TableSpec(
    "electrodes",
    "one row per electrode and condition",
    (
        ColumnSpec("electrode_id", "string", "", "the electrode"),
        ColumnSpec("cycle", "float64", "1", "number of cycles"),
        ColumnSpec("c_rate", "float64", "1/h", "rate of the last half cycle"),
        ColumnSpec("direction", "string", "", "charge or discharge"),
        ColumnSpec("n_regions", "int64", "1", "fields of view"),
        ColumnSpec("n_particles", "int64", "1", "particles"),
        *_columns(
            "float64",
            (
                ("soc_mean", "1", "mean state of charge of the particles"),
                ("soc_ci_low", "1", "lower end of its 95 % confidence interval"),
                ("soc_ci_high", "1", "upper end of its 95 % confidence interval"),
                ("soc_coulometric", "1", "state of charge from the charge that was passed"),
                ("sd_inter", "1", "standard deviation between particles, noise removed"),
                ("sd_intra", "1", "standard deviation within particles, noise removed"),
                ("icc", "1", "intraclass correlation: share of variance that lies between particles"),
                ("active_fraction", "1", "fraction of particles that are active"),
                ("active_ci_low", "1", "lower end of its 95 % confidence interval"),
                ("active_ci_high", "1", "upper end of its 95 % confidence interval"),
                ("d10_um", "um", "10th percentile of particle diameter, by number"),
                ("d50_um", "um", "median of particle diameter, by number"),
                ("d90_um", "um", "90th percentile of particle diameter, by number"),
            ),
        ),
        *_columns(
            "float64",
            (
                ("lacking_share", "1", "share of the particles without a state of charge"),
                ("active_observed", "1", "fraction that is active as measured, errors not taken out"),
            ),
            required=False,
        ),
        _NOTE,
    ),
)

_EFFECTS = TableSpec(
    "effects",
    "one row per tested effect on an endpoint",
    (
        ColumnSpec("endpoint", "string", "", "what was measured"),
        ColumnSpec("term", "string", "", "what it was tested against"),
        *_columns(
            "float64",
            (
                ("estimate", "", "the effect, in units of the endpoint per unit of the term"),
                ("se", "", "its standard error"),
                ("ci_low", "", "lower end of its 95 % confidence interval"),
                ("ci_high", "", "upper end of its 95 % confidence interval"),
                ("p", "1", "probability of an effect as large or larger where there is none"),
            ),
        ),
        ColumnSpec("method", "string", "", "how estimate and p were obtained"),
        ColumnSpec("p_min_attainable", "float64", "1", "smallest p that so many electrodes can give"),
        ColumnSpec("q_fdr", "float64", "1", "p corrected for the number of tests (false discovery rate)"),
        ColumnSpec("n_electrodes", "int64", "1", "electrodes"),
        ColumnSpec("n_particles", "int64", "1", "particles"),
        ColumnSpec("n_units", "int64", "1", "independent electrodes, or cells of several electrodes", required=False),
        *_columns(
            "float64",
            (
                ("degrees", "1", "degrees of freedom of se (Satterthwaite)"),
                ("bound_low", "", "least estimate whatever the particles without a number are"),
                ("bound_high", "", "greatest estimate whatever the particles without a number are"),
            ),
            required=False,
        ),
        ColumnSpec("unit", "string", "", "unit of estimate, se and interval", required=False),
        ColumnSpec("primary", "bool", "", "declared before looking: not corrected for multiplicity", required=False),
        _NOTE,
    ),
)

_VARIANCE = TableSpec(
    "variance",
    "how the variance of an endpoint divides over the levels of the design",
    (
        ColumnSpec("endpoint", "string", "", "what was measured"),
        ColumnSpec("component", "string", "", "electrode, region, particle, intra or noise"),
        *_columns(
            "float64",
            (
                ("variance", "", "variance of this level, in the endpoint's unit squared"),
                ("share", "1", "its share of the total"),
                ("ci_low", "1", "lower end of the share's 95 % confidence interval"),
                ("ci_high", "1", "upper end of the share's 95 % confidence interval"),
            ),
        ),
        *_columns(
            "float64",
            (
                ("variance_low", "", "lower end of the variance's 95 % confidence interval"),
                ("variance_high", "", "upper end of the variance's 95 % confidence interval"),
            ),
            required=False,
        ),
        _NOTE,
    ),
)

_SCANS = TableSpec(
    "scans",
    "one row per scan and stage: what was done and how well",
    (
        ColumnSpec("scan_id", "string", "", "the acquisition"),
        ColumnSpec("stage", "string", "", "the stage"),
        ColumnSpec("state", "string", "", "done or failed"),
        ColumnSpec("units_done", "int64", "1", "units of work that finished"),
        ColumnSpec("units_failed", "int64", "1", "units of work that kept failing"),
        ColumnSpec("digest", "string", "", "identity of inputs, options and version"),
        ColumnSpec("seconds", "float64", "s", "by the clock, sum over units"),
        ColumnSpec("core_seconds", "float64", "s", "of processors, sum over units"),
        ColumnSpec("bytes", "int64", "B", "of what the units write, before compression"),
        ColumnSpec("quality", "string", "", "quality figures as JSON, units in the names"),
    ),
)

_EXCLUSIONS = TableSpec(
    "exclusions",
    "what was left out, where and why",
    (
        ColumnSpec("what", "string", "", "scan, energy, frame, pixel, particle or unit"),
        ColumnSpec("scan_id", "string", "", "the acquisition"),
        ColumnSpec("stage", "string", "", "where in the chain"),
        ColumnSpec("where", "string", "", "which one: file and row, frame, particle"),
        ColumnSpec("why", "string", "", "the reason"),
        ColumnSpec("n", "int64", "1", "how many"),
    ),
)

_PAIRS = TableSpec(
    "pairs",
    "one row per particle that both modalities have seen",
    (
        ColumnSpec("scan_id_stxm", "string", "", "the wide-field scan"),
        ColumnSpec("particle_id_stxm", "int64", "", "label of the particle there"),
        ColumnSpec("scan_id_ptychography", "string", "", "the ptychography scan"),
        ColumnSpec("particle_id_ptychography", "int64", "", "label of the particle there"),
        ColumnSpec("iou", "float64", "1", "intersection over union of both outlines"),
        ColumnSpec("distance_um", "float64", "um", "between both centres, after registration"),
        ColumnSpec(
            "relation",
            "string",
            "",
            "one-to-one, merged (one in the wide field, several in ptychography) or split (the reverse)",
            required=False,
        ),
        ColumnSpec(
            "group_id", "int64", "", "rows of one scan with the same number are parts of one whole", required=False
        ),
        *_columns(
            "float64",
            tuple(
                (f"{name}_{modality}", unit, f"{meaning}, {words}")
                for modality, words in (("stxm", "wide field"), ("ptychography", "ptychography"))
                for name, unit, meaning in (
                    ("soc_mean", "1", "state of charge"),
                    ("soc_se", "1", "standard error of state of charge"),
                    ("d_eq_um", "um", "equivalent diameter"),
                )
            ),
        ),
    ),
)

TABLES: dict[str, TableSpec] = {
    spec.name: spec for spec in (_PARTICLES, _PAIRS, _ELECTRODES, _EFFECTS, _VARIANCE, _SCANS, _EXCLUSIONS)
}
"""All tables of a campaign, by name."""


def table_spec(name: str) -> TableSpec:
    """The declaration of a table.

    Raises
    ------
    StoreError
        for a name that the schema does not hold.
    """
    if name not in TABLES:
        raise StoreError(
            where="storage.columns",
            problem="the schema declares no table of this name",
            got=repr(name),
            wanted="one of " + ", ".join(TABLES),
            mend="Declare it in storage/columns.py with its columns, their types, units and meanings",
        )
    return TABLES[name]
