"""A real Slurm for a test: several nodes on this machine, with its own key and socket, nothing under /etc or /var."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "sinfo", "scontrol")
GPUS_PER_NODE = 2


@dataclass(frozen=True)
class PrivateSlurm:
    folder: Path

    @property
    def conf(self) -> str:
        return str(self.folder / "slurm.conf")

    def ask(self, *command: str) -> str:
        environment = {**os.environ, "SLURM_CONF": self.conf}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    def jobs(self, name: str = "") -> dict[str, str]:
        """Job to state, of all that are waiting, running or about to end."""
        lines = self.ask("squeue", "-h", "-o", "%i %T %j").splitlines()
        return {job: state for job, state, called in map(str.split, lines) if called.startswith(name)}

    def memory_mib(self, job: str) -> int:
        """What a job that is known to Slurm has been given of a node's memory."""
        size = self.ask("squeue", "-h", "-j", job, "-o", "%m")
        return int(float(size[:-1]) * {"M": 1, "G": 1024}[size[-1]])

    def left(self, name: str = "stxmdist-", seconds: float = 30.0) -> dict[str, str]:
        """The jobs that are still there when those that are about to end have had time for it."""
        until = time.monotonic() + seconds
        while self.jobs(name) and time.monotonic() < until:
            time.sleep(0.3)
        return self.jobs(name)


def _free_ports(count: int) -> list[int]:
    open_ = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in open_]
    for each in open_:
        each.close()
    return ports


@contextmanager
def private_slurm(folder: Path, nodes: int = 2) -> Iterator[PrivateSlurm]:
    """Start it; skip where the programs are not installed or may not be used."""
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(
            f"a real Slurm is not installed here ({', '.join(missing)}): apt-get install slurmd slurmctld munge"
        )
    if os.geteuid() != 0:
        pytest.skip("a private Slurm wants to be root: its nodes have device files")
    slurm = PrivateSlurm(folder)
    _configure(folder, nodes)
    environment = {**os.environ, "PATH": path, "SLURM_CONF": slurm.conf}

    def begin(*command: str) -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True)

    munge = folder / "munge"
    begin(
        "munged",
        f"--key-file={munge}/key",
        f"--socket={folder}/sock/munge",
        f"--pid-file={folder}/munged.pid",
        f"--log-file={munge}/log",
        f"--seed-file={munge}/seed",
        "--num-threads=2",
        # The folders of a test are for its user alone, which is meant.
        "--force",
    )
    try:
        begin("slurmctld", "-f", slurm.conf)
        for node in range(1, nodes + 1):
            begin("slurmd", "-f", slurm.conf, "-N", f"n{node}")
        _wait_for(lambda: len(slurm.ask("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split()) == nodes)
        yield slurm
    finally:
        with suppress(subprocess.CalledProcessError):
            if slurm.jobs():
                slurm.ask("scancel", *slurm.jobs())
                _wait_for(lambda: not slurm.jobs())
        _end(folder)


def _wait_for(true: object, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < until, "the private Slurm is not ready"
        time.sleep(0.3)


def _end(folder: Path) -> None:
    for name in ("slurmd.*.pid", "slurmctld.pid", "munged.pid"):
        for file in folder.glob(name):
            with suppress(psutil.NoSuchProcess, ValueError):
                process = psutil.Process(int(file.read_text()))
                process.terminate()
                process.wait(20)


def _configure(folder: Path, nodes: int) -> None:
    for name, mode in (("", 0o755), ("state", 0o755), ("gpus", 0o755), ("munge", 0o700), ("sock", 0o755)):
        (folder / name).mkdir(mode=mode, exist_ok=True)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o400)
    host = socket.gethostname().split(".")[0]
    control, *ports = _free_ports(nodes + 1)
    gres, node_lines = [], []
    for number, port in enumerate(ports, 1):
        for gpu in range(GPUS_PER_NODE):
            # A device that is always there: Slurm refuses plain files.
            os.mknod(folder / "gpus" / f"n{number}-{gpu}", 0o020666, os.makedev(1, 3))
        (folder / f"spool.n{number}").mkdir()
        gres.append(f"NodeName=n{number} Name=gpu File={folder}/gpus/n{number}-[0-{GPUS_PER_NODE - 1}]")
        node_lines.append(
            f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=8000 "
            f"Gres=gpu:{GPUS_PER_NODE} State=UNKNOWN"
        )
    (folder / "gres.conf").write_text("\n".join(gres) + "\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    settings = f"""\
ClusterName=stx
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/sock/munge,cred_expire=5
CredType=cred/munge
SlurmctldPort={control}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=5,bf_interval=5,sched_min_interval=100000
ReturnToService=2
MpiDefault=none
KillWait=5
MinJobAge=60
OverTimeLimit=0
JobRequeue=1
JobFileAppend=1
GresTypes=gpu
"""
    queue = f"PartitionName=main Nodes=n[1-{nodes}] Default=YES MaxTime=60 DefaultTime=10 State=UP"
    (folder / "slurm.conf").write_text(settings + "\n".join([*node_lines, queue]) + "\n")
