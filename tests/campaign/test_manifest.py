"""The campaign file: what it becomes, and that every mistake in it is told at once with its line and mend."""

import pickle
from itertools import pairwise
from pathlib import Path

import pytest

from stxmdist.campaign.clusters import ClusterSpec
from stxmdist.campaign.manifest import Campaign, load
from stxmdist.campaign.problems import CampaignError, Problem
from stxmdist.campaign.strict import parse_bytes
from stxmdist.errors import InputError

from .conftest import MANIFEST, WriteCampaign


def problems_of(path: Path) -> dict[str, Problem]:
    """The mistakes of a campaign by where they are."""
    with pytest.raises(CampaignError) as caught:
        load(path)
    return {problem.where: problem for problem in caught.value.problems}


def test_a_right_campaign_becomes_absolute_paths_and_typed_values(write_campaign: WriteCampaign) -> None:
    path = write_campaign()
    campaign = load(path)
    assert isinstance(campaign, Campaign)
    assert campaign.store == path.parent / "store"
    assert campaign.sheet_path == path.parent / "samples.csv"
    assert campaign.stages == {"fit": {"fitter": "poisson"}}
    assert campaign.cluster == ClusterSpec(workers=2, threads=1, memory_limit="512MB")
    assert campaign.cluster.memory_limit == 512_000_000
    assert campaign.seed == 7
    assert [scan.scan_id for scan in campaign.scans] == ["A_stxm", "A_ptycho", "B_stxm"]
    assert campaign.excluded == campaign.rejected == campaign.warnings == ()
    # What a stage refuses later is told with the line of its key.
    assert campaign.problem_at("stages.fit.fitter", "unknown", "poisson", "nnls", "Mend").line == 7
    assert campaign.problem_at("stages.fit.nothing.here", "unknown", "poisson", "nnls", "Mend").line == 6


def test_a_relative_path_to_the_campaign_file_gives_the_same_campaign(
    write_campaign: WriteCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_campaign()
    monkeypatch.chdir(path.parent)
    assert load("campaign.yaml") == load(path)


@pytest.mark.parametrize(
    "store",
    [
        "s3://key:hush@bucket/campaign",
        "s3://bucket/campaign?secret_access_key=hush",
        "{url: s3://bucket/campaign, secret_access_key: hush}",
    ],
)
def test_credentials_in_a_campaign_file_are_refused_and_not_repeated(write_campaign: WriteCampaign, store: str) -> None:
    problem = problems_of(write_campaign(f"name: a\nstore: {store}\nsamples: samples.csv\nchemistry: LFP\n"))["store"]
    assert problem.line == 2
    assert "hush" not in str(problem)
    assert "credentials" in problem.mend


def test_a_store_may_lie_in_a_bucket(write_campaign: WriteCampaign) -> None:
    path = write_campaign("name: a\nstore: s3://bucket/campaign/\nsamples: samples.csv\nchemistry: LFP\n")
    assert str(load(path).store) == "s3://bucket/campaign"


def test_every_mistake_is_told_at_once_with_line_and_mend(write_campaign: WriteCampaign) -> None:
    text = """\
name: 2026
store: ftp://bucket/campaign
samples: samples.csv
chemistry: lpf
references:
  charged: a.txt
  discharge: b.txt
stages:
  fitt: {}
  fit:
    fitter: poisson
    fitter: nnls
  align: 3
cluster:
  workerz: 2
  threads: two
  memory_limit: 1 gigabyte
seeed: 4
"""
    path = write_campaign(text, {"scan_id": "D", "modality": "ptycho"})
    problems = problems_of(path)
    assert {where: (problem.line, problem.mend) for where, problem in problems.items() if problem.file == path} == {
        "name": (1, 'Write it as text: "2026"'),
        "store": (2, "Write bucket and prefix alone; credentials belong into the environment or a profile"),
        "chemistry": (4, "Did you mean 'LFP'"),
        "references.discharge": (7, "Did you mean 'discharged'"),
        "stages.fit.fitter": (12, "Remove one of them"),
        "stages.align": (13, "Correct the value"),
        "cluster.workerz": (15, "Did you mean 'workers'"),
        "cluster.threads": (16, "Correct the value"),
        "cluster.memory_limit": (17, "Correct the value"),
        "seeed": (18, "Did you mean 'seed'"),
    }
    assert problems["D, modality"].line == 5, "the sheet is read although the campaign file has mistakes"
    assert all(problem.got and problem.wanted for problem in problems.values())


def test_missing_keys_are_named(write_campaign: WriteCampaign) -> None:
    problems = problems_of(write_campaign("name: demo\n"))
    assert set(problems) == {"store", "samples", "chemistry"}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "this is not a campaign"),
        ("- a\n- b\n", 1, "this is not a campaign"),
        ("name: demo\n\tstore: x\n", 2, "this is not well-formed YAML"),
        ("name: demo\nstore: [a\n", 3, "this is not well-formed YAML"),
        ("name: !!python/object/apply:os.getcwd []\n", 1, "tags are not read"),
        ("name: &a [*a]\n", 1, "this anchor holds itself"),
        (
            "a: &a [1]\n" + "".join(f"{y}: &{y} [{', '.join(['*' + x] * 9)}]\n" for x, y in pairwise("abcdefghi")),
            1,
            "there are too many values",
        ),
        ("a: &a\n  b: *a\n", 1, "this anchor holds itself"),
        ("name: a\n--- \nname: b\n", 2, "this is not well-formed YAML"),
    ],
)
def test_what_is_not_a_campaign_is_refused_with_its_line(
    write_campaign: WriteCampaign, text: str, line: int, problem: str
) -> None:
    with pytest.raises(CampaignError) as caught:
        load(write_campaign(text))
    found = [(p.line, p.problem) for p in caught.value.problems]
    assert (line, problem) in found, found


