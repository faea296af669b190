"""The section `cluster`: its kind decides which keys there are, and each mistake has its line."""

from pathlib import Path

import pytest

from stxmdist.campaign.clusters import CLUSTERS, ClusterSpec, read_cluster
from stxmdist.campaign.manifest import examine, load
from stxmdist.cluster.slurm import SlurmSpec, Workers
from stxmdist.planning.execute import cluster_spec
from tests.campaign.conftest import MANIFEST, WriteCampaign

BARE = MANIFEST.replace("cluster:\n  workers: 2\n  memory_limit: 512MB\n", "{}")

SLURM = """\
cluster:
  kind: slurm
  queue: regular
  account: m1234
  walltime: "02:30:00"
  cores: 2
  memory: 4GB
  workers: {minimum: 1, maximum: 40}
  gpus: 1
  gres: gpu:a100
  prologue: [module load python, ulimit -n 4096]
  environment: {OMP_PROC_BIND: "true"}
  directives: [--constraint=ib]
  certificates: tls
"""


def test_every_key_of_a_slurm_section(write_campaign: WriteCampaign) -> None:
    path = write_campaign(BARE.format(SLURM))
    cluster = load(path).cluster
    assert isinstance(cluster, SlurmSpec)
    assert (cluster.queue, cluster.account, cluster.walltime, cluster.cores) == ("regular", "m1234", "02:30:00", 2)
    assert (cluster.memory, cluster.workers, cluster.gpus) == (4 * 10**9, Workers(minimum=1, maximum=40), 1)
    assert cluster.prologue == ("module load python", "ulimit -n 4096")
    assert cluster.certificates == path.parent / "tls"
    # What the rest of the program asks of any kind.
    assert (cluster.kind, cluster.most_workers, cluster.gpu_workers) == ("slurm", 40, 40)
    assert "up to 40 Slurm jobs in regular" in cluster.words


def test_the_command_line_names_another_cluster_than_a_slurm_section(write_campaign: WriteCampaign) -> None:
    campaign = load(write_campaign(BARE.format(SLURM)))
    assert cluster_spec(campaign, None) is campaign.cluster
    here = cluster_spec(campaign, "3")
    assert isinstance(here, ClusterSpec)
    assert (here.kind, here.workers, here.gpus) == ("local", 3, 0)
    assert cluster_spec(campaign, "tls://10.0.0.1:8786").certificates == campaign.cluster.certificates


def test_a_number_of_jobs_is_the_most_of_them() -> None:
    assert read_cluster({"kind": "slurm", "workers": 5}) == SlurmSpec(workers=Workers(minimum=0, maximum=5))


@pytest.mark.parametrize(
    ("old", "new", "where", "line", "words"),
    [
        ("kind: slurm", "kind: slrum", "cluster.kind", 9, "Did you mean 'slurm'"),
        ("kind: slurm", "kind: [slurm]", "cluster.kind", 9, "one of local, tcp"),
        ("queue: regular", "queues: regular", "cluster.queues", 10, "Did you mean 'queue'"),
        ('"02:30:00"', "soon", "cluster.walltime", 12, "HH:MM:SS"),
        ('"02:30:00"', '"00:00:30"', "cluster.walltime", 12, "a minute or more"),
        ("cores: 2", "cores: 0", "cluster.cores", 13, "a whole number of at least 1"),
        ("memory: 4GB", "memory: 4", "cluster.memory", 14, "at least 100MB"),
        ("maximum: 40", "maximum: 0", "cluster.workers.maximum", 15, "at least 1"),
        ("minimum: 1", "minimum: 41", "cluster.workers.maximum", 15, "at least the minimum, 41"),
        ("maximum: 40", "maximus: 40", "cluster.workers.maximus", 15, "Did you mean 'maximum'"),
        ("gpus: 1", "gpus: 4", "cluster.gpus", 16, "at most 1"),
        ("gpu:a100", "gpu a100", "cluster.gres", 17, "a name such as gpu or gpu:a100"),
        ("[module load python, ulimit -n 4096]", '["a\\nb"]', "cluster.prologue", 18, "one line for each"),
        ('OMP_PROC_BIND: "true"', "OMP_PROC_BIND: true", "cluster.environment.OMP_PROC_BIND", 19, ""),
    ],
)
def test_mistakes_of_a_slurm_section_have_their_lines(
    write_campaign: WriteCampaign, old: str, new: str, where: str, line: int, words: str
) -> None:
    assert old in SLURM
    lines = MANIFEST.splitlines()
    path = write_campaign(BARE.format(SLURM.replace(old, new)))
    start = path.read_text().splitlines().index("cluster:") + 1
    assert lines[start - 1] == "cluster:"
    _, problems = examine(path)
    (problem,) = (found for found in problems if not found.warning)
    assert (problem.where, problem.line) == (where, line)
    assert words in problem.sentence


@pytest.mark.parametrize("section", ["{kind: local, address: 'tcp://a:1'}", "{kind: tcp}", "{kind: tcp, workers: 2}"])
def test_an_address_belongs_to_tcp_alone(write_campaign: WriteCampaign, section: str) -> None:
    _, problems = examine(write_campaign(BARE.format(f"cluster: {section}\n")))
    assert [problem.where for problem in problems if not problem.warning] == ["cluster.kind"]


@pytest.mark.parametrize("kind", CLUSTERS)
def test_every_kind_answers_what_the_program_asks(kind: str, tmp_path: Path) -> None:
    least = {
        "tcp": {"address": "tcp://127.0.0.1:1"},
        "ssh": {"hosts": ["node1", "node2"]},
        "gateway": {"address": "https://hub.example.org"},
    }
    spec = read_cluster({"kind": kind, **least.get(kind, {})})
    assert spec.kind == kind
    assert spec.most_workers >= 1
    assert spec.gpu_workers == 0
    assert spec.words
    assert read_cluster(spec) is spec
    assert spec.smallest().most_workers <= spec.most_workers
    assert CLUSTERS[kind].meaning
    assert callable(CLUSTERS[kind].load())
    assert spec.model_copy(update={"certificates": Path("c")}).beside(tmp_path).certificates == tmp_path / "c"
