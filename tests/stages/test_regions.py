"""A file of several regions: one row of the sample sheet for each, named behind the file."""

import csv
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from storage.store import Store
from stxmdist.errors import InputError
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.readers import read_scan
from tests.stages.tiny import STXM

FACTORS = (1, 3)
"""The second region holds the counts of the first so many times."""


@pytest.fixture
def campaign(simulated: Path, tmp_path: Path) -> Path:
    """The first wide-field scan made into two regions, and two rows that name one each."""
    campaign = copytree(simulated.parent, tmp_path / "campaign") / simulated.name
    sheet = campaign.parent / "samples.csv"
    with sheet.open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["scan_id"] == STXM[0]]
    two_regions(campaign.parent / row["file"])
    rows = [row | {"scan_id": f"part{n}", "file": f"{row['file']}#region{n}", "pair_id": ""} for n in range(2)]
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows(rows)
    return campaign


def two_regions(header: Path) -> None:
    text = header.read_text()
    start = text.index("{", text.index("Regions = (1,"))
    depth = 0
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            break
    region = text[start : end + 1]
    text = text.replace("Regions = (1,", "Regions = (2,", 1).replace(region, f"{region},\n{region}", 1)
    header.write_text(text.replace('"Image Stack"', '"Multi-Region Image Stack"'))
    for frame in sorted(header.parent.glob(f"{header.stem}_a???.xim")):
        counts = np.loadtxt(frame)
        for region_number, factor in enumerate(FACTORS):
            np.savetxt(frame.with_stem(f"{frame.stem}{region_number}"), factor * counts, fmt="%g", delimiter="\t")
        frame.unlink()


def test_each_row_is_a_region(campaign: Path) -> None:
    with CampaignRun(RunRequest(str(campaign), ("ingest",), cluster="inline")) as run:
        run.stage("ingest")
        assert not run.refusals, run.refusals[0].sentence
        store = Store(run.campaign.store)
    found = [store.published_output("ingest", f"part{n}") for n in range(2)]
    first, second = (output.read("counts") for output in found if output is not None)
    np.testing.assert_array_equal(second, np.float32(FACTORS[1]) * first)
    assert first.max() > 0


def test_a_region_that_is_not_there_or_not_named_is_told(campaign: Path) -> None:
    sheet = campaign.parent / "samples.csv"
    sheet.write_text(sheet.read_text().replace("#region0", "#region7").replace("#region1", ""))
    said = [refusal.sentence for refusal in survey_of(*campaign_and_options(campaign)).refusals]
    assert "holds no region of this name; got 'region7'" in said[0]
    assert "holds several regions; got region0, region1" in said[1]


def test_a_file_of_one_region_needs_no_name(simulated: Path) -> None:
    (file,) = (scan.file for scan in campaign_and_options(simulated)[0].scans if scan.scan_id == STXM[0])
    assert read_scan((file,)).source == file
    with pytest.raises(InputError, match="no channel of this name"):
        read_scan((file,), "region0")
