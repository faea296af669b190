"""Under what a region was measured: its cell, beamtime, rate, direction and how its place was chosen."""

from dataclasses import dataclass, replace
from typing import Literal

from stxmdist.simulation.design import ByWhat, Visit
from stxmdist.simulation.regions import RegionKey, generator, region_number
from stxmdist.simulation.sizes import CampaignSize, StxmSetup

_FIRST_MONTH = 10


@dataclass(frozen=True)
class Conditions:
    """What the sheet says of a region, and what is planted with it."""

    cell_id: str
    beamtime_id: str
    c_rate: float
    direction: Literal["charge", "discharge"]
    roi_rule: Literal["systematic", "convenience"]
    soc_shift: float
    """Planted effect of all of these together on the mean state of charge"""
    beamtime_effect: float
    cell_effect: float


def conditions_of(size: CampaignSize, seed: int, key: RegionKey) -> Conditions:
    """Conditions of a region; the spread between cells and beamtimes is drawn by their names."""
    design = size.design
    per_cell = design.electrodes_per_cell
    cell_id = f"cell-{key.electrode_id}" if per_cell == 1 else f"cell-{key.electrode // per_cell + 1:02d}"
    beamtime = _place(size, key, design.beamtime_by) % design.beamtimes
    month = _FIRST_MONTH - 1 + beamtime
    beamtime_id = f"{2026 + month // 12}-{month % 12 + 1:02d}"
    direction = design.directions[_place(size, key, design.direction_by) % len(design.directions)]
    # Compared with 0 and not with a draw where nothing is planted.
    by_eye = design.convenience > 0.0 and generator(seed, key.region_id, "place").random() < design.convenience
    beamtime_effect = float(generator(seed, "beamtime", beamtime_id).normal(0.0, 1.0)) * design.beamtime_sd
    cell_effect = float(generator(seed, "cell", cell_id).normal(0.0, 1.0)) * design.cell_sd
    shift = beamtime_effect + cell_effect
    shift += design.discharge_soc if direction == "discharge" else 0.0
    shift += design.convenience_soc if by_eye else 0.0
    return Conditions(
        cell_id=cell_id,
        beamtime_id=beamtime_id,
        c_rate=size.c_rates[_place(size, key, design.rate_by) % len(size.c_rates)],
        direction=direction,
        roi_rule="convenience" if by_eye else "systematic",
        soc_shift=shift,
        beamtime_effect=beamtime_effect,
        cell_effect=cell_effect,
    )


def _place(size: CampaignSize, key: RegionKey, what: ByWhat) -> int:
    """Number of the cell, electrode, cycle or region of a region: what something changes with."""
    if what == "campaign":
        return 0
    if what == "cell":
        return key.electrode // size.design.electrodes_per_cell
    if what == "electrode":
        return key.electrode
    return size.cycles.index(key.cycle) if what == "cycle" else region_number(size, key)


def stxm_setup(size: CampaignSize, key: RegionKey) -> StxmSetup:
    """The stack of a region: the campaign's, with the region's own energies and photons where the design says so."""
    design, number = size.design, region_number(size, key)
    setup = size.stxm
    if design.energies_ev:
        setup = replace(setup, energy_ev=design.energies_ev[number % len(design.energies_ev)])
    if design.counts:
        setup = replace(setup, counts=design.counts[number % len(design.counts)])
    return setup


def visits_of(size: CampaignSize, key: RegionKey) -> tuple[tuple[int, Visit], ...]:
    """The looks at a region with their number, those left out that come to other regions only."""
    number = region_number(size, key)
    return tuple((index, visit) for index, visit in enumerate(size.design.visits) if number % visit.every == 0)


def has_ptychography(size: CampaignSize, key: RegionKey) -> bool:
    """Whether ptychography sees a part of a region."""
    return region_number(size, key) % size.design.ptychography_every == 0
