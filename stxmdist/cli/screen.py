"""What the commands print: words and tables for people, one JSON document for programs, progress on standard error."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from storage.atomic import plain_json
from stxmdist.runner.run import Progress as StageProgress
from stxmdist.runner.run_state import StageState, state_of

if TYPE_CHECKING:
    from stxmdist.planning.verdict import VerdictDocument

SECONDS_BEFORE_A_LINE = 30.0
"""Where there is no terminal, a stage has one line when it is over, and others before only where it takes longer"""
MOST_SECONDS_BETWEEN_LINES = 1800.0
NOTHING_YET: Mapping[str, Any] = {"words": "", "state": None, "heard": 0.0}
"""Of a row that has just been added"""


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
        """A line on standard error, in both cases."""
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


class ProgressBars:
    """Progress of the stages on standard error: a row for each on a terminal, a plain line for each elsewhere.

    Both say how many units are done, the rate, the time that has passed in the stage, about how much is left, and the
    scan of the unit that ended last.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._pause = SECONDS_BEFORE_A_LINE
        self._last = clock()
        self._stage = ""
        if sys.stderr.isatty():
            cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
            self._bars = Progress(
                TextColumn("{task.description:<11}"),
                BarColumn(bar_width=8),
                MofNCompleteColumn(),
                _Figure(_rate, clock),
                _Figure(_elapsed, clock),
                _Figure(_left, clock),
                TextColumn("{task.fields[words]}", markup=False, table_column=cut),
                console=Console(file=sys.stderr),
                expand=True,
            )
            self._bars.start()

    def __call__(self, progress: StageProgress) -> None:
        if self._bars is None:
            self._line(progress)
            return
        state = state_of(progress)
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=progress.total, **NOTHING_YET)
        scan_id = progress.scan_id if state.through < progress.total else ""
        words = " ".join(part for part in (f"{progress.failed} failed" if progress.failed else "", scan_id) if part)
        self._bars.update(
            self._tasks[progress.stage],
            completed=state.through,
            total=progress.total,
            words=words,
            state=state,
            heard=self._clock(),
        )

    def _line(self, progress: StageProgress) -> None:
        if progress.stage != self._stage:
            self._stage, self._pause, self._last = progress.stage, SECONDS_BEFORE_A_LINE, self._clock()
        finished = state_of(progress).through == progress.total
        if finished or self._clock() - self._last > self._pause:
            # Ever rarer: the log of a night is read whole.
            self._last, self._pause = self._clock(), min(2 * self._pause, MOST_SECONDS_BETWEEN_LINES)
            sys.stderr.write(progress_line(progress) + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Leave the rows as they are, and give the terminal back."""
        if self._bars is not None:
            self._bars.stop()


class _Figure(ProgressColumn):
    # A figure of a stage: its state when it was last heard of, and the seconds since then.
    max_refresh = 0.5

    def __init__(self, words: Callable[[StageState, float], str], clock: Callable[[], float]) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))
        self._words = words
        self._clock = clock

    def render(self, task: Task) -> Text:
        """The figure of one row."""
        state: StageState | None = task.fields["state"]
        return Text("" if state is None else self._words(state, self._clock() - task.fields["heard"]))


def _rate(state: StageState, since_s: float) -> str:
    rate = state.units_per_second
    return "" if rate is None else f"{rate:.3g}/s" if rate >= 0.1 else f"{60.0 * rate:.2g}/min"


def _elapsed(state: StageState, since_s: float) -> str:
    going_on = since_s if state.through < state.total else 0.0
    return _clock_words(state.seconds + going_on)


def _left(state: StageState, since_s: float) -> str:
    left = state.seconds_left
    return "" if left is None or state.through == state.total else f"left {_clock_words(max(0.0, left - since_s))}"


def _clock_words(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def progress_line(progress: StageProgress) -> str:
    """Stage, units, time and scan on one line, where there is no terminal."""
    state = state_of(progress)
    parts = [f"{progress.stage:<12} {state.through}/{progress.total} units"]
    parts[0] += f" ({progress.skipped} done before)" if progress.skipped else ""
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    rate, left = state.units_per_second, state.seconds_left
    if rate is not None:
        parts.append(f"{progress.seconds:.0f} s, {rate:.1f} units/s")
    if left is not None and state.through < progress.total:
        parts += [f"about {left:.0f} s left", progress.scan_id]
    return ", ".join(parts)
