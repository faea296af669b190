"""What the models of the campaign file share: no unknown keys, no converted values, amounts of memory."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

BYTE_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
LEAST_MEMORY_BYTES = 100 * 10**6
"""A worker's interpreter and libraries alone need more than this: a smaller limit is a slip of the unit."""


class Strict(BaseModel):
    """A model that refuses unknown keys and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def parse_bytes(value: object) -> int:
    """Bytes of ``"1GB"``, ``"512 MB"``, ``"2GiB"`` or a plain number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?\s*", str(value), re.IGNORECASE)
    if not match or match[2].upper() not in BYTE_UNITS:
        raise ValueError("an amount of memory such as 1GB, 512MB or 2GiB")
    return round(float(match[1]) * BYTE_UNITS[match[2].upper()])


def _at_least_a_worker(value: object) -> int:
    count = parse_bytes(value)
    if count < LEAST_MEMORY_BYTES:
        raise ValueError(f"at least {LEAST_MEMORY_BYTES // 10**6}MB")
    return count


WorkerMemory = Annotated[int, BeforeValidator(_at_least_a_worker)]
"""Bytes that a worker may hold; written as ``1GB``, ``512MB``, ``2GiB``."""
