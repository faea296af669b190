"""Several hosts out of one machine: network namespaces on a bridge, each with its own sshd, name and mounts."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

PROGRAMS = ("ip", "sshd", "ssh", "ssh-keygen", "unshare", "mount")
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@dataclass(frozen=True)
class Hosts:
    """Hosts that see ``share`` under names of their own, and not under its own name."""

    folder: Path
    share: Path
    names: tuple[str, ...]
    tag: str

    def seen_at(self, number: int) -> str:
        return f"{self.folder}/mnt/beam{number}"

    @property
    def options(self) -> list[str]:
        return ["-F", str(self.folder / "ssh_config")]

    def cut_off(self, number: int) -> None:
        _run("ip", "link", "set", f"{self.tag}v{number}", "down")

    def join(self, number: int) -> None:
        _run("ip", "link", "set", f"{self.tag}v{number}", "up")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PATH": SBIN})


@contextmanager
def hosts(folder: Path, count: int) -> Iterator[Hosts]:
    """Start them; skip where the programs are not there or this user may not make namespaces."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=SBIN) is None]
    if missing:
        pytest.skip(f"hosts of namespaces want {', '.join(missing)}: apt-get install openssh-server iproute2")
    if os.geteuid() != 0:
        pytest.skip("namespaces of the network want to be root")
    tag = f"x{os.getpid() % 10000}"
    net = f"10.{77 + os.getpid() % 100}.0"
    share = folder / "share"
    share.mkdir()
    found = Hosts(folder, share, tuple(f"{net}.{number}" for number in range(1, count + 1)), tag)
    try:
        try:
            _network(tag, net, count)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no namespaces here: {error.stderr.decode().strip()}")
        _keys(folder, found)
        for number in range(1, count + 1):
            _sshd(found, number)
        yield found
    finally:
        for file in folder.glob("sshd*.pid"):
            with suppress(psutil.NoSuchProcess, ValueError):
                process = psutil.Process(int(file.read_text()))
                for each in (*process.children(recursive=True), process):
                    each.terminate()
        for number in range(1, count + 1):
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", f"{tag}h{number}")
        with suppress(subprocess.CalledProcessError):
            _run("ip", "link", "del", f"{tag}br")


def _network(tag: str, net: str, count: int) -> None:
    _run("ip", "link", "add", f"{tag}br", "type", "bridge")
    _run("ip", "addr", "add", f"{net}.254/24", "dev", f"{tag}br")
    _run("ip", "link", "set", f"{tag}br", "up")
    for number in range(1, count + 1):
        space = f"{tag}h{number}"
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", f"{tag}v{number}", "type", "veth", "peer", "name", "eth0", "netns", space)
        _run("ip", "link", "set", f"{tag}v{number}", "master", f"{tag}br", "up")
        _run("ip", "-n", space, "addr", "add", f"{net}.{number}/24", "dev", "eth0")
        _run("ip", "-n", space, "link", "set", "eth0", "up")
        _run("ip", "-n", space, "link", "set", "lo", "up")


def _keys(folder: Path, found: Hosts) -> None:
    for name in ("host", "client"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text("".join(f"{name} {key}\n" for name in found.names))
    (folder / "ssh_config").write_text(
        f"Host *\n IdentityFile {folder}/client\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n User root\n"
    )


def _sshd(found: Hosts, number: int) -> None:
    folder = found.folder
    # Where sshd drops its privileges; it lies in memory and is empty.
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / f"sshd{number}.conf").write_text(
        f"ListenAddress {found.names[number - 1]}\nPort 22\n"
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nPasswordAuthentication no\nPidFile {folder}/sshd{number}.pid\nUsePAM no\n"
    )
    empty, seen = folder / "empty", Path(found.seen_at(number))
    for each in (empty, seen):
        each.mkdir(parents=True, exist_ok=True)
    script = (
        f"hostname {found.tag}h{number}; mount --bind {found.share} {seen}; mount --bind {empty} {found.share}; "
        f"exec {shutil.which('sshd', path=SBIN)} -f {folder}/sshd{number}.conf -E {folder}/sshd{number}.log"
    )
    inside = ("ip", "netns", "exec", f"{found.tag}h{number}")
    _run(*inside, "unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", script)
    until = time.monotonic() + 20.0
    while not (folder / f"sshd{number}.pid").exists():
        assert time.monotonic() < until, "sshd has not begun"
        time.sleep(0.1)
