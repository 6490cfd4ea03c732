"""A client that does as little as it can: it is not measured, but it shares the cores."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.machine import LOOPBACK
from benchmarks.packages import Package

# As curl sends a body of unknown length.
CHUNK_BYTES = 64 * 1024
_SEND_BYTES = 1024 * 1024
_TIMEOUT_SECONDS = 120.0


class UnexpectedAnswer(RuntimeError):
    """A figure taken from requests that failed would be none."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    etag: str
    body: bytes


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS)
        self._headers = dict(headers)

    def get(self, path: str, *, etag: str = "") -> Answer:
        headers = {**self._headers, "If-None-Match": etag} if etag else self._headers
        self._connection.request("GET", path, headers=headers)
        return self._answer({200, 304} if etag else {200})

    def finds_page(self, path: str) -> bool:
        """Whether there is one for them; other answers are no figures."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._answer(set(range(200, 500)))
        return answer.status == 200 and answer.body.lstrip()[:9].lower() == b"<!doctype"

    def head(self, path: str, *, etag: str = "") -> Answer:
        headers = {**self._headers, "If-None-Match": etag} if etag else self._headers
        self._connection.request("HEAD", path, headers=headers)
        return self._answer({200, 304} if etag else {200})

    def blocks(self, path: str) -> Iterator[memoryview]:
        """GET without keeping what comes."""
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise UnexpectedAnswer(f"GET {path}: {response.status} {response.read()[:300]!r}")
        buffer = memoryview(bytearray(_SEND_BYTES))
        while count := response.readinto(buffer):
            yield buffer[:count]

    def drain(self, path: str) -> int:
        """GET, and return how many bytes came."""
        return sum(len(block) for block in self.blocks(path))

    def put(self, path: str, package: Package, *, chunked: bool = False) -> float:
        """Upload, and return how many seconds it took until it was acknowledged."""
        started = time.perf_counter()
        connection = self._connection
        connection.putrequest("PUT", path, skip_accept_encoding=True)
        for name, value in self._headers.items():
            connection.putheader(name, value)
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        else:
            connection.putheader("Content-Length", str(package.size_bytes))
        connection.endheaders()
        sock: socket.socket = connection.sock
        for block in package.blocks(_SEND_BYTES):
            sock.sendall(_in_chunks(block) if chunked else block)
        if chunked:
            sock.sendall(b"0\r\n\r\n")
        self._answer({200, 201})
        return time.perf_counter() - started

    def close(self) -> None:
        self._connection.close()

    def _answer(self, wanted: set[int]) -> Answer:
        response = self._connection.getresponse()
        body = response.read()
        if response.status not in wanted:
            raise UnexpectedAnswer(f"{response.status} {response.reason}: {body[:500]!r}")
        return Answer(response.status, response.headers.get("ETag", ""), body)


@contextmanager
def connected(port: int, headers: Mapping[str, str] | None = None) -> Iterator[Client]:
    client = Client(port, headers or {})
    try:
        yield client
    finally:
        client.close()


def _in_chunks(block: bytes | memoryview) -> bytes:
    parts: list[bytes | memoryview] = []
    for start in range(0, len(block), CHUNK_BYTES):
        chunk = block[start : start + CHUNK_BYTES]
        parts += [b"%x\r\n" % len(chunk), chunk, b"\r\n"]
    return b"".join(parts)
