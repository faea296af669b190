"""The page stands alone, says what is missing, can be read without seeing it, and is the same every time."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stxmdist.planning.verdict import ScanVerdict, Verdict
from stxmdist.report.evidence import Evidence
from stxmdist.report.page import numbered, render, sections
from stxmdist.report.part import Exclusion
from stxmdist.report.stage import work

MOST_BYTES = 5_000_000


class Reader(HTMLParser):
    """Collects what a browser would ask for, and what it would say aloud."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img":
            self.images.append(found)
        self.addresses += [found[key] or "" for key in ("src", "href", "srcset", "data") if key in found]
        if found.get("id"):
            self.ids.append(found["id"] or "")
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def small(evidence: Evidence) -> str:
    return render(evidence, sections(evidence), "1.2.3")


def test_the_page_asks_for_nothing_outside(bench: SimpleNamespace) -> None:
    reader = Reader(bench.page)
    assert not reader.open
    for address in reader.addresses:
        assert re.match(r"(data:image/|#|(figures|tables|scans)/|\w+\.(md|bib|html)$|\.\./tables/)", address), address
    assert "url(" not in bench.page
    # Scripts stand in the page itself, and ask for nothing.
    assert not re.search(r"<script[^>]+src=|fetch\(|XMLHttpRequest|import\(", bench.page)
    assert "@import" not in bench.page
    assert len(bench.page) < MOST_BYTES


def test_every_link_beside_the_page_leads_to_a_file(bench: SimpleNamespace) -> None:
    tables = bench.store.output("infer", "campaign", "0123456789abcdef").path / "tables"
    for address in Reader(bench.page).addresses:
        if re.match(r"(figures|tables|scans)/|\w+\.(md|bib|html)$", address):
            assert (bench.folder / address).exists()
        elif address.startswith("../tables/"):
            assert (tables / address.removeprefix("../tables/")).exists(), address


def test_every_image_says_what_it_shows(bench: SimpleNamespace) -> None:
    images = Reader(bench.page).images
    assert len(images) == bench.outcome.measures.figures >= 12
    for image in images:
        assert image.get("alt"), "an image without words"
        assert len(image["alt"] or "") > 20
    assert '<html lang="en">' in bench.page


def test_anchors_are_unique_and_reached(bench: SimpleNamespace) -> None:
    reader = Reader(bench.page)
    assert len(set(reader.ids)) == len(reader.ids)
    wanted = {address[1:] for address in reader.addresses if address.startswith("#")}
    assert wanted
    assert wanted <= set(reader.ids)


@pytest.mark.parametrize("number", ["F1", "F2", "F3", "F5", "F8", "F11", "F12", "Q1", "Q2", "T1", "T2", "T3", "T4"])
def test_all_figures_and_tables_of_the_contract_are_there(bench: SimpleNamespace, number: str) -> None:
    assert f">{number}. " in bench.page
    assert re.search(rf'id="{number}(-[^"]*)?"', bench.page), "a heading without its figure or table"


def test_only_figures_of_what_was_not_made_up_are_absent(bench: SimpleNamespace) -> None:
    absent = re.findall(r'<h3>(\w+)\. [^<]*</h3>\s*<p class="absent">Not shown\. [^<]{20,}', bench.page)
    assert set(absent) <= {"F6", "F9", "F10", "F13"}


def test_it_says_simulated_only_of_simulated_data(bench: SimpleNamespace) -> None:
    assert "These data are simulated" in bench.page
    part = replace(bench.unit.part, name="simulated or not, a name says nothing", simulated=frozenset())
    measured = render(Evidence.from_part(part, bench.store), (), "1")
    assert "Simulated campaign" not in measured
    assert "are simulated" not in measured
    part = replace(bench.unit.part, simulated=frozenset({"wide-1"}))
    assert "1 of 3 scans are simulated: they were not measured." in render(
        Evidence.from_part(part, bench.store), (), "1"
    )


def test_headline_gives_the_main_number_with_interval_and_what_the_design_can_show(bench: SimpleNamespace) -> None:
    lead = bench.page.split('class="lead"')[1].split("</div>")[0]
    assert "−0.0500 (−0.100 to 0.0200)" in lead
    assert "2 electrodes in 2 conditions" in lead
    assert "smallest attainable p with so many electrodes is 0.250" in " ".join(lead.split())
    assert f"{2 * (bench.PARTICLES - 1)} wide-field particles enter the statistics" in lead


