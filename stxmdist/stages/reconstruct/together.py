"""All energies of a tile in one problem, from what the stage left of each energy alone and the frames in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.errors import InputError
from stxmdist.planning.end_members import EndMemberSource, end_members_of
from stxmdist.ptychography.chain import Carried
from stxmdist.ptychography.geometry import Placement
from stxmdist.ptychography.joint import EnergyTile, JointOptions, JointSetting, References, shared_grid
from stxmdist.ptychography.joint_tile import (
    JointTile,
    SingleEnergy,
    best_shift,
    joint_tile,
    shift_against,
)
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.start import Start
from stxmdist.ptychography.tile import TileResult, carried_from
from stxmdist.runner.perform import threads_lent
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.stages.reconstruct.tile_problem import FrameTile, Seed, grid_from, start_of

SHIFTS_EV: F64 = np.linspace(-0.6, 0.6, 25)
"""Shifts of the energy scale that are tried; as far as a fit looks for one"""
LEAST_ENERGIES = 3
"""Of two energies any shift makes two thicknesses"""


@dataclass(frozen=True, eq=False)
class Alone:
    """A tile that was reconstructed at one energy."""

    tile: FrameTile
    placement: Placement
    """Of the scan at this energy"""
    usable: Mask
    """(POSITION of the tile,)"""
    start: Start
    overlap: float
    result: TileResult

    @property
    def of_file_px(self) -> F64:
        """(USABLE, 2) positions as the file has them."""
        return self.tile.window.positions_px[self.usable]

    @property
    def carried(self) -> Carried:
        """What another energy may start with."""
        whole, orientation = self.result.whole, self.start.orientation
        return carried_from(whole, orientation, self.of_file_px, self.usable, self.placement.pixel_nm)


@dataclass(frozen=True, eq=False)
class _Frames:
    """Reads the frames of an energy as a problem that starts from a probe and positions."""

    alone: Alone
    carried: Carried

    def __call__(self) -> Problem:
        tile = replace(self.alone.tile, carried=self.carried)
        problem = start_of(tile, self.alone.usable, self.alone.placement.pixel_nm).problem
        intensity = self.alone.result.whole.intensity
        if self.alone.result.verdict.word == "good" and (intensity != 1.0).any():
            return replace(problem, light=intensity.astype(np.float64))
        return problem


@dataclass(frozen=True, eq=False)
class Together:
    """What came of the energies of a tile together."""

    tile: JointTile | None
    """None: they are left as each is alone"""
    energies: tuple[int, ...]
    """Which took part, in the order of its results"""
    notes: tuple[str, ...]


def together(
    alone: Mapping[int, Alone],
    energy_ev: F64,
    options: JointOptions,
    source: EndMemberSource | None,
    seeds: Mapping[int, Seed],
    of_tile: str = "",
) -> Together:
    """Reconstruct all energies of a tile together that could be reconstructed alone.

    Parameters
    ----------
    alone
        what was reconstructed, by the place of its energy
    energy_ev
        (ENERGY,) of the scan
    source
        of the end-members; None: spectra are found from the data
    seeds
        of the scan by the place of their energy, where it has several tiles: what these must agree in is found there
    of_tile
        which tile this is, in words, where a scan has several
    """
    begin = f"reconstruct together{of_tile}: "
    notes: list[str] = []
    energies = tuple(sorted(alone))
    references = shift = None
    if source is None and options.spectra == "references":
        said = "because exploring, which finds the end-members of this campaign, comes after reconstructing"
        notes.append(f"{begin}spectra are found from the data, {said}")
    if source is not None:
        try:
            energies, references = references_at(source, energy_ev, energies)
            shift = _shift_of_scan(seeds, source, energy_ev)
        except InputError as error:
            said = f"spectra are found from the data, because {error.problem} ({error.got})"
            notes.append(f"{begin}{said}")
        left = [f"{energy_ev[energy]:g}" for energy in sorted(set(alone) - set(energies))]
        if left:
            notes.append(
                f"{begin}{', '.join(left)} eV are left as each energy is alone, because the references "
                "do not reach there"
            )
    if len(energies) < 2:
        return Together(None, (), (*notes, f"{begin}fewer than two energies could be reconstructed"))
    first = alone[energies[0]].tile
    model = first.options.model
    if model.background or model.n_variations:
        return Together(None, (), (
            *notes, f"{begin}not done, because it holds backgrounds and variations of the probe at zero"
        ))  # fmt: skip
    singles = _singles([alone[energy] for energy in energies])
    if references is not None:
        best = best_shift([one.image for one in singles], references) if shift is None else shift
        if len(singles) >= LEAST_ENERGIES and best in (0, len(SHIFTS_EV) - 1):
            notes.append(
                f"{begin}each energy is left as it was alone, because the end-members fit best at the limit of what "
                f"the energies may be wrong by ({SHIFTS_EV[best]:+.1f} eV): the sample holds something else; "
                "`spectra: low_rank` finds what the data ask for"
            )
            return Together(None, (), tuple(notes))
        references = references if shift is None else references.only(shift)
    setting = JointSetting(options, model, threads_lent(), first.device.namespace)
    seed, stream, _ = first.key
    found = joint_tile(singles, references, setting, [seed, stream, first.unit.part.tile, 5], [seed, stream, 5, 3])
    notes.append(f"{begin}{found.note}")
    return Together(found if found.better else None, energies, tuple(notes))


def _shift_of_scan(seeds: Mapping[int, Seed], source: EndMemberSource, energy_ev: F64) -> int | None:
    """Number of the shift of the energy scale that all tiles take; None where each finds its own."""
    if len(seeds) < LEAST_ENERGIES:
        return None
    chosen, references = references_at(source, energy_ev, sorted(seeds))
    if len(chosen) < LEAST_ENERGIES:
        return None
    return best_shift([seeds[energy].image for energy in chosen], references)


def _singles(alone: Sequence[Alone]) -> list[SingleEnergy]:
    """Energies that can be trusted start from their own probe and positions, the others from those of the best."""
    unpredicted = np.array([one.result.evidence.unpredicted for one in alone])
    best = alone[int(np.nanargmin(np.where(np.isfinite(unpredicted), unpredicted, 1e9)))]
    grids = [grid_from(one.placement, one.tile.window.corner, one.tile.window.shape) for one in alone]
    trusted = [one.result.verdict.word == "good" for one in alone]
    singles = [
        SingleEnergy(
            EnergyTile(grid, _Frames(one, one.carried if good else best.carried)),
            one.tile.window.tile.positions[one.usable],
            one.result,
            one.result if good else best.result,
        )
        for one, grid, good in zip(alone, grids, trusted, strict=True)
    ]
    grid, reference = shared_grid(grids), singles[alone.index(best)]
    return [
        replace(single, energy=replace(single.energy, shift_px=shift_against(single.image, reference.image, grid)))
        if good and single is not reference
        else single
        for single, good in zip(singles, trusted, strict=True)
    ]


def references_at(
    source: EndMemberSource, energy_ev: F64, energies: Sequence[int]
) -> tuple[tuple[int, ...], References]:
    """The end-members at those of the energies that they reach, at every shift of the energy scale.

    Raises
    ------
    InputError
        where their phase cannot be computed.
    """
    members = end_members_of(source)
    chosen = np.asarray(energies)[members.spans(energy_ev[list(energies)], float(SHIFTS_EV.max()))]
    at = energy_ev[chosen] + SHIFTS_EV[:, None]
    absorption, phase = members.at(at.ravel()), phase_per_nm(members, at.ravel())
    logs = (-0.5 * absorption + 1j * phase).reshape(len(absorption), *at.shape)
    return tuple(int(energy) for energy in chosen), References(SHIFTS_EV, np.moveaxis(logs, 0, 1))


__all__ = ["SHIFTS_EV", "Alone", "Together", "references_at", "together"]