def test_a_campaign_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Elektrodenm\xfcll\n".encode("latin-1"))
    for name, got in (("nothing.yaml", "no such file"), (".", "a folder"), ("latin.yaml", "byte 0xfc")):
        with pytest.raises(CampaignError) as caught:
            load(tmp_path / name)
        assert got in caught.value.problems[0].got


def test_the_error_counts_lists_survives_pickling_and_is_an_input_error(write_campaign: WriteCampaign) -> None:
    with pytest.raises(InputError) as caught:
        load(write_campaign("name: demo\n"))
    error = caught.value
    assert isinstance(error, CampaignError)
    assert "3 mistakes" in str(error)
    assert len(str(error).splitlines()) == 4
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems
    assert str(again) == str(error)


def test_custom_chemistry_needs_references(write_campaign: WriteCampaign) -> None:
    custom = MANIFEST.replace("LFP", "custom")
    assert problems_of(write_campaign(custom))["references"].line == 4
    assert "references.charged" in problems_of(
        write_campaign(custom + "references: {discharged: data/a.hdr, charged: data/nothing.txt}\n")
    )
    lone = problems_of(write_campaign(custom + "references: {discharged: data/a.hdr}\n"))["references"]
    assert "charged" in lone.mend
    path = write_campaign(custom + "references: {discharged: data/a.hdr, charged: data/b.hdr, thickness_unit: nm}\n")
    references = load(path).references
    assert references is not None
    assert (references.discharged, references.charged) == (path.parent / "data/a.hdr", path.parent / "data/b.hdr")
    assert references.thickness_unit == "nm"


def test_a_row_of_custom_chemistry_needs_references_too(write_campaign: WriteCampaign) -> None:
    path = write_campaign(MANIFEST, first={"chemistry": "custom"})
    assert "scan A_stxm" in problems_of(path)["references"].problem


def test_references_are_looked_for_even_where_other_keys_are_wrong(write_campaign: WriteCampaign) -> None:
    problems = problems_of(write_campaign(MANIFEST + "seeed: 1\nreferences: {i0: data/a.hdrr}\n"))
    assert problems["references.i0"].mend == "Did you mean 'a.hdr'"


def test_cluster_may_be_an_address_or_nothing(write_campaign: WriteCampaign) -> None:
    bare = MANIFEST.replace("cluster:\n  workers: 2\n  memory_limit: 512MB\n", "cluster: {}\n")
    assert load(write_campaign(bare.replace("{}", "tcp://10.0.0.1:8786"))).cluster.address == "tcp://10.0.0.1:8786"
    for nothing in ("{}", ""):
        cluster = load(write_campaign(bare.replace("{}", nothing))).cluster
        assert (cluster.address, cluster.threads, cluster.memory_limit) == (None, 1, 10**9)
        assert cluster.workers >= 1
    wrong = problems_of(write_campaign(bare.replace("{}", "localhost")))
    assert "tcp://" in wrong["cluster.address"].wanted


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1GB", 10**9),
        ("512MB", 512 * 10**6),
        ("2GiB", 2 * 2**30),
        ("1.5 gb", 1_500_000_000),
        (10**9, 10**9),
        ("4G", 4 * 10**9),
    ],
)
def test_amounts_of_memory(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["1XB", "GB", "-1GB", True, None, "1,5GB"])
def test_what_is_no_amount_of_memory(text: object) -> None:
    with pytest.raises(ValueError, match="1GB"):
        parse_bytes(text)


