"""Fixtures for the servers of ``tests.servers``: one of each for a test run, and their data.

The first test that asks, in whatever worker process, starts the server; the worker that ends
last stops it. Each worker has a database, a Redis database and a bucket of its own.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests import servers

Server = TypeVar("Server", servers.PostgresServer, servers.RedisServer, servers.S3Server)


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "servers"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def worker_number(worker_id: str) -> int:
    return int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0


@pytest.fixture(scope="session")
def postgres(servers_folder: Path, worker_number: int) -> Iterator[servers.PostgresServer]:
    """PostgreSQL with an empty database of this worker's; make more with ``create_database``."""
    with _shared(
        servers_folder / "postgres",
        servers.PostgresServer,
        servers.start_postgres,
        servers.stop_postgres,
    ) as server:
        dbname = f"worker_{worker_number}"
        server.drop_database(dbname)  # of a worker that crashed and was replaced
        server.create_database(dbname)
        yield replace(server, dbname=dbname)


@pytest.fixture(scope="session")
def redis(servers_folder: Path, worker_number: int) -> Iterator[str]:
    """The URL of a Redis database."""
    with _shared(
        servers_folder / "redis",
        servers.RedisServer,
        servers.start_redis,
        lambda server: servers.end_process(server.pid),
    ) as server:
        yield server.url_of(worker_number % 16)  # Redis has 16 databases


@pytest.fixture(scope="session")
def s3(servers_folder: Path, worker_number: int) -> Iterator[servers.S3Server]:
    """S3 with a bucket of this worker's."""
    with _shared(
        servers_folder / "s3",
        servers.S3Server,
        servers.start_s3,
        lambda server: servers.end_process(server.pid),
    ) as server:
        own = replace(server, bucket=f"condarium-{worker_number}")
        client = own.client()
        client.create_bucket(Bucket=own.bucket)
        client.close()
        yield own


@pytest.fixture(scope="session")
def prepared_data(servers_folder: Path) -> servers.PreparedData:
    """A data folder for live hosts to begin with a copy of, made once for all workers."""
    folder = servers_folder / "prepared"
    folder.mkdir(exist_ok=True)
    token = folder / "token"
    with _alone(folder):
        if not token.exists():
            made = servers.prepare_data(_empty(folder))
            token.write_text(f"{made.folder.name} {made.token}", encoding="ascii")
    name, secret = token.read_text(encoding="ascii").split()
    return servers.PreparedData(folder / name, secret)


@contextmanager
def _shared(
    folder: Path,
    kind: Callable[..., Server],
    start: Callable[[Path], Server],
    stop: Callable[[Server], None],
) -> Iterator[Server]:
    """One server for all processes that are in this context at the same time.

    Who uses it holds a shared lock, which the system releases also for a worker that is
    killed. Whoever leaves and can lock exclusively was the last.
    """
    folder.mkdir(exist_ok=True)
    state = folder / "server.json"
    with (folder / "users").open("wb") as users:
        with _alone(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _running(state, kind)
            if server is None:
                server = start(_empty(folder))
                state.write_text(json.dumps(asdict(server)), encoding="utf-8")
                servers.guard(server, users=folder / "users", state=state)
        try:
            yield server
        finally:
            with _alone(folder):
                if _is_last(users):
                    state.unlink()
                    stop(server)
                    for data in folder.glob("*/data"):  # the logs stay
                        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: Any) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Trying for the exclusive lock may have lost the shared one, which is over anyway.
        return False
    return True


def _running(state: Path, kind: Callable[..., Server]) -> Server | None:
    if not state.exists():
        return None
    server = kind(**json.loads(state.read_text(encoding="utf-8")))
    return server if servers.is_running(server.pid) else None


def _empty(folder: Path) -> Path:
    """A folder for the next server: nothing of one before it may come back."""
    numbers = (int(path.name) for path in folder.iterdir() if path.name.isdigit())
    return folder / str(max(numbers, default=0) + 1)
