from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from django.conf import settings
from pytest_django import Settings

from portal.management.commands.serve import prepare_static_files
from tests.servers import LOOPBACK, LiveServer, PreparedData, run_manage

# As `ps` shows them.
WEB, WORKER = "gunicorn: master [condarium-web]", "condarium worker"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[LiveServer]:
    """A host that was started for the first time, in a clone that nothing was started in."""
    with LiveServer(tmp_path, env={"CONDARIUM_STATIC": str(tmp_path / "static")}) as live:
        yield live


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, prepared_data: PreparedData
) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("host"), data=prepared_data) as live:
        yield live


@pytest.fixture
def server(host: LiveServer) -> LiveServer:
    """One for all, with all its processes; started again where a test has ended it."""
    if not host.is_started:
        host.start()
    # The web server, its processes, and the worker.
    assert eventually(lambda: len(family_of(host.pid)) == 2 + settings.WEB_PROCESSES)
    return host


@pytest.fixture
def ending(server: LiveServer) -> Iterator[LiveServer]:
    """The same for a test that ends it."""
    yield server
    server.stop()


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def family_of(pid: int) -> list[int]:
    children = children_of(pid)
    return children + [one for child in children for one in family_of(child)]


def command_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:  # it has just ended
        return []


def children_named(pid: int, title: str) -> list[int]:
    return [child for child in children_of(pid) if title in command_of(child)]


def child_named(pid: int, title: str) -> int:
    """Waited for: it has its title a moment after it was forked."""
    assert eventually(lambda: bool(children_named(pid, title)))
    (child,) = children_named(pid, title)
    return child


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(true: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_live(server: LiveServer) -> bool:
    try:
        return requests.get(f"{server.url}/livez", timeout=2).status_code == 200
    except requests.RequestException:
        return False


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="looks at processes through /proc"
)


def test_the_first_start_sets_everything_up_and_says_where(fresh: LiveServer) -> None:
    data = Path(fresh.env["CONDARIUM_DATA"])
    said = fresh.log()

    assert fresh.url in said
    assert str(data) in said
    assert said.count("/first-account/") == 1
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secret-key").stat().st_mode) == 0o600
    # What pages load comes compressed, and under names to keep for ever.
    page = requests.get(fresh.url, timeout=10).text
    [sheet] = re.findall(r'href="(/static/css/condarium\.[^"]*css)"', page)
    answer = requests.get(fresh.url + sheet, headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert re.fullmatch(r"/static/css/condarium\.[0-9a-f]{12}\.css", sheet)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]


def test_static_files_are_collected_once_and_again_when_they_change(
    tmp_path: Path, settings: Settings
) -> None:
    source, root = tmp_path / "source", tmp_path / "static"
    source.mkdir()
    settings.STATICFILES_DIRS, settings.STATIC_ROOT = [source], root
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]

    def collected() -> list[str]:
        prepare_static_files()
        return [path.read_text() for path in root.glob("site.????????????.css")]

    (source / "site.css").write_text("a { color: red }")
    assert collected() == ["a { color: red }"]
    manifest = (root / "staticfiles.json").stat()
    assert collected() == ["a { color: red }"]
    assert (root / "staticfiles.json").stat() == manifest

    (source / "site.css").write_text("a { color: blue }")
    assert collected() == ["a { color: blue }"]


def test_the_key_and_the_data_are_still_there_after_the_second_start(server: LiveServer) -> None:
    key = Path(server.env["CONDARIUM_DATA"]) / "secret-key"
    before = key.read_text()
    assert server.stop() == 0

    started = time.monotonic()
    server.start()

    assert time.monotonic() - started < 15  # 2 s on an idle machine
    assert key.read_text() == before


def test_ctrl_c_ends_all_processes_and_is_no_failure(ending: LiveServer) -> None:
    family = family_of(ending.pid)
    before = ending.log()

    started = time.monotonic()
    os.killpg(ending.pid, signal.SIGINT)  # as the terminal does: to all of them
    code = ending.stop()

    assert code == 0
    assert time.monotonic() - started < 10
    assert not [pid for pid in family if is_running(pid)]
    assert "Traceback" not in ending.log().removeprefix(before)


def test_a_running_request_is_finished_before_the_end(ending: LiveServer) -> None:
    with socket.create_connection((LOOPBACK, ending.port), timeout=15) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        time.sleep(0.3)
        os.killpg(ending.pid, signal.SIGINT)
        time.sleep(0.3)
        client.sendall(b"Connection: close\r\n\r\n")

        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 200")


