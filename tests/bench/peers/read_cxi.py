"""How other programs read CXI files that stxmdist exported: their numbers as one npz. Run by the peers' own Python.

    peer/bin/python read_cxi.py cdtools FRAMES.cxi PRODUCT.cxi found.npz
    peer/bin/python read_cxi.py ptychodus FRAMES.cxi PRODUCT.cxi found.npz
    peer/bin/python read_cxi.py ptypy FRAMES.cxi PRODUCT.cxi found.npz

Stands alone: it imports only numpy and the peer. Beside what the peer reads, it lets the peer's own code put object,
probe and positions together to frames; ``residual`` is sqrt(sum (|F| - sqrt I)^2 / sum I) of those, ``turned`` the same
with the positions of the other sign, which must be worse.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np


def residual(intensity: np.ndarray, frames: np.ndarray, good: np.ndarray) -> float:
    """How far the amplitudes of frames (POSITION, QY, QX) are from the measured ones."""
    amplitude, measured = (np.sqrt(np.maximum(values[:, good], 0.0)) for values in (intensity, frames))
    return float(np.sqrt(((amplitude - measured) ** 2).sum() / (measured**2).sum()))


def by_cdtools(frames: Path, product: Path) -> dict[str, Any]:
    """What ``Ptycho2DDataset.from_cxi`` makes of the frames, and its arithmetic of the product."""
    import torch
    from cdtools.datasets import Ptycho2DDataset
    from cdtools.tools import data, initializers, interactions, propagators

    dataset = Ptycho2DDataset.from_cxi(frames)
    (_, beam_m), patterns = dataset[:]
    geometry = dataset.detector_geometry
    shape = patterns.shape[-2:]
    pixel = initializers.exit_wave_geometry(geometry["basis"], shape, dataset.wavelength, geometry["distance"])
    found = data.h5_to_nested_dict(product)["entry_1"]
    object_, probe = found["image_2"]["data"], found["image_1"]["data"]
    first_m = torch.as_tensor(found["image_2"]["first_pixel"], dtype=torch.float32)[None]
    half = torch.as_tensor([n // 2 for n in shape])
    refined_m = -torch.as_tensor(found["sample_1"]["geometry_1"]["translation"], dtype=torch.float32)
    rows = found["ptychodus"]["probe_position_indexes"]
    residuals = []
    for sign in (1, -1):
        corner = interactions.translations_to_pixel(pixel, sign * refined_m)
        corner = corner - interactions.translations_to_pixel(pixel, first_m) - half
        light = torch.as_tensor(probe)
        if sign < 0:  # wherever that is in the object, windows have to lie in it
            room = torch.as_tensor(object_.shape) - torch.as_tensor(shape) - 1
            corner = torch.minimum(torch.clamp(corner, min=0.0), room)
        waves = interactions.ptycho_2D_sinc(light, torch.as_tensor(object_), corner, multiple_modes=True)
        intensity = (propagators.far_field(waves).abs() ** 2).sum(dim=1)
        residuals.append(residual(intensity.numpy(), patterns[rows].numpy(), dataset.mask.numpy()))
    return {
        "frames": patterns.numpy(),
        "good": dataset.mask.numpy(),
        "beam_m": beam_m.numpy(),
        "distance_m": geometry["distance"],
        "basis_m": geometry["basis"],
        "corner_m": geometry["corner"],
        "wavelength_m": dataset.wavelength,
        "object_basis_m": pixel.numpy(),
        "object": object_,
        "probe": probe,
        "losses": found["ptychodus"]["loss_values"],
        "residual": residuals[0],
        "turned": residuals[1],
    }


def by_ptychodus(frames: Path, product: Path) -> dict[str, Any]:
    """What ptychodus' plugin for CXI reads of both files, and its arithmetic of the product."""
    from ptychodus.api.interpolate import BarycentricArrayInterpolator
    from ptychodus.api.probe_positions import ProbePosition
    from ptychodus.plugins.cxi_file import CXIDiffractionFileReader, CXIProductFileIO

    dataset = CXIDiffractionFileReader().read(frames)
    about = dataset.get_metadata()
    patterns = np.concatenate([array.get_patterns() for array in dataset])
    bad = dataset.get_bad_pixels()
    found = CXIProductFileIO().read(product)
    geometry, probe = found.object_.get_geometry(), found.probes.get_array()
    light = probe.reshape(-1, *probe.shape[-2:])
    object_ = found.object_.get_array().reshape(geometry.height_px, geometry.width_px)
    windows = BarycentricArrayInterpolator(object_)
    rows = [position.index for position in found.probe_positions]
    residuals = []
    for sign in (1, -1):
        intensity = []
        for position in found.probe_positions:
            moved = ProbePosition(position.index, sign * position.x_m, sign * position.y_m)
            place = geometry.map_coordinates_probe_to_object(moved)
            least = np.array([probe.shape[-1], probe.shape[-2]]) / 2
            most = np.array([geometry.width_px, geometry.height_px]) - least - 1
            x, y = np.clip([place.x_px, place.y_px], least, most)
            window = windows.get_patch(x, y, probe.shape[-1], probe.shape[-2])
            field = np.fft.fftshift(np.fft.fft2(window * light, norm="ortho"), axes=(-2, -1))
            intensity.append((np.abs(field) ** 2).sum(axis=0))
        residuals.append(residual(np.stack(intensity), patterns[rows], ~bad))
    return {
        "frames": patterns,
        "good": ~bad,
        "translation_m": np.array([[position.x_m, position.y_m] for position in found.probe_positions]),
        "distance_m": about.detector_distance_m,
        "pixel_m": [about.detector_pixel_geometry.height_m, about.detector_pixel_geometry.width_m],
        "energy_ev": about.photon_energy_eV,
        "object_pixel_m": [geometry.pixel_height_m, geometry.pixel_width_m],
        "object": object_,
        "probe": light,
        "losses": [loss.value for loss in found.losses],
        "residual": residuals[0],
        "turned": residuals[1],
    }


