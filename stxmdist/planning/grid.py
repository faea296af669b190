"""The pixel grid on which a scan's images lie, known from its header alone."""

from dataclasses import dataclass

from stxmdist.arrays import F64
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.planning.survey import Survey
from stxmdist.ptychography.grid import scan_grid


@dataclass(frozen=True)
class Grid:
    """Coordinates of a stack of images."""

    energy_ev: F64
    y_um: F64
    x_um: F64

    @property
    def ny(self) -> int:
        """Rows."""
        return len(self.y_um)

    @property
    def nx(self) -> int:
        """Columns."""
        return len(self.x_um)

    @property
    def pixel_nm(self) -> float:
        """Pixel pitch, the mean of both axes."""
        return pixel_pitch_nm(self.y_um, self.x_um)


def grid_of(survey: Survey, scan_id: str) -> Grid:
    """A wide-field scan has the grid of its file, a ptychography scan the one on which its tiles are stitched."""
    if survey.scans[scan_id].modality == "stxm":
        stxm = survey.stxm(scan_id)
        return Grid(stxm.energy_ev, stxm.y_um, stxm.x_um)
    recording = survey.ptychography(scan_id)
    grid = scan_grid(
        recording.energy_ev,
        recording.positions_um,
        recording.distance_m,
        recording.detector_pixel_um,
        recording.frame_shape,
    )
    return Grid(recording.energy_ev, grid.y_um, grid.x_um)
