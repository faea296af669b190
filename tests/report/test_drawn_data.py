"""The numbers of a figure are those that it shows, and every figure of the report has its files and its call."""

from io import BytesIO
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from stxmdist.errors import InputError
from stxmdist.report.canvas import Picture, drawing
from stxmdist.report.drawn_data import COLUMNS, drawn_data, images_as_zip, rows_as_csv
from stxmdist.report.maps import Map, draw_map
from stxmdist.report.members import PARTS, entry_of, item_of
from stxmdist.report.printing import files_of
from stxmdist.report.tables import Sheet

X = np.array([1.0, 2.5, 7.0])
Y = np.array([0.1, -4.0, 9.0])


def drawn(panels: int = 1) -> tuple[Figure, list]:
    figure = Figure()
    return figure, np.ravel(figure.subplots(1, panels)).tolist()


def test_lines_points_bars_bands_and_intervals_come_back_as_they_were_given() -> None:
    figure, (axes,) = drawn()
    axes.plot(X, Y, label="the line")
    axes.plot(X, -Y, ls="", marker="o", label="_points without a legend")
    axes.bar(X, Y, width=0.5, label="bars")
    axes.fill_between(X, Y - 1.0, Y + 2.0, label="band")
    axes.vlines(X, Y - 3.0, Y + 3.0, label="intervals")
    axes.axhline(0.25, label="level")
    axes.set(xlabel="energy (eV)", ylabel="value")
    axes.legend()
    rows = drawn_data(figure).rows
    assert tuple(rows.columns) == COLUMNS
    assert set(rows["x_axis"]) == {"energy (eV)"}

    def of(series: str) -> pd.DataFrame:
        return rows[rows["series"] == series]

    np.testing.assert_array_equal(of("the line")[["x", "y"]], np.column_stack([X, Y]))
    assert set(of("the line")["mark"]) == {"line"}
    np.testing.assert_array_equal(of("points without a legend")["y"], -Y)
    np.testing.assert_allclose(of("bars")["x"] + of("bars")["x_end"], 2.0 * X)
    np.testing.assert_allclose(of("bars")["y_end"], Y)
    np.testing.assert_allclose(of("band")[["x", "y", "y_end"]], np.column_stack([X, Y - 1.0, Y + 2.0]))
    np.testing.assert_allclose(of("intervals")[["y", "y_end"]], np.column_stack([Y - 3.0, Y + 3.0]))
    assert of("level")["y"].tolist() == [0.25]
    assert of("level")["x"].isna().all()


def test_a_map_comes_back_with_the_places_of_its_pixels_and_without_its_scale_bar() -> None:
    values = np.array([[0.5, np.nan, 1.0], [123.456, 0.25, -2.0]], np.float32)
    y_um, x_um = np.array([1.0, 0.5]), np.array([10.0, 10.2, 10.4])
    figure, (axes,) = drawn()
    image = draw_map(axes, Map(values, y_um, x_um), cmap="viridis", low=0.0, high=1.0, bar_um=0.2)
    figure.colorbar(image, ax=axes)
    data = drawn_data(figure)
    assert data.rows["mark"].tolist() == ["map"]
    with ZipFile(BytesIO(images_as_zip(data))) as archive:
        (name,) = archive.namelist()
        read = pd.read_csv(archive.open(name), index_col=0)
    assert name == data.rows["text"][0]
    np.testing.assert_allclose(read.to_numpy(), values, rtol=1e-4)
    np.testing.assert_allclose(read.index, y_um)
    np.testing.assert_allclose(read.columns.astype(float), x_um)


def test_words_that_stand_for_numbers_along_an_axis_are_among_the_data() -> None:
    figure, (left, right) = drawn(2)
    left.barh([0, 1], [3.0, 4.0])
    left.set_yticks([0, 1], ["counting", "energy scale"])
    right.text(0.5, 0.25, "12 particles")
    rows = drawn_data(figure).rows
    ticks = rows[rows["mark"] == "tick"]
    assert list(zip(ticks["y"], ticks["text"], strict=True)) == [(0.0, "counting"), (1.0, "energy scale")]
    words = rows[rows["mark"] == "text"]
    assert words[["panel", "x", "y", "text"]].to_numpy().tolist() == [[2, 0.5, 0.25, "12 particles"]]


def test_an_empty_figure_has_no_rows() -> None:
    data = drawn_data(drawn()[0])
    assert data.rows.empty
    assert tuple(data.rows.columns) == COLUMNS
    assert rows_as_csv(data) == b"\n"


def test_every_figure_has_vector_files_with_text_a_print_of_300_dpi_and_its_numbers(bench: SimpleNamespace) -> None:
    names = [name for name in bench.outcome.measures.names if not name.startswith("film")]
    assert len(names) >= 12
    for name in names:
        folder = bench.folder / "figures"
        svg, png = ((folder / f"{name}.{ending}").read_bytes() for ending in ("svg", "png"))
        assert b"<text" in svg, name
        assert b"Verdana, sans-serif" in svg, name
        with Image.open(BytesIO(png)) as image:
            assert image.info["dpi"][0] == pytest.approx(300, abs=0.1), name
        assert len(pd.read_csv(folder / f"{name}.csv")) > 0, name
        assert f'campaign.figure("{name}")'.replace('"', "&#34;") in bench.page, name


@pytest.mark.parametrize("name", ["F5-state-of-charge", "F8-size", "F12-cycles", "F3-gallery", "F4-mosaic-stxm"])
def test_the_call_draws_the_very_numbers_of_the_report(bench: SimpleNamespace, name: str) -> None:
    with drawing():
        picture = item_of(bench.evidence, name, Picture)
        assert isinstance(picture.image, Figure)
        rows = drawn_data(picture.image).rows if picture.data is None else picture.data
        again = files_of(picture.image, picture.dpi, picture.data, pdf=True)
    assert again["pdf"].startswith(b"%PDF")
    assert b"/CIDFontType2" in again["pdf"] or b"/TrueType" in again["pdf"]
    assert b"/Type3" not in again["pdf"]
    written = pd.read_csv(bench.folder / "figures" / f"{name}.csv")
    rows = rows.dropna(axis="columns", how="all")
    assert list(written.columns) == list(rows.columns)
    for column in written.select_dtypes("number"):
        np.testing.assert_allclose(written[column], rows[column].astype(float), rtol=1e-8, err_msg=column)
    assert again["csv"] == (bench.folder / "figures" / f"{name}.csv").read_bytes()


def test_a_name_that_there_is_none_of_is_refused_with_the_nearest(bench: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="Did you mean 'F8-size'"):
        entry_of("F8-sizes")
    with pytest.raises(InputError, match="F4-mosaic-stxm"):
        item_of(bench.evidence, "F4-mosaic", Picture)
    with pytest.raises(InputError, match="No region was seen at two times"):
        item_of(bench.evidence, "F13-reaction", Picture)


def test_every_member_of_the_table_says_what_it_answers_and_stands_in_a_section(bench: SimpleNamespace) -> None:
    from stxmdist.report.page import SECTIONS

    sections = {plan.anchor for plan in SECTIONS}
    for name, entry in PARTS.items():
        assert entry.section in sections, name
        assert entry.question.endswith("?"), name
    assert isinstance(item_of(bench.evidence, "T1", Sheet), Sheet)
