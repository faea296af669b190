"""Small files of every format, written by hand so that they do not share mistakes with any writer of the project."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

# Primes, and different from each other, so that no axis can be taken for another.
N_ENERGIES, NY, NX = 5, 7, 11
ENERGY_EV = 700.0 + np.array([0.0, 1.5, 2.0, 7.25, 8.0])
Y_UM = -3.0 + 0.1 * np.arange(NY)
X_UM = 20.0 + 0.2 * np.arange(NX)


def planted_counts() -> np.ndarray:
    """Counts (ENERGY, Y, X), every one different."""
    return 1000.0 + np.arange(N_ENERGIES * NY * NX, dtype=np.float64).reshape(N_ENERGIES, NY, NX)


def _axis(kind: str, name: str, unit: str, points: np.ndarray, direction: int = 1) -> str:
    listed = ", ".join(f"{point:.4f}" for point in points)
    return (
        f'{kind} = {{ Name = "{name}"; Unit = "{unit}"; Min = {min(points)}; Max = {max(points)}; Dir = {direction};\n'
        f"\t\tPoints = ({len(points)}, {listed});\n}};\n"
    )


@pytest.fixture
def planted() -> np.ndarray:
    return planted_counts()


@pytest.fixture
def write_sdf() -> Callable[..., Path]:
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

    return write


@pytest.fixture
def write_nxstxm() -> Callable[..., Path]:
    def write(
        path: Path, *, counts: np.ndarray | None = None, energy_ev: np.ndarray = ENERGY_EV, **changes: Any
    ) -> Path:
        counts = planted_counts() if counts is None else counts
        with h5py.File(path, "w") as file:
            entry = file.create_group("entry1")
            entry.attrs["NX_class"] = np.bytes_("NXentry")
            entry["definition"] = np.array([b"NXstxm"])
            entry["start_time"] = np.array([b"2021-03-16T16:50:18+01:00"])
            group = entry.create_group("counter0")
            group.attrs["NX_class"] = np.bytes_("NXdata")
            group.attrs["signal"] = np.bytes_("data")
            group.attrs["axes"] = [np.bytes_(axis) for axis in ("energy", "sample_y", "sample_x")]
            group["data"] = counts
            group["stxm_scan_type"] = np.array([changes.get("scan_type", "sample image stack").encode()])
            for name, values, unit in (
                ("energy", energy_ev, b"eV"),
                ("sample_y", changes.get("y", Y_UM), changes.get("unit", "µm".encode())),
                ("sample_x", changes.get("x", X_UM), changes.get("unit", "µm".encode())),
                ("count_time", np.full(len(energy_ev), 0.01), b"s"),
            ):
                group[name] = values
                group[name].attrs["units"] = np.bytes_(unit)
            control = entry.create_group("control")
            control.attrs["NX_class"] = np.bytes_("NXmonitor")
            control["data"] = np.broadcast_to(400.0 + np.arange(len(counts))[:, None, None], counts.shape)
        return path

    return write


@pytest.fixture
def write_stk() -> Callable[..., Path]:
    def write(path: Path, *, counts: np.ndarray | None = None, y: np.ndarray = Y_UM, x: np.ndarray = X_UM) -> Path:
        counts = planted_counts() if counts is None else counts
        sizes = np.array([len(x), len(y), len(counts)], ">i4").tobytes()
        dwell = np.full(len(counts), 2.5)
        numbers = [np.asarray(part, ">f4").tobytes() for part in (x, y, ENERGY_EV[: len(counts)], dwell, counts)]
        path.write_bytes(sizes + b"".join(numbers))
        return path

    return write


@pytest.fixture
def write_ncb() -> Callable[..., Path]:
    def write(path: Path, *, counts: np.ndarray | None = None, scale: float = 2.0, turned: bool = False) -> Path:
        """The .dat and its .ncb; the path of the .dat."""
        counts = planted_counts() if counts is None else counts
        y, x = (Y_UM[[-1, 0]], X_UM[[-1, 0]]) if turned else (Y_UM[[0, -1]], X_UM[[0, -1]])
        lines = [f"  {NX}  {NY}  {scale:.5f}", f"{x[0]} {x[1]}", f"{y[0]} {y[1]}", f" {len(counts)}"]
        lines += [f"{energy:.3f}" for energy in ENERGY_EV[: len(counts)]]
        lines += [f"image {n:03d} of an iron stack   {ENERGY_EV[n]:.2f}   1.50" for n in range(len(counts))]
        path.with_suffix(".dat").write_text("".join(line + "\r\n" for line in lines), newline="")
        numbers = np.asarray(counts, "<f4") if scale < 0 else np.round(counts * scale).astype("<i2")
        path.with_suffix(".ncb").write_bytes(numbers.tobytes())
        return path.with_suffix(".dat")

    return write


@pytest.fixture
def write_tiff() -> Callable[..., Path]:
    def write(path: Path, *, counts: np.ndarray | None = None, labelled: bool = True, **how: Any) -> Path:
        import tifffile

        counts = planted_counts().astype(np.float32) if counts is None else counts
        metadata: dict[str, Any] = {"axes": "ZYX", "unit": "um"}
        if labelled:
            metadata["Labels"] = [f"{energy:.2f} eV" for energy in ENERGY_EV[: len(counts)]]
        how = {"imagej": True, "resolution": (5.0, 10.0), "metadata": metadata} | how
        tifffile.imwrite(path, counts, **how)
        return path

    return write


def scan_positions_um(n: int = 13) -> np.ndarray:
    """Positions (POSITION, 2) of the beam, (y, x) in um, on a spiral in no symmetric place."""
    angle = 2.4 * np.arange(n)
    return np.stack(
        [0.3 + 0.11 * np.sqrt(np.arange(n)) * np.sin(angle), -1.2 + 0.1 * np.sqrt(np.arange(n)) * np.cos(angle)], 1
    )


@pytest.fixture
def write_cxi() -> Callable[..., Path]:
    def write(
        path: Path,
        *,
        frames: np.ndarray,
        positions_um: np.ndarray | None = None,
        energies_ev: tuple[float, ...] = (710.0,),
        family: str = "geometry_1",
        basis: Any = ((0, 3e-5), (3e-5, 0), (0, 0)),
        mask: np.ndarray | None = None,
        **extra: Any,
    ) -> Path:
        positions_um = scan_positions_um(len(frames)) if positions_um is None else positions_um
        with h5py.File(path, "w") as file:
            file["cxi_version"] = 160
            for number, energy_ev in enumerate(energies_ev, start=1):
                entry = file.create_group(f"entry_{number}")
                entry["title"] = extra.get("title", "a scan")
                source = entry.create_group("instrument_1/source_1")
                source["energy"] = extra.get("energy", energy_ev * 1.602176634e-19)
                detector = entry.create_group("instrument_1/detector_1")
                detector["distance"] = extra.get("distance", 0.1)
                detector["x_pixel_size"] = detector["y_pixel_size"] = 3e-5
                if basis is not None:
                    detector["basis_vectors"] = np.array(basis, float)
                if mask is not None:
                    detector["mask"] = mask
                if "illumination" in extra:
                    source["illumination"] = extra["illumination"]
                translation = np.zeros((len(positions_um), 3))
                translation[:, 0] = -positions_um[:, 1] * 1e-6
                translation[:, 1] = -positions_um[:, 0] * 1e-6
                data = entry.create_group("data_1")
                if family == "data_1":
                    data["data"] = frames + number - 1
                    data["translation"] = translation
                else:
                    detector["data"] = frames + number - 1
                    entry["sample_1/geometry_1/translation"] = translation
                    data["data"] = h5py.SoftLink(f"/entry_{number}/instrument_1/detector_1/data")
        return path

    return write


@pytest.fixture
def diffraction() -> np.ndarray:
    """Frames (POSITION, QY, QX) uint16, brightest at the zero frequency, not symmetric in any way."""
    y, x = np.mgrid[:16, :16] - 8
    disc = 900 * np.exp(-(y**2 + x**2) / 18) + 40 * (y > 2) + 20 * (x > 1) + 3 * y + 5
    return np.random.default_rng(7).poisson(np.maximum(disc, 1), (13, 16, 16)).astype(np.uint16)


@pytest.fixture
def write_pystxmcontrol() -> Callable[..., Path]:
    def write(
        path: Path,
        *,
        exposures: np.ndarray,
        darks: np.ndarray | None = None,
        positions_um: np.ndarray | None = None,
        measured: bool = True,
        left_out: tuple[int, ...] = (),
        **metadata: Any,
    ) -> Path:
        """Exposures (POSITION, EXPOSURE, rows, columns) and darks (n, rows, columns) as the camera gives them."""
        positions_um = scan_positions_um(len(exposures)) if positions_um is None else positions_um
        said: dict[str, Any] = {
            "energy": 710.0,
            "energyIndex": 0,
            "double_exposure": exposures.shape[1] == 2,
            "dwell1": 100.0,
            "dwell2": 10.0 if exposures.shape[1] == 2 else 0,
            "n_repeats": 1,
            "translations": (-positions_um).tolist(),
            "geometry": {"distance": 100.0, "psize": 30},
        }
        with h5py.File(path, "w", libver="latest") as file:
            entry = file.create_group("entry0")
            entry["definition"] = np.array([b"NXstxm"])
            entry["start_time"] = b"2025-11-13 16:28:08"
            entry["title"] = b"proposal"
            data = entry.create_group("default")
            data.attrs["NX_class"], data.attrs["signal"] = np.bytes_("NXdata"), "data"
            data.attrs["axes"] = [np.bytes_(axis) for axis in ("energy", "sample_y", "sample_x")]
            data["data"] = np.ones((1, 3, 4))
            data["energy"], data["sample_y"], data["sample_x"] = [710.0], np.arange(3.0), np.arange(4.0)
            data["stxm_scan_type"] = np.array([b"Ptychography Image"])
            for column, axis in enumerate(("sample_y", "sample_x")):
                values = -positions_um[:, column] if measured else np.zeros(len(positions_um))
                entry[f"instrument/{axis}/data"] = values[None]
            for number, frame in enumerate(exposures.reshape(-1, *exposures.shape[2:])):
                if number not in left_out:
                    entry[f"ccd0/exp/{number}"] = frame
            entry.require_group("ccd0/dark")
            for number, frame in enumerate(() if darks is None else darks):
                entry[f"ccd0/dark/{number}"] = frame
            said |= metadata
            file["metadata"] = json.dumps({name: value for name, value in said.items() if value is not None})
        return path

    return write


@pytest.fixture
def write_ptyd() -> Callable[..., Path]:
    def write(
        path: Path,
        *,
        frames: np.ndarray,
        positions_um: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        splits: tuple[int, ...] = (5, 9),
        **meta: Any,
    ) -> Path:
        """Frames (POSITION, rows, columns) in pieces that end before ``splits``."""
        positions_um = scan_positions_um(len(frames)) if positions_um is None else positions_um
        weights = np.ones(frames.shape, bool) if weights is None else weights
        said = {
            "energy": 0.71,
            "distance": 0.1,
            "psize": np.full(2, 3e-5),
            "center": np.array(frames.shape[1:]) // 2,
            "shape": np.array(frames.shape[1:]),
            "label": "scan00",
        }
        with h5py.File(path, "w") as file:
            for name, value in (said | meta).items():
                file[f"meta/{name}"] = np.zeros(1) if value is None else value
                file[f"meta/{name}"].attrs["type"] = "None" if value is None else "scalar"
            file.create_group("info")
            edges = (0, *splits, len(frames))
            for number, (start, stop) in enumerate(pairwise(edges)):
                chunk = file.create_group(f"chunks/{number}")
                chunk["data"] = frames[start:stop]
                chunk["weights"] = weights[start:stop]
                chunk["positions"] = positions_um[start:stop] * 1e-6
        return path

    return write
