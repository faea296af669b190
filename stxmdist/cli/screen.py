"""What the commands print: words and tables for people, one JSON document for programs, progress on standard error."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from storage.atomic import plain_json

if TYPE_CHECKING:
    from stxmdist.planning.verdict import VerdictDocument


class Screen:
    """Standard output of one command: either text, or exactly one JSON document; logs go to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line for people; nothing where JSON is wanted."""
        if not self.as_json:
            self._out.print(text, markup=False)

    def note(self, text: str) -> None:
        """A line on standard error, in both cases; where records are JSON, one of them."""
        if os.environ.get("STXMDIST_LOG") == "json":
            from stxmdist.logs import log, set_up

            set_up()
            log.info(text)
            return
        self._err.print(text, markup=False)

    def table(self, rows: Sequence[Mapping[str, object]], title: str = "") -> None:
        """Rows as an aligned table; numbers to the right."""
        if self.as_json or not rows:
            return
        columns = list(rows[0])
        if not sys.stdout.isatty():
            self._plain_table(rows, columns, title)
            return
        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if _numbers(rows, column) else "left", overflow="fold")
        for row in rows:
            table.add_row(*(shown(row[column]) for column in columns))
        self._out.print(table)

    def _plain_table(self, rows: Sequence[Mapping[str, object]], columns: Sequence[str], title: str) -> None:
        cells = [list(columns)] + [[shown(row[column]) for column in columns] for row in rows]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        right = [_numbers(rows, column) for column in columns]
        if title:
            self.say(title)
        for line in cells:
            parts = [
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(line, widths, right, strict=True)
            ]
            self.say("  ".join(parts).rstrip())

    def verdict(self, found: "VerdictDocument") -> None:
        """What a campaign gave, and a line for each scan that gave few; why scans were stopped is said elsewhere."""
        for scan in found["by_scan"]:
            if scan["sentence"] and scan["state"] != "stopped":
                self.say(f"{scan['scan_id']}: {scan['sentence']}")
        self.say(f"Verdict: {found['sentence']}")

    def notes(self, lines: Sequence[str], scans: int, campaign: str, most: int | None = None) -> None:
        """What readers assumed, no more than ``most`` lines, and how to see the rest."""
        for line in lines[:most]:
            self.say(f"note: {line}")
        if most is not None and len(lines) > most:
            which = f"{scans} scan{'s were' if scans != 1 else ' was'} read with notes"
            self.say(f"{which}: `stxmdist status {campaign} --notes` shows {'all' if most else 'them'}")

    def document(self, value: object) -> None:
        """The JSON document, where it is wanted."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain_json(value), indent=1) + "\n")
            sys.stdout.flush()


def _numbers(rows: Sequence[Mapping[str, object]], column: str) -> bool:
    """Whether a column holds numbers, or nothing."""
    return all(isinstance(row[column], int | float | None) for row in rows)


def shown(value: object) -> str:
    """A value in a table: floats to four figures, nothing for None."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)
