"""What units measure and scans are judged by: one record for each stage, each field with its meaning and unit.

A stage writes its record, the store keeps it as JSON (``stxmdist.records``), and whoever reads it names the record.
Lists over (ENERGY,), (TILE) and the like are in the order of the scan. A field with a default says something only of
some scans, and is not written for the others. The file is longer than 400 lines because they all stand here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stxmdist.arrays import F64
from stxmdist.records import INLINE, RecordT, from_json

Numbers = Literal["counts", "transmission", "optical_density"]
"""What the numbers of a wide-field stack are"""


@dataclass(frozen=True, eq=False)
class IngestMeasures:
    """What a beamline file held."""

    frames: int
    """Images of a stack, or diffraction frames at all energies"""
    frames_valid: int
    notes: tuple[str, ...]
    """What the reader assumed"""
    sha256: Mapping[str, str]
    """File name to the digest of its content"""
    frames_missing: int | None = None
    energies_planned: int | None = None
    """Energies that the scan is to have; None of one that is not being measured any more"""
    frames_in_part: int | None = None
    """Valid frames in which some pixels were not measured"""
    numbers: Numbers = "counts"
    """What the numbers of a wide-field stack look like"""
    numbers_said: str = ""
    """Why, where they do not look like counts, in words and figures"""
    frames_saturated: int | None = None
    counts_per_frame: F64 | None = None
    """(ENERGY,) mean number of counts in a diffraction frame"""
    pixels: int | None = None
    """Of the detector, as they are kept"""
    pixels_masked: int | None = None
    crop_px: int | None = None
    bin_px: int | None = None
    upsample: int | None = None
    beamstop_px: float | None = None
    pixels_hot: int | None = None
    pixels_unread: int | None = None
    """Gaps, which hold no number in any frame"""
    pixels_saturated: int | None = None
    """At the detector's ceiling in some frames; they are not masked"""
    pixels_dead: int | None = None
    readings_unread: int | None = None
    """Good pixels without a number, of all frames"""
    readings_saturated: int | None = None
    """Good pixels at the ceiling, of all frames: the least that there was"""

    @property
    def so_far(self) -> str:
        """How much of a scan this is that was still being measured, in words; empty of a whole one."""
        return "" if self.energies_planned is None else f"{self.frames} of {self.energies_planned} energies so far"


@dataclass(frozen=True, eq=False)
class AbsorbanceMeasures:
    """The incident beam of a scan, its noise, and what corrections did."""

    i0_counts: F64
    """(ENERGY,)"""
    noise_factor: F64
    """(ENERGY,) variance of counts over that of single photons"""
    noise_correlation_px2: float
    """Area over which noise is correlated; 1 for single pixels"""
    free_share: float
    """Share of the field that holds no particle"""
    energies_measured: int
    i0_relative_se: float | None = None
    """Median over energies of the standard error of I0, over I0"""
    ring_current_known: bool | None = None
    spikes: int | None = None
    lines_scaled: int | None = None
    lines_masked: int | None = None
    pixels_without_counts: float | None = None
    """Share of all pixels of all frames"""
    mean_od: F64 | None = None
    """(ENERGY,) of the particles, with all corrections"""
    mean_od_without: Mapping[str, F64] | None = None
    """Correction to the same (ENERGY,) without it; NaN where that makes no difference"""
    slow_noise_od: F64 | None = None
    """(ENERGY,) standard error of a reconstruction over distances longer than a particle"""
    input: Numbers = "counts"
    """What the numbers of the file were taken for"""
    free_od: F64 | None = None
    """(ENERGY,) optical density of particle-free pixels against an incident beam from elsewhere"""
    notes: tuple[str, ...] = ()
    """What was found of the incident beam and of the noise, in sentences"""


@dataclass(frozen=True, eq=False)
class AlignMeasures:
    """How far frames were moved, and how well that is known."""

    largest_shift_px: float
    frames_not_registered: int
    energies_not_registered_ev: F64
    shift_quality: float | None
    """Median height of the correlation peak; None where frames were left as they are"""
    outside_share: float
    """Share of the field that left it at some energy"""
    sample_pixels: int
    noise_correlation_px2: float
    """Area over which noise is correlated after resampling"""
    known_share: F64 | None = None
    """(ENERGY,) share of the field that each energy has numbers in; None where every measured energy has all of it"""


@dataclass(frozen=True)
class ExploreMeasures:
    """What the explorers of a stack measured."""

    energies: int | None = None
    """Energies that took part; None where nothing was explored"""
    note: str | None = None
    """Why nothing was explored"""
    explored: Mapping[str, Mapping[str, object]] = field(default_factory=dict, metadata=INLINE)
    """Name of an explorer to its own record as JSON, or to a ``note`` why it found nothing"""

    def of(self, explorer: str, kind: type[RecordT]) -> RecordT | None:
        """What an explorer measured, a record of its kind; None where it was not asked for or found nothing."""
        written = self.explored.get(explorer)
        return None if written is None or "note" in written else from_json(kind, written)


