"""What is measured of tiles, and how the measures of all tiles and energies make the quality figures of a scan."""

from collections.abc import Iterable, Sequence

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.measures import ReconstructFigures, ReconstructMeasures, StitchFigures, StitchMeasures, TileMeasures
from stxmdist.ptychography.depth import deep_optical_density, depth_of_field_nm, too_deep
from stxmdist.ptychography.dose import absorbed_dose_mgy, photons_per_um2
from stxmdist.ptychography.raster import raster_steps
from stxmdist.ptychography.start import Start
from stxmdist.ptychography.stitch import TileGauge
from stxmdist.ptychography.tile import TileResult
from stxmdist.ptychography.trials import ORIENTATIONS
from stxmdist.ptychography.verdict import Word

HELD_SHARE = 0.01
"""Share of the scanned area held at the limit of |O| from which it is said: noise holds a few pixels of dim frames."""


def not_reconstructed(reason: str, usable: Mask) -> TileMeasures:
    """Measures of a tile that failed before its first iteration; ``usable`` (POSITION,) says which frames are."""
    return TileMeasures(
        verdict="failed",
        reason=reason,
        frames=int(usable.sum()),
        frames_left_out=int((~usable).sum()),
        iterations=0,
        stopped="not begun",
        start="none",
        orientation="none",
    )


def tile_measures(
    result: TileResult,
    start: Start,
    overlap: float,
    positions_px: F64,
    usable: Mask,
    pixel_nm: tuple[float, float],
    device: str,
    notes: tuple[str, ...] = (),
) -> TileMeasures:
    """Measures of a reconstructed tile.

    Parameters
    ----------
    overlap
        of neighbouring beams, as share of a beam's diameter
    positions_px
        (USABLE, 2) of the usable frames, as the file has them
    usable
        (POSITION,)
    device
        where the engines ran, in words
    notes
        what was found of frames and done to them, in words
    """
    whole, judged = result.whole, result.verdict
    moves = whole.positions_px - positions_px
    return TileMeasures(
        verdict=judged.word,
        reason=judged.reason,
        frames=int(usable.sum()),
        frames_left_out=int((~usable).sum()),
        iterations=len(whole.error),
        stopped=whole.stopped,
        start=start.origin,
        orientation=ORIENTATIONS[start.orientation],
        residual=whole.residual,
        shot_noise_residual=result.evidence.noise_residual,
        held_out_residual=result.evidence.held_out_residual,
        static_residual=result.evidence.static_residual,
        overlap=overlap,
        half_bit_half_period_px=result.frc.half_bit_half_period_px,
        one_bit_half_period_px=result.frc.one_bit_half_period_px,
        counts_per_frame=result.counts_per_frame,
        counts_per_photon=start.problem.readings.counts_per_photon,
        offset_counts=start.problem.readings.offset,
        readout_photons=start.problem.readings.readout,
        photons_per_um2=photons_per_um2(whole.illumination, pixel_nm) if start.problem.readings.told else None,
        moved_px=float(np.sqrt((moves**2).sum(axis=1).mean())),
        raster_px=raster_steps(positions_px),
        affine=whole.affine,
        clipped_share=result.evidence.clipped_share,
        held_share=whole.held_share,
        deep_optical_density=deep_optical_density(whole.object_, whole.illumination),
        mode_power=whole.mode_power,
        pixel_nm=np.array(pixel_nm),
        device=device,
        notes=notes + held_words(whole.held_share),
    )


def held_words(share: float) -> tuple[str, ...]:
    """What to say where the amplitude of more than a little of the scanned area is held at the model's limit."""
    if share <= HELD_SHARE:
        return ()
    said = (
        f"|O| would exceed the limit on {share:.1%} of the scanned area, though nothing transmits more than vacuum: the"
        " power of the beam or intensities of frames are wrong (model: intensities: true), or frames do not fit the"
        " object (model: amplitude_limit: 0 shows it as it is)"
    )
    return (said,)