def test_no_process_outlives_a_killed_supervisor(ending: LiveServer) -> None:
    family = family_of(ending.pid)

    os.kill(ending.pid, signal.SIGKILL)

    assert eventually(lambda: not [pid for pid in family if is_running(pid)])


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_killed_process_comes_back(server: LiveServer, name: str) -> None:
    title = {"web": WEB, "worker": WORKER}[name]
    killed = child_named(server.pid, title)

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: f"{name} ended by SIGKILL; it is started again" in server.log())
    # A child that was only just started does not have its title yet.
    assert eventually(lambda: children_named(server.pid, title) not in ([], [killed]))
    assert eventually(lambda: is_live(server))


def test_a_killed_process_of_the_web_server_comes_back(server: LiveServer) -> None:
    web = child_named(server.pid, WEB)
    killed = children_of(web)[0]

    os.kill(killed, signal.SIGKILL)

    assert eventually(
        lambda: not is_running(killed) and len(children_of(web)) == settings.WEB_PROCESSES
    )
    assert eventually(lambda: is_live(server))


def test_connections_are_shared_among_the_processes_of_the_web_server(tmp_path: Path) -> None:
    with LiveServer(tmp_path, env={"CONDARIUM_WEB_PROCESSES": "2"}) as live:
        web = child_named(live.pid, WEB)
        assert eventually(lambda: len(children_of(web)) == 2)
        before = [descriptors_of(pid) for pid in children_of(web)]
        with ExitStack() as stack:
            for _ in range(20):
                session = stack.enter_context(requests.Session())
                assert session.get(f"{live.url}/livez").ok
            now = [descriptors_of(pid) for pid in children_of(web)]

    taken = [after - first for after, first in zip(now, before, strict=True)]
    # Half each where nothing else runs; on a busy machine one may be asleep for a while.
    assert min(taken) >= 4, taken


def test_a_process_that_has_connections_leaves_the_next_to_one_that_has_none() -> None:
    busy = """
        import socket, sys
        from types import SimpleNamespace
        from portal import gunicorn_worker
        gunicorn_worker.POLITE_SECONDS = 600  # so that it is no matter of who is faster
        worker = object.__new__(gunicorn_worker.Worker)
        worker.cfg, worker.nr_conns = SimpleNamespace(workers=2), 1
        listener = socket.socket(fileno=int(sys.argv[1]))
        print("woken", flush=True)
        worker.accept(listener)
    """
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.setblocking(False)
        with (
            socket.create_connection(listener.getsockname()),
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(busy), str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as other,
        ):
            assert other.stdout is not None
            try:
                assert other.stdout.readline() == "woken\n"
                # Who doesn't wait takes the connection, and ends here.
                with pytest.raises(subprocess.TimeoutExpired):
                    other.wait(1)
                listener.accept()[0].close()
            finally:
                other.kill()


def descriptors_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_port_in_use_is_one_line_and_touches_nothing(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        env = {"CONDARIUM_PORT": str(port), "CONDARIUM_DATA": str(tmp_path / "data")}
        result = run_manage(["serve"], env)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"CommandError: Port {port} on 127.0.0.1 is in use. "
        f"Choose another: CONDARIUM_PORT={port + 1} make run\n"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"CONDARIUM_HOST": "192.0.2.1"}, "'192.0.2.1'; that is no address of this machine."),
        ({"CONDARIUM_HOST": "not a host"}, "'not a host'; that is no address of this machine."),
        ({"CONDARIUM_PORT": "70000"}, "CONDARIUM_PORT is 70000; a port is a number up to 65535."),
        ({"CONDARIUM_PORT": "many"}, "CONDARIUM_PORT is 'many'; a whole number is wanted."),
        ({"CONDARIUM_DATA": "/proc/data"}, "CONDARIUM_DATA is /proc/data: No such file"),
        ({"CONDARIUM_MODE": "production"}, "CONDARIUM_URL must begin with https://"),
    ],
)
def test_what_nothing_can_be_started_with_is_one_line(
    tmp_path: Path, env: dict[str, str], line: str
) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        free = str(other.getsockname()[1])
    defaults = {"CONDARIUM_PORT": free, "CONDARIUM_DATA": str(tmp_path / "data")}
    result = run_manage(["serve"], {**defaults, **env})

    assert result.returncode == 1
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "condarium.sqlite3").mkdir()
    with socket.create_server((LOOPBACK, 0)) as other:
        free = str(other.getsockname()[1])
    result = run_manage(["serve"], {"CONDARIUM_PORT": free, "CONDARIUM_DATA": str(tmp_path)})

    assert result.returncode == 1
    assert result.stderr == (
        "CommandError: The database can't be used: unable to open database file\n"
    )
