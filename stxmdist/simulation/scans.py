"""One scan from formula to beamline file, with its truth beside it: the work of one process."""

import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from storage.atomic import replace_file
from storage.digests import digest_of
from stxmdist.arrays import F64, I64
from stxmdist.errors import StoreError
from stxmdist.records import Json, figures_of, from_json
from stxmdist.simulation import cxi, ptychography, stxm
from stxmdist.simulation.conditions import conditions_of, stxm_setup
from stxmdist.simulation.design import Modality, Visit
from stxmdist.simulation.experiment import FIRST_VISIT, choose_field, field_centre_um, region_phantom
from stxmdist.simulation.optics import gaussian_sigma_nm
from stxmdist.simulation.phantom import Region
from stxmdist.simulation.raster import Raster, draw_raster
from stxmdist.simulation.regions import RegionKey, generator
from stxmdist.simulation.sizes import CampaignSize
from stxmdist.simulation.truth import PARTICLE_COLUMNS, TrueParticle, TruthMaps, particle_rows, truth_maps, write_maps
from stxmdist.simulation.truth_metrics import METRIC_COLUMNS, metric_row
from stxmdist.writers import sdf
from stxmdist.writers.nxstxm import writer as nxstxm

VERSION = 2
"""Of what a size and a seed give; it is raised with every change of numbers."""

_FIRST_SCAN = datetime(2026, 10, 12, 8, 0, 0)
_PTYCHOGRAPHY_SIGMA_PX = 0.75
"""Gaussian-equivalent resolution of a good reconstruction, in its pixels."""


@dataclass(frozen=True)
class ScanTask:
    """One scan to be made."""

    folder: Path
    size: CampaignSize
    seed: int
    region_key: RegionKey
    modality: Modality
    number: int
    """Place in the order of measurement"""
    visit: Visit = FIRST_VISIT
    look: int = 0
    """Which of the region's looks it is"""

    @property
    def scan_id(self) -> str:
        """Unique in the campaign."""
        name = f"{'stxm' if self.modality == 'stxm' else 'ptycho'}-{self.region_key.region_id}"
        return name if self.look == 0 else f"{name}-v{self.look + 1}"

    @property
    def file(self) -> Path:
        """The file that the sample sheet names, relative to the campaign's folder."""
        base = Path("beamline")
        if self.modality == "ptychography":
            return base / f"{self.scan_id}.cxi"
        if self.region_key.electrode % 2 == 0:
            return base / self.scan_id / f"{self.scan_id}.hdr"
        return base / f"{self.scan_id}.hdf5"

    @property
    def digest(self) -> str:
        """Of all that decides what the scan contains."""
        return digest_of(
            {
                "version": VERSION,
                "size": size_record(self.size),
                "seed": self.seed,
                "scan": self.scan_id,
                "number": self.number,
            }
        )

    @property
    def receipt_path(self) -> Path:
        """JSON that is written once the scan is complete."""
        return self.folder / "truth" / "scans" / f"{self.scan_id}.json"

    @property
    def rows_path(self) -> Path:
        """Table of the scan's particles."""
        return self.receipt_path.with_suffix(".parquet")

    @property
    def maps_path(self) -> Path:
        """Folder of the scan's true maps."""
        return self.folder / "truth" / "maps" / f"{self.scan_id}.zarr"

    @property
    def start_time(self) -> datetime:
        """When the scan would have begun."""
        return _FIRST_SCAN + timedelta(minutes=75 * self.number)


def size_record(size: CampaignSize) -> dict[str, object]:
    """All that a size says; a design that plants nothing is left out, as in campaigns that knew of none."""
    record = asdict(size)
    if size.design.is_benign:
        del record["design"]
    return record


@dataclass(frozen=True)
class ScanReceipt:
    """What was made of one scan, and what is true of it beside its particles; kept as JSON under ``truth/``."""

    digest: str
    """Of all that decides what the scan contains"""
    scan_id: str
    files: Mapping[str, int]
    """Path below the campaign's folder to bytes"""
    nuisance: Mapping[str, object]
    """How the scan differs from what its file says, by name"""
    seconds: float


def receipt_of(task: ScanTask) -> ScanReceipt | None:
    """The receipt of a scan that is complete and as this version would make it, else None."""
    try:
        receipt = from_json(ScanReceipt, dict(json.loads(task.receipt_path.read_text())))
    except (OSError, ValueError, TypeError, StoreError):
        return None
    if receipt.digest != task.digest or not task.rows_path.is_file() or not task.maps_path.is_dir():
        return None
    for name, size in receipt.files.items():
        path = task.folder / name
        if not path.is_file() or path.stat().st_size != size:
            return None
    return receipt


