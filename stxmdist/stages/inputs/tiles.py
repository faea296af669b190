"""How the diffraction frames of a scan lie on its sample, as ingest left them in the store."""

from storage.output import Output
from stxmdist.ptychography.geometry import ScanGeometry


def geometry_of(ingest: Output) -> ScanGeometry:
    """Energies, positions and detector of a ptychography scan."""
    about = ingest.attrs("frames")
    rows_um, columns_um = about["detector_pixel_um"]
    _, _, rows, columns = ingest.layout("frames").shape
    return ScanGeometry(
        energy_ev=ingest.read("energy_ev"),
        positions_um=ingest.read("positions_um"),
        distance_m=about["distance_m"],
        detector_pixel_um=(rows_um, columns_um),
        frame_shape=(rows, columns),
    )
