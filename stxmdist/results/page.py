"""What notebooks show of a campaign, a scan and a particle: HTML that needs nothing else, with small pictures inside.

Every word that comes from files is escaped. A picture that cannot be drawn is left out, and why is said in its place.
"""

import base64
import html
from collections.abc import Callable, Mapping
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from stxmdist.campaign.manifest import Campaign
from stxmdist.errors import Explained
from stxmdist.markup import list_html, table_html
from stxmdist.planning.published import PublishedCampaign
from stxmdist.report.canvas import as_png
from stxmdist.results.arrays import ScanArrays
from stxmdist.results.drawing import draw_scan

MOST_ROWS = 20
MOST_PICTURES = 3
SHOWN = ("d_eq_um", "thickness_nm", "soc_mean", "soc_se", "soc_sd", "phase_class", "active", "core_shell_index")
"""Columns of the table of particles that the view of a particle shows"""


class CampaignPage(Protocol):
    """A campaign as its page asks it; ``CampaignResults`` is one."""

    campaign: Campaign

    @property
    def simulated(self) -> frozenset[str]:
        """The simulated scans."""

    @property
    def published(self) -> PublishedCampaign:
        """What is published."""

    def scan(self, scan_id: str) -> ScanArrays:
        """One scan."""


def picture_html(draw: Callable[[Figure], object], words: str, width: float = 3.4, height: float = 2.8) -> str:
    """A picture inside the page, or why there is none."""
    figure = Figure(figsize=(width, height), layout="constrained")
    try:
        draw(figure)
    except Explained as error:
        return f"<p>{html.escape(words)}: {html.escape(error.problem)}.</p>"
    data = base64.b64encode(as_png(figure, dpi=72)).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'


def campaign_html(results: CampaignPage) -> str:
    """Name, what is published, the first scans, and maps of some of them."""
    published = results.published
    scans = results.campaign.scans
    origin = " (simulated, not measured)" if results.simulated else ""
    rows = [
        {
            "scan": scan.scan_id,
            "modality": scan.modality,
            "electrode": scan.electrode_id,
            "cycle": scan.cycle,
            "published": next(iter(reversed(published.stages_of(scan.scan_id))), "nothing yet"),
        }
        for scan in scans[:MOST_ROWS]
    ]
    said = f"published: {html.escape(', '.join(published.publications))}"
    if not published.publications:
        said = "published: nothing yet; <code>campaign.plan()</code> says what <code>campaign.run()</code> takes"
    mapped = [scan for scan in scans if published.has("fit", scan.scan_id)][:MOST_PICTURES]
    pictures = "".join(_map_html(results.scan(scan.scan_id)) for scan in mapped)
    more = f"<p>and {len(scans) - MOST_ROWS} more</p>" if len(scans) > MOST_ROWS else ""
    return (
        f"<h4>{html.escape(results.campaign.name)}</h4><p>{len(scans)} scans{origin}; {said}</p>"
        + table_html(rows)
        + more
        + pictures
    )


def _map_html(scan: ScanArrays, what: str = "soc") -> str:
    def draw(figure: Figure) -> None:
        draw_scan(scan, what, None, figure.subplots(), longest=200)

    return picture_html(draw, f"{what} of {scan.scan_id}")


def scan_html(scan: ScanArrays) -> str:
    """What the sheet says, what is published, and a picture of the last thing that can be seen."""
    about, stages = scan.about, scan.stages()
    said = [about.modality, f"electrode {about.electrode_id}"]
    said += [] if about.cycle is None else [f"cycle {about.cycle:g}"]
    page = f"<h4>{html.escape(scan.scan_id)}</h4><p>{html.escape(', '.join(said))}; published: "
    page += f"{html.escape(', '.join(stages)) or 'nothing yet; <code>campaign.run()</code> processes it'}</p>"
    wanted = (("soc", "fit"), ("optical_density", "align"), ("object", "stitch"), ("counts", "ingest"))
    what = next((name for name, stage in wanted if stage in stages and _has(scan, name)), None)
    page += "" if what is None else _map_html(scan, what)
    if "segment" in stages:
        known = scan.particles["soc_mean"].notna()
        page += f"<p>{len(known)} particles, {int(known.sum())} with a state of charge</p>"
    return page


def _has(scan: ScanArrays, name: str) -> bool:
    try:
        scan.array(name)
    except Explained:
        return False
    return True


def particle_html(title: str, row: pd.Series, flags: Mapping[str, str], draw: Callable[[Figure], object]) -> str:
    """Numbers of a particle with their units, its flags in words, and its picture."""
    units: Mapping[str, str] = row.attrs.get("units", {})
    rows = [{"": name, "value": row[name], "unit": units.get(name, "")} for name in SHOWN if name in row]
    said = list_html(f"{flag}: {words}" for flag, words in flags.items())
    page = f"<h4>{html.escape(title)}</h4>{table_html(rows)}{said}"
    return page + picture_html(draw, title, 7.5, 4.2)
