"""A copy of a finished campaign is a finished campaign: by `cp -r`, by an archive, without times and links."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.status import status_of
from tests.stages.tiny import STXM


def by_cp(folder: Path, target: Path) -> None:
    """As `cp -r` does: links stay links, times are those of now."""
    shutil.copytree(folder, target, symlinks=True, copy_function=shutil.copy)


def by_zip(folder: Path, target: Path) -> None:
    """As `zip -r` and `unzip` do: links become what they point to, times are rounded or lost."""
    shutil.unpack_archive(shutil.make_archive(str(target), "zip", folder), target)


def units_run(campaign: Path) -> int:
    """Of the same command, all stages but the page."""
    with CampaignRun(RunRequest(str(campaign), cluster="inline")) as run:
        for name in run.stages:
            if name != "report":
                run.stage(name)
        summary = run.summary()
    assert summary["complete"], summary["refusals"]
    return summary["units_run"]


@pytest.mark.parametrize("copied", [by_cp, by_zip])
def test_a_copy_of_a_finished_campaign_has_nothing_to_do(
    copied: Callable[[Path, Path], None], processed: Path, tmp_path: Path
) -> None:
    copied(processed.parent, tmp_path / "copy")
    campaign = tmp_path / "copy" / processed.name
    assert units_run(campaign) == 0
    tables = tmp_path / "copy" / "store" / "tables"
    assert tables.is_symlink()
    assert tables.resolve().is_relative_to(tmp_path / "copy")
    words = {row[stage] for row in status_of(campaign).rows for stage in row if stage not in ("scan", "report")}
    assert words <= {"done", ""}


def test_a_copy_in_which_one_file_holds_something_else_does_that_scan_again(processed: Path, tmp_path: Path) -> None:
    by_cp(processed.parent, tmp_path / "copy")
    campaign = tmp_path / "copy" / processed.name
    with CampaignRun(RunRequest(str(campaign), ("ingest",), cluster="inline")) as run:
        file = run.survey.recordings[STXM[0]].files[-1]
    content = bytearray(file.read_bytes())
    stat = file.stat()
    content[:2] = content[:2][::-1]
    if content == file.read_bytes():
        content[-2:] = b" \n"
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with CampaignRun(RunRequest(str(campaign), ("ingest",), cluster="inline")) as run:
        report = run.stage("ingest")
    assert report.units_run + len(report.refusals) == 1
