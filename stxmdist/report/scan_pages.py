"""Pages beside the report on which one looks: all particles in a table that sorts and filters, and one page a scan.

They need no network and no server. What they show lies in files that are scripts, because a page that is opened as a
file may load scripts from its own folder and nothing else: ``particles.js`` holds the table, ``scans/SCAN.js`` the
spectra of the particles of one scan, which are loaded when one is asked for.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image

from stxmdist.campaign.scan import Scan
from stxmdist.planning.columns import column, text_of, words
from stxmdist.planning.tables import table_specs
from stxmdist.report.canvas import MASKED, PALE
from stxmdist.report.evidence import Evidence
from stxmdist.report.file_names import SCANS, file_names
from stxmdist.report.gallery import nearest_measured, soc_map, strongest_energy
from stxmdist.report.maps import SOC_MAP, Map, limits_of, map_of, nice_length
from stxmdist.report.particle_spectra import particle_spectra
from stxmdist.report.tables import quality_of

SHOWN = ("scan_id", "particle_id", "modality", "electrode_id", "cycle", "d_eq_um", "thickness_nm", "soc_mean", "soc_se",
         "soc_sd", "core_shell_index", "phase_class", "active", "x_um", "y_um", "flags")  # fmt: skip
"""Columns of the particle table on the pages; the CSV beside has all"""
WORDS = ("scan_id", "modality", "electrode_id", "phase_class", "flags")
DIGITS = 4
"""Significant digits of a number of the table"""


def scan_pages(evidence: Evidence, version: str) -> Iterator[tuple[str, bytes]]:
    """(path inside the report, content) of every page and of what it loads, one scan after another."""
    environment = Environment(
        loader=PackageLoader("stxmdist.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    static = files("stxmdist.report")
    yield "pages.css", (static / "pages.css").read_bytes()
    yield "pages.js", (static / "pages.js").read_bytes()
    table = evidence.table("particles")
    columns = _about_columns()
    scans = [scan.scan_id for scan in evidence.scans]
    files_of = dict(zip(scans, file_names(scans), strict=True))
    yield "particles.js", _as_script("table", {"columns": columns, "files": files_of, "rows": _columns(table)})
    about_page: dict[str, Any] = {"name": evidence.campaign.name, "version": version}
    page = environment.get_template("particles.html.j2")
    yield "particles.html", page.render(**about_page, n=len(table)).encode()
    page = environment.get_template("scan.html.j2")
    # Of what all scans have, a page holds only its own: at a thousand scans the rest would be most of it.
    rows_of = table.groupby(words(table, "scan_id")).indices if len(table) else {}
    for place, scan in enumerate(evidence.scans):
        beside = {"before": scans[place - 1] if place else "", "after": "".join(scans[place + 1 : place + 2])}
        files_here = {name: files_of[name] for name in (scan.scan_id, *filter(None, beside.values()))}
        energy_ev, spectra = particle_spectra(evidence, scan)
        about_spectra = {"energy_ev": _rounded(energy_ev, 7), "scan_id": scan.scan_id}
        found = {
            str(label): [_rounded(values, DIGITS) for values in (each.od, each.se, each.fit)]
            for label, each in spectra.items()
        }
        yield f"{SCANS}/{files_of[scan.scan_id]}.js", _as_script("spectra", about_spectra | {"particles": found})
        here = table.iloc[rows_of.get(scan.scan_id, [])]
        shown = page.render(
            **about_page,
            scan_id=scan.scan_id,
            title=evidence.label(scan),
            facts=_facts(scan),
            quality=quality_of(evidence, scan, len(here)),
            images=list(_images(evidence, scan)),
            why="" if evidence.has("fit", scan.scan_id) else evidence.why_stopped(scan.scan_id),
            rows=_as_json({"columns": columns, "files": files_here, "rows": _columns(here)}),
            files=files_here,
            n=len(here),
            **beside,
        )
        yield f"{SCANS}/{files_of[scan.scan_id]}.html", shown.encode()


def _about_columns() -> list[dict[str, Any]]:
    spec = {column_.name: column_ for column_ in table_specs()["particles"].columns}
    return [
        {"name": name, "unit": spec[name].unit, "meaning": spec[name].meaning, "words": name in WORDS}
        for name in SHOWN
        if name in spec
    ]


def _columns(table: pd.DataFrame) -> list[list[Any]]:
    """One list for each shown column; what is not known is null."""
    spec = {column_.name for column_ in table_specs()["particles"].columns}
    return [
        words(table, name).tolist() if name in WORDS else _rounded(column(table, name), DIGITS)
        for name in SHOWN
        if name in spec
    ]


def _rounded(values: Any, digits: int) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in np.asarray(values, np.float64)]


def _as_script(name: str, content: Any) -> bytes:
    """A call that hands the content over."""
    return f"stxmdist.{name}({_as_json(content)});\n".encode()


def _as_json(content: Any) -> str:
    """The content for a script; nothing in it ends the script of a page."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _facts(scan: Scan) -> list[tuple[str, str]]:
    named = {"modality": scan.modality, "electrode": scan.electrode_id, "region": scan.region_id, "cycle": scan.cycle,
             "rate (C)": scan.c_rate, "direction": scan.direction, "beamtime": scan.beamtime_id}  # fmt: skip
    return [(name, text_of(value)) for name, value in named.items() if text_of(value)]


