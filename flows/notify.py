"""Tells somebody of runs that failed, left something undone or judged a scan bad, and notes those that ended well."""

import os
from collections.abc import Mapping
from contextlib import suppress

import httpx
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging import get_logger

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.errors import Explained
from stxmdist.runner.last_good import note_good

WEBHOOK_VARIABLE = "STXMDIST_WEBHOOK"
"""Address that is told; it may hold a secret, and stands in the environment only"""
SECONDS = 10.0
SAID_NORMALLY = "Completed"


def tell(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """A hook of flows: post how a run ended, unless all is well or nobody wants to know."""
    address = os.environ.get(WEBHOOK_VARIABLE)
    if not address or state.name == SAID_NORMALLY:
        return
    try:
        httpx.post(address, json=message_of(flow_run.parameters, state), timeout=SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The address may hold a secret, and so may the words of the error.
        get_logger("stxmdist").warning("nobody could be told of it: %s", type(error).__name__)


def note(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """A hook of flows: write when one ended last with nothing left undone."""
    if state.name == SAID_NORMALLY:
        with suppress(Explained):
            note_good(Store(load(str(flow_run.parameters["path"]), lenient=True).store).local, flow.name)


def message_of(parameters: Mapping[str, object], state: State[object]) -> dict[str, object]:
    """What is posted: the state in words and, of a run that came to its end, a sentence for each scan judged bad."""
    # Of a flow that has ended, Prefect keeps what it returned in a record.
    data = getattr(state.data, "result", state.data)
    outcome = data if isinstance(data, dict) else {}
    bad = [scan for scan in outcome.get("verdict", {}).get("by_scan", []) if not scan["usable"]]
    undone = outcome.get("refusals", [])
    scans = {refusal["scan_id"]: refusal["sentence"] for refusal in undone}
    scans |= {scan["scan_id"]: scan["sentence"] for scan in bad}
    campaign = str(outcome.get("campaign") or parameters.get("path"))
    lines = [f"stxmdist, {campaign}: {state.name}. {state.message or ''}".strip()]
    return {
        "text": "\n".join([*lines, *(f"{scan_id}: {sentence}" for scan_id, sentence in scans.items())]),
        "campaign": campaign,
        "state": state.name,
        "message": state.message,
        "scans": scans,
    }
