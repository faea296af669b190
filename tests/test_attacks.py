"""Inputs that were made to do harm: what happens to each, in how much time and memory.

``./run test --slow -s tests/test_attacks.py`` prints the table of docs/attacks.md.
"""

import csv
import gzip
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from storage.csv_text import csv_bytes
from storage.store import Store
from tests.readers.examples import cxi
from tests.readers.examples.nxstxm import write
from tests.readers.test_hdf5_bounds import replaced
from tests.readers.test_hdf5_sources import DATA, by_link, by_storage, by_virtual, virtual

MOST_SECONDS = 20.0
"""Of a processor; a header of the kind took 108 before there were bounds"""
MOST_MB = 300.0
"""Beyond what the program takes without any input: a header of the kind took 1,900 before there were bounds"""
GROUPS = 200_000
READ = """
import sys
from pathlib import Path
from stxmdist import readers
from stxmdist.errors import Explained
try:
    for recording in readers.read(Path(sys.argv[1])):
        recording.read(0, slice(0, 1)) if hasattr(recording, "positions_um") else recording.read(0)
    print("read")
except Explained as error:
    print("refused:", error.sentence)
"""
COMMAND = """
import sys
from stxmdist.cli.process import main
sys.argv = ["stxmdist", *sys.argv[1:]]
main()
"""
NOTHING = "from stxmdist.planning import validation"
# The highest memory of a process counts, to whoever waits for it, that of the process that made it.
MEASURED = """
import atexit, time
from stxmdist.runner.perform import peak_rss_bytes
atexit.register(lambda: print("\\ntaken", time.process_time(), peak_rss_bytes(), flush=True))
"""
CAMPAIGN = "name: made\nstore: store\nsamples: samples.csv\nchemistry: LFP\n"
ROW = {"scan_id": "one", "file": "scan.hdf5", "modality": "stxm", "electrode_id": "E1"}


@dataclass(frozen=True)
class Taken:
    """What a process said, and took."""

    said: str
    core_seconds: float
    peak_mb: float


