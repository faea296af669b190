"""`report` never replaces a good page by an empty one: what is published stays shown, what is out of date is said."""

import shutil
from pathlib import Path

import pytest

from stxmdist.campaign.manifest import CampaignError
from stxmdist.cli.app import DONE, IN_PART
from tests.cases.campaigns import Case, case, command, document

IMAGE = "data:image/"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A campaign of one small scan, with its page."""
    found = case(
        "03-half-measured-frame", tmp_path_factory.mktemp("campaign") / "folder", "without_the_half_frame.stxm"
    )
    found.fill()
    found.run()
    return found


@pytest.fixture
def campaign(finished: Case, tmp_path: Path) -> Case:
    """A copy of it that may be changed."""
    return Case(Path(shutil.copytree(finished.folder, tmp_path / "folder", symlinks=True)))


def page(campaign: Case) -> str:
    return (campaign.folder / "store" / "report" / "index.html").read_text()


def pictures(text: str) -> list[str]:
    """The titles of the figures."""
    return [part.split("</h3>")[0].split("<h3>")[1] for part in text.split("<figure")[1:]]


def test_after_a_changed_option_the_page_stays_with_a_banner(campaign: Case) -> None:
    before = page(campaign)
    assert len(pictures(before)) > 3
    assert "Out of date" not in before
    campaign.set(stages={"align": {"register": False}})
    found = command("report", campaign.campaign)
    assert found.exit_code == IN_PART
    said = "align of without_the_half_frame: was made with other options (register was True, is False)."
    assert said in found.stdout
    after = page(campaign)
    assert pictures(after) == pictures(before)
    assert said in after
    later = ", ".join(f"{stage} of without_the_half_frame" for stage in ("fit", "segment", "network"))
    assert f"{later}, the tables: rests on what is out of date." in after
    state = document("status", campaign.campaign)
    assert said in state["outdated"]
    assert said in command("status", campaign.campaign).stdout
    # The nightly statistics and page, in this state: the tables stay as they were.
    command("run", campaign.campaign, "--cluster", "inline", "--no-prefect", "--stage", "infer", "--stage", "report")
    assert pictures(page(campaign)) == pictures(before)
    campaign.set(stages={})
    assert command("report", campaign.campaign).exit_code == DONE
    assert page(campaign) == before
    assert document("status", campaign.campaign)["outdated"] == []


def test_where_a_file_cannot_be_read_any_more_the_page_stays_with_a_banner(campaign: Case) -> None:
    before = page(campaign)
    (campaign.folder / "without_the_half_frame.stxm").write_bytes(b"not what it was")
    for words in (("report",), ("run", "--cluster", "inline", "--no-prefect")):
        found = command(words[0], campaign.campaign, *words[1:])
        assert found.exit_code == IN_PART
        # Which edge its end-members are of stands in the file.
        of_end_members = ("End-members", "Optical density at two energies")
        left = [title for title in pictures(before) if not any(name in title for name in of_end_members)]
        assert pictures(page(campaign)) == left
        assert "network of without_the_half_frame: is of files that cannot be read now." in page(campaign)


def test_a_campaign_that_was_moved_without_its_files_is_refused_and_its_page_stays(campaign: Case) -> None:
    before = page(campaign)
    (campaign.folder / "without_the_half_frame.stxm").unlink()
    for words in (("report",), ("run", "--cluster", "inline", "--no-prefect")):
        assert isinstance(command(words[0], campaign.campaign, *words[1:]).exception, CampaignError)
        assert page(campaign) == before


def test_a_page_that_is_up_to_date_has_no_banner(campaign: Case) -> None:
    assert command("report", campaign.campaign).exit_code == DONE
    assert document("report", campaign.campaign)["outdated"] == []
