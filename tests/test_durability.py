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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from portal import failpoints
from tests.builders import BuiltPackage, build_conda
from tests.servers import LiveServer, PreparedData, run_manage

INDEX_STARTED = failpoints.NAMES.index("index-started")
STAGE_RECEIVED = failpoints.NAMES.index("stage-received")
IN_THE_WEB = failpoints.NAMES[:INDEX_STARTED]
IN_THE_WORKER = failpoints.NAMES[INDEX_STARTED:STAGE_RECEIVED]
IN_THE_FORM = ("stage-received", "stage-stored")
IN_THE_COMMIT = ("stored", "after-commit", "stage-ended")
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
def host(tmp_path_factory: pytest.TempPathFactory, prepared_data: PreparedData) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    order = folder / "crash"
    env = {"CONDARIUM_FAILPOINT": str(order)}
    with LiveServer(folder, env, data=prepared_data) as server:
        yield Host(server, prepared_data.token, order)


@pytest.fixture
def patient(host: Host) -> Host:
    """With a supervisor that has seen no worker end: each time it waits longer to start the next
    one, as it should where one ends again and again."""
    host.server.kill9()
    host.server.start()
    return host


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


def listed(server: LiveServer, document: str = "repodata.json") -> dict[str, dict[str, object]]:
    records: dict[str, dict[str, object]] = json.loads(fetch(server, f"noarch/{document}"))[
        "packages.conda"
    ]
    return records


def assert_listed_is_there(server: LiveServer) -> None:
    for filename, record in listed(server).items():
        data = fetch(server, f"noarch/{filename}")
        assert hashlib.sha256(data).hexdigest() == record["sha256"]
        assert len(data) == record["size"]


def is_listed(server: LiveServer, package: BuiltPackage, document: str) -> bool:
    try:
        return package.filename in listed(server, document)
    except urllib.error.HTTPError as error:
        # A summary of a channel's first packages comes after their listing.
        if error.code != 404 or document == "repodata.json":
            raise
        return False


def wait_until_listed(
    server: LiveServer, package: BuiltPackage, document: str = "repodata.json"
) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not is_listed(server, package, document):
        assert time.monotonic() < deadline, f"{package.filename} is not listed: {server.log()}"
        time.sleep(0.05)


def eventually(host: Host, package: BuiltPackage) -> int:
    """Upload as a client that tries again when the connection breaks."""
    return again_and_again(host, lambda: upload(host, package))


def again_and_again(host: Host, ask: Callable[[], int | None]) -> int:
    for _ in range(80):
        status = ask()
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
    name: str, patient: Host
) -> None:
    host = patient
    before, during = build_conda(f"before-{name}", "1.0"), build_conda(f"during-{name}", "1.0")
    assert eventually(host, before) == 201
    wait_until_listed(host.server, before)
    host.crash_at(name)

    assert eventually(host, during) == 201

    host.wait_for_the_crash()
    assert before.filename in listed(host.server)
    assert_listed_is_there(host.server)
    wait_until_listed(host.server, during)
    wait_until_listed(host.server, during, "current_repodata.json")
    assert_listed_is_there(host.server)


@pytest.mark.parametrize("name", ["claimed", "stored"])
def test_a_damaged_package_is_as_it_was_or_whole_when_its_mending_is_killed(
    name: str, host: Host
) -> None:
    package = build_conda(f"mended-{name}", "1.0")
    assert eventually(host, package) == 201
    wait_until_listed(host.server, package)
    files = Path(host.server.env["CONDARIUM_DATA"]) / "files"
    stored = files / "blobs" / package.sha256[:2] / package.sha256
    damaged = bytes(len(package.data))
    stored.unlink()
    stored.write_bytes(damaged)
    assert run_manage(["verify"], host.server.env).returncode == 1
    host.crash_at(name)

    assert upload(host, package) is None

    host.wait_for_the_crash()
    assert stored.read_bytes() == (damaged if name == "claimed" else package.data)
    assert run_manage(["shell", "--no-imports", "-c", _COUNT], host.server.env).stdout == "1\n"
    assert eventually(host, package) == 200
    assert fetch(host.server, f"noarch/{package.filename}") == package.data
    assert run_manage(["verify"], host.server.env).returncode == 0