def taken(program: str, *arguments: str) -> Taken:
    """What a program of Python says and takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED + program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said, _, figures = done.stdout.rpartition("\ntaken ")
    core_seconds, peak_bytes = figures.split()
    return Taken(said, float(core_seconds), int(peak_bytes) / 1e6)


def read(path: Path) -> Taken:
    """As ingest reads it."""
    return taken(READ, str(path))


def validated(folder: Path, campaign: str = CAMPAIGN, **cells: str) -> Taken:
    """What the command line says of a campaign."""
    (folder / "campaign.yaml").write_text(campaign)
    if not (folder / "scan.hdf5").exists():
        write(folder / "scan.hdf5")
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerow(ROW | cells)
    return taken(COMMAND, "validate", str(folder / "campaign.yaml"))


# --- files ----------------------------------------------------------------------------------------------------


def outside(folder: Path) -> Path:
    """A folder of scans, with a file beside it that belongs to somebody else."""
    scans = folder / "scans"
    scans.mkdir()
    with h5py.File(folder / "raw.h5", "w") as file:
        file["frames"] = np.ones((5, 7, 11), np.uint16)
    (folder / "raw.bin").write_bytes(bytes(2000))
    write(scans / "scan.hdf5")
    return scans


def link(folder: Path) -> Taken:
    scans = outside(folder)
    with h5py.File(scans / "scan.hdf5", "a") as file:
        del file[DATA]
        file[DATA] = h5py.ExternalLink("../raw.h5", "frames")
    return read(scans / "scan.hdf5")


def hops(lead: Callable[[Path, str], None], end: str, n: int) -> Callable[[Path], Taken]:
    def attack(folder: Path) -> Taken:
        scans = outside(folder)
        lead(scans / f"hop{n - 1}.h5", str(folder / end))
        for number in range(n - 1):
            virtual(scans / f"hop{number}.h5", "frames", f"hop{number + 1}.h5", "frames")
        virtual(scans / "scan.hdf5", DATA, "hop0.h5", "frames")
        return read(scans / "scan.hdf5")

    return attack


def circle(folder: Path) -> Taken:
    path = write(folder / "scan.hdf5")
    with h5py.File(path, "a") as file:
        del file[DATA]
        file[DATA] = h5py.SoftLink("/" + DATA)
    return read(path)


def stored_outside(folder: Path) -> Taken:
    path = write(folder / "scan.hdf5")
    with h5py.File(path, "a") as file:
        del file["entry1/counter0/sample_x"]
        external = [("/etc/passwd", 0, 88)]
        file.create_dataset("entry1/counter0/sample_x", (11,), "f8", external=external)
    return read(path)


def groups(folder: Path) -> Taken:
    path = write(folder / "scan.hdf5")
    with h5py.File(path, "a", libver="latest") as file:
        entry = file["entry1"]
        for number in range(GROUPS):
            entry[f"g{number}"] = h5py.SoftLink("/entry1/counter0")
    return read(path)


def text(folder: Path) -> Taken:
    path = write(folder / "scan.hdf5")
    with h5py.File(path, "a") as file:
        del file["entry1/definition"]
        file["entry1/definition"] = "x" * 300_000_000
    return read(path)


def declared(shape: tuple[int, ...]) -> Callable[[Path], Taken]:
    def attack(folder: Path) -> Taken:
        path = cxi.write_example(folder)
        replaced(path, "entry_1/instrument_1/detector_1/data", shape, (1, 8, 8))
        return read(path)

    return attack


def packed(folder: Path) -> Taken:
    path = write(folder / "scan.hdf5")
    with h5py.File(path, "a") as file:
        attributes = dict(file[DATA].attrs)
        del file[DATA]
        data = file.create_dataset(DATA, (5, 20_000, 20_000), "f8", chunks=(5, 20_000, 20_000), compression="gzip")
        data.attrs.update(attributes)
    return read(path)


AXIS = 'Unit = "um"; Points = (1, 0);'
REGION = f'{{ PAxis = {{ Name = "X"; {AXIS} }}; QAxis = {{ Name = "Y"; {AXIS} }}; }},'


def sdf(n_regions: int, energies: str) -> str:
    """A header of a stack with so many regions."""
    return (
        'ScanDefinition = { Label = "a.hdr"; Type = "NEXAFS Image Scan"; Flags = "Image Stack"; Dwell = 3;\n'
        f"Regions = ({n_regions},{REGION * n_regions});\n"
        f'StackAxis = {{ Name = "Energy"; Unit = "eV"; Points = ({energies}); }};\n'
        'Channels = (1, { Name = "c"; Unit = "counts";}); };\n'
    )


def regions(folder: Path) -> Taken:
    path = folder / "a.hdr"
    path.write_text(sdf(1_000_000, "1, 700"))
    return read(path)


def energies(folder: Path) -> Taken:
    path = folder / "a.hdr"
    listed = "1000000, " + ", ".join(map(str, range(1_000_000)))
    path.write_text(sdf(1000, listed))
    return read(path)


def nested(folder: Path) -> Taken:
    path = folder / "a.hdr"
    path.write_text("ScanDefinition = " + "{ a = " * 100_000)
    return read(path)


def gzip_bomb(folder: Path) -> Taken:
    path = folder / "scan.hdf5"
    path.write_bytes(gzip.compress(bytes(200_000_000)))
    return read(path)


# --- campaigns ------------------------------------------------------------------------------------------------


def anchors(folder: Path) -> Taken:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return validated(folder, CAMPAIGN + "\n".join(lines))


def tag(folder: Path) -> Taken:
    return validated(folder, CAMPAIGN + "seed: !!python/object/apply:os.system ['touch made-by-yaml']\n")


def escape(folder: Path) -> Taken:
    return validated(folder, scan_id="../../etc/cron.d/made")


def secret(folder: Path) -> Taken:
    return validated(folder, CAMPAIGN.replace("store: store", "store: s3://key:secret-word@bucket/prefix"))


# --- what is written and shown --------------------------------------------------------------------------------


def formula(folder: Path) -> Taken:
    table = pd.DataFrame({"electrode_id": ['=cmd|"/C calc"!A1', "+1", "@SUM(A1)"]})
    text = csv_bytes(table).decode()
    cells = [row[0] for row in csv.reader(text.splitlines()[1:])]
    assert all(cell.startswith("'") for cell in cells)
    return Taken("written as text, with an apostrophe before", 0.0, 0.0)


def pickled(folder: Path) -> Taken:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.system, (f"touch {folder / 'made-by-pickle'}",))

    (folder / "store").mkdir()
    store = Store(folder / "store").create()
    output = store.output("fit", "one", "d")
    output.put("table.csv", b"x")
    for place in (store.publication_path("fit"), output.path / "units" / "scan.json", store.root / "contents.json"):
        assert isinstance(place, Path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(pickle.dumps(Harm()))
    found = taken(COMMAND, "verify", str(_campaign(folder)))
    assert not (folder / "made-by-pickle").exists()
    return found


def _campaign(folder: Path) -> Path:
    validated(folder)
    return folder / "campaign.yaml"


ATTACKS: dict[str, tuple[Callable[[Path], Taken], str]] = {
    "HDF5: a link to a file outside the folder": (link, "not followed"),
    "HDF5: a virtual dataset, to a file outside": (hops(by_virtual, "raw.h5", 1), "not followed"),
    "HDF5: a virtual dataset, to another, to a file outside": (hops(by_virtual, "raw.h5", 2), "not followed"),
    "HDF5: two virtual datasets, then a link outside": (hops(by_link, "raw.h5", 2), "not followed"),
    "HDF5: a virtual dataset, then storage outside": (hops(by_storage, "raw.bin", 1), "not followed"),
    "HDF5: an axis stored in /etc/passwd": (stored_outside, "not followed"),
    "HDF5: a link to itself": (circle, "run in a circle"),
    f"HDF5: {GROUPS} names in an entry": (groups, "no plausible size"),
    "HDF5: a string of 300 MB": (text, "more than 16 MiB"),
    "HDF5: frames of 10^6 x 10^6 declared, none written": (declared((13, 10**6, 10**6)), "no plausible size"),
    "HDF5: a piece of 16 GB, packed into nothing": (packed, "no plausible size"),
    "SDF: a million regions": (regions, "too large for a header"),
    "SDF: a million energies in each of a thousand regions": (energies, "refused"),
    "SDF: 100,000 structures inside one another": (nested, "no plausible size"),
    "gzip: 200 MB of zeros, packed, named scan.hdf5": (gzip_bomb, "no beamline file"),
    "YAML: anchors that stand for 10^12 values": (anchors, "too many values"),
    "YAML: a tag that runs a program": (tag, "tags are not read"),
    "sheet: a scan called ../../etc/cron.d/made": (escape, "etc/cron.d"),
    "campaign: a store with a secret in its address": (secret, "credentials and options do not belong"),
    "table: text that a spreadsheet computes": (formula, "as text"),
    "store: pickles in place of records": (pickled, "published/fit.json"),
}


@pytest.fixture(scope="module")
def alone() -> Taken:
    """What the program takes that does nothing."""
    return taken(NOTHING)


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_harm_is_refused_soon_and_in_little_memory(
    name: str, alone: Taken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack, wanted = ATTACKS[name]
    found = attack(tmp_path)
    lines = found.said.splitlines()
    line = next((line for line in lines if wanted in line), found.said[-300:]).strip()
    line = line.replace(f"{tmp_path}/", "").removeprefix("refused: ")
    line = line.partition(", wanted")[0].replace("|", r"\|")
    seconds = max(0.0, found.core_seconds - alone.core_seconds)
    beyond = max(0.0, found.peak_mb - alone.peak_mb)
    with capsys.disabled():
        print(f"\n| {name} | {line} | {seconds:.1f} | {beyond:.0f} |", end="")
    assert wanted in found.said
    assert "Traceback" not in found.said
    assert "secret-word" not in found.said
    assert seconds < MOST_SECONDS
    assert beyond < MOST_MB
    assert not list(tmp_path.rglob("made-by-*"))
