"""A campaign of a million particles is inferred and written within 4 GB."""

import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_GB = 4.0
"""Memory of the whole process: a laptop has it."""

PROGRAM = """
import resource, sys, time
from pathlib import Path
import numpy as np, pandas as pd
from storage.tables import write_table
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.kept import kept_particles
from stxmdist.planning.tables import NULL_BANDS, table_specs
from stxmdist.stages.infer import Options, gathered_tables, inferred

folder, scans, each = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
specs = table_specs()
rng = np.random.default_rng(71)

def rows(spec, said):
    columns = {}
    for column in spec.columns:
        if column.name in said:
            columns[column.name] = said[column.name]
        elif column.name == "flags":
            columns[column.name] = rng.choice(["", "few pixels", "misfit; few pixels", "touches border"], each)
        elif column.dtype == "string":
            columns[column.name] = ""
        elif column.dtype == "bool":
            columns[column.name] = rng.random(each) < 0.1
        elif column.dtype == "int64":
            columns[column.name] = np.arange(each)
        else:
            columns[column.name] = rng.uniform(0.05, 0.95, each)
    return pd.DataFrame(columns)


for scan in range(scans):
    electrode = scan * 20 // scans
    said = {
        "scan_id": f"scan_{scan:05d}", "file": f"raw/scan_{scan:05d}.hdr", "modality": "stxm",
        "electrode_id": f"E{electrode}",
        "cell_id": f"C{electrode}", "beamtime_id": f"b{electrode % 3}", "region_id": f"E{electrode}_r{scan % 4}",
        "direction": "charge", "chemistry": "LFP", "roi_rule": "random", "c_rate": 1.0,
        "cycle": float(50 * (scan // 4 % 5)),
        "phase_class": "two-phase", "sample_geometry": "dispersed", "time_h": np.nan, "polarisation_deg": np.nan,
    }
    for name in ("particles", NULL_BANDS):
        rows(specs[name], said).to_parquet(folder / f"{name}-{scan}.parquet")
began = time.perf_counter()


def gathered(name):
    return gathered_tables([folder / f"{name}-{scan}.parquet" for scan in range(scans)], specs[name])


particles = gathered("particles")
bands = gathered(NULL_BANDS)
kept, left = kept_particles(particles, drop_at_border=True, drop_flags=("misfit",))
said = ["scan_id", "electrode_id", "cycle", "c_rate", "direction", "soc_coulometric", "modality"]
sheet = particles[said].iloc[::each]
fields = pd.DataFrame({"scan_id": sheet["scan_id"], "height_um": 10.0, "width_um": 10.0, "pixel_nm": 40.0})
pairs = pd.DataFrame({column.name: pd.Series(dtype=object) for column in specs["pairs"].columns})
evidence = Evidence(particles, kept, pairs, sheet, fields, "stxm", 1, null_bands=bands)
tables = inferred(evidence, Options()) | {NULL_BANDS: bands}
del evidence, kept
for name, table in tables.items():
    write_table(table, folder / f"{name}.parquet", specs[name])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
effects = tables["effects"]
assert np.isfinite(effects.loc[effects["endpoint"] == "soc_mean", "estimate"]).any()
seconds = time.perf_counter() - began
print(f"{len(particles)} particles, {particles.shape[1]} columns: peak {peak:.2f} GB, {seconds:.0f} s")
print(peak)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_particles_are_inferred_within_four_gigabytes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), "400", "2500"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak = done.stdout.strip().splitlines()[-2:]
    print(said)
    assert float(peak) <= LIMIT_GB