def test_the_verdict_stands_above_the_figures_and_says_why_a_scan_gave_few(bench: SimpleNamespace) -> None:
    assert 'aria-label="Verdict"' not in bench.page
    empty = ScanVerdict("wide-1", "stxm", "done", 7, 0, {"no <mass>": 7})
    whole = ScanVerdict("wide-2", "stxm", "done", 9, 9)
    part = replace(bench.unit.part, verdict=Verdict((empty, whole)))
    page = render(Evidence.from_part(part, bench.store), (), "1")
    head = page.split("<main>")[0].split('aria-label="Verdict"')[1]
    assert "2 scans: 16 particles found, 9 with a state of charge. 1 scan without a usable particle." in head
    assert "<strong>wide-1</strong>: none of 7 particles has a state of charge: 7 no &lt;mass&gt;" in head
    assert "wide-2" not in head
    many = Verdict(tuple(replace(empty, scan_id=f"wide-{i}") for i in range(20)))
    page = render(Evidence.from_part(replace(part, verdict=many), bench.store), (), "1")
    assert "8 more: see" in page


def test_nothing_is_called_significant(bench: SimpleNamespace) -> None:
    assert "significan" not in bench.page.lower()


def test_text_from_files_is_escaped(bench: SimpleNamespace) -> None:
    assert "cut &lt;by&gt; the edge" in bench.page
    assert "broken.hdr: the file is empty" in bench.page


@pytest.mark.slow
def test_the_same_store_gives_the_same_bytes(bench: SimpleNamespace) -> None:
    again = bench.unit_of(bench.store, bench.part_of(bench.store), "0badc0de0badc0de")
    assert work(again).files == bench.outcome.files


def test_maps_of_nothing_but_nan_are_drawn(bench: SimpleNamespace, tmp_path: Path) -> None:
    def unknown(name: str, value: np.ndarray) -> np.ndarray:
        return value if value.dtype.kind in "iu" else np.full_like(value, np.nan)

    store = bench.simulated_store(tmp_path, particles=None, change=unknown)
    page = small(Evidence.of(bench.unit_of(store, bench.part_of(store))))
    assert ">F3. " in page
    assert "The stage infer has not been published" in page


@pytest.mark.parametrize(
    ("stages", "scans", "said"),
    [
        ((), (), "No scan has a map of state of charge."),
        (("ingest",), ("wide-1", "fine-1"), "Mean diffraction pattern. Not fitted: Nothing after the stage ingest"),
        (("ingest", "reconstruct", "stitch"), ("fine-1",), "Reconstructed amplitude and phase, half-bit FRC"),
        (("ingest", "absorbance"), ("wide-2",), "Optical density at 708.2 eV. Not fitted"),
        (None, ("fine-1",), "No wide-field scan has an incident beam."),
        (None, ("wide-2",), "No ptychography scan has been reconstructed."),
        (("ingest", "absorbance", "align", "fit"), ("wide-1",), "The stage infer has not been published"),
    ],
)
def test_what_is_missing_is_said(
    bench: SimpleNamespace, tmp_path: Path, stages: tuple[str, ...] | None, scans: tuple[str, ...], said: str
) -> None:
    store = bench.simulated_store(tmp_path, stages=stages, scans=scans, particles=None)
    page = small(Evidence.of(bench.unit_of(store, bench.part_of(store))))
    assert said in page
    assert not Reader(page).open


def test_a_campaign_without_particles_is_reported(bench: SimpleNamespace, tmp_path: Path) -> None:
    store = bench.simulated_store(tmp_path, stages=("ingest",), particles=0)
    page = small(Evidence.of(bench.unit_of(store, bench.part_of(store))))
    assert "Nothing could be inferred: no particle has a state of charge." in page
    assert "No effect was tested." in page


def test_the_reason_that_stopped_a_scan_stands_under_its_preview(bench: SimpleNamespace, tmp_path: Path) -> None:
    store = bench.simulated_store(tmp_path, stages=("ingest", "absorbance"), scans=("wide-1",), particles=None)
    part = bench.part_of(store, scans=("wide-1",))
    why = "too few energies lie inside the references; got 0 of 5, wanted at least 2. Give the references of this edge."
    part = replace(part, exclusions=(Exclusion("unit", "wide-1", "fit", "rows", why),))
    assert f"Not fitted: {why}" in small(Evidence.of(bench.unit_of(store, part)))


def test_only_figures_and_tables_are_numbered() -> None:
    assert [numbered(name) for name in ("F5-soc", "T3", "preview-F5", "Q1-x")] == ["F5. ", "T3. ", "", "Q1. "]
