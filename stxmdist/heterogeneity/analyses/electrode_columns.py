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
