"""Many requests for one file, with as little work beside them as can be."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks.client import UnexpectedAnswer
from benchmarks.machine import LOOPBACK

_CONNECTIONS = 4
_REQUESTS_OF_A_CONNECTION = 500  # nginx closes it after 1,000
_TIMEOUT_SECONDS = 60.0
_BUFFER_BYTES = 1024 * 1024
WRK = shutil.which("wrk")
_CONNECTIONS_OF_WRK = 32
_COUNTED = re.compile(r"^ *([0-9]+) requests in ", re.MULTILINE)
_TROUBLE = re.compile(r"^ *(?:Non-2xx|Socket errors).*$", re.MULTILINE)
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_ETAG = re.compile(rb"\r\netag: *([^\r\n]+)", re.IGNORECASE)


@dataclass(slots=True)
class Target:
    """A file behind a server, how to ask for it, and what it cost each time."""

    name: str
    port: int
    path: str
    clock: Callable[[], float]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    per_cpu_second: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    megabytes_per_second: list[float] = field(default_factory=list)

    def asking_again(self, name: str) -> Target:
        """The same file, asked for by whoever has it."""
        with _connection(self.port) as connection:
            head, _ = _answer(connection, self._request(), memoryview(bytearray(_BUFFER_BYTES)))
        match = _ETAG.search(head)
        if match is None:
            raise UnexpectedAnswer(f"{self.path} has no ETag: {head!r}")
        headers = {**self.headers, "If-None-Match": match[1].decode()}
        return Target(name, self.port, self.path, self.clock, headers, status=304)

    def sample(self, requests: int) -> None:
        each = requests // _CONNECTIONS
        request, wanted = self._request(), b"HTTP/1.1 %d " % self.status
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            cpu, wall = self.clock(), time.perf_counter()
            asked = [
                pool.submit(_ask, self.port, request, wanted, each) for _ in range(_CONNECTIONS)
            ]
            sizes = [future.result() for future in asked]
            wall, cpu = time.perf_counter() - wall, self.clock() - cpu
        self.per_cpu_second.append(each * _CONNECTIONS / cpu)
        self.per_second.append(each * _CONNECTIONS / wall)
        self.megabytes_per_second.append(sum(sizes) / 1e6 / wall)

    def load(self, seconds: int) -> None:
        """The same by wrk, which keeps a server busy: clients in Python leave it asleep between
        one request and the next, and what waking up costs varies by a half."""
        assert WRK is not None
        headers = [f"--header={name}: {value}" for name, value in self.headers.items()]
        command = [WRK, "--threads=1", f"--connections={_CONNECTIONS_OF_WRK}",
                   f"--duration={seconds}s", *headers,
                   f"http://{LOOPBACK}:{self.port}{self.path}"]  # fmt: skip
        cpu, wall = self.clock(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        wall, cpu = time.perf_counter() - wall, self.clock() - cpu
        counted = _COUNTED.search(done.stdout)
        if counted is None or _TROUBLE.search(done.stdout):
            raise UnexpectedAnswer(f"{self.path}: {done.stdout}")
        self.per_cpu_second.append(int(counted[1]) / cpu)
        self.per_second.append(int(counted[1]) / wall)

    def forget(self) -> None:
        for samples in (self.per_cpu_second, self.per_second, self.megabytes_per_second):
            samples.clear()

    def _request(self) -> bytes:
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {LOOPBACK}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sample_in_turn(targets: Sequence[Target], *, requests: int, rounds: int) -> None:
    for target in _in_turn(targets, rounds):
        target.sample(requests)


def load_in_turn(targets: Sequence[Target], *, seconds: int, rounds: int) -> None:
    for target in _in_turn(targets, rounds):
        target.load(seconds)


def _in_turn(targets: Sequence[Target], rounds: int) -> Iterator[Target]:
    for target in targets:
        target.sample(_CONNECTIONS)  # it answers as it should, and what is cached is cached
        target.forget()
    for number in range(rounds):
        first = number % len(targets)
        yield from [*targets[first:], *targets[:first]]


def _ask(port: int, request: bytes, wanted: bytes, times: int) -> int:
    """Ask so many times; returns how many bytes of bodies came."""
    buffer, size_bytes = memoryview(bytearray(_BUFFER_BYTES)), 0
    for done in range(0, times, _REQUESTS_OF_A_CONNECTION):
        with _connection(port) as connection:
            for _ in range(min(times - done, _REQUESTS_OF_A_CONNECTION)):
                head, body_bytes = _answer(connection, request, buffer)
                if not head.startswith(wanted):
                    raise UnexpectedAnswer(f"{request!r}: {head!r} instead of {wanted!r}")
                size_bytes += body_bytes
    return size_bytes


def _answer(connection: socket.socket, request: bytes, buffer: memoryview) -> tuple[bytes, int]:
    """The head of one answer, and the size of its body, which is read and forgotten."""
    connection.sendall(request)
    head = b""
    while (end := head.find(b"\r\n\r\n")) < 0:
        count = connection.recv_into(buffer)
        if not count:
            raise UnexpectedAnswer(f"The server closed after {head!r}")
        head += buffer[:count]
    match = _LENGTH.search(head, 0, end + 2)
    body_bytes = int(match[1]) if match and not head.startswith(b"HTTP/1.1 304") else 0
    left = body_bytes - (len(head) - end - 4)
    while left > 0:
        count = connection.recv_into(buffer)
        if not count:
            raise UnexpectedAnswer(f"The server closed {left} bytes early")
        left -= count
    return head[: end + 4], body_bytes


def _connection(port: int) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
