"""What the documents start, run as it is written: the host, its tests, containers, Caddy."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg.sql import SQL, Identifier

from portal import bootstrap
from tests.builders import build_conda
from tests.documents import programs
from tests.documents.blocks import commands_with, in_text
from tests.portal.front import CADDY
from tests.servers import (
    LIVE_SECONDS,
    LOOPBACK,
    PASSWORD,
    PROJECT,
    LiveServer,
    PostgresServer,
    PreparedData,
    environment,
    free_port,
)

OURS = PROJECT / ".venv" / "bin"
PATH = f"{OURS}:{os.environ['PATH']}"


def shell(
    command: str, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-eu", "-c", command],
        cwd=folder,
        env=environment(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def started(command: str, *, port: int | None, env: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a command that doesn't end, from when it answers until Ctrl-C, which ends all of it."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-eu", "-c", command],
            cwd=PROJECT,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + LIVE_SECONDS
        while port is not None and status_of(port) != 200:
            told = log.read_text(encoding="utf-8")
            assert process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
        yield
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all in the foreground
        process.wait(30)
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def status_of(port: int) -> int | None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@pytest.fixture
def installed() -> None:
    """Each command of make looks first whether all is installed, and would else fetch it."""
    for part, wanted in ((bootstrap.PROJECT, "test"), (bootstrap.CLIENTS, "clients")):
        if not part.is_there(wanted):
            pytest.fail(f"{part.folder.name} is not as the lock has it: make set-up-test")


@pytest.mark.usefixtures("installed")
def test_the_host_is_started_and_ended(tmp_path: Path) -> None:
    [command] = commands_with("make run")
    port, log = free_port(), tmp_path / "log"
    env = {"CONDARIUM_DATA": str(tmp_path / "data"), "CONDARIUM_PORT": str(port)}

    with started(command, port=port, env=env, log=log):
        assert (tmp_path / "data" / "condarium.sqlite3").is_file()

    told = log.read_text(encoding="utf-8")
    assert str(tmp_path / "data") in told
    assert f"http://{LOOPBACK}:{port}/" in told
    assert "Traceback" not in told


def test_a_host_with_a_demonstration_is_made_and_served(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    env = {"CONDARIUM_DATA": str(data), "CONDARIUM_PORT": str(port), "PATH": PATH}

    migrated = shell(in_text("condarium migrate"), tmp_path, env)
    assert migrated.returncode == 0, migrated.stderr
    assert (data / "condarium.sqlite3").is_file()

    shown = shell(in_text("condarium demo"), tmp_path, env)
    assert shown.returncode == 0, shown.stderr
    [publish] = [line for line in shown.stdout.splitlines() if line.startswith("  curl ")]
    with started(in_text("condarium serve"), port=port, env=env, log=tmp_path / "log"):
        # One of the commands that it says are to be tried; again, it succeeds.
        done = shell(f"{publish}?wait=10 --noproxy '*' --write-out 'is %{{http_code}}'", tmp_path)
    assert done.stdout.endswith(("is 200", "is 201")), done.stdout + done.stderr


@pytest.mark.usefixtures("installed")
def test_the_demonstration_is_made_from_the_tree(tmp_path: Path) -> None:
    done = shell(in_text("make demo"), PROJECT, {"CONDARIUM_DATA": str(tmp_path / "data")})

    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {"curl", "conda", "mamba", "pixi"} <= set(told)
    with sqlite3.connect(tmp_path / "data" / "condarium.sqlite3") as database:
        [[files]] = database.execute("SELECT count(*) FROM registry_packagefile").fetchall()
    assert files >= 12


def test_web_and_worker_are_started_each_by_itself(
    tmp_path: Path, prepared_data: PreparedData
) -> None:
    port = free_port()
    env = {**prepared_data.copy_to(tmp_path / "data"), "CONDARIUM_PORT": str(port), "PATH": PATH}
    built = build_conda("hello", "1.0")
    (tmp_path / built.filename).write_bytes(built.data)
    channel = f"http://{LOOPBACK}:{port}/conda/maria"
    curl = "curl --silent --show-error --fail --noproxy '*'"
    put = f"{curl} --header 'Authorization: Bearer {prepared_data.token}' --upload-file"
    web = f"{in_text('condarium serve')} {in_text('--web-only')}"

    with started(web, port=port, env=env, log=tmp_path / "web.log"):
        # It waits as long for an index that nobody writes.
        done = shell(f"{put} {built.filename} {channel}/noarch/?wait=1", tmp_path)
        assert done.returncode == 0, done.stderr
        assert (
            built.filename not in shell(f"{curl} {channel}/noarch/repodata.json", tmp_path).stdout
        )

        with started(in_text("condarium worker"), port=None, env=env, log=tmp_path / "worker.log"):
            deadline = time.monotonic() + LIVE_SECONDS
            while (
                built.filename
                not in shell(f"{curl} {channel}/noarch/repodata.json", tmp_path).stdout
            ):
                assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
                time.sleep(0.1)


@pytest.mark.usefixtures("installed")
def test_the_tests_are_run() -> None:
    [command] = commands_with("make test")

    # All of them would run this one.
    few = "tests/registry/conda/test_version.py -n0 -p no:cacheprovider"
    done = shell(command, PROJECT, {"ARGS": few})

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.skipif(
    CADDY is None and not os.environ.get("CI"),
    reason="Caddy is not installed (apt install caddy)",
)
def test_caddy_is_put_in_front(tmp_path: Path, prepared_data: PreparedData) -> None:
    [command] = commands_with("caddy run")
    port, log = free_port(), tmp_path / "log"
    # By http: a certificate wants a name in the DNS. Its administration has a fixed port.
    command = command.replace("condarium.example.com", f"http://{LOOPBACK}:{port}")
    env = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    env["CADDY_ADMIN"] = f"unix/{tmp_path}/admin"

    with LiveServer(tmp_path / "host", data=prepared_data, options=["--web-only"]) as server:
        env["CONDARIUM_UPSTREAM"] = f"{LOOPBACK}:{server.port}"
        with started(command, port=port, env=env, log=log):
            pass

    assert '"uri":"/livez"' in log.read_text(encoding="utf-8")


# --- Containers, without an engine: see programs.docker ----------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What ``make compose`` needs of ours: it writes beside it."""
    folder = tmp_path / "tree"
    (folder / "deploy").mkdir(parents=True)
    for name in ("Makefile", "compose.yaml", "deploy/make-env"):
        shutil.copy(PROJECT / name, folder / name)
    programs.install(tmp_path / "bin")
    return folder


