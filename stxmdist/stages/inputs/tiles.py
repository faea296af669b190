"""How the diffraction frames of a scan lie on its sample, as ingest left them in the store, and what became of them."""

from collections.abc import Sequence

from storage.output import Output
from stxmdist.ptychography.geometry import ScanGeometry
from stxmdist.ptychography.stitch import TileImage, trust_of
from stxmdist.ptychography.tiling import TileWindow
from stxmdist.ptychography.verdict import Word


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


def tile_images(
    reconstruct: Output, name: str, energy: int, windows: Sequence[TileWindow], verdicts: Sequence[Word]
) -> list[TileImage]:
    """Tiles that did not fail; the hole of one that did stays where no neighbour reaches."""
    found = []
    for number, (window, word) in enumerate(zip(windows, verdicts, strict=True)):
        if word != "failed":
            box = (energy, number, slice(0, window.shape[0]), slice(0, window.shape[1]))
            light = reconstruct.read("tile_illumination", box)
            found.append(TileImage(reconstruct.read(name, box), light, window.corner, trust_of(word)))
    return found