_COUNT = "from registry.models import Blob; print(Blob.objects.damaged().count())"


class InSteps:
    """An upload as anaconda's clients do it: announced, sent as a form, committed."""

    def __init__(self, host: Host, package: BuiltPackage) -> None:
        self._host, self._package = host, package
        self._path = f"maria/{package.filename.rpartition('-1.0-0')[0]}/1.0/noarch"
        answer = requests.post(
            f"{host.server.url}/api/stage/{self._path}/{package.filename}",
            json={"distribution_type": "conda", "channels": [], "sha256": package.sha256},
            headers={"Authorization": f"token {host.token}"},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        self.announced = answer.json()

    def send(self) -> int | None:
        files = {"file": (f"noarch/{self._package.filename}", self._package.data)}
        return self._ask(self.announced["post_url"], data=self.announced["form_data"], files=files)

    def commit(self) -> int | None:
        return self._ask(
            f"{self._host.server.url}/api/commit/{self._path}/{self._package.filename}",
            json={"dist_id": self.announced["dist_id"]},
            headers={"Authorization": f"token {self._host.token}"},
        )

    def bytes_wait(self) -> bool:
        files = Path(self._host.server.env["CONDARIUM_DATA"]) / "files"
        return (files / "staged" / str(self.announced["dist_id"])).exists()

    def _ask(self, url: str, **request: Any) -> int | None:
        try:
            return requests.post(url, timeout=20, **request).status_code
        except requests.ConnectionError:
            return None


def keep_house(host: Host) -> None:
    command = "from registry.housekeeping import keep_house; keep_house()"
    done = run_manage(["shell", "-c", command], host.server.env)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", IN_THE_FORM)
def test_a_form_that_a_crash_cut_can_be_sent_again(name: str, host: Host) -> None:
    package = build_conda(f"in-form-{name}", "1.0")
    during = InSteps(host, package)
    host.crash_at(name)

    assert during.send() is None

    host.wait_for_the_crash()
    assert again_and_again(host, during.send) == 201
    assert during.commit() == 200
    wait_until_listed(host.server, package)
    assert_listed_is_there(host.server)


@pytest.mark.parametrize("name", IN_THE_COMMIT)
def test_a_commit_that_a_crash_cut_can_be_asked_for_again(name: str, host: Host) -> None:
    package = build_conda(f"in-commit-{name}", "1.0")
    during = InSteps(host, package)
    assert during.send() == 201
    host.crash_at(name)

    assert during.commit() is None

    host.wait_for_the_crash()
    assert again_and_again(host, during.commit) == 200
    wait_until_listed(host.server, package)
    assert_listed_is_there(host.server)
    if name == "stage-ended":
        assert during.bytes_wait()
        keep_house(host)
    assert not during.bytes_wait()


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


def test_a_job_goes_on_though_its_worker_was_killed(patient: Host) -> None:
    host = patient
    package = build_conda("copied", "1.0")
    assert eventually(host, package) == 201
    host.crash_at("job-advanced")

    started = shell(
        host,
        "from accounts.identity import OPERATOR; from registry import channel_work;"
        "from registry.models import Channel; [c] = Channel.objects.select_related('account');"
        "print(channel_work.start_reindex(by=OPERATOR, channel=c).key)",
    )
    host.wait_for_the_crash()

    state = (
        "from registry.models import Job; j = Job.objects.get(key='%s'); print(j.state, j.attempts)"
    )
    deadline = time.monotonic() + VISIBLE_SECONDS
    while (found := shell(host, state % started)) != "done 2":
        assert time.monotonic() < deadline, f"{found}: {host.server.log()}"
        time.sleep(0.5)


def shell(host: Host, command: str) -> str:
    done = run_manage(["shell", "--no-imports", "-c", command], host.server.env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_whole_server_may_be_killed_and_comes_back_by_itself(host: Host) -> None:
    before, during = build_conda("before-all", "1.0"), build_conda("during-all", "1.0")
    assert eventually(host, before) == 201

    host.server.kill9()
    host.server.start()

    wait_until_listed(host.server, before)
    assert eventually(host, during) == 201
    wait_until_listed(host.server, during)
    assert_listed_is_there(host.server)
