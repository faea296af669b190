"""State of charge over depth, with the band of a homogeneous particle behind it."""

from bokeh.models import ColumnDataSource, HoverTool, Whisker
from bokeh.plotting import figure

from stxmdist.dashboard.figures.plot import COLOURS, SOFT, plot
from stxmdist.particles.radial_profile import RadialProfile


def profile_figure(profile: RadialProfile) -> figure:
    """Means of rings (points, one standard error) from the outline inwards; grey: 95 % of a homogeneous particle's."""
    drawn = plot("depth below the outline (nm)", "state of charge", height=240)
    drawn.varea(profile.depth_nm, profile.null_low, profile.null_high, color=SOFT, alpha=0.25)
    source = ColumnDataSource(
        {
            "x": profile.depth_nm,
            "y": profile.soc,
            "low": profile.soc - profile.se,
            "high": profile.soc + profile.se,
            "n": profile.n_pixels,
        }
    )
    whisker = Whisker(source=source, base="x", lower="low", upper="high", line_color=COLOURS[0])
    whisker.upper_head = whisker.lower_head = None
    drawn.add_layout(whisker)
    drawn.line("x", "y", source=source, color=COLOURS[0], line_width=1.5)
    points = drawn.scatter("x", "y", source=source, color=COLOURS[0], size=6)
    tips = [("depth", "@x{0} nm"), ("state of charge", "@y{0.000}"), ("pixels", "@n")]
    drawn.add_tools(HoverTool(renderers=[points], tooltips=tips))
    return drawn
