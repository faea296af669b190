"""A server of one's own: it ends with the process that started it, its port and its database are its own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows import server as servers
from flows.environment import prepare_environment
from flows.server import OwnServer, RunningServer, serving
from stxmdist.errors import InputError
from tests.flows.campaigns import alive, environment

STARTS_ONE = """
import time
from flows.environment import prepare_environment
from flows.server import OwnServer
prepare_environment()
print(OwnServer().process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PREFECT_API_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(tmp_path / "prefect").items():
        monkeypatch.setenv(name, value)
    before = dict(servers.os.environ)
    prepare_environment()
    for name in set(servers.os.environ) - set(before):
        # Registered, so that it is taken back after the test.
        monkeypatch.setenv(name, servers.os.environ[name])
    return tmp_path / "prefect"


@pytest.mark.faults
def test_a_server_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE],
        env=environment(tmp_path),
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        while "server_process" not in " ".join(server.cmdline()) or server.cpu_times().user < 0.5:
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)
    assert alive([server], wait_seconds=20.0) == []


def settings_of(server: OwnServer) -> dict[str, str]:
    """Environment of its process, which has it once it has begun."""
    process = psutil.Process(server.process.pid)
    while "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in process.environ():
        time.sleep(0.01)
    return process.environ()


def test_servers_at_the_same_time_have_databases_and_ports_of_their_own(home: Path) -> None:
    with OwnServer() as one, OwnServer() as two:
        urls = [settings_of(s)["PREFECT_SERVER_DATABASE_CONNECTION_URL"] for s in (one, two)]
        assert one.port != two.port
    assert urls == [f"sqlite+aiosqlite:///{home / name}" for name in ("prefect.db", "prefect-1.db")]
    with OwnServer() as again:
        settings = settings_of(again)
        assert settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == urls[0]
        assert (settings["DO_NOT_TRACK"], settings["PREFECT_SERVER_ANALYTICS_ENABLED"]) == ("1", "false")
        assert settings["PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED"] == "false"


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with OwnServer() as one, pytest.raises(InputError, match=f"port {one.port}.*--port"):
        OwnServer(one.port)


@pytest.mark.faults
def test_a_server_that_dies_is_told_with_the_end_of_its_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "nonsense://")
    with OwnServer() as server, pytest.raises(InputError, match="the server did not start") as found:
        server.wait()
    assert "sqlalchemy" in found.value.got or "nonsense" in found.value.got or "Application" in found.value.got


def test_where_nobody_serves_there_is_no_server(home: Path) -> None:
    assert serving() is None
    home.mkdir(exist_ok=True)
    (home / "serving.json").write_text('{"api_url": "http://127.0.0.1:9/api"}')
    assert serving() is None
    with pytest.raises(InputError, match="no Prefect server answers"):
        RunningServer("http://127.0.0.1:9/api").wait()
