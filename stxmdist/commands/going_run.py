"""The run of a campaign as a second terminal sees it: how far it is, how the last one ended; and to end it."""

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage.store import Store
from stxmdist.campaign.manifest import Campaign
from stxmdist.commands.run_process import Ending, LeftRun, Wanted, last_run, start
from stxmdist.errors import InputError
from stxmdist.planning.assigned_options import assigned_options
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.runner.run_state import RunState, run_state

CANCEL_WAIT_SECONDS = 8.0
"""How long a page waits for a run to end; the run may take longer, to end its workers and to record what it did"""
BEGIN_WAIT_SECONDS = 60.0
"""How long whoever leaves a run to itself waits for its first word: a mistake that ends it at once is then said"""
KEPT = "finished units are kept"


@dataclass(frozen=True)
class SeenRun:
    """The run of a campaign that goes on, or its last one, however it was started."""

    word: Ending
    process: int
    host: str
    began: str
    """ISO 8601"""
    said: str
    """How far it is, or how it ended"""
    log: Path | None = None
    """What it prints, of a run that was left to itself"""
    cancelled: bool = False
    """Whether somebody has asked it to end already"""

    @property
    def going(self) -> bool:
        """Whether it goes on, as far as this machine sees."""
        return self.word == "going"

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def sentence(self) -> str:
        """The whole on one line."""
        who = f"begun {self.began}, process {self.process} on {self.host}"
        if not self.going:
            return f"Last run ({who}): {self.word}" + (f"; {self.said}" if self.said else "")
        word = "A run is being ended" if self.cancelled else "A run goes on"
        return f"{word} ({who}): {self.said or 'no stage has begun yet'}. `stxmdist cancel` ends it, {KEPT}."


def seen(campaign: Campaign) -> SeenRun | None:
    """The run that goes on, or the last one; None where none was ever seen on this machine."""
    store = Store(campaign.store)
    left = last_run(campaign)
    # Asked before its file is read: what a run writes at its end is then there.
    holder = store.holder() if campaign.store.exists() else None
    state = run_state(store.local)
    if left is not None:
        request = left.request
        if state is None or state.process == request.process or state.began < request.began:
            return _left(left, state)
    return None if state is None else _elsewhere(state, holder)


def leave(path: str, wanted: Wanted, wait_seconds: float = BEGIN_WAIT_SECONDS) -> SeenRun:
    """Start a run that goes on when the terminal is closed, and wait a moment for its first word.

    Raises
    ------
    InputError
        for mistakes of the campaign or of what is wanted, and while another run goes on.
    """
    options = assigned_options(wanted.options.items())
    request = RunRequest(path, wanted.stages, wanted.scans, wanted.cluster or None, wanted.retry, options)
    campaign = CampaignRun(request).campaign
    before = seen(campaign)
    if before is not None and before.going:
        raise InputError(
            where="run",
            problem="a run of this campaign goes on",
            got=before.sentence,
            wanted="one run at a time",
            mend="Wait until it has ended, or end it with `stxmdist cancel`",
        )
    folder = start(campaign, wanted)
    ends = time.monotonic() + wait_seconds
    while True:
        left, state = last_run(campaign), run_state(Store(campaign.store).local)
        assert left is not None, f"{folder} has just been written"
        if not left.going or (state is not None and state.process == left.request.process) or time.monotonic() > ends:
            return _left(left, state)
        time.sleep(0.1)


def cancel(campaign: Campaign, wait_seconds: float = CANCEL_WAIT_SECONDS) -> bool:
    """Ask the run to end, as Ctrl-C does, and wait a while; whether it has ended. Asked again, SIGTERM is sent.

    Raises
    ------
    InputError
        where no run goes on, or it goes on on another machine.
    """
    found = seen(campaign)
    if found is None or not found.going:
        raise _nothing(campaign, found)
    if not found.here:
        raise _on_another(found.host, f"or there with `kill -INT {found.process}`")
    if found.log is not None:
        (found.log.parent / "cancelled").write_text(datetime.now(UTC).isoformat(timespec="seconds"))
    with suppress(ProcessLookupError):
        os.kill(found.process, signal.SIGTERM if found.cancelled else signal.SIGINT)
    ends = time.monotonic() + wait_seconds
    while time.monotonic() < ends:
        now = seen(campaign)
        if now is None or not now.going or now.process != found.process:
            return True
        time.sleep(0.1)
    return False


def _left(left: LeftRun, state: RunState | None) -> SeenRun:
    request, own = left.request, state if state and state.process == left.request.process else None
    far = left.sentence or (_far(own) if own else "")
    log = left.folder / "log.txt"
    word = left.ending
    if word != "going" and own is not None and own.ended is None and request.host != socket.gethostname():
        # Some shared file systems do not show a lock to other machines; that machine alone can say.
        word, far = "going", _far(own)
    return SeenRun(word, request.process, request.host, request.began, far, log, bool(left.cancelled))


def _elsewhere(state: RunState, holder: str | None) -> SeenRun:
    """A run in a terminal, a notebook or a flow: what its own small file says, and whether it still holds the store."""
    who = (state.process, state.host, state.began)
    if state.ended is None:
        foreign = state.host != socket.gethostname()
        if foreign or holder == f"run, process {state.process} on {state.host}":
            return SeenRun("going", *who, _far(state))
        return SeenRun("failed", *who, "it ended without a word: it was killed, or met a fault of the program")
    if state.error is None:
        return SeenRun("done", *who, f"ended {state.ended}")
    if state.error.startswith("KeyboardInterrupt"):
        return SeenRun("cancelled", *who, f"interrupted {state.ended}; {KEPT}")
    return SeenRun("failed", *who, state.error)


def _far(state: RunState) -> str:
    """The stage that runs, in words."""
    for name, stage in reversed(list(state.stages.items())):
        left = "" if stage.ended or stage.seconds_left is None else f", about {stage.seconds_left:.0f} s left of it"
        return f"{name}, {stage.through} of {stage.total} units{left}, last heard of {state.written}"
    return ""


def _nothing(campaign: Campaign, found: SeenRun | None) -> InputError:
    holder = Store(campaign.store).holder() if campaign.store.exists() else None
    if holder is not None:
        # A run whose small file lies on its own machine, as beside a store in a bucket; or another command.
        host = holder.rpartition(" on ")[2]
        if host and host != socket.gethostname():
            return _on_another(host, f"it is the holder of the store: {holder}")
    return InputError(
        where="run",
        problem="there is nothing to cancel",
        got="no run goes on" if found is None else f"no run goes on. {found.sentence}",
        wanted="a run of this campaign that goes on",
        mend="Look with `stxmdist status`" if holder is None else f"The store is held by: {holder}",
    )


def _on_another(host: str, more: str) -> InputError:
    return InputError(
        where="run",
        problem="it goes on on another machine",
        got=host,
        wanted=socket.gethostname(),
        mend=f"Cancel it on {host}, {more}",
    )