@dataclass(frozen=True, eq=False)
class FitMeasures:
    """How well the end-members explain a block of pixels, or a scan."""

    energy_shift_ev: float
    energy_shift_se_ev: float
    energy_shift_note: str
    end_members: str
    """Where they come from"""
    thickness_unit: str
    """``nm``, or ``reference`` for reference samples"""
    energies_used: int
    energy_ev: F64
    """(ENERGY used,)"""
    pixels_valid: int
    pixels: Mapping[str, int]
    """Mask class to number of pixels"""
    chi2_reduced: float | None
    """Median over valid pixels; None where there are none"""
    r_factor: float | None
    """The same of the R-factor"""
    residual: F64 | None
    """(ENERGY used,) mean over valid pixels of measured less fitted optical density"""
    residual_se: F64 | None
    """(ENERGY used,)"""
    background: Literal["none", "constant", "power_law"] = "none"
    """What was fitted beside the end-members"""
    background_said: str = ""
    """Why, in a sentence with numbers"""
    cause: str = ""
    """What the data say of pixels that the end-members do not explain, in a sentence; empty where they explain them"""
    mend: str = ""
    """The option or the input that would mend it, as it is written in campaign.yaml"""


@dataclass(frozen=True, eq=False)
class SegmentMeasures:
    """The particles of a scan."""

    particles: int
    particles_at_border: int
    cover: float
    """Share of the field that particles cover"""
    particles_with_soc: int
    """Particles that have a state of charge"""
    particles_without_soc: Mapping[str, int]
    """Why a particle has none, to how many have none for that reason"""
    pixels_of_field: Mapping[str, int]
    """Mask class to number of pixels, edges among them"""
    pixels_of_particles: Mapping[str, int]
    """The same inside particles"""
    psf_sigma_nm: float
    soc_mean: float | None
    thickness_unit: str
    soc_effect: Mapping[str, float | None]
    """Correction in counts to what it changes of the mean state of charge"""
    missing_component: str
    """Whether two end-members are enough, in a sentence"""
    particles_missing_component: int | None = None
    particles_looked_into: int | None = None
    """Those of which it could be said whether they lack a component: plates that overlap are not among them"""
    missing_spectrum_od: F64 | None = None
    """(ENERGY used,) what the end-members leave over; NaN where no particle lacks a component"""
    particles_wanting_constant: int | None = None
    particles_wanting_power_law: int | None = None
    third_phase: str = ""
    """What would show of a third phase, and what could not, in a sentence; empty without particles"""
    third_phase_not_excluded: bool = False
    """Whether the scan's energies would not show most third phases"""
    overlaps_suspected: int | None = None
    """Particles that may be several plates across one another or side by side, and were not parted"""
    plates_parted: int | None = None
    """Particles that lie across another one and were parted from it"""


@dataclass(frozen=True, eq=False)
class RegisterMeasures:
    """How a ptychography scan lies on its wide-field partner."""

    stxm: str
    """The partner's scan"""
    accepted: bool
    reason: str
    matrix_um: F64
    """(2, 3): wide-field coordinates (y, x) from those of ptychography"""
    shift_um: F64
    """(y, x)"""
    rotation_deg: float
    scale: float
    error_um: float
    correlation: float
    pairs: int
    """Particles seen by both"""
    shear: float = 0.0
    """By how much the longest direction of a circle that is carried over exceeds the shortest, as a share"""
    drift_nm: float = 0.0
    """Largest drift of a row of the wide-field scan, in nm, beside the linear map"""
    landmarks: int = 0
    """Particles, or parts of them, that agree on the transform"""
    found_by: str = "stage"
    """``stage``: beside its coordinates; ``search``: in the whole field; ``particles``: by their constellation"""
    fused_chi2: float | None = None
    """How far the wide-field chemistry disagrees with that of ptychography, in variances; None where none was fused"""


@dataclass(frozen=True, eq=False)
class ReactMeasures:
    """How a region was found again at a later time."""

    before: str
    """The earlier scan"""
    hours: float
    accepted: bool
    reason: str
    shift_um: F64
    """(y, x) by which the later field lies off"""
    error_um: float
    particles_before: int
    particles_followed: int


@dataclass(frozen=True)
class NetworkMeasures:
    """How the particles of a scan hang together."""

    particles: int
    contacts: int
    gap_nm: float
    """Outlines closer than this touch"""


