"""What an earlier stage measured of the scan that a unit works on."""

from typing import TypeVar

from stxmdist.records import from_json
from stxmdist.runner.unit import AnyUnit, receipts_of

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
    receipts = receipts_of(unit.source(stage))
    assert "scan" in receipts, f"{stage} of {unit.scan_id} is published, so its unit has finished"
    return from_json(kind, receipts["scan"].measures)
