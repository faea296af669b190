"""The pages on which one looks: what they hold is what Python gives, and they ask for nothing outside their folder."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import stxmdist
from stxmdist.commands.drawn import evidence_of
from stxmdist.report import tables
from stxmdist.report.particle_spectra import particle_spectra
from stxmdist.report.scan_pages import SHOWN, file_names, scan_pages
from tests.dashboard.browser import Browser, browsing, chromium
from tests.stages.tiny import STXM


@pytest.fixture(scope="module")
def folder(processed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a small campaign that was run."""
    place = tmp_path_factory.mktemp("pages")
    for name, content in scan_pages(evidence_of(processed), "1.2.3"):
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return place


def handed_over(path: Path) -> dict:
    """What a script gives to the page."""
    found: dict = json.loads(re.sub(r"^stxmdist\.\w+\((.*)\);\s*$", r"\1", path.read_text(), flags=re.DOTALL))
    return found


def test_spectra_are_those_that_python_gives(processed: Path) -> None:
    campaign = stxmdist.open(processed)
    scan = campaign.scan(STXM[0])
    energy_ev, found = particle_spectra(evidence_of(processed), campaign.campaign.scan(STXM[0]))
    assert set(found) == set(scan.particles["particle_id"])
    for number in list(found)[:4]:
        table = scan.particle(number).spectrum
        np.testing.assert_array_equal(energy_ev, table["energy_ev"])
        np.testing.assert_allclose(found[number].od, table["optical_density"], rtol=1e-6)
        np.testing.assert_allclose(found[number].se, table["optical_density_se"], rtol=1e-6)
        np.testing.assert_allclose(found[number].fit, table["fit"], rtol=1e-5)


def test_the_table_is_that_of_the_campaign(folder: Path, processed: Path) -> None:
    given = handed_over(folder / "particles.js")
    particles = stxmdist.open(processed).particles
    names = [column["name"] for column in given["columns"]]
    assert names == [name for name in SHOWN if name in particles]
    assert given["rows"][names.index("particle_id")] == particles["particle_id"].tolist()
    shown = np.array(given["rows"][names.index("d_eq_um")], float)
    np.testing.assert_allclose(shown, particles["d_eq_um"], rtol=1e-3)
    assert set(given["files"]) == set(particles["scan_id"])


def test_each_scan_has_a_page_that_its_neighbours_lead_to(folder: Path) -> None:
    pages = sorted((folder / "scans").glob("*.html"))
    assert len(pages) == len(list((folder / "scans").glob("*.js"))) >= 2
    for page in pages:
        text = page.read_text()
        for address in re.findall(r'(?:href|src)="([^"#]+)"', text):
            beside = (page.parent / address).resolve()
            assert address.startswith("data:") or beside.exists() or beside.name in ("index.html",), address
        assert "state of charge" in text.lower()


def test_a_page_says_how_good_its_scan_is_where_the_table_of_all_is_too_long(
    processed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 1)
    evidence = evidence_of(processed)
    said = {row[0]: row for row in tables.quality(evidence).rows}
    assert len(said) == 1
    pages = [content.decode() for name, content in scan_pages(evidence, "1") if name.startswith("scans/")]
    pages = [page for page in pages if page.startswith("<!DOCTYPE")]
    assert len(pages) == len(evidence.scans) > 1
    assert all("last stage done" in page for page in pages)


def test_names_of_files_are_harmless_and_no_two_alike() -> None:
    names = file_names(["a/b", "a b", "A-b", "../x", "µ1"])
    assert len({name.lower() for name in names}) == 5
    assert not any("/" in name for name in names)


def test_words_of_files_end_no_script(bench: SimpleNamespace) -> None:
    from stxmdist.report.scan_pages import _as_script

    assert b"</script" not in _as_script("table", {"x": "</script><script>alert(1)</script>"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert chromium() is not None, "these tests look at pages: install chromium"
    with browsing() as found:
        yield found


def column_of(browser: Browser, name: str) -> list[str]:
    cells: list[str] = browser.run(
        f"[...document.querySelectorAll('#particles td[data-head=\"{name}\"]')].map((each) => each.textContent)"
    )
    return cells


def test_the_table_sorts_filters_and_shows_a_spectrum_from_a_file(browser: Browser, folder: Path) -> None:
    browser.open((folder / "particles.html").as_uri(), "document.querySelectorAll('#particles tbody tr').length > 0")
    n = len(column_of(browser, "soc_mean"))
    heading = "document.querySelector('#particles th[data-column=soc_mean] button')"
    for direction in (1, -1):
        browser.run(f"{heading}.click()")
        values = [float(text.replace("−", "-")) for text in column_of(browser, "soc_mean") if text != "–"]
        assert values == sorted(values, reverse=direction < 0)
        assert len(set(values)) > 2
    assert browser.run(f"{heading}.parentElement.getAttribute('aria-sort')") == "descending"

    def filtered(text: str) -> None:
        browser.run(f"(() => {{ const box = document.getElementById('filter'); box.value = {json.dumps(text)};"
                    " box.dispatchEvent(new Event('input')); })()")  # fmt: skip

    filtered("ptychography soc_mean>0.2")
    assert set(column_of(browser, "modality")) == {"ptychography"}
    assert all(float(text.replace("−", "-")) > 0.2 for text in column_of(browser, "soc_mean"))
    assert 0 < len(column_of(browser, "modality")) < n
    filtered("no such word")
    assert browser.run("document.getElementById('count').textContent") == f"0 of {n}"
    filtered("")
    browser.run(f"document.querySelector('#particles tr[data-particle^=\"{STXM[0]}/\"] button').click()")
    browser.wait_for("document.querySelectorAll('#detail circle').length > 4")
    assert browser.run("document.querySelector('#detail .fit').getAttribute('points').length") > 10
    assert STXM[0] in browser.run("decodeURI(location.hash)")
    assert not browser.errors
    assert not browser.outside


def test_a_page_of_a_scan_shows_its_particles_alone_at_any_width(browser: Browser, folder: Path) -> None:
    page = next((folder / "scans").glob(f"{STXM[0]}.html"))
    for width in (360, 1400):
        browser.window(width)
        browser.open(page.as_uri(), "document.querySelectorAll('#particles tbody tr').length > 0")
        assert set(column_of(browser, "scan_id")) == {STXM[0]}
        assert browser.run("document.documentElement.scrollWidth") <= width
        browser.run("document.querySelector('#particles tbody button').click()")
        browser.wait_for("document.querySelectorAll('#detail circle').length > 4")
    assert not browser.errors