def test_a_limit_without_unit_is_too_small_to_be_meant(write_campaign: WriteCampaign) -> None:
    assert "100MB" in problems_of(write_campaign(MANIFEST.replace("512MB", "4")))["cluster.memory_limit"].wanted


def test_no_more_gpus_than_workers(write_campaign: WriteCampaign) -> None:
    with_gpus = MANIFEST.replace("workers: 2\n", "workers: 2\n  gpus: {}\n")
    assert load(write_campaign(MANIFEST)).cluster.gpus == 0
    assert load(write_campaign(with_gpus.format(2))).cluster.gpus == 2
    problem = problems_of(write_campaign(with_gpus.format(3)))["cluster.gpus"]
    assert (problem.line, problem.got) == (10, "3")
    assert "one for each of the 2 workers" in problem.wanted


def test_a_store_that_is_a_file_is_refused(write_campaign: WriteCampaign) -> None:
    assert "store" in problems_of(write_campaign(MANIFEST.replace("store: store", "store: data/a.hdr")))


def test_bad_rows_stand_aside_only_when_asked(write_campaign: WriteCampaign) -> None:
    path = write_campaign(MANIFEST, {"scan_id": "C", "cycle": "many"}, {"scan_id": "D"})
    assert set(problems_of(path)) == {"C, cycle"}
    campaign = load(path, lenient=True)
    assert [scan.scan_id for scan in campaign.scans] == ["A_stxm", "A_ptycho", "B_stxm", "D"]
    ((row, problem),) = campaign.rejected
    assert (row.scan_id, row.line, problem.line) == ("C", 5, 5)


def test_lenient_does_not_forgive_the_campaign_file_or_a_sheet_without_a_good_row(
    write_campaign: WriteCampaign,
) -> None:
    with pytest.raises(CampaignError):
        load(write_campaign(MANIFEST + "seeed: 1\n"), lenient=True)
    path = write_campaign()
    header, *rows = (path.parent / "samples.csv").read_text().splitlines()
    (path.parent / "samples.csv").write_text("\n".join([header, rows[0].replace("charge", "sideways")]))
    with pytest.raises(CampaignError):
        load(path, lenient=True)


def test_a_campaign_whose_every_scan_is_excluded_is_refused(write_campaign: WriteCampaign) -> None:
    path = write_campaign()
    header, *rows = (path.parent / "samples.csv").read_text().splitlines()
    excluded = [row.removesuffix(",,") + ",true,beam dump" for row in rows]
    (path.parent / "samples.csv").write_text("\n".join([header, *excluded]))
    for lenient in (False, True):
        with pytest.raises(CampaignError, match="no scan is left"):
            load(path, lenient=lenient)


def test_asking_for_a_scan(write_campaign: WriteCampaign) -> None:
    campaign = load(write_campaign(MANIFEST, {"scan_id": "Z", "exclude": "true", "reason": "burnt"}))
    assert campaign.scan("B_stxm").chemistry == "NMC"
    with pytest.raises(CampaignError, match="Did you mean 'B_stxm'"):
        campaign.scan("b-stxm")
    with pytest.raises(CampaignError, match="burnt"):
        campaign.scan("Z")


@pytest.mark.parametrize(
    "keys", ["formulas: [LiFePO4, FePO4]", "density_g_cm3: 3.6", "formulas: [LiFePO4, FePO4], density_g_cm3: 3.6"]
)
def test_scaling_of_references_needs_formulas_density_and_spectra(write_campaign: WriteCampaign, keys: str) -> None:
    found = problems_of(write_campaign(MANIFEST + f"references: {{{keys}}}\n"))
    problem = found["references." + keys.split(":")[0]]
    assert "scaled to tables" in problem.problem
