"""The worker beside the web server: woken by a commit, with SQLite and with PostgreSQL."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import BuiltPackage, build_conda
from tests.servers import (
    LOOPBACK,
    PASSWORD,
    LiveServer,
    PostgresServer,
    PreparedData,
    free_port,
    run_commands,
)

# Far beyond what it takes on a busy machine; what is measured stands in the benchmarks.
LONG = 30


@dataclass(frozen=True)
class Host:
    """A live server without a broker, and a token of its user ``maria``."""

    server: LiveServer
    token: str

    def put(self, package: BuiltPackage, **headers: str) -> http.client.HTTPMessage:
        connection = http.client.HTTPConnection(LOOPBACK, self.server.port, timeout=2 * LONG)
        try:
            connection.request(
                "PUT",
                f"/conda/maria/noarch/{package.filename}",
                package.data,
                {"Authorization": f"Bearer {self.token}", **headers},
            )
            answer = connection.getresponse()
            assert answer.status == 201, answer.read()
            return answer.headers
        finally:
            connection.close()

    def listed(self) -> list[str]:
        connection = http.client.HTTPConnection(LOOPBACK, self.server.port, timeout=LONG)
        try:
            connection.request("GET", "/conda/maria/noarch/repodata.json")
            return list(json.loads(connection.getresponse().read())["packages.conda"])
        finally:
            connection.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def host(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    prepared_data: PreparedData,
) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    if request.param == "sqlite":
        with LiveServer(folder, data=prepared_data) as server:
            yield Host(server, prepared_data.token)
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create_database(f"worker_{free_port()}")
    with LiveServer(folder, {"CONDARIUM_DATABASE_URL": url}) as server:
        _, token = run_commands(
            ["createuser", "maria", "--email", "m@example.org", "--password-stdin"],
            ["createtoken", "maria", "--name", "ci", "--scope", "api:write"],
            env=server.env,
            input=PASSWORD,
        )
        yield Host(server, token)


def test_who_asks_for_it_is_answered_when_the_upload_is_visible(host: Host) -> None:
    for number in range(5):
        package = build_conda("seen", f"1.{number}")

        answer = host.put(package, Prefer=f"wait={LONG}")

        assert answer["Preference-Applied"] == f"wait={LONG}", host.server.log()
        assert package.filename in host.listed()


def test_the_worker_goes_on_after_a_restart_and_stops_when_told_to(host: Host) -> None:
    package = build_conda("after", "1.0")
    started = time.monotonic()
    assert host.server.stop() == 0
    assert time.monotonic() - started < LONG / 2
    host.server.start()

    answer = host.put(package, Prefer=f"wait={LONG}")

    assert answer["Preference-Applied"] == f"wait={LONG}"
    assert "Traceback" not in host.server.log()


def test_a_stop_answers_those_who_wait(tmp_path: Path, prepared_data: PreparedData) -> None:
    answers: list[http.client.HTTPMessage] = []
    with LiveServer(tmp_path, options=["--web-only"], data=prepared_data) as server:
        host, package = Host(server, prepared_data.token), build_conda("waiting", "1.0")
        sender = threading.Thread(
            target=lambda: answers.append(host.put(package, Prefer="wait=60"))
        )
        sender.start()
        deadline = time.monotonic() + LONG
        while not list((tmp_path / "data" / "files").glob("blobs/*/*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = time.monotonic()

        assert server.stop() == 0

        assert time.monotonic() - started < LONG / 2
        sender.join(LONG)
    assert "Preference-Applied" not in answers[0]