def make_scan(task: ScanTask) -> ScanReceipt:
    """Write a scan's file, its map and its particles, then its receipt; nothing where the receipt is there already."""
    done = receipt_of(task)
    if done is not None:
        return done
    started = time.perf_counter()
    for folder in (task.receipt_path.parent, task.maps_path.parent, (task.folder / task.file).parent):
        folder.mkdir(parents=True, exist_ok=True)
    task.receipt_path.unlink(missing_ok=True)
    files, nuisance = _stxm(task) if task.modality == "stxm" else _ptychography(task)
    receipt = ScanReceipt(
        task.digest,
        task.scan_id,
        {str(path.relative_to(task.folder)): path.stat().st_size for path in files},
        nuisance,
        round(time.perf_counter() - started, 3),
    )
    replace_file(task.receipt_path, [json.dumps(figures_of(receipt), indent=1).encode()])
    return receipt


def _stxm(task: ScanTask) -> tuple[tuple[Path, ...], dict[str, Json]]:
    setup, design = stxm_setup(task.size, task.region_key), task.size.design
    region = region_phantom(task.size, task.seed, task.region_key, visit=task.visit)
    y_um, x_um = stxm.scan_axes(field_centre_um(task.seed, task.region_key), setup)
    nuisance = stxm.draw_nuisance(setup, generator(task.seed, task.scan_id, "nuisance"))
    raster = draw_raster(design, y_um.size, len(setup.energy_ev), generator(task.seed, task.scan_id, "raster"))
    nuisance = replace(nuisance, raster=raster)
    maps = truth_maps(region, y_um, x_um, setup.oversample, raster)
    sigma_um = gaussian_sigma_nm(setup.zone_plate) * 1e-3
    offset_um = (0.0, 0.0) if raster is None else raster.offset_um
    rows = particle_rows(region, maps.labels, y_um, x_um, raster)
    model = stxm.StxmModel(
        region.thickness_nm,
        y_um,
        x_um,
        setup,
        nuisance,
        region.components,
        task.visit.polarisation_deg,
        design.dichroism,
    )
    if raster is not None:
        y_um, x_um = y_um + offset_um[0], x_um + offset_um[1]
    _write_truth(task, maps, region, rows, (y_um, x_um), sigma_um, offset_um, raster)

    def frame_of(index: int) -> I64:
        return model.counts(index, generator(task.seed, task.scan_id, "counts", index))

    energy = np.asarray(setup.energy_ev)
    # The ring is topped up: its current stays within half a per cent.
    current = 500.0 + 2.0 * np.sin(np.arange(energy.size))
    path = task.folder / task.file
    if path.suffix == ".hdr":
        # The headers of the ALS hold rounded numbers.
        axes, current = (np.round(y_um, 4), np.round(x_um, 4)), np.round(current, 2)
        files = sdf.write_stack(path, frame_of, energy, *axes, setup.dwell_ms, current, start_time=task.start_time)
    else:
        files = nxstxm.write_stack(
            path, frame_of, energy, y_um, x_um, setup.dwell_ms, current, start_time=task.start_time
        )
    return files, {
        "modality": "stxm",
        "energy_offset_ev": nuisance.energy_offset_ev,
        "leak_fraction": nuisance.leak_fraction,
        "energy_ev": energy.tolist(),
        "shift_um": nuisance.shift_um.tolist(),
        "i0_counts": nuisance.i0_counts.tolist(),
        "psf_sigma_um": sigma_um,
        "zone_plate": asdict(setup.zone_plate),
        **({} if design.is_benign else {"counts": setup.counts, **_conditions(task)}),
        **({} if raster is None else _raster_record(raster)),
    }


def _raster_record(raster: Raster) -> dict[str, Json]:
    return {
        "offset_um": list(raster.offset_um),
        "shear": raster.shear,
        "row_drift_um": raster.drift_um.tolist(),
        "row_jitter_rms_um": float(np.sqrt((raster.jitter_um**2).mean())),
    }


def _conditions(task: ScanTask) -> dict[str, Json]:
    """What the scan's look and its region were planted with."""
    return {
        "time_h": task.visit.time_h,
        "polarisation_deg": task.visit.polarisation_deg,
        "dichroism": task.size.design.dichroism,
        **figures_of(conditions_of(task.size, task.seed, task.region_key)),
    }


