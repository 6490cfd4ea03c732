"""The servers that are measured: Condarium as ``serve`` starts it, and plain gunicorn."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.client import Client, UnexpectedAnswer, connected
from benchmarks.cost import PROJECT

ACCOUNT = "bench"
STORED = "stored"  # where those keep files that Condarium is compared to
_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0


class HostFailed(RuntimeError):
    """A server did not start; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Host:
    """A server that answers; the children of ``web_pid`` handle requests."""

    port: int
    web_pid: int

    @property
    def web_pids(self) -> Sequence[int]:
        # Asked each time: the first answers before the second is there.
        return machine.children_of(self.web_pid)

    def cpu_seconds(self) -> float:
        return sum(map(machine.cpu_seconds, self.web_pids))


@dataclass(frozen=True, slots=True)
class House:
    """A data folder with one user and their token, whether it is served or not."""

    data: Path
    port: int
    token: str

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def environ(self, **more: str) -> Mapping[str, str]:
        """For another process that works on the same data."""
        return {**_environment(self.data, self.port), **more}

    def copied_to(self, folder: Path) -> House:
        """The same in another data folder; nothing may work on this one meanwhile."""
        data = folder / "data"
        shutil.copytree(self.data, data)
        return House(data, machine.free_port(), self.token)

    def forget_stored_bytes(self) -> None:
        """Unlink what was uploaded. Condarium would keep it; the next upload needs the room."""
        for path in (self.data / "files" / "blobs").rglob("*"):
            if path.is_file():
                path.unlink()


@dataclass(frozen=True, slots=True)
class Condarium(Host):
    worker_pid: int
    house: House

    @property
    def credentials(self) -> Mapping[str, str]:
        return self.house.credentials

    def worker_cpu_seconds(self) -> float:
        return machine.cpu_seconds(self.worker_pid)

    def forget_stored_bytes(self) -> None:
        self.house.forget_stored_bytes()


def empty_house(folder: Path) -> House:
    """A new data folder, with nothing in it but one user."""
    data, port = folder / "data", machine.free_port()
    environment = _environment(data, port)
    _manage(environment, "migrate")
    _manage(environment, "createuser", ACCOUNT, "--email", "bench@example.org",
            "--password-stdin", standard_input="nobody signs in here\n")  # fmt: skip
    token = _manage(environment, "createtoken", ACCOUNT, "--name", "bench", "--scope", "conda")
    return House(data, port, token.strip())


@contextmanager
def condarium(here: House, **settings: str) -> Iterator[Condarium]:
    """Web and worker, as ``condarium serve`` starts them."""
    log = here.data.parent / "serve.log"
    command = [sys.executable, "manage.py", "serve"]
    with _running(command, log, here.environ(**settings)) as process:
        _wait_until_live(process, here.port, "/livez", log)
        web, worker = web_and_worker(process.pid)
        try:
            yield Condarium(here.port, web, worker, here)
        except UnexpectedAnswer:
            print(log.read_text(encoding="utf-8")[-4000:], file=sys.stderr)
            raise


@contextmanager
def plain_gunicorn(folder: Path) -> Iterator[Host]:
    """`benchmarks.peer` under gunicorn's threaded worker, nothing of ours in between."""
    log, port = folder / "peer.log", machine.free_port()
    (folder / STORED).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "4"]
    command += ["--bind", f"{machine.LOOPBACK}:{port}", "--timeout", "300"]
    command += ["--no-control-socket", "benchmarks.peer:application"]
    environment = {**_environment(folder, port), "BENCHMARKS_FOLDER": str(folder / STORED)}
    with _running(command, log, environment) as process:
        _wait_until_live(process, port, "/", log)
        yield Host(port, process.pid)


@contextmanager
def _running(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):  # all of them had ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_live(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise HostFailed(f"The server did not get ready.\n{log.read_text()[-4000:]}")
        time.sleep(0.05)


def _answers(port: int, path: str) -> bool:
    with connected(port) as client:
        try:
            return bool(_status(client, path))
        except OSError:
            return False


def _status(client: Client, path: str) -> int:
    try:
        return client.get(path).status
    except UnexpectedAnswer:
        return 1  # any answer shows that it listens


def web_and_worker(supervisor_pid: int) -> tuple[int, int]:
    """The parent of the web processes, and the worker."""
    web = worker = 0
    for child in machine.children_of(supervisor_pid):
        if "gunicorn: master [condarium-web]" in machine.command_of(child):
            web = child
        elif "condarium worker" in machine.command_of(child):
            worker = child
    if not web or not worker:
        raise HostFailed("Web and worker don't both run.")
    return web, worker


def _environment(data: Path, port: int) -> dict[str, str]:
    """Ours, without the settings of whoever runs this."""
    theirs = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CONDARIUM_", "DJANGO_"))
    }
    # An empty database of PostgreSQL, for one part alone: each would make the same account in it.
    if url := os.environ.get("BENCHMARKS_DATABASE_URL"):
        theirs["CONDARIUM_DATABASE_URL"] = url
    return {
        **theirs,
        "CONDARIUM_DATA": str(data),
        "CONDARIUM_HOST": machine.LOOPBACK,
        "CONDARIUM_PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }


def _manage(environment: Mapping[str, str], *arguments: str, standard_input: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=dict(environment),
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=_READY_SECONDS,
        check=False,
    )
    if done.returncode:
        raise HostFailed(f"{arguments[0]} ended with {done.returncode}.\n{done.stderr[-2000:]}")
    return done.stdout
