"""Gauges as Prometheus reads them: its text format, version 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats, and /docs/practices/naming for names and units.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Gauge:
    """A value that goes up and down."""

    name: str
    """Ends with its unit, where it has one"""
    meaning: str


@dataclass(frozen=True)
class Sample:
    """What a gauge shows for a set of labels."""

    gauge: Gauge
    labels: Mapping[str, str]
    value: float


def text_of(gauges: Iterable[Gauge], samples: Iterable[Sample]) -> str:
    """Every gauge with its meaning and its samples; one without a sample is left out."""
    by_gauge: dict[str, list[Sample]] = {}
    for sample in samples:
        by_gauge.setdefault(sample.gauge.name, []).append(sample)
    return "".join(line for gauge in gauges for line in _lines(gauge, by_gauge.get(gauge.name, [])))


def _lines(gauge: Gauge, samples: list[Sample]) -> Iterator[str]:
    if samples:
        yield f"# HELP {gauge.name} {gauge.meaning}\n# TYPE {gauge.name} gauge\n"
    for sample in samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        yield f"{gauge.name}{{{labels}}} {sample.value!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