def _ptychography(task: ScanTask) -> tuple[tuple[Path, ...], dict[str, Json]]:
    setup = task.size.ptychography
    region = region_phantom(task.size, task.seed, task.region_key, visit=task.visit)
    field_um = task.size.stxm.n_px * task.size.stxm.pixel_nm * 1e-3
    middle, whole = choose_field(
        region, field_centre_um(task.seed, task.region_key), setup.field_um, field_um - setup.field_um - 0.4
    )
    rng = generator(task.seed, task.scan_id, "nuisance")
    nuisance = ptychography.draw_nuisance(setup, rng)
    positions = ptychography.scan_positions(middle, setup, rng)
    pixel_um = setup.map_pixel_nm * 1e-3
    count = round(setup.field_um / pixel_um)
    axes: list[F64] = [np.asarray(centre + (np.arange(count) - (count - 1) / 2.0) * pixel_um) for centre in middle]
    maps = truth_maps(region, axes[0], axes[1], 2)
    sigma_um = _PTYCHOGRAPHY_SIGMA_PX * setup.detector.object_pixel_nm(float(np.median(setup.energy_ev))) * 1e-3
    rows = particle_rows(region, maps.labels, axes[0], axes[1])
    shifted = (axes[0] + nuisance.offset_um[0], axes[1] + nuisance.offset_um[1])
    _write_truth(task, maps, region, rows, shifted, sigma_um, nuisance.offset_um)
    even = task.region_key.electrode % 2 == 0
    path = cxi.write_scan(
        task.folder / task.file,
        ptychography.entries(
            region,
            positions,
            setup,
            nuisance,
            [generator(task.seed, task.scan_id, "frames", index) for index in range(len(setup.energy_ev))],
            task.visit.polarisation_deg,
            task.size.design.dichroism,
        ),
        setup.detector,
        family="geometry_1" if even else "data_1",
        basis="standard" if even else "+y+x",
        title=task.scan_id,
        start_time=task.start_time.isoformat(),
    )
    return (path,), {
        "modality": "ptychography",
        "energy_offset_ev": nuisance.energy_offset_ev,
        "energy_ev": list(setup.energy_ev),
        "offset_um": list(nuisance.offset_um),
        "field_centre_um": list(middle),
        "field_um": setup.field_um,
        "whole_particles": whole,
        "defocus_um": nuisance.defocus_um,
        "second_mode": setup.second_mode,
        "photons": nuisance.photons.tolist(),
        "position_error_nm": setup.position_error_nm,
        "psf_sigma_um": sigma_um,
        "zone_plate": asdict(setup.zone_plate),
        **({} if task.size.design.is_benign else _conditions(task)),
    }


def _write_truth(
    task: ScanTask,
    maps: TruthMaps,
    region: Region,
    rows: list[TrueParticle],
    axes_um: tuple[F64, F64],
    sigma_um: float,
    offset_um: tuple[float, float],
    raster: Raster | None = None,
) -> None:
    """Map and particles of a scan, in the coordinates that its file uses."""
    write_maps(
        task.maps_path,
        maps,
        axes_um[0],
        axes_um[1],
        {"scan_id": task.scan_id, "component": list(region.components), "psf_sigma_um": sigma_um},
    )
    # A field may show no particle; its table then has the columns of any other.
    table = pd.DataFrame(rows, columns=None if rows else list(PARTICLE_COLUMNS)).astype({"touches_border": bool})
    if raster is not None:
        shift = raster.shift_at(table["y_um"].to_numpy(dtype=float), axes_um[0] - offset_um[0])
        table["y_um"] -= shift[:, 0]
        table["x_um"] -= shift[:, 1]
    table["y_um"] += offset_um[0]
    table["x_um"] += offset_um[1]
    by_id = {particle.particle_id: particle for particle in region.particles}
    numbers = [int(number) for number in table["particle_id"]]
    extra = [metric_row(by_id[number], region, task.size.design.interior) for number in numbers]
    table = pd.concat([table, pd.DataFrame(extra, columns=list(METRIC_COLUMNS))], axis=1)
    table.insert(0, "scan_id", task.scan_id)
    table["region_particle"] = [f"{task.region_key.region_id}-p{number:03d}" for number in table["particle_id"]]
    table["psf_sigma_um"] = sigma_um
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    replace_file(task.rows_path, [content.getvalue()])