def with_docker(tree: Path) -> dict[str, str]:
    return {"PATH": f"{OURS}:{tree.parent / 'bin'}:/usr/bin:/bin"}


@pytest.mark.parametrize("command", sorted(set(commands_with("make compose"))))
def test_the_containers_get_what_they_need(command: str, tree: Path) -> None:
    done = shell(command, tree, with_docker(tree))

    assert done.returncode == 0, done.stdout + done.stderr
    given = (tree / ".env").read_text(encoding="utf-8").splitlines()
    is_for_others = "URL=" in command
    url = "https://condarium.example.com" if is_for_others else "http://localhost:8080"
    assert f"CONDARIUM_URL={url}" in given
    assert f"CONDARIUM_MODE={'production' if is_for_others else 'embedded'}" in given


def test_the_first_account_is_made_in_a_container(tree: Path, prepared_data: PreparedData) -> None:
    [command] = commands_with("docker compose run")
    env = prepared_data.copy_to(tree.parent / "data")
    (tree / "password.txt").write_text(f"{PASSWORD}\n")

    done = shell(command, tree, env | with_docker(tree))

    assert done.returncode == 0, done.stdout + done.stderr
    with sqlite3.connect(tree.parent / "data" / "condarium.sqlite3") as database:
        rows = database.execute(
            "SELECT email, is_superuser FROM accounts_user WHERE email LIKE 'olga@%'"
        ).fetchall()
    assert rows == [("olga@example.org", 1)]


# --- Backups -----------------------------------------------------------------------------------


def test_the_database_of_the_containers_is_written_out(
    tree: Path, postgres: PostgresServer
) -> None:
    [command] = commands_with("docker compose exec")
    compose = yaml.safe_load((tree / "compose.yaml").read_text(encoding="utf-8"))
    inside = compose["services"]["postgres"]["environment"]
    user, name = inside["POSTGRES_USER"], inside["POSTGRES_DB"]
    # As the image makes them.
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN SUPERUSER").format(Identifier(user)))
    try:
        with psycopg.connect(postgres.create_database(name)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'the last word' AS said")
        env = {"PGHOST": postgres.host, **with_docker(tree)}
        # Beside the server that runs, since another version's refuses.
        env["PATH"] = f"{Path(f'/proc/{postgres.pid}/exe').resolve().parent}:{env['PATH']}"
        done = shell(command, tree, env)
    finally:
        postgres.drop_database(name)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(SQL("DROP ROLE {}").format(Identifier(user)))

    assert done.returncode == 0, done.stderr
    assert "the last word" in (tree / "condarium.sql").read_text(encoding="utf-8")


@pytest.mark.skipif(
    shutil.which("sqlite3") is None and not os.environ.get("CI"),
    reason="sqlite3 is not installed (apt install sqlite3)",
)
def test_the_database_of_one_machine_is_copied(tmp_path: Path, prepared_data: PreparedData) -> None:
    [command] = commands_with("sqlite3 data")
    prepared_data.copy_to(tmp_path / "data")

    # As of a host that runs: something stands in no file but the log of what was written.
    with sqlite3.connect(tmp_path / "data" / "condarium.sqlite3") as database:
        database.execute("UPDATE accounts_user SET email = 'just@example.org'")
        database.commit()
        done = shell(command, tmp_path)

    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "copy.sqlite3") as copy:
        assert copy.execute("SELECT email FROM accounts_user").fetchall() == [("just@example.org",)]
