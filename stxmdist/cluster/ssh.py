"""Hosts that are reached with ``ssh``, as the user's own configuration says: no account, key or agent of ours."""

import json
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from stxmdist.campaign.clusters import MOST_WORKERS, AnyCluster
from stxmdist.campaign.places import PLACES_VARIABLE, as_places
from stxmdist.campaign.strict import Strict, WorkerMemory
from stxmdist.cluster.certificates import FILES, certificates_for, is_loopback, security_of
from stxmdist.cluster.contract import WORKER_ENVIRONMENT, WORKER_SETTINGS, Purpose, Started, silence_dask, tail
from stxmdist.errors import InputError
from stxmdist.logs import passed_on

SILENT_S = 30
"""A host of which nothing is heard for so long is taken for cut off: others compute its units."""
END_S = 15.0


class Host(Strict):
    """A host, and what is otherwise on it."""

    host: str = Field(min_length=1, pattern=r"^[^-\s]\S*$", description="a name that ssh knows")
    """As ``ssh`` knows it: a name, ``user@name``, or one of its configuration."""
    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)
    """Worker processes on it."""
    python: str | None = Field(default=None, min_length=1)
    """Interpreter on it, in which this program is installed."""
    paths: dict[str, str] = Field(default_factory=dict)
    """Folders of this machine to what they are called there, where the two differ."""


def _hosts(value: object) -> object:
    """``[node1, node2]`` is short for ``[{host: node1}, {host: node2}]``."""
    return (
        tuple({"host": each} if isinstance(each, str) else each for each in value) if isinstance(value, list) else value
    )


class SshSpec(AnyCluster):
    """Hosts with ``ssh``; the scheduler runs in the process of the run."""

    kind: ClassVar[str] = "ssh"
    hosts: Annotated[tuple[Host, ...], BeforeValidator(_hosts), Field(min_length=1)]
    """Names, or ``{host, workers, python, paths}`` for each."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Units that a worker computes at once."""
    memory_limit: WorkerMemory = 10**9
    """Bytes per worker; written as ``1GB``, ``512MB``, ``2GiB``."""
    python: str | None = Field(default=None, min_length=1)
    """Interpreter on the hosts, in which this program is installed; the one that runs now unless said."""
    host: str | None = Field(default=None, min_length=1)
    """Address of this machine that the hosts reach; the one on the way to the first of them unless said."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of the workers."""
    options: tuple[str, ...] = Field(default=(), strict=False)
    """Further words for ``ssh``, such as ``[-F, ssh_config]``."""

    @property
    def most_workers(self) -> int:
        return sum(host.workers for host in self.hosts)

    @property
    def worker_bytes(self) -> int:
        return self.memory_limit

    @property
    def words(self) -> str:
        return f"{self.most_workers} workers on {', '.join(host.host for host in self.hosts[:5])}"


def start(spec: AnyCluster, purpose: Purpose) -> Started:
    """A scheduler in this process, and workers that end with their connection.

    Raises
    ------
    InputError
        where there is no ``ssh``, or the certificates cannot be used.
    """
    assert isinstance(spec, SshSpec)
    if shutil.which("ssh") is None:
        raise _wrong("there is no `ssh` on this machine", "none in PATH", "Install an ssh client")
    import dask
    from distributed import LocalCluster

    silence_dask()
    dask.config.set({**WORKER_SETTINGS, "distributed.scheduler.worker-ttl": f"{SILENT_S}s"})
    host = spec.host or _address_towards(spec.hosts[0].host)
    folder = None if is_loopback(host) else certificates_for(spec.certificates)
    security = None if folder is None else security_of(folder)
    scheduler = LocalCluster(
        n_workers=0,
        host=host,
        protocol="tcp://" if security is None else "tls://",
        security=security,
        dashboard_address="127.0.0.1:0",
        silence_logs=40,
    )
    logs = purpose.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    workers = _Workers(scheduler, logs)
    try:
        for each in spec.hosts:
            for number in range(each.workers):
                workers.begin(
                    each, f"{each.host}-{number}", spec, _told(spec, each, scheduler.scheduler_address, folder)
                )
    except BaseException:
        workers.close()
        raise
    threads = spec.most_workers * spec.threads
    return Started(scheduler, workers.close, security, threads, workers.why_none_comes, logs)


def _address_towards(host: str) -> str:
    """The address of this machine from which a host is reached."""
    from distributed.utils import get_ip

    with suppress(OSError, ValueError):
        return str(get_ip(host.rpartition("@")[2]))
    return str(get_ip())


def _told(spec: SshSpec, host: Host, address: str, folder: Path | None) -> dict[str, Any]:
    """What a worker must know; it goes through the connection, so that keys lie on no other host."""
    environment = {**WORKER_ENVIRONMENT, **passed_on(), **spec.environment}
    if host.paths:
        environment[PLACES_VARIABLE] = as_places(host.paths)
    return {
        "scheduler": address,
        "threads": spec.threads,
        "memory_limit": spec.memory_limit,
        "environment": environment,
        "settings": {**WORKER_SETTINGS},
        "certificates": [] if folder is None else [(folder / name).read_text() for name in FILES],
    }


class _Workers:
    """The connections with a worker behind each."""

    def __init__(self, scheduler: Any, logs: Path) -> None:
        self._scheduler, self._logs = scheduler, logs
        self._connections: dict[str, subprocess.Popen[str]] = {}
        self._files: list[IO[str]] = []

    def begin(self, host: Host, name: str, spec: SshSpec, told: dict[str, Any]) -> None:
        """Start one; it reads what it is told from its standard input, and lives as long as that is open."""
        python = shlex.quote(host.python or spec.python or sys.executable)
        log = (self._logs / f"ssh-{name.replace('/', '-')}.log").open("w")
        self._files.append(log)
        words = ["ssh", "-o", "BatchMode=yes", "-o", f"ServerAliveInterval={SILENT_S // 3}", *spec.options]
        connection = subprocess.Popen(
            [*words, host.host, f"exec {python} -m stxmdist.cluster.ssh_worker"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C reaches every process of the terminal; the run ends its workers itself.
            start_new_session=True,
        )
        self._connections[name] = connection
        assert connection.stdin is not None
        with suppress(BrokenPipeError):
            connection.stdin.write(json.dumps(told | {"name": name}) + "\n")
            connection.stdin.flush()

    def why_none_comes(self) -> str:
        """Who has not come yet; an error where every connection has ended."""
        living = [name for name, connection in self._connections.items() if connection.poll() is None]
        if living:
            return f"no worker has come yet from {', '.join(living[:5])}"
        name = next(iter(self._connections))
        said = tail((self._logs / f"ssh-{name.replace('/', '-')}.log").read_text(errors="replace"), 2)
        raise _wrong(
            "no host has a worker", f"{name}: {said!r}", "See that `ssh HOST` works without a password, and `python`"
        )

    def close(self) -> None:
        """End the workers, then the scheduler."""
        for connection in self._connections.values():
            with suppress(OSError):
                assert connection.stdin is not None
                connection.stdin.close()
        for connection in self._connections.values():
            try:
                connection.wait(END_S)
            except subprocess.TimeoutExpired:
                # The host is cut off; its worker ends when it finds that out.
                connection.kill()
                connection.wait()
        for file in self._files:
            file.close()
        self._scheduler.close()


def _wrong(problem: str, got: str, mend: str) -> InputError:
    return InputError(where="cluster", problem=problem, got=got, wanted="workers on the hosts of `cluster`", mend=mend)
