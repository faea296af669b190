"""Columns of the tables that analyses of electrodes give: apart from them, because they are asked for without them."""

from stxmdist.table_columns import TableColumn

_PLACE = (
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("cycle", "1", "number of cycles"),
    TableColumn("c_rate", "1/h", "rate of the last half cycle"),
    TableColumn("direction", "", "charge or discharge", "string"),
)
"""With which tables begin that have a row for each electrode in each condition"""

_NOTE = TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string")

_FRACTIONS = {"d10": 0.1, "d50": 0.5, "d90": 0.9}

SIZES = (
    *_PLACE,
    TableColumn("n_regions", "1", "fields of view", "int64"),
    TableColumn("n_particles", "1", "particles with a size of their own, wholly inside their field", "int64"),
    TableColumn("n_left_out", "1", "particles whose size is not theirs: overlaps, or as large as their field", "int64"),
    TableColumn("border_factor", "1", "particles that should have been seen for each that the field did not cut"),
    *(
        column
        for name, fraction in _FRACTIONS.items()
        for column in (
            TableColumn(f"{name}_um", "um", f"diameter below which {fraction:.0%} of the number lie"),
            TableColumn(f"{name}_low_um", "um", f"lower end of the 95 % confidence interval of {name}_um"),
            TableColumn(f"{name}_high_um", "um", f"upper end of the 95 % confidence interval of {name}_um"),
        )
    ),
    TableColumn("span", "1", "width of the distribution by number, (d90 - d10)/d50"),
    *(
        TableColumn(f"{name}_volume_um", "um", f"diameter below which {fraction:.0%} of the volume (d^3) lie")
        for name, fraction in _FRACTIONS.items()
    ),
    TableColumn("d50_volume_low_um", "um", "lower end of the 95 % confidence interval of d50_volume_um"),
    TableColumn("d50_volume_high_um", "um", "upper end of the 95 % confidence interval of d50_volume_um"),
    TableColumn("span_volume", "1", "width of the distribution by volume, (d90 - d10)/d50"),
    TableColumn("d32_um", "um", "Sauter diameter: that of the sphere with as much volume for its surface"),
    TableColumn("d32_low_um", "um", "lower end of the 95 % confidence interval of d32_um"),
    TableColumn("d32_high_um", "um", "upper end of the 95 % confidence interval of d32_um"),
    TableColumn("seen_above_um", "um", "smallest diameter that can be seen: the log-normal is truncated there"),
    TableColumn("lognormal_median_um", "um", "median by number of the log-normal, what is not seen included"),
    TableColumn("lognormal_sigma", "1", "standard deviation of the natural logarithm of the diameter"),
    TableColumn("lognormal_sigma_se", "1", "standard error of lognormal_sigma"),
    TableColumn("hatch_choate", "1", "d50_volume_um over exp(mu + 3 sigma^2): 1 where sizes are log-normal"),
    _NOTE,
)

_COUNTS = (
    TableColumn("n_regions", "1", "fields of view", "int64"),
    TableColumn("n_particles", "1", "particles with a number", "int64"),
)

MOSAIC = (
    *_PLACE,
    *_COUNTS,
    TableColumn("mosaic_index", "1", "variance between particles over mean (1 - mean), noise removed: 1 one by one"),
    TableColumn("mosaic_low", "1", "lower end of its 95 % confidence interval"),
    TableColumn("mosaic_high", "1", "upper end of its 95 % confidence interval"),
    TableColumn("dip", "1", "Hartigan's dip of the particles' states of charge"),
    TableColumn("dip_p", "1", "how often a flat distribution dips as much; at least 0.001"),
    TableColumn("ashman_d", "1", "distance of two groups over their standard deviation, noise removed"),
    TableColumn("ashman_d_se", "1", "standard error of ashman_d"),
    TableColumn("two_groups_p", "1", "how often one Gaussian with this noise looks as much like two"),
    TableColumn("soc_low_group", "1", "mean state of charge of the lower of two groups"),
    TableColumn("soc_high_group", "1", "mean state of charge of the higher of two groups"),
    TableColumn("low_share", "1", "share of the particles in the lower group"),
    TableColumn("groups", "", "what dip and mixture show together", "string"),
    _NOTE,
)

NEIGHBOURS = (
    *_PLACE,
    TableColumn("low_um", "um", "distances from"),
    TableColumn("high_um", "um", "distances to; the first of an electrode are those of neighbours"),
    TableColumn("n_pairs", "1", "pairs of particles of one scan at such distances", "int64"),
    TableColumn("soc_correlation", "1", "correlation of state of charge over the pairs, what scans share taken out"),
    TableColumn("soc_null_low", "1", "2.5th percentile of it with particles shuffled within scans"),
    TableColumn("soc_null_high", "1", "97.5th percentile"),
    TableColumn("soc_p", "1", "how often shuffling gives as much, two-sided"),
    TableColumn("mark_correlation", "1", "Stoyan's k_mm of state of charge: mean product over squared mean"),
    TableColumn("active_joins", "1", "pairs of two active particles over those that shuffling gives"),
    TableColumn("joins_null_low", "1", "2.5th percentile of it with particles shuffled within scans"),
    TableColumn("joins_null_high", "1", "97.5th percentile"),
    TableColumn("joins_p", "1", "how often shuffling gives as many pairs of two active or two inactive, two-sided"),
    _NOTE,
)

BOUNDARY_AXES = (
    *_PLACE,
    TableColumn("n_particles", "1", "particles with a long axis and one along which charge changes", "int64"),
    TableColumn("resultant", "1", "mean vector of doubled angles between both: 0 no angle is preferred, 1 all alike"),
    TableColumn("angle_deg", "deg", "the angle that is preferred, 0 to 180"),
    TableColumn("null_high", "1", "95th percentile of the resultant with axes shuffled among a scan's particles"),
    TableColumn("p", "1", "how often shuffling gives as much"),
    _NOTE,
)

CLOSURE = (
    *_PLACE,
    TableColumn("n_particles", "1", "particles with a state of charge", "int64"),
    TableColumn("soc_mean", "1", "state of charge, weighted by mass"),
    TableColumn("soc_coulometric", "1", "state of charge from the charge that was passed"),
    TableColumn("delta", "1", "soc_mean less soc_coulometric"),
    TableColumn("delta_low", "1", "lower end of its 95 % confidence interval, coulometry taken as exact"),
    TableColumn("delta_high", "1", "upper end of its 95 % confidence interval"),
    TableColumn("verdict", "", "whether it closes to 0.05, and how far that is seen", "string"),
    _NOTE,
)

METRIC_SUMMARIES = (
    *_PLACE,
    TableColumn("metric", "", "column of the table of particles, in whose unit the numbers are", "string"),
    *_COUNTS,
    TableColumn("n_lacking", "1", "particles without a number", "int64"),
    TableColumn("mean", "", "mean over particles, each counting alike"),
    TableColumn("ci_low", "", "lower end of its 95 % confidence interval"),
    TableColumn("ci_high", "", "upper end of its 95 % confidence interval"),
    TableColumn("sd_between", "", "standard deviation between particles, noise removed"),
    TableColumn("noise", "", "root mean square of the particles' standard errors"),
    TableColumn("beyond_share", "1", "share of particles outside of what 95 % of their homogeneous twins show"),
    _NOTE,
)
