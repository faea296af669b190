"""Tables for notebooks: escaped, numbers to four figures, nothing for what is not known."""

import numpy as np

from stxmdist.markup import cell_html, list_html, table_html


def test_cells() -> None:
    assert cell_html(None) == cell_html(float("nan")) == cell_html(np.float32("nan")) == ""
    assert cell_html(0.123456) == cell_html(np.float32(0.123456)) == "0.1235"
    assert (cell_html(123456), cell_html(np.int64(123456)), cell_html(True)) == ("123456", "123456", "True")
    assert cell_html("<b>&") == "&lt;b&gt;&amp;"


def test_tables_and_lists() -> None:
    rows: list[dict[str, object]] = [{"a<": 1, "b": "x"}, {"a<": 2.5, "b": None}]
    assert table_html(rows) == (
        "<table><thead><tr><th>a&lt;</th><th>b</th></tr></thead>"
        "<tbody><tr><td>1</td><td>x</td></tr><tr><td>2.5</td><td></td></tr></tbody></table>"
    )
    assert "<th>b</th><th>c</th>" in table_html(rows, ("b", "c"))
    assert table_html([]) == list_html([]) == ""
    assert list_html(["<script>"]) == "<ul><li>&lt;script&gt;</li></ul>"
