"""Jobs of a Slurm cluster, a worker process each: they come while there are units, and go before their time is over."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field

from stxmdist.campaign.clusters import GPU, AnyCluster, WorkerRange, Workers
from stxmdist.campaign.strict import LEAST_MEMORY_BYTES, WorkerMemory
from stxmdist.cluster.certificates import certificates_for, is_loopback, security_of
from stxmdist.cluster.contract import (
    WORKER_ENVIRONMENT,
    WORKER_SETTINGS,
    Purpose,
    Started,
    as_variables,
    not_installed,
    silence_dask,
    tail,
)
from stxmdist.errors import InputError
from stxmdist.logs import passed_on

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster

FOR_WORKER = 0.9
"""Share of a job's memory that its worker may hold; Dask's nanny, which watches it, lives in the rest."""
ROOM = 1.25
"""A job has so much more memory than the plan foresees for its largest unit."""
LEAST_JOB_BYTES = 8 * LEAST_MEMORY_BYTES
DEATH_TIMEOUT_S = 60
"""A worker whose scheduler is gone for so long ends, and its job with it."""
UNITS_AHEAD_S = 2
"""Jobs are asked for until what is submitted of a stage takes no longer. The runner submits a few units for each place
and no more, so with a longer time (a job must wait and start) units of seconds would share one job of many."""
MOST_MARGIN_S, MARGIN = 300, 0.2
"""A worker ends itself so much before Slurm would: at most these seconds, and this share of its walltime."""


def seconds_of(walltime: str) -> int:
    """Seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``.

    Raises
    ------
    ValueError
        for anything else, and less than a minute.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d{1,3}):(\d{2}):(\d{2})", walltime)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 60:
        raise ValueError("a time of a minute or more, HH:MM:SS or D-HH:MM:SS, in quotation marks")
    return total


def _is_walltime(value: str) -> str:
    seconds_of(value)
    return value


def _one_line(lines: tuple[str, ...]) -> tuple[str, ...]:
    if any("\n" in line for line in lines):
        raise ValueError("one line for each entry of the list")
    return lines


Lines = Annotated[tuple[str, ...], AfterValidator(_one_line), Field(strict=False)]


class SlurmSpec(AnyCluster):
    """Jobs of a Slurm cluster, submitted with ``sbatch`` from where the run is started."""

    kind: ClassVar[str] = "slurm"
    queue: str | None = Field(default=None, min_length=1)
    """Partition; that of the site unless said."""
    account: str | None = Field(default=None, min_length=1)
    """What the hours are booked on."""
    walltime: Annotated[str, AfterValidator(_is_walltime)] = "01:00:00"
    """Longest time of a job, ``HH:MM:SS``; its worker ends itself a little earlier, and another job follows."""
    cores: int = Field(default=1, ge=1, le=1024)
    """Cores of a job, and units that it computes at once."""
    memory: WorkerMemory | None = None
    """Of a job; what the plan foresees for the largest unit unless said."""
    workers: WorkerRange = Workers()
    """Jobs at once: ``{minimum: 0, maximum: 8}``, or the maximum alone."""
    gpus: int = Field(default=0, ge=0, le=1)
    """GPUs of each job: 1 asks Slurm for one (``--gres``), and its worker offers it."""
    gres: str = Field(default="gpu", pattern=r"^\w+(:\w+)*$", description="a name such as gpu or gpu:a100")
    """What Slurm calls the GPUs."""
    prologue: Lines = ()
    """Lines of the job's script before the worker starts, such as ``module load``."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of the worker."""
    directives: Lines = ()
    """Further options of ``sbatch``, such as ``--constraint=ib``."""
    python: str | None = Field(default=None, min_length=1)
    """Interpreter on the nodes, in which this program is installed; the one that runs now unless said."""
    host: str | None = Field(default=None, min_length=1)
    """Address of this machine that the nodes reach; the one of its default route unless said."""
    scratch: str | None = Field(default=None, min_length=1)
    """Folder of the nodes for what workers leave in passing."""
    logs: Path | None = Field(default=None, strict=False)
    """Folder for what jobs print; ``logs`` beside the campaign file unless said."""

    @property
    def most_workers(self) -> int:
        return self.workers.maximum

    @property
    def worker_bytes(self) -> int | None:
        return None if self.memory is None else round(FOR_WORKER * self.memory)

    @property
    def gpu_workers(self) -> int:
        return self.most_workers if self.gpus else 0

    @property
    def words(self) -> str:
        return f"up to {self.most_workers} Slurm jobs" + (f" in {self.queue}" if self.queue else "")

    def smallest(self) -> AnyCluster:
        return self._with(workers=Workers(minimum=0, maximum=1))

    def beside(self, folder: Path) -> AnyCluster:
        own = super().beside(folder)
        return own if self.logs is None else own.model_copy(update={"logs": folder / self.logs.expanduser()})