def reconstruct_figures(
    units: Sequence[ReconstructMeasures], energy_ev: F64, mass_absorption_cm2_g: F64, absorption_per_nm: F64
) -> ReconstructFigures:
    """Figures of a scan: those of all its tiles at one energy after the other.

    Parameters
    ----------
    energy_ev, mass_absorption_cm2_g, absorption_per_nm
        (ENERGY,) of the scan; mu/rho and mu of its sample, NaN where they are not known
    """
    rows = sorted(
        ((energy, unit.tile, tile) for unit in units for energy, tile in zip(unit.energies, unit.found, strict=True)),
        key=lambda row: row[:2],
    )
    tiles = [tile for _, _, tile in rows]
    fluence = numbers(tile.photons_per_um2 for tile in tiles)
    doses = [
        absorbed_dose_mgy(float(photons), float(energy_ev[energy]), float(mass_absorption_cm2_g[energy]))
        for photons, (energy, _, _) in zip(fluence, rows, strict=True)
    ]
    of_row = [energy for energy, _, _ in rows]
    density = numbers(tile.deep_optical_density for tile in tiles)
    half_period_nm = numbers(
        None if tile.half_bit_half_period_px is None or tile.pixel_nm is None
        else tile.half_bit_half_period_px * float(np.max(tile.pixel_nm))
        for tile in tiles
    )  # fmt: skip
    depth_nm = np.array(
        [depth_of_field_nm(half, energy_ev[at]) for half, at in zip(half_period_nm, of_row, strict=True)]
    )
    least_nm = density / absorption_per_nm[of_row]
    return ReconstructFigures(
        tiles=1 + max(unit.tile for unit in units),
        pixel_nm=next((tile.pixel_nm for tile in tiles if tile.pixel_nm is not None), None),
        verdict=tuple(tile.verdict for tile in tiles),
        reason=tuple(tile.reason for tile in tiles),
        frames=tuple(tile.frames for tile in tiles),
        frames_left_out=tuple(tile.frames_left_out for tile in tiles),
        iterations=tuple(tile.iterations for tile in tiles),
        stopped=tuple(tile.stopped for tile in tiles),
        start=tuple(tile.start for tile in tiles),
        orientation=tuple(tile.orientation for tile in tiles),
        residual=numbers(tile.residual for tile in tiles),
        shot_noise_residual=numbers(tile.shot_noise_residual for tile in tiles),
        held_out_residual=numbers(tile.held_out_residual for tile in tiles),
        static_residual=numbers(tile.static_residual for tile in tiles),
        overlap=numbers(tile.overlap for tile in tiles),
        half_bit_half_period_px=numbers(tile.half_bit_half_period_px for tile in tiles),
        one_bit_half_period_px=numbers(tile.one_bit_half_period_px for tile in tiles),
        counts_per_frame=numbers(tile.counts_per_frame for tile in tiles),
        counts_per_photon=numbers(tile.counts_per_photon for tile in tiles),
        offset_counts=numbers(tile.offset_counts for tile in tiles),
        readout_photons=numbers(tile.readout_photons for tile in tiles),
        photons_per_um2=fluence,
        moved_px=numbers(tile.moved_px for tile in tiles),
        raster_px=tuple(tile.raster_px for tile in tiles),
        affine=tuple(tile.affine for tile in tiles),
        clipped_share=numbers(tile.clipped_share for tile in tiles),
        held_share=numbers(tile.held_share for tile in tiles),
        mode_power=tuple(tile.mode_power for tile in tiles),
        device=tuple(tile.device for tile in tiles),
        notes=(
            *dict.fromkeys(note for tile in tiles for note in tile.notes),
            *too_deep(least_nm, depth_nm, half_period_nm),
        ),
        dose_mgy=np.array(doses),
        deep_optical_density=density,
        least_thickness_nm=least_nm,
        depth_of_field_nm=depth_nm,
    )


def stitch_measures(verdicts: Sequence[Word], gauges: Sequence[TileGauge], known: Mask) -> StitchMeasures:
    """Measures of one stitched energy.

    Parameters
    ----------
    verdicts
        of all tiles
    gauges
        of those that did not fail
    known
        (Y, X) pixels of the image that are known
    """
    residuals = np.array([gauge.residual_rad for gauge in gauges])
    return StitchMeasures(
        tiles=len(gauges),
        tiles_failed=verdicts.count("failed"),
        tiles_poor=verdicts.count("poor"),
        parts_not_tied=len({gauge.component for gauge in gauges}),
        seam_residual_rad=float(np.nanmax(residuals)) if np.isfinite(residuals).any() else None,
        known_share=float(known.mean()),
    )


def stitch_figures(energies: Sequence[StitchMeasures]) -> StitchFigures:
    """Figures of a scan: those of its energies, side by side."""
    return StitchFigures(
        tiles=tuple(one.tiles for one in energies),
        tiles_failed=tuple(one.tiles_failed for one in energies),
        tiles_poor=tuple(one.tiles_poor for one in energies),
        parts_not_tied=tuple(one.parts_not_tied for one in energies),
        seam_residual_rad=tuple(one.seam_residual_rad for one in energies),
        known_share=tuple(one.known_share for one in energies),
    )


def numbers(values: Iterable[float | None]) -> F64:
    """An array of numbers, NaN for those that are None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
