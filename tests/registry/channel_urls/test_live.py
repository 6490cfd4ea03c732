"""Over a real server and real connections: what Django's test client can't show."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.builders import build_conda
from tests.servers import LOOPBACK, LiveServer, PreparedData

BIG = build_conda("big", "1.0", subdir="noarch", files={"data": os.urandom(3_000_000).hex()})
URL = f"/conda/maria/noarch/{BIG.filename}"


@dataclass
class Host:
    """A live server with a user maria, and one connection to it that is kept."""

    server: LiveServer
    token: str
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(LOOPBACK, self.server.port, timeout=20)

    def ask(
        self, method: str, url: str, body: bytes | Iterable[bytes] | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(
            method, url, body=body, headers=named, encode_chunked=not isinstance(body, bytes)
        )
        response = self.connection.getresponse()
        return response, response.read()

    def put(self, url: str, body: bytes | Iterable[bytes], **headers: str) -> int:
        headers["Authorization"] = f"Bearer {self.token}"
        if not isinstance(body, bytes):
            headers["Transfer_Encoding"] = "chunked"
        return self.ask("PUT", url, body, **headers)[0].status


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, prepared_data: PreparedData) -> Iterator[Host]:
    with LiveServer(tmp_path_factory.mktemp("host"), data=prepared_data) as server:
        host = Host(server, prepared_data.token)
        assert host.put(URL, BIG.data) == 201
        yield host
        host.connection.close()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_a_chunked_upload_arrives_whole(host: Host) -> None:
    built = build_conda("chunked", "1.0", subdir="noarch", files={"x": os.urandom(9999).hex()})
    url = f"/conda/maria/noarch/{built.filename}"

    assert host.put(url, pieces(built.data, 777)) == 201
    assert host.ask("GET", url)[1] == built.data


def test_a_chunked_upload_that_is_cut_is_refused(host: Host) -> None:
    built = build_conda("cut", "1.0", subdir="noarch")
    url = f"/conda/maria/noarch/{built.filename}"
    connection = http.client.HTTPConnection(LOOPBACK, host.server.port, timeout=20)
    connection.putrequest("PUT", url)
    connection.putheader("Authorization", f"Bearer {host.token}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    # All of the package, but not the chunk that ends the body.
    connection.send(f"{len(built.data):x}\r\n".encode() + built.data + b"\r\n")
    connection.sock.shutdown(1)

    assert connection.getresponse().status == 400
    connection.close()
    assert host.ask("GET", url)[0].status == 404


def test_a_refusal_comes_before_the_body(host: Host) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, host.server.port, timeout=20)
    connection.putrequest("PUT", URL)
    connection.putheader("Content-Length", "2000000000")
    connection.endheaders()

    response = connection.getresponse()

    assert response.status == 401
    assert response.getheader("Connection") == "close"
    connection.close()


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        (None, 200, BIG.data),
        ("bytes=0-9", 206, BIG.data[:10]),
        ("bytes=100000-2000000", 206, BIG.data[100_000:2_000_001]),
        ("bytes=-65536", 206, BIG.data[-65536:]),
        ("bytes=5-", 206, BIG.data[5:]),
        ("bytes=99999999-", 416, None),
    ],
)
def test_parts_of_a_file_come_over_one_connection(
    host: Host, asked: str | None, status: int, expected: bytes | None
) -> None:
    headers = {"Range": asked} if asked else {}
    response, body = host.ask("GET", URL, None, **headers)
    kept = host.connection.sock

    assert response.status == status
    if expected is not None:
        assert body == expected
        assert response.getheader("Content-Length") == str(len(expected))
    assert response.getheader("Transfer-Encoding") is None
    assert kept is not None


def test_head_and_304_leave_the_connection_usable(host: Host) -> None:
    response, _ = host.ask("GET", URL)
    kept, etag = host.connection.sock, response.getheader("ETag")
    assert etag is not None

    head, nothing = host.ask("HEAD", URL)
    unchanged, nothing_too = host.ask("GET", URL, If_None_Match=etag)
    again, body = host.ask("GET", URL, Range="bytes=-3")

    assert (head.status, nothing) == (200, b"")
    assert head.getheader("Content-Length") == str(BIG.size)
    assert (unchanged.status, nothing_too) == (304, b"")
    assert unchanged.getheader("Content-Length") is None
    assert unchanged.getheader("Transfer-Encoding") is None
    assert (again.status, body) == (206, BIG.data[-3:])
    assert host.connection.sock is kept


def test_the_index_follows_an_upload_by_itself(host: Host) -> None:
    for _ in range(200):
        response, body = host.ask("GET", "/conda/maria/noarch/repodata.json")
        assert response.status == 200
        if BIG.filename.encode() in body:
            break
        time.sleep(0.1)
    else:
        pytest.fail(host.server.log())


def test_no_log_line_holds_a_token(host: Host) -> None:
    host.ask("GET", f"/t/{host.token}/conda/maria/noarch/nothing-1-0.conda")
    host.ask("GET", f"/conda/t/{host.token}/maria/noarch/nothing-1-0.conda")

    assert host.token not in host.server.log()
