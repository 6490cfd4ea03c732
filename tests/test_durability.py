"""``kill -9`` at every step loses no acknowledged upload and lists nothing that is not there.

One live server runs through all of these tests. A failpoint ends its web or its worker process
as ``kill -9`` would, the supervisor starts it again, and everything must come right by itself.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portal import failpoints
from tests.builders import BuiltPackage, build_conda
from tests.servers import LiveServer, run_manage

IN_THE_WEB = failpoints.NAMES[: failpoints.NAMES.index("index-started")]
IN_THE_WORKER = failpoints.NAMES[failpoints.NAMES.index("index-started") :]
VISIBLE_SECONDS = 20.0


@dataclass(frozen=True)
class Host:
    """A live server, a token of its user ``maria``, and the order for the next crash."""

    server: LiveServer
    token: str
    order: Path

    def crash_at(self, name: str) -> None:
        self.order.write_text(name, encoding="ascii")

    def wait_for_the_crash(self) -> None:
        deadline = time.monotonic() + 10.0
        while self.order.exists():
            assert time.monotonic() < deadline, f"nothing came there: {self.server.log()}"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    env = {"CONDARIUM_DATA": str(folder / "data")}
    for arguments, text in (
        (["migrate", "-v0"], None),
        (
            ["createuser", "maria", "--email", "m@example.org", "--password-stdin"],
            "correct horse 8",
        ),
    ):
        done = run_manage(arguments, env, input=text)
        assert done.returncode == 0, done.stderr
    made = run_manage(
        ["createtoken", "maria", "--name", "ci", "--scope", "api:write", "--scope", "api:read"], env
    )
    assert made.returncode == 0, made.stderr
    order = folder / "crash"
    with LiveServer(folder, {"CONDARIUM_FAILPOINT": str(order)}) as server:
        yield Host(server, made.stdout.strip(), order)


def upload(host: Host, package: BuiltPackage) -> int | None:
    """The status of the answer, None when there was none."""
    request = urllib.request.Request(
        f"{host.server.url}/conda/maria/noarch/{package.filename}",
        data=package.data,
        method="PUT",
        headers={
            "Authorization": f"Bearer {host.token}",
            "Content-Type": "application/octet-stream",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
        return None


def fetch(server: LiveServer, path: str) -> bytes:
    with urllib.request.urlopen(f"{server.url}/conda/maria/{path}", timeout=20) as answer:
        data: bytes = answer.read()
        return data


def listed(server: LiveServer) -> dict[str, dict[str, object]]:
    records: dict[str, dict[str, object]] = json.loads(fetch(server, "noarch/repodata.json"))[
        "packages.conda"
    ]
    return records


def assert_listed_is_there(server: LiveServer) -> None:
    for filename, record in listed(server).items():
        data = fetch(server, f"noarch/{filename}")
        assert hashlib.sha256(data).hexdigest() == record["sha256"]
        assert len(data) == record["size"]


def wait_until_listed(server: LiveServer, package: BuiltPackage) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while package.filename not in listed(server):
        assert time.monotonic() < deadline, f"{package.filename} is not listed: {server.log()}"
        time.sleep(0.05)


def eventually(host: Host, package: BuiltPackage) -> int:
    """Upload as a client that tries again when the connection breaks."""
    for _ in range(80):
        status = upload(host, package)
        if status is not None:
            return status
        time.sleep(0.25)
    raise AssertionError(f"no answer to any try: {host.server.log()}")


@pytest.mark.parametrize("name", IN_THE_WEB)
def test_an_upload_that_a_crash_cut_is_whole_or_absent(name: str, host: Host) -> None:
    before, during = build_conda(f"before-{name}", "1.0"), build_conda(f"during-{name}", "1.0")
    assert eventually(host, before) == 201
    wait_until_listed(host.server, before)
    host.crash_at(name)

    assert upload(host, during) is None

    host.wait_for_the_crash()
    # Committed before the crash: the retry finds the same bytes there.
    assert eventually(host, during) == (200 if name == "after-commit" else 201)
    wait_until_listed(host.server, during)
    assert before.filename in listed(host.server)
    assert_listed_is_there(host.server)


@pytest.mark.parametrize("name", IN_THE_WORKER)
def test_an_acknowledged_upload_is_listed_though_the_worker_was_killed(
    name: str, host: Host
) -> None:
    before, during = build_conda(f"before-{name}", "1.0"), build_conda(f"during-{name}", "1.0")
    assert eventually(host, before) == 201
    wait_until_listed(host.server, before)
    host.crash_at(name)

    assert eventually(host, during) == 201

    host.wait_for_the_crash()
    assert before.filename in listed(host.server)
    assert_listed_is_there(host.server)
    wait_until_listed(host.server, during)
    assert_listed_is_there(host.server)


def test_what_a_killed_upload_left_behind_is_swept(host: Host) -> None:
    package = build_conda("left-behind", "1.0")
    incoming = Path(host.server.env["CONDARIUM_DATA"]) / "files" / "incoming"
    host.crash_at("received")
    assert upload(host, package) is None
    host.wait_for_the_crash()
    assert list(incoming.iterdir())

    assert eventually(host, package) == 201

    deadline = time.monotonic() + 30.0
    while list(incoming.glob("upload-*")):
        assert time.monotonic() < deadline, list(incoming.iterdir())
        time.sleep(0.1)


def test_the_whole_server_may_be_killed_and_comes_back_by_itself(host: Host) -> None:
    before, during = build_conda("before-all", "1.0"), build_conda("during-all", "1.0")
    assert eventually(host, before) == 201

    host.server.kill9()
    host.server.start()

    wait_until_listed(host.server, before)
    assert eventually(host, during) == 201
    wait_until_listed(host.server, during)
    assert_listed_is_there(host.server)