def _images(evidence: Evidence, scan: Scan) -> Iterator[dict[str, Any]]:
    """Optical density, state of charge and its standard error as far as they are published."""
    longest = evidence.options.picture_px
    absorbance = evidence.output("absorbance", scan.scan_id)
    if absorbance is not None and "optical_density" in absorbance.arrays():
        energies = absorbance.read("energy_ev")
        best = float(energies[strongest_energy(evidence, scan.scan_id)])
        energy = nearest_measured(evidence, scan.scan_id, best)
        image = map_of(absorbance.read("optical_density", (energy, slice(None), slice(None))), absorbance, longest)
        low, high = limits_of([image])
        yield _image(f"Optical density at {float(energies[energy]):.1f} eV", image, "gray_r", low, high)
    soc = soc_map(evidence, scan.scan_id, longest)
    if soc is not None:
        yield _image("State of charge", soc, SOC_MAP, 0.0, 1.0)


def _image(title: str, image: Map, colours: str, low: float, high: float) -> dict[str, Any]:
    """A map as a picture of its pixels, top down, with the width of its scale bar in per cent."""
    up, right = image.y_um[-1] >= image.y_um[0], image.x_um[-1] >= image.x_um[0]
    seen = np.s_[:: -1 if up else 1, :: 1 if right else -1]
    values = np.asarray(image.values, np.float64)[seen]
    span = high - low if high > low else 1.0
    rgb = colormaps[colours](np.clip(np.nan_to_num((values - low) / span), 0.0, 1.0))[..., :3]
    rgb[~np.isfinite(values)] = to_rgb(PALE)
    if image.masked is not None:
        rgb[image.masked[seen]] = to_rgb(MASKED)
    out = BytesIO()
    Image.fromarray((255 * rgb).round().astype(np.uint8)).save(out, "PNG")
    bar_um = nice_length(image.width_um)
    steps = [colormaps[colours](place)[:3] for place in np.linspace(0.0, 1.0, 9)]
    return {
        "title": title,
        "data": f"data:image/png;base64,{b64encode(out.getvalue()).decode()}",
        "bar": f"{bar_um:g} µm" if bar_um >= 0.1 else f"{1e3 * bar_um:g} nm",
        "bar_percent": round(100.0 * bar_um / image.width_um, 2),
        "aspect": round(image.width_um / max(image.height_um, 1e-9), 4),
        "low": f"{low:.3g}",
        "high": f"{high:.3g}",
        "scale": ", ".join("#" + "".join(f"{round(255 * part):02x}" for part in step) for step in steps),
    }