def start(spec: AnyCluster, purpose: Purpose) -> Started:
    """A scheduler in this process, and as many jobs as there are units for.

    Raises
    ------
    InputError
        where dask-jobqueue or Slurm is not there, and where Slurm would not take such a job.
    """
    assert isinstance(spec, SlurmSpec)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise not_installed("Slurm", "dask-jobqueue", "slurm", error) from error
    if shutil.which("sbatch") is None:
        raise _refused("there is no Slurm on this machine", "no `sbatch` in PATH", "Run this on a login node of it")
    import dask

    silence_dask()
    dask.config.set(WORKER_SETTINGS)
    logs = spec.logs or purpose.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    host = spec.host or address_of_this_machine()
    # Whoever reaches the scheduler can run what he likes as this user.
    security = None if is_loopback(host) else security_of(certificates_for(spec.certificates))
    cluster = SLURMCluster(
        **_options(spec, purpose, logs),
        security=security,
        scheduler_options={"host": host, "dashboard_address": "127.0.0.1:0"},
    )
    jobs = _Jobs(cluster, logs)
    try:
        _refuse_what_slurm_refuses(cluster.job_script(), spec)
        cluster.adapt(
            minimum_jobs=spec.workers.minimum,
            maximum_jobs=spec.workers.maximum,
            interval="2s",
            target_duration=f"{UNITS_AHEAD_S}s",
            wait_count=5,
        )
    except BaseException:
        jobs.close()
        raise
    return Started(
        cluster,
        jobs.close,
        security,
        coming=spec.workers.maximum * spec.cores,
        waiting=jobs.why_none_comes,
        logs=logs,
    )


def address_of_this_machine() -> str:
    """The address of the default route, by which others reach this machine."""
    from distributed.utils import get_ip

    return str(get_ip())


def job_name(campaign: str) -> str:
    """What ``squeue`` shows: the campaign's name in letters that a shell and a file name take."""
    return "stxmdist-" + (re.sub(r"[^A-Za-z0-9.]+", "-", campaign).strip("-")[:40] or "run")


def job_bytes(spec: SlurmSpec, peak: int | None) -> int:
    """Memory of a job: as asked for, or what the largest unit of the plan takes, with room."""
    if spec.memory is not None:
        return spec.memory
    return max(LEAST_JOB_BYTES, ceil(ROOM * spec.cores * (peak or 0) / FOR_WORKER))


def lifetime_s(walltime_s: int) -> tuple[int, int]:
    """After how long a worker ends itself, and how much earlier or later each may: all well before the walltime."""
    margin = min(MOST_MARGIN_S, round(MARGIN * walltime_s))
    return walltime_s - margin, margin // 3


