"""A page of Panel with a scan: optical density, a slider over energies, and the spectrum of the pixel that is clicked.

`compare_pages.py` serves it, with the group of the optical density in STXMDIST_GROUP.
"""

import os

import numpy as np
import panel as pn
import zarr
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, LinearColorMapper
from bokeh.plotting import figure

pn.extension(sizing_mode="fixed")
group = zarr.open_group(os.environ["STXMDIST_GROUP"], mode="r")
density, energy_ev = group["optical_density"], np.asarray(group["energy"][:])
rows, columns = density.shape[1:]
first = len(energy_ev) // 2

image = ColumnDataSource({"image": [density[first]], "x": [0], "y": [0], "dw": [columns], "dh": [rows]})
colours = LinearColorMapper("Greys256", low=0, high=float(np.nanpercentile(density[first], 99)))
plane = figure(width=480, height=480, match_aspect=True, tools="pan,wheel_zoom,tap")
plane.image("image", x="x", y="y", dw="dw", dh="dh", source=image, color_mapper=colours)
spectrum = ColumnDataSource({"x": energy_ev, "y": density[:, rows // 2, columns // 2]})
line = figure(width=480, height=320, x_axis_label="photon energy (eV)", y_axis_label="optical density")
line.line("x", "y", source=spectrum)
named = {f"{energy:.2f} eV": place for place, energy in enumerate(energy_ev)}
slider = pn.widgets.DiscreteSlider(name="Photon energy", options=named, value=first)


def show(event):
    image.data = dict(image.data) | {"image": [density[event.new]]}


def look_at(event):
    row, column = int(event.y), int(event.x)
    if 0 <= row < rows and 0 <= column < columns:
        spectrum.data = {"x": energy_ev, "y": density[:, row, column]}


slider.param.watch(show, "value")
plane.on_event(Tap, look_at)
pn.Row(pn.Column(slider, plane), line).servable()
