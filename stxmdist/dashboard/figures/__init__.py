"""Figures that one can point at: each takes arrays and gives a Bokeh figure."""
