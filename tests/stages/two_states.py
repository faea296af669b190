"""One region at several times, as fit and segment leave it: plates of planted rates, moved on the stage in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import write_table
from stxmdist.arrays import F64, I32, MaskClass
from stxmdist.campaign.manifest import Campaign
from stxmdist.campaign.scan import Scan
from stxmdist.measures import AlignMeasures
from stxmdist.particles.inside import ChemicalMaps
from stxmdist.particles.table import particle_table
from stxmdist.planning.conditions import conditions_of, with_conditions
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.planning.tables import table_specs
from stxmdist.readers.recording import StxmRecording
from stxmdist.records import figures_of
from stxmdist.runner.unit import Receipt
from stxmdist.runner.writing import single_shard

PIXEL_UM = 0.05
SHAPE = (96, 100)
THICKNESS_NM = 120.0


@dataclass(frozen=True, eq=False)
class Planted:
    """What one scan shows: centres (y, x) in um on the sample, radii, states of charge as functions of place."""

    scan: Scan
    centres_um: F64
    radii_um: F64
    soc: F64
    """(PARTICLE,) of the centre"""
    slope: F64
    """(PARTICLE,) change of soc per um along x"""
    offset_um: tuple[float, float] = (0.0, 0.0)
    """(y, x) by which the stage's coordinates are off"""
    noise_nm: float = 6.0
    """Standard error of either thickness in a pixel"""


def true_maps(planted: Planted) -> tuple[F64, F64, I32]:
    """Thickness (Y, X), state of charge (Y, X) and labels of a scan without noise."""
    y, x = (PIXEL_UM * np.arange(n) for n in SHAPE)
    y, x = (y - planted.offset_um[0])[:, None], (x - planted.offset_um[1])[None, :]
    total, soc, labels = np.zeros(SHAPE), np.full(SHAPE, 0.5), np.zeros(SHAPE, np.int32)
    for number, (centre, radius) in enumerate(zip(planted.centres_um, planted.radii_um, strict=True), start=1):
        distance = np.hypot(y - centre[0], x - centre[1])
        cover = np.clip((radius - distance) / PIXEL_UM + 0.5, 0.0, 1.0)
        inside = cover > 0.0
        total[inside] = np.maximum(total, THICKNESS_NM * cover)[inside]
        soc[inside] = (planted.soc[number - 1] + planted.slope[number - 1] * (x - centre[1]) + 0.0 * y)[inside]
        labels[cover > 0.5] = number
    return total, soc, labels


def two_states(folder: Path, scans: Sequence[Planted], seed: int, options: dict[str, Any] | None = None) -> Survey:
    """A campaign whose scans are fitted and segmented."""
    everything = tuple(planted.scan for planted in scans)
    campaign = Campaign(folder, "made up", folder / "store", folder / "samples.csv", "LFP", everything)
    energy_ev = np.array([700.0, 708.2, 710.2])
    y_um, x_um = (PIXEL_UM * np.arange(n) for n in SHAPE)
    recordings = {
        scan.scan_id: StxmRecording(
            folder / "none", "made up", "", energy_ev, y_um, x_um, np.ones(3),
            np.full(3, np.nan), np.zeros(3, np.uint8), read=lambda index: None, files=(),
        )
        for scan in everything
    }  # fmt: skip
    defaults = {name: entry.load().options() for name, entry in STAGES.items()}
    survey = replace(Survey(campaign, defaults | (options or {}), recordings, (), STAGES), forecast=True)
    store = Store(folder / "store").create()
    published: dict[str, dict[str, PublishedScan]] = {"align": {}, "fit": {}, "segment": {}}
    for place, planted in enumerate(scans):
        rng = np.random.default_rng([seed, place])
        _write(survey, planted, y_um, x_um, rng)
        for stage in published:
            scan_id = planted.scan.scan_id
            published[stage][scan_id] = PublishedScan(digest=survey.digest(stage, scan_id), state="done")
    for stage, found in published.items():
        store.publish(Publication(stage, STAGES[stage].load().version, {}, 0, "", {}, found))
    return survey


def _write(survey: Survey, planted: Planted, y_um: F64, x_um: F64, rng: np.random.Generator) -> None:
    scan_id = planted.scan.scan_id
    total, soc, labels = true_maps(planted)
    thickness = np.stack([total * (1 - soc), total * soc]) + rng.normal(0.0, planted.noise_nm, (2, *SHAPE))
    covariance = np.zeros((3, *SHAPE))
    covariance[[0, 2]] = planted.noise_nm**2
    edge = (labels > 0) & (ndimage.distance_transform_edt(labels > 0) <= 1.5)
    mask = np.where(labels > 0, np.where(edge, MaskClass.edge, MaskClass.valid), MaskClass.background).astype(np.uint8)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = thickness[1] / thickness.sum(axis=0)
        se = planted.noise_nm * np.sqrt((1 - ratio) ** 2 + ratio**2) / thickness.sum(axis=0)
    image = {"y": (y_um, "um"), "x": (x_um, "um")}
    components = {"component": (np.arange(2), "")}
    pairs = {"pair": (np.arange(3), "")}
    values: dict[str, dict[str, Any]] = {
        "fit": {
            "thickness_nm": (thickness.astype(np.float32), components),
            "thickness_covariance": (covariance.astype(np.float32), pairs),
            "mask_class": (mask, {}),
        },
        "segment": {"labels": (labels, {}), "mask_class": (mask, {})},
    }
    for stage, arrays in values.items():
        output = survey.output(stage, scan_id)
        plans = tuple(single_shard(name, data.shape, image | coords) for name, (data, coords) in arrays.items())
        output.declare(plans)
        for name, (data, _) in arrays.items():
            index = (0,) * data.ndim
            output.write("scan", {name: [index]}, name, index, np.ascontiguousarray(data))
    chemistry = ChemicalMaps(thickness, covariance, np.nan_to_num(ratio), np.nan_to_num(se, nan=9.0), mask)
    table = particle_table(labels, y_um, x_um, chemistry, soc_se_sys=0.01)
    table = with_conditions(table, conditions_of(survey, scan_id))
    write_table(_declared(table), survey.output("segment", scan_id).path / "particles.parquet", "particles")
    measured = AlignMeasures(
        largest_shift_px=0.0,
        frames_not_registered=0,
        energies_not_registered_ev=np.zeros(0),
        shift_quality=1.0,
        outside_share=0.0,
        sample_pixels=total.size,
        noise_correlation_px2=1.0,
    )
    receipt = Receipt(scan_id, "scan", figures_of(measured), {}, 1.0, 1.0, 1)
    align = survey.output("align", scan_id)
    align.path.mkdir(parents=True, exist_ok=True)
    align.mark("scan", receipt.as_dict())


def _declared(table: pd.DataFrame) -> pd.DataFrame:
    """With a null in each column of the contract that the test does not know."""
    wanted = [column.name for column in table_specs()["particles"].columns if column.required]
    return table.assign(**{name: None for name in wanted if name not in table.columns})
