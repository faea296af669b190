"""Numbers are rounded by their errors, and tables for a manuscript say what the campaign's own say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stxmdist.report.manuscript import Manuscript, decimals_of, fixed, with_error, with_interval
from stxmdist.report.methods import methods
from stxmdist.report.references import REFERENCES


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.48123, 0.0057, "0.4812 ± 0.0057"),
        (0.5, 0.0996, "0.50 ± 0.10"),
        (-0.0321, 0.012, "−0.032 ± 0.012"),
        (1234.5, 31.0, "1234 ± 31"),
        (12345.0, 310.0, "12345 ± 310"),
        (0.0, 0.0, "0.000 ± 0.000"),
        (0.4, np.nan, "0.400"),
        (np.nan, 0.1, "–"),
        (-0.0001, 0.1, "0.00 ± 0.10"),
    ],
)
def test_numbers_have_as_many_decimals_as_two_digits_of_their_error(value: float, error: float, text: str) -> None:
    assert with_error(value, error) == text


def test_two_digits_of_any_error_are_shown_and_no_more() -> None:
    rng = np.random.default_rng(4)
    for error in 10.0 ** rng.uniform(-6.0, 0.9, 200):
        shown = fixed(error, decimals_of(error))
        assert len(shown.replace(".", "").lstrip("0")) == 2, (error, shown)


def test_intervals_are_rounded_by_half_of_them() -> None:
    assert with_interval(0.48123, 0.4698, 0.4926) == "0.481 (0.470 to 0.493)"
    assert with_interval(0.48123, np.nan, np.nan) == "0.481"


def test_latex_writes_out_what_it_would_read_otherwise() -> None:
    table = Manuscript("T9", "Made", "50 % & more", ("size (µm)", "χ²/ν"), (("−1.0 ± 0.2", "a_b"),), (0,))
    latex = table.as_latex()
    assert r"50 \% \& more" in latex
    assert r"size (\textmu{}m) & $\chi^2/\nu$ \\" in latex
    assert r"$-$1.0 $\pm$ 0.2 & a\_b \\" in latex
    assert latex.count("{") == latex.count("}")
    assert "longtable" not in latex
    many = Manuscript("T9", "Made", "", ("a",), (("1",),) * 41)
    assert many.as_latex().count("longtable") >= 2
    assert table.as_markdown().splitlines()[-1] == "| −1.0 ± 0.2 | a_b |"


@pytest.mark.parametrize("name", ["T1", "T2", "T3", "T4-software", "T4-stages"])
def test_every_table_lies_beside_the_page_in_four_forms(bench: SimpleNamespace, name: str) -> None:
    folder = bench.folder / "tables"
    frame = pd.read_parquet(folder / f"{name}.parquet")
    assert len(frame) == len(pd.read_csv(folder / f"{name}.csv")) > 0
    markdown = (folder / f"{name}.md").read_text().splitlines()
    assert sum(line.startswith("| ") for line in markdown) == len(frame) + 2
    latex = (folder / f"{name}.tex").read_text()
    assert latex.count("{") == latex.count("}")


def test_the_numbers_of_the_first_tables_are_those_of_the_campaign_in_full(bench: SimpleNamespace) -> None:
    written = pd.read_parquet(bench.folder / "tables" / "T1.parquet")
    pd.testing.assert_frame_equal(written, bench.evidence.table("electrodes").reset_index(drop=True), check_dtype=False)


def test_methods_say_what_was_done_and_cite_that_alone(bench: SimpleNamespace) -> None:
    found = methods(bench.evidence, "1.2.3")
    text = found.as_markdown()
    assert "All scans are simulated." in text
    assert "2 STXM scans and 1 ptychography scan of 2 electrodes were processed with stxmdist 1.2.3." in text
    assert "Random numbers were drawn with the seed 3." in text
    assert len(set(found.cited)) == len(found.cited)
    for place, name in enumerate(found.cited, start=1):
        assert f"{place}" in text
        assert REFERENCES[name].doi in text
        assert REFERENCES[name].doi in found.as_bibtex()
    assert (bench.folder / "methods.md").read_text().startswith("All scans are simulated.")
    unused = set(REFERENCES) - set(found.cited)
    assert not [name for name in unused if REFERENCES[name].doi in text]


def test_methods_say_what_each_tile_and_scan_was_done_to(bench: SimpleNamespace) -> None:
    """Not what options ask for: engines as the tiles say, and no background where none was fitted."""
    text = methods(bench.evidence, "1.2.3").as_markdown()
    assert "reconstructed with" not in text
    assert "background" not in text
    assert "fitted for 3 scans" in text
    publication = bench.evidence.publications["reconstruct"]
    figures = dict(publication.scans["fine-1"].quality)
    n = len(figures["schedule"])
    figures["schedule"] = ["raar 8, lsqml 32", *["lsqml 20"] * (n - 2), "lsqml 60 of 20 (longer, for it still fell)"]
    figures["start"] = ["file", *["neighbour"] * (n - 1)]
    figures["mode_power"] = [[0.9, 0.1]] * n
    scan = replace(publication.scans["fine-1"], quality=figures)
    changed = replace(publication, scans={**publication.scans, "fine-1": scan})
    published = replace(bench.evidence.published)
    published.__dict__["publications"] = {**bench.evidence.published.publications, "reconstruct": changed}
    said = methods(replace(bench.evidence, published=published), "1.2.3").as_markdown()
    assert "with 8 iterations of RAAR, then 32 iterations of LSQML [" in said
    assert "from a neighbour's result, with 20 to 60 iterations of LSQML [" in said
    assert "up to 2 incoherent modes" in said


def test_the_readme_names_every_file_beside_the_page(bench: SimpleNamespace) -> None:
    text = (bench.folder / "README.md").read_text()
    for path in (bench.folder / "figures").glob("*.csv"):
        assert f"`{path.stem}`" in text
    assert "simulated, not measured" in text
