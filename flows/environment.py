"""What Prefect reads from the environment: set before it is imported, and passed on to every process started."""

import os
from pathlib import Path

import flows

DEFAULTS = {
    # Nothing is ever sent anywhere.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # Results in files are JSON: a pickle from somebody else is a program.
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_CLI_PROMPT": "false",
    # stxmdist prints what happens itself, and Prefect shows the log of a run on its page. Errors are exceptions.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL": "CRITICAL",
    # Seconds between two looks of `serve` for runs that are due.
    "PREFECT_RUNNER_POLL_FREQUENCY": "5",
}

NEVER_TRACKED = ("PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK")

EMBEDDED = {
    f"PREFECT_SERVER_{name}": "false"
    for name in (
        "UI_ENABLED",
        "REGISTER_BLOCKS_ON_START",
        "EVENTS_STREAM_OUT_ENABLED",
        "LOGS_STREAM_OUT_ENABLED",
        "SERVICES_CANCELLATION_CLEANUP_ENABLED",
        "SERVICES_CLEANUP_RECONCILER_ENABLED",
        "SERVICES_EVENT_PERSISTER_ENABLED",
        "SERVICES_FOREMAN_ENABLED",
        "SERVICES_LATE_RUNS_ENABLED",
        "SERVICES_PAUSE_EXPIRATIONS_ENABLED",
        "SERVICES_REPOSSESSOR_ENABLED",
        "SERVICES_SCHEDULER_ENABLED",
        "SERVICES_TRIGGERS_ENABLED",
    )
}
"""Off on a server that lives as long as one run: nothing is scheduled, paused or looked at there."""

CLUSTER_VARIABLE = "STXMDIST_CLUSTER"
"""Dask scheduler of `serve`, for the flow runs that it starts: as a parameter it would outlive the scheduler."""

DASHBOARD_VARIABLE = "STXMDIST_DASHBOARD"
"""Address of the pages that `serve` shows, for the links that runs leave on Prefect's pages."""
FOLDER = "{folder}"
"""Stands in that address where each campaign has pages of its own."""


def prepare_environment() -> None:
    """Set what Prefect reads from the environment when it is imported; what is set already stays, but for tracking."""
    for name, value in (DEFAULTS | {"PREFECT_HOME": str(_home())}).items():
        if name in NEVER_TRACKED:
            os.environ[name] = value
        else:
            os.environ.setdefault(name, value)
    os.environ["PYTHONPATH"] = import_path()


def import_path() -> str:
    """`PYTHONPATH` with which other processes find these flows from any working folder."""
    checkout = str(Path(flows.__file__).resolve().parents[1])
    given = [str(Path(part).resolve()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    installed = "site-packages" in Path(checkout).parts
    wanted = given if installed or checkout in given else [checkout, *given]
    return os.pathsep.join(wanted)


def _home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "stxmdist" / "prefect"


def home() -> Path:
    """Where Prefect keeps its database: history only, it may be deleted at any time."""
    folder = Path(os.environ.get("PREFECT_HOME") or _home())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
