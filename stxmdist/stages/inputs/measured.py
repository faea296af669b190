"""What an earlier stage measured of the scan that a unit works on."""

from typing import TypeVar

from stxmdist.records import from_json
from stxmdist.runner.perform import AnyUnit

MeasuresT = TypeVar("MeasuresT")


def measured(unit: AnyUnit, kind: type[MeasuresT], stage: str) -> MeasuresT:
    """The record that the only unit of ``stage`` left for this unit's scan, of a kind of ``stxmdist.measures``.

    Raises
    ------
    KeyError
        if the unit does not read that stage.
    StoreError
        if another version of the program wrote the record.
    """
    receipt = unit.source(stage).receipt("scan")
    assert receipt is not None, f"{stage} of {unit.scan_id} is published, so its unit has finished"
    return from_json(kind, receipt["measures"])
