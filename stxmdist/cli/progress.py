"""How far a run is, on the terminal: it knows the runner, which other commands do not need and would wait for."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from stxmdist.runner.run import Progress as StageProgress
from stxmdist.runner.run_state import StageState, state_of

SECONDS_BEFORE_A_LINE = 30.0
"""Where there is no terminal, a stage has one line when it is over, and others before only where it takes longer"""
MOST_SECONDS_BETWEEN_LINES = 1800.0
NOTHING_YET: Mapping[str, Any] = {"words": "", "state": None, "heard": 0.0}
"""Of a row that has just been added"""


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
