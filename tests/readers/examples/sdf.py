"""A small SDF scan, written by hand."""

from pathlib import Path

import numpy as np

from tests.readers.examples.planted import ENERGY_EV, X_UM, Y_UM, planted_counts


def _axis(kind: str, name: str, unit: str, points: np.ndarray, direction: int = 1) -> str:
    listed = ", ".join(f"{point:.4f}" for point in points)
    return (
        f'{kind} = {{ Name = "{name}"; Unit = "{unit}"; Min = {min(points)}; Max = {max(points)}; Dir = {direction};\n'
        f"\t\tPoints = ({len(points)}, {listed});\n}};\n"
    )


def write(
    folder: Path,
    *,
    counts: np.ndarray | None = None,
    energy_ev: np.ndarray = ENERGY_EV,
    y: np.ndarray = Y_UM,
    x: np.ndarray = X_UM,
    unit: str = "um",
    frames: tuple[int, ...] | None = None,
    scan_type: str = "NEXAFS Image Scan",
    flags: str = "Image Stack",
    regions: int = 1,
    direction: int = 1,
    trailer: str = "",
    number: str = "%d",
    name: str = "scan",
) -> Path:
    counts = planted_counts() if counts is None else counts
    region = "{\n" + _axis("PAxis", "Sample X", unit, x, direction) + _axis("QAxis", "Sample Y", unit, y) + "}"
    header = (
        f'\nScanDefinition = {{ Label = "{name}.hdr"; Type = "{scan_type}"; Flags = "{flags}"; Dwell = 4; '
        f"Dwell2 = -6.2774386e+066;\n\tRegions = ({regions},\n{', '.join([region] * regions)});\n"
        f"{_axis('StackAxis', 'Energy', 'eV', energy_ev)}\tChannels = (1,\n"
        '{ Name = "V/F"; Unit = "counts";});\n};\n'
        ' Time = "2018 November 10 23:57:34"; BeamFeedback = false;\n'
        'ExitHSlit = { Name = "Vert Size"; LastPosition = 12.195; ControllerIhD = 62; Vel = 200;};\n'
        " StorageRingCurrent = 500.5; Polarization = -99.99;\n" + trailer
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.hdr"
    path.write_text(header)
    for index in range(len(counts)) if frames is None else frames:
        text = "".join("\t".join(number % value for value in row) + "\t\n" for row in counts[index])
        ending = "_a.xim" if "Stack" not in flags else f"_a{index:03d}.xim"
        (folder / f"{name}{ending}").write_text(text)
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder, frames=(0, 1, 3))
