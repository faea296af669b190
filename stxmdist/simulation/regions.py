"""Names of a simulated experiment's regions, and random generators that depend on names only."""

import hashlib
from dataclasses import dataclass

import numpy as np

from stxmdist.simulation.sizes import CampaignSize


@dataclass(frozen=True)
class RegionKey:
    """One region of one electrode at one cycle."""

    electrode: int
    cycle: int
    region: int

    @property
    def electrode_id(self) -> str:
        """Unique in the campaign."""
        return f"E{self.electrode + 1:02d}"

    @property
    def region_id(self) -> str:
        """Unique in the campaign."""
        return f"{self.electrode_id}-c{self.cycle:03d}-r{self.region + 1}"


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A random generator that depends on the campaign's seed and a name, and on nothing that ran before."""
    words = hashlib.sha256("/".join(str(key) for key in keys).encode()).digest()[:16]
    return np.random.default_rng([seed, *np.frombuffer(words, dtype="<u4").tolist()])


def region_keys(size: CampaignSize) -> tuple[RegionKey, ...]:
    """Every region of the campaign, in the order of measurement."""
    return tuple(
        RegionKey(electrode, cycle, region)
        for electrode in range(size.n_electrodes)
        for cycle in size.cycles
        for region in range(size.n_regions)
    )


def region_number(size: CampaignSize, key: RegionKey) -> int:
    """Place of a region in the order of measurement, from 0."""
    cycle = size.cycles.index(key.cycle) if key.cycle in size.cycles else 0
    return (key.electrode * len(size.cycles) + cycle) * size.n_regions + key.region
