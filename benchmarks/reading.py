"""What clients read: index files whole and unchanged, shards, packages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import zstandard

from benchmarks.channel import SUBDIR
from benchmarks.client import Client, UnexpectedAnswer, connected
from benchmarks.hosts import ACCOUNT, Condarium
from benchmarks.packages import Payload
from benchmarks.report import Figure, median_of

_CONNECTIONS = 4
_MAX_INDEX_BYTES = 64 * 2**20


def measure_reading(host: Condarium, *, channel: str, requests: int, rounds: int) -> list[Figure]:
    """GET and 304 of a channel's index files, in requests per CPU-second of the web process."""
    folder = f"/conda/{ACCOUNT}/{channel}/{SUBDIR}"
    with connected(host.port) as client:
        shards = f"{folder}/shards"
        index = client.get(f"{folder}/repodata_shards.msgpack.zst").body
        targets = [
            ("repodata.json", f"{folder}/repodata.json"),
            ("repodata.json.zst", f"{folder}/repodata.json.zst"),
            ("a shard", f"{shards}/{next(iter(shards_of(index).values())).hex()}.msgpack.zst"),
        ]
        answers = {path: client.get(path) for _, path in targets}
    cases = [
        (f"{how} {name}{size}", path, etag)
        for name, path in targets
        for how, etag, size in (
            ("GET", "", f", {len(answers[path].body) / 1024:,.1f} KiB"),
            ("304", answers[path].etag, ""),
        )
    ]
    samples: dict[str, list[float]] = {what: [] for what, _, _ in cases}
    for _ in range(rounds):
        for what, path, etag in cases:
            samples[what].append(_per_cpu_second(host, path, etag, requests))
    return [median_of(what, rates, "per CPU-s") for what, rates in samples.items()]


def measure_download(
    host: Condarium, payload: Payload, *, channel: str, rounds: int
) -> list[Figure]:
    package = payload.package("download")
    path = f"/conda/{ACCOUNT}/{channel}/noarch/{package.filename}"
    cpu, wall = [], []
    with connected(host.port, host.credentials) as client:
        client.put(path, package)
        for _ in range(rounds):
            cpu_before, wall_before = host.cpu_seconds(), time.perf_counter()
            received = client.drain(path)
            wall.append(received / 1e6 / (time.perf_counter() - wall_before))
            cpu.append(received / 1e6 / (host.cpu_seconds() - cpu_before))
            if received != package.size_bytes:
                raise UnexpectedAnswer(f"{received} of {package.size_bytes} bytes came.")
    what = f"GET a package of {package.size_bytes / 1e6:,.0f} MB"
    return [median_of(what, cpu, "MB per CPU-s"), median_of(what, wall, "MB/s wall")]


def shards_of(index: bytes) -> dict[str, bytes]:
    """The digest of each package name's shard."""
    unpacked = zstandard.ZstdDecompressor().decompress(index, max_output_size=_MAX_INDEX_BYTES)
    shards: dict[str, bytes] = msgspec.msgpack.decode(unpacked)["shards"]
    return shards


def _per_cpu_second(host: Condarium, path: str, etag: str, requests: int) -> float:
    wanted = 304 if etag else 200

    def read(client: Client) -> None:
        for _ in range(requests // _CONNECTIONS):
            status = client.get(path, etag=etag).status
            if status != wanted:
                raise UnexpectedAnswer(f"GET {path}: {status} instead of {wanted}.")

    clients = [Client(host.port, {}) for _ in range(_CONNECTIONS)]
    try:
        for client in clients:
            client.get(path)  # connected, and a thread and a database connection there for it
        before = host.cpu_seconds()
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(read, clients))
        spent = host.cpu_seconds() - before
    finally:
        for client in clients:
            client.close()
    return requests // _CONNECTIONS * _CONNECTIONS / spent
