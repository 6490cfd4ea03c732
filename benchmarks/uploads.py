"""What taking in a package costs, beside the least that it could cost.

The least: one thread reads the same bytes from the page cache, computes sha256 and md5, writes
them to the same file system and calls fsync. Condarium does that and receives HTTP, decides who
may, unpacks the whole archive once to check it, and commits to the database. Plain gunicorn
receives HTTP and does the least, no more.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.client import connected
from benchmarks.hosts import ACCOUNT, STORED, Condarium, Host
from benchmarks.packages import Package, Payload
from benchmarks.report import Figure, Goal, at_least, median_of

BLOCK_BYTES = 1024 * 1024
_PLACE = f"/conda/{ACCOUNT}/uploads/noarch"
AT_ONCE = 4


@dataclass(slots=True)
class Way:
    """One way to do the same, and what it cost each time."""

    name: str
    act: Callable[[], None]
    clock: Callable[[], float]
    clean_up: Callable[[], None]
    cpu_seconds: list[float] = field(default_factory=list)
    wall_seconds: list[float] = field(default_factory=list)

    def sample(self) -> None:
        cpu, wall = self.clock(), time.perf_counter()
        self.act()
        self.wall_seconds.append(time.perf_counter() - wall)
        self.cpu_seconds.append(self.clock() - cpu)
        self.clean_up()


def measure_uploads(
    host: Condarium, peer: Host, payload: Payload, folder: Path, *, count: int, rounds: int
) -> list[Figure]:
    """``count`` uploads of a payload in each of ``rounds``, each way in turn."""
    store = folder / STORED
    plain, ours, chunked, theirs = ways = (
        Way("read, sha256, md5, write, fsync: the least",
            lambda: _plain(payload.path, store, count), time.thread_time, lambda: _empty(store)),
        Way("Condarium, Content-Length",
            lambda: _upload(host, payload, count), host.cpu_seconds, host.forget_stored_bytes),
        Way("Condarium, chunked",
            lambda: _upload(host, payload, count, chunked=True), host.cpu_seconds,
            host.forget_stored_bytes),
        Way("plain gunicorn gthread, unchecked",
            lambda: _upload_to_peer(peer, payload, count), peer.cpu_seconds,
            lambda: _empty(store)),
    )  # fmt: skip
    worker_before = host.worker_cpu_seconds()
    for number in range(rounds):
        first = number % len(ways)
        for way in ways[first:] + ways[:first]:
            way.sample()
    worker_seconds = host.worker_cpu_seconds() - worker_before

    def shares(way: Way) -> list[float]:
        pairs = zip(plain.cpu_seconds, way.cpu_seconds, strict=True)
        return [least / cost for least, cost in pairs]

    goal = at_least(0.8) if count == 1 else None
    unit, factor = ("CPU-s", 1.0) if count == 1 else ("CPU-ms each", 1000.0)
    wall_unit = "s wall" if count == 1 else "ms wall each"
    each = factor / count
    figures = [
        median_of(way.name, [seconds * each for seconds in way.cpu_seconds], unit) for way in ways
    ]
    if count > 1:
        cost = worker_seconds * each / rounds / 2  # two of the ways are ours
        figures.append(Figure("Condarium's worker, indexing meanwhile", cost, unit))
    figures += [
        median_of(
            f"{way.name}: share of the least", shares(way), "×", None if way is theirs else goal
        )
        for way in (ours, chunked, theirs)
    ]
    figures += [
        median_of(way.name, [seconds * each for seconds in way.wall_seconds], wall_unit)
        for way in ways
    ]
    return figures


def measure_memory(host: Condarium, payload: Payload, *, goal: Goal | None = None) -> list[Figure]:
    """The most memory of a web process while several large uploads arrive at once."""
    packages = [payload.package("at-once") for _ in range(AT_ONCE)]
    before = machine.most_memory_bytes(host.web_pids)
    since = "meanwhile" if machine.forget_peaks(host.web_pids) else "since its start"
    with ThreadPoolExecutor(AT_ONCE) as clients:
        list(clients.map(lambda package: _put(host, package), packages))
    peak = machine.most_memory_bytes(host.web_pids)
    host.forget_stored_bytes()
    return [
        Figure("the largest web process, most until then", before / 2**20, "MiB resident"),
        Figure(f"the largest web process, most {since}", peak / 2**20, "MiB resident", goal),
    ]


def _plain(path: Path, folder: Path, count: int) -> None:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    for number in range(count):
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with (
            path.open("rb", buffering=0) as source,
            (folder / f"plain-{number}").open("wb", buffering=0) as target,
        ):
            while size := source.readinto(buffer):
                block = buffer[:size]
                sha256.update(block)
                md5.update(block)
                target.write(block)
            os.fsync(target.fileno())
        sha256.hexdigest(), md5.hexdigest()


def _empty(folder: Path) -> None:
    # Not while it is measured: Condarium deletes nothing either.
    for path in folder.iterdir():
        path.unlink()


def _upload(host: Condarium, payload: Payload, count: int, *, chunked: bool = False) -> None:
    with connected(host.port, host.credentials) as client:
        for _ in range(count):
            package = payload.package("noise")
            client.put(f"{_PLACE}/{package.filename}", package, chunked=chunked)


def _upload_to_peer(peer: Host, payload: Payload, count: int) -> None:
    with connected(peer.port) as client:
        for _ in range(count):
            package = payload.package("noise")
            client.put(f"/{package.filename}", package)


def _put(host: Condarium, package: Package) -> None:
    with connected(host.port, host.credentials) as client:
        client.put(f"{_PLACE}/{package.filename}", package)