def _options(spec: SlurmSpec, purpose: Purpose, logs: Path) -> dict[str, object]:
    """What dask-jobqueue is asked for."""
    memory = job_bytes(spec, None if spec.memory else purpose.peak_bytes())
    lifetime, stagger = lifetime_s(seconds_of(spec.walltime))
    arguments = ["--no-dashboard", "--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s"]
    directives = ["--requeue", *spec.directives]
    if spec.gpus:
        directives.append(f"--gres={spec.gres}:{spec.gpus}")
        arguments += ["--resources", f"{GPU}=1"]
    return {
        "queue": spec.queue,
        "account": spec.account,
        "walltime": spec.walltime,
        # Two processes a job end at no workers at all: the first that leaves takes the job from Dask's books.
        "processes": 1,
        "cores": spec.cores,
        "memory": f"{round(FOR_WORKER * memory)} B",
        "job_mem": f"{ceil(memory / 2**20)}M",
        "job_name": job_name(purpose.name),
        "python": shlex.quote(spec.python or sys.executable),
        "log_directory": str(logs),
        "local_directory": spec.scratch,
        "death_timeout": DEATH_TIMEOUT_S,
        "worker_extra_args": arguments,
        "job_extra_directives": directives,
        "job_script_prologue": [*spec.prologue, *_exports(spec.environment)],
        # A file of the user's for other work would mix with this.
        "config_name": "slurm",
    }


def _exports(own: Mapping[str, str]) -> list[str]:
    variables = {**WORKER_ENVIRONMENT, **passed_on(), **as_variables(WORKER_SETTINGS), **own}
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _refuse_what_slurm_refuses(script: str, spec: SlurmSpec) -> None:
    """Let Slurm judge a job without running it: no such queue, account, GPU, too much memory, no controller."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        said = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False)
    if said.returncode == 0:
        return
    words = tail(said.stderr, 2).replace("sbatch: error: ", "").replace("allocation failure: ", "")
    if "partition" in words.lower():
        queues = _said("sinfo", "-h", "-o", "%R").split()
        raise _refused(f"Slurm has no queue {spec.queue!r}", words, f"Choose one of {', '.join(queues)}")
    if "contact slurm controller" in words.lower():
        raise _refused("Slurm does not answer", words, "Wait until `sinfo` answers, and try again")
    raise _refused("Slurm would not take such a job", words, "Change the section `cluster` of the campaign file")


def _refused(problem: str, got: str, mend: str) -> InputError:
    return InputError(where="cluster", problem=problem, got=got, wanted="a job that Slurm takes", mend=mend)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class _Jobs:
    """The jobs of one run: what Slurm says of them, and that none is left."""

    def __init__(self, cluster: "SLURMCluster", logs: Path) -> None:
        self._cluster, self._logs = cluster, logs
        self._seen: set[str] = set()

    def ids(self) -> set[str]:
        """All that were submitted, as far as anybody has looked."""
        self._seen |= {str(job.job_id) for job in list(self._cluster.workers.values()) if job.job_id}
        return self._seen

    def why_none_comes(self) -> str:
        """What Slurm says of the jobs; an error where all have ended and no worker has come."""
        ids = self.ids()
        if not ids:
            return "no job is submitted yet"
        states = _said("squeue", "-h", "-j", ",".join(sorted(ids)), "-o", "job %i %T (%r)").strip()
        if states:
            return "; ".join(states.splitlines())
        raise _refused("the jobs ended before a worker came", self._printed(ids), "Correct what the job's log names")

    def _printed(self, ids: set[str]) -> str:
        for path in sorted(self._logs.glob("*"), key=os.path.getmtime, reverse=True):
            if path.stem.rpartition("-")[2] in ids and (said := tail(path.read_text(errors="replace"))):
                return f"{path.name} ends with {said!r}"
        return f"nothing in {self._logs}"

    def close(self) -> None:
        """End the scheduler and every job."""
        ids = self.ids()
        self._cluster.close()
        if ids:
            subprocess.run(["scancel", "--quiet", *sorted(ids)], capture_output=True, check=False)
