"""What processes say of their work beside what they print for people: records that name campaign, stage, scan and unit.

A record goes to standard error as one line, in words or, with ``STXMDIST_LOG=json``, as one JSON document. Unless the
variable asks for either form, only warnings are said. Workers inherit it.
"""

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, cast

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.types import Processor

FORM_VARIABLE = "STXMDIST_LOG"
Form = Literal["", "words", "json"]
FORMS = ("words", "json")
NAMED = ("campaign", "stage", "scan", "unit")
"""What a record is of, from the whole to its part"""
SAID_OTHERWISE = (*NAMED, "event", "level", "timestamp", "logger", "exception")
"""What a line in words has at places of its own"""
OTHERS = ("distributed", "distributed.worker", "distributed.nanny", "distributed.scheduler", "bokeh", "tornado")
"""Loggers with handlers of their own, whose records are to have the same form"""

log = logging.getLogger("stxmdist")


def wanted_form() -> Form:
    """The form that the environment asks for; empty where it asks for none."""
    found = os.environ.get(FORM_VARIABLE, "")
    return cast(Form, found) if found in FORMS else ""


def passed_on() -> dict[str, str]:
    """What workers that do not inherit the environment must be told of it."""
    form = wanted_form()
    return {FORM_VARIABLE: form} if form else {}


def about(**named: str) -> AbstractContextManager[object]:
    """Name in every record of a block what it is about: any of campaign, stage, scan and unit."""
    return bound_contextvars(**named)


def set_up() -> None:
    """Give the records of this process their form; once is enough."""
    form = wanted_form()
    root = logging.getLogger()
    for logger in (log, *([root] if form == "json" else [])):
        if not any(isinstance(handler, _Handler) for handler in logger.handlers):
            ours = _Handler()
            ours.setFormatter(formatter(form))
            logger.addHandler(ours)
    log.setLevel(logging.INFO if form else logging.WARNING)
    # Prefect takes what it is told to take by handlers of its own; the root's would say the same twice.
    log.propagate = False
    if form == "json":
        logging.captureWarnings(True)
        for name in OTHERS:
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(formatter(form))


def formatter(form: Form) -> logging.Formatter:
    """Lines of one form, for records of any library."""
    first: list[Processor] = [
        merge_contextvars,
        add_log_level,
        add_logger_name,
        ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: list[Processor] = [ProcessorFormatter.remove_processors_meta]
    if form == "json":
        last += [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(default=str)]
    else:
        last.append(_in_words)
    return ProcessorFormatter(foreign_pre_chain=first, processors=last)


def place_of(named: Mapping[str, object]) -> str:
    """Campaign, stage, scan and unit on one line, as far as they are named."""
    return " / ".join(str(named[name]) for name in NAMED if named.get(name))


class _Handler(logging.Handler):
    """Writes to what is standard error now: tests and notebooks change it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what cannot be written ends no work."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _in_words(logger: object, method: str, event: Mapping[str, object]) -> str:
    figures = "".join(f" {name}={value}" for name, value in event.items() if name not in SAID_OTHERWISE)
    place = place_of(event)
    line = f"{event['timestamp']} {event['level']:<7} {place + ': ' if place else ''}{event['event']}{figures}"
    return f"{line}\n{event['exception']}" if "exception" in event else line
