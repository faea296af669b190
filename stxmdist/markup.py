"""Tables as HTML for notebooks: escaped, self-contained, numbers to four figures."""

import html
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real


def cell_html(value: object) -> str:
    """A value of a table: what is not known is empty."""
    if value is None or value != value:
        return ""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.4g}"
    return html.escape(str(value))


def table_html(rows: Sequence[Mapping[str, object]], columns: Iterable[str] | None = None) -> str:
    """Rows as a table, with the columns of the first row if none are named; nothing where there are no rows."""
    if not rows:
        return ""
    names = list(rows[0] if columns is None else columns)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{cell_html(row.get(name))}</td>" for name in names) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def list_html(lines: Iterable[str]) -> str:
    """Sentences as a list; nothing where there are none."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def paragraph_html(text: str) -> str:
    """A sentence."""
    return f"<p>{html.escape(text)}</p>"
