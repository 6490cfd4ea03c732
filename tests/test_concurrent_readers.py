"""Whoever reads while others publish finds every generation whole, and never an older one."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from tests.builders import BuiltPackage, build_conda
from tests.servers import LOOPBACK, LiveServer, PreparedData

# Records long enough that the document soon has several chunks.
DEPENDS = [f"dependency-number-{number} >=1.{number},<2.0a0" for number in range(900)]
FILES = 30


class Reader:
    """One client that asks for one file again and again, and looks closely at every answer."""

    def __init__(self, server: LiveServer, name: str, read: Callable[[bytes, Reader], Found]):
        self._server = server
        self._name = name
        self._read = read
        self._seen: Found = {}
        self.generations = 0
        self.trouble: list[str] = []

    def run(self, done: threading.Event) -> None:
        etag = ""
        while not done.is_set() and not self.trouble:
            try:
                etag = self._look(etag)
            except (AssertionError, OSError, ValueError, zstandard.ZstdError) as error:
                self.trouble.append(f"{self._name}: {type(error).__name__}: {error}"[:500])
            time.sleep(0.002)

    def get(self, path: str, **headers: str) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self._server.port, timeout=30)
        try:
            connection.request("GET", f"/conda/maria/noarch/{path}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("ETag", ""), answer.read()
        finally:
            connection.close()

    def _look(self, known: str) -> str:
        status, etag, body = self.get(self._name, **({"If-None-Match": known} if known else {}))
        if status == 304:
            return known
        assert status == 200, status
        found = self._read(body, self)
        assert self._seen.keys() <= found.keys(), "an older generation came back"
        for filename in list(found.keys() - self._seen.keys())[:3]:
            status, _, data = self.get(filename)
            assert status == 200, f"{filename} is listed and {status}"
            assert hashlib.sha256(data).hexdigest() == found[filename], filename
        self._seen = found
        self.generations += 1
        return etag


Found = dict[str, str]


def from_json(body: bytes, _: Reader) -> Found:
    document = json.loads(body)
    return {name: record["sha256"] for name, record in document["packages.conda"].items()}


def from_zst(body: bytes, reader: Reader) -> Found:
    return from_json(zstandard.decompress(body), reader)


def from_shards(body: bytes, reader: Reader) -> Found:
    found: Found = {}
    index = msgspec.msgpack.decode(zstandard.decompress(body))
    for digest in index["shards"].values():
        status, _, data = reader.get(f"shards/{digest.hex()}.msgpack.zst")
        assert status == 200, f"a shard is {status}"
        assert hashlib.sha256(data).digest() == digest
        shard = msgspec.msgpack.decode(zstandard.decompress(data))
        found |= {name: record["sha256"].hex() for name, record in shard["packages.conda"].items()}
    return found


@pytest.fixture
def server(tmp_path: Path, prepared_data: PreparedData) -> Iterator[LiveServer]:
    with LiveServer(tmp_path, data=prepared_data) as server:
        yield server


def test_every_generation_is_whole_and_none_comes_back(
    server: LiveServer, prepared_data: PreparedData
) -> None:
    token = prepared_data.token
    readers = [
        Reader(server, "repodata.json", from_json),
        Reader(server, "repodata.json.zst", from_zst),
        Reader(server, "repodata_shards.msgpack.zst", from_shards),
    ]
    done = threading.Event()
    put(server, token, build_conda("name-0", "1.0", depends=DEPENDS), wait_seconds=30)
    threads = [threading.Thread(target=reader.run, args=(done,)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, FILES):
            package = build_conda(f"name-{number % 7}", f"1.{number}", depends=DEPENDS)
            put(server, token, package, wait_seconds=30 if number % 5 == 0 else 0)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert [reader.trouble for reader in readers] == [[], [], []], server.log()
    assert all(reader.generations > 2 for reader in readers)


def put(server: LiveServer, token: str, package: BuiltPackage, *, wait_seconds: int) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=60)
    try:
        connection.request(
            "PUT",
            f"/conda/maria/noarch/{package.filename}?wait={wait_seconds}",
            package.data,
            {"Authorization": f"Bearer {token}"},
        )
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        answer.read()
    finally:
        connection.close()