@dataclass(frozen=True, eq=False)
class TileMeasures:
    """One ptychography tile at one energy. What has a default of None is not known where reconstruction failed."""

    verdict: str
    """``good``, ``poor`` or ``failed``"""
    reason: str
    frames: int
    frames_left_out: int
    iterations: int
    stopped: str
    start: str
    """Where the probe started, in words"""
    schedule: str
    """Engines with their iterations, starts that were left, and why, in words"""
    orientation: str
    """How the frames were turned, in words"""
    residual: float | None = None
    """Amplitude residual, a share"""
    shot_noise_residual: float | None = None
    """What shot noise and read-out noise alone would leave over"""
    held_out_residual: float | None = None
    """Of frames that the reconstruction of the other half predicts"""
    static_residual: float | None = None
    """Of one and the same amplitude for all frames"""
    overlap: float | None = None
    """Of neighbouring beams, as share of a beam's diameter"""
    half_bit_half_period_px: float | None = None
    one_bit_half_period_px: float | None = None
    counts_per_frame: float | None = None
    """Photons on good pixels"""
    counts_per_photon: float | None = None
    """Counts of the file that one photon makes"""
    offset_counts: float | None = None
    """Counts of the file that pixels have without light, taken off"""
    readout_photons: float | None = None
    """Standard deviation of a reading without light"""
    photons_per_um2: float | None = None
    moved_px: float | None = None
    """Root mean square of the corrections of positions"""
    raster_px: F64 | None = None
    """(2, 2) steps of the raster that positions lie on"""
    affine: F64 | None = None
    """(2, 2) linear map that all corrections of positions have in common, less the identity"""
    clipped_share: float | None = None
    """Of the probe's power, at the rim of its window"""
    held_share: float | None = None
    """Of the scanned area, whose amplitude is held at the model's limit"""
    deep_optical_density: float | None = None
    """-ln |O|^2 that a twentieth of the well lit area exceeds"""
    mode_power: F64 | None = None
    """(MODE,) shares"""
    pixel_nm: F64 | None = None
    """(y, x)"""
    device: str | None = None
    notes: tuple[str, ...] = ()
    """What was found of its frames and done to them, in words"""


@dataclass(frozen=True, eq=False)
class ReconstructMeasures:
    """One tile at some energies of a scan."""

    tile: int
    energies: tuple[int, ...]
    """Places along the scan's energies"""
    found: tuple[TileMeasures, ...]
    """One for each of them"""


@dataclass(frozen=True, eq=False)
class ReconstructFigures:
    """All tiles of a scan; lists go over tiles, at one energy after the other."""

    tiles: int
    pixel_nm: F64 | None
    """(y, x) of the object at one energy"""
    verdict: tuple[str, ...]
    reason: tuple[str, ...]
    frames: tuple[int, ...]
    frames_left_out: tuple[int, ...]
    iterations: tuple[int, ...]
    stopped: tuple[str, ...]
    start: tuple[str, ...]
    schedule: tuple[str, ...]
    orientation: tuple[str, ...]
    residual: F64
    shot_noise_residual: F64
    held_out_residual: F64
    static_residual: F64
    overlap: F64
    half_bit_half_period_px: F64
    one_bit_half_period_px: F64
    counts_per_frame: F64
    counts_per_photon: F64
    offset_counts: F64
    readout_photons: F64
    photons_per_um2: F64
    moved_px: F64
    raster_px: tuple[F64 | None, ...]
    affine: tuple[F64 | None, ...]
    clipped_share: F64
    held_share: F64
    mode_power: tuple[F64 | None, ...]
    device: tuple[str | None, ...]
    notes: tuple[str, ...]
    """What was found of frames and done to them, in words"""
    dose_mgy: F64
    """Absorbed dose, where the chemistry is known"""
    deep_optical_density: F64 | None = None
    least_thickness_nm: F64 | None = None
    """Of the deep part, if all of it were the state of charge that absorbs most, where the chemistry is known"""
    depth_of_field_nm: F64 | None = None
    """Thickness up to which details of the half-period that halves agree to are seen as in a thin sample"""


@dataclass(frozen=True)
class StitchMeasures:
    """One energy of a scan, put together from its tiles."""

    tiles: int
    tiles_failed: int
    tiles_poor: int
    parts_not_tied: int
    """Groups of tiles that no overlap joins: 1 where all hang together"""
    seam_residual_rad: float | None
    """Largest disagreement of neighbours in phase; None for a tile alone"""
    known_share: float


@dataclass(frozen=True)
class StitchFigures:
    """The same of all energies of a scan, side by side."""

    tiles: tuple[int, ...]
    tiles_failed: tuple[int, ...]
    tiles_poor: tuple[int, ...]
    parts_not_tied: tuple[int, ...]
    seam_residual_rad: tuple[float | None, ...]
    known_share: tuple[float, ...]


@dataclass(frozen=True)
class InferMeasures:
    """Rows of each table of the campaign."""

    particles: int
    pairs: int
    electrodes: int
    effects: int
    variance: int
    scans: int
    exclusions: int
    analyses: Mapping[str, int] = field(default_factory=dict)
    """Name of each further table to its rows"""


@dataclass(frozen=True)
class ReportMeasures:
    """What the page holds."""

    figures: int
    page_bytes: int
    names: tuple[str, ...]
    """Of the figures"""