def by_ptypy(frames: Path, product: Path) -> dict[str, Any]:
    """What ptypy's ``Hdf5Loader`` reads of the frames, and its models of object, probe and propagation.

    It looks at the product not at all, so that object and probe are laid on its grids here. It moves probes by whole
    pixels.
    """
    import h5py
    import ptypy.experiment.hdf5_loader  # noqa: F401  (registers the loader)
    from ptypy.core import Ptycho
    from ptypy.utils import Param
    from scipy.ndimage import map_coordinates

    def of_file(place: str, **more: Any) -> Any:
        return Param(file=str(frames), key=f"entry_1/{place}", **more)

    with h5py.File(product) as file:
        entry = file["entry_1"]
        object_, probe = entry["image_2/data"][()], entry["image_1/data"][()]
        first_m = -entry["image_2/first_pixel"][()][1::-1]
    asked = Param(verbose_level=1, scans=Param(one=Param(name="BlockFull")), io=Param(home=f"{frames.parent}/ptypy"))
    asked.io.update({name: Param(active=False) for name in ("autosave", "interaction", "autoplot")})
    asked.scans.one.coherence = Param(num_probe_modes=len(probe))
    asked.scans.one.illumination = Param(diversity=Param(power=0.1, noise=(1.0, 2.0)))
    asked.scans.one.data = Param(
        name="Hdf5Loader",
        auto_center=False,
        orientation=0,
        intensities=of_file("data_1/data"),
        positions=Param(
            file=str(frames),
            slow_key="entry_1/data_1/translation",
            slow_index=1,
            fast_key="entry_1/data_1/translation",
            fast_index=0,
        ),
        mask=of_file("instrument_1/detector_1/mask", invert=True),
        recorded_energy=of_file("instrument_1/source_1/energy", multiplier=1e-3 / 1.602176634e-19),
        recorded_distance=of_file("instrument_1/detector_1/distance"),
        recorded_psize=of_file("instrument_1/detector_1/x_pixel_size"),
    )
    model = Ptycho(asked, level=2)
    (storage,), (light,) = model.obj.storages.values(), model.probe.storages.values()
    light.data[...] = probe
    views = list(model.diff.views.values())
    patterns = np.stack([view.data for view in views])
    good = np.stack([view.pod.mask for view in views]).all(axis=0)
    residuals = []
    for sign in (1, -1):
        grids = (sign * grid[0] for grid in storage.grids())
        at = [(grid - first) / size for grid, first, size in zip(grids, first_m, storage.psize, strict=True)]
        real, imaginary = (map_coordinates(part, at, order=3, mode="nearest") for part in (object_.real, object_.imag))
        storage.data[0] = real + 1j * imaginary
        waves = [[pod.fw(pod.object * pod.probe) for pod in view.pods.values()] for view in views]
        residuals.append(residual((np.abs(np.array(waves)) ** 2).sum(axis=1), patterns, good))
    geometry = views[0].pod.geometry
    return {
        "frames": patterns,
        "good": good,
        "translation_m": np.array([view.pod.ob_view.coord[::-1] for view in views]),
        "distance_m": geometry.distance,
        "pixel_m": geometry.psize,
        "energy_ev": 1e3 * geometry.energy,
        "object_pixel_m": geometry.resolution,
        "residual": residuals[0],
        "turned": residuals[1],
    }


def main() -> None:
    """Read two files with one peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=("cdtools", "ptychodus", "ptypy"))
    parser.add_argument("frames", type=Path)
    parser.add_argument("product", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    read = {"cdtools": by_cdtools, "ptychodus": by_ptychodus, "ptypy": by_ptypy}[asked.peer]
    np.savez(asked.out, **read(asked.frames, asked.product))


if __name__ == "__main__":
    main()
