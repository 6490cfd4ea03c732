"""How long an acknowledged upload takes to be seen by clients, with web and worker as they run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import zstandard

from benchmarks import machine
from benchmarks.channel import SUBDIR, Channel
from benchmarks.client import Client, connected
from benchmarks.hosts import ACCOUNT, Condarium
from benchmarks.increments import name_of
from benchmarks.packages import Package, Payload
from benchmarks.reading import shards_of
from benchmarks.report import Figure, Goal, Section, at_least, at_most, median_of, percentile

SHARD_INDEX = "repodata_shards.msgpack.zst"
BURST = 200
AT_ONCE = 8
_PAUSE_SECONDS = 0.001
# So that an upload finds a worker that rests: one after another is measured as a burst.
_REST_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
_versions = count(100)


class NeverVisible(RuntimeError):
    """An upload was acknowledged and did not appear in the index."""


# --- One by one --------------------------------------------------------------------------------


def visible_section(
    host: Condarium, channel: Channel, payload: Payload, *, uploads: int
) -> Section:
    """Uploads of new builds of names that are there; each waits until the one before is seen."""
    folder = folder_of(name_of(channel.records))
    packages = _packages(channel, payload, uploads)
    answered: list[float] = []
    shards: list[float] = []
    documents: list[float] = []
    cpu = 0.0
    with connected(host.port, host.credentials) as client:
        _settle(client, folder, payload)
        machine.forget_peak(host.worker_pid)
        for package in packages:
            time.sleep(_REST_SECONDS)
            before = host.worker_cpu_seconds()
            answered.append(_upload_and_watch(client, folder, package, shards, documents))
            cpu += host.worker_cpu_seconds() - before
        _require_all(client, folder, packages)
    peak = machine.peak_memory_bytes(host.worker_pid)
    goal = at_most(40) if channel.records >= 600_000 else None
    figures = [
        median_of("the upload until it is answered", _ms(answered), "ms"),
        median_of("from there until the shard index has it, p50", _ms(shards), "ms", goal),
        Figure("from there until the shard index has it, p95", percentile(_ms(shards), 95), "ms"),
        median_of("from there until repodata.json.zst has it, p50", _ms(documents), "ms"),
        Figure("the worker's share", cpu / uploads * 1000, "CPU-ms each"),
        Figure("the worker's memory", peak / 2**20, "MiB peak"),
    ]
    title = f"With the hop to the worker, {uploads} uploads one by one, by records of the subdir"
    return Section(title, figures, f"{channel.records:,}")


def _upload_and_watch(
    client: Client, folder: str, package: Package, shards: list[float], documents: list[float]
) -> float:
    """Upload, and note the seconds from the answer until each index is another."""
    index, document = f"{folder}/{SHARD_INDEX}", f"{folder}/repodata.json.zst"
    first = client.get(index)
    digest = shards_of(first.body).get(package.name)
    etag = client.head(document).etag
    took = client.put(f"{folder}/{package.filename}", package)
    started = time.perf_counter()
    seen, known = first, digest
    while known == digest:
        _wait(started, package)
        answer = client.get(index, etag=seen.etag)
        arrived = time.perf_counter() - started
        if answer.status == 200:
            seen, known = answer, shards_of(answer.body).get(package.name)
    shards.append(arrived)
    while client.head(document, etag=etag).status == 304:
        _wait(started, package)
    documents.append(time.perf_counter() - started)
    return took


def _settle(client: Client, folder: str, payload: Payload) -> None:
    """Once not measured: what is stale since it was not served is written first."""
    _upload_and_watch(client, folder, payload.package("settled", subdir=SUBDIR), [], [])


def _require_all(client: Client, folder: str, packages: Sequence[Package]) -> None:
    """That the index changed was seen; that it names the packages is looked for once."""
    missing = {package.filename.encode() for package in packages}
    longest = max(map(len, missing))
    unpacker, tail = zstandard.ZstdDecompressor().decompressobj(), b""
    for block in client.blocks(f"{folder}/repodata.json.zst"):
        text = tail + unpacker.decompress(block)
        missing = {filename for filename in missing if filename not in text}
        tail = text[-longest:]
    if missing:
        raise NeverVisible(f"{len(missing)} packages are not in {folder}/repodata.json.zst.")


# --- Many at once ------------------------------------------------------------------------------


def measure_burst(host: Condarium, channel: Channel, payload: Payload, *, uploads: int) -> Section:
    """Uploads by several clients at once: from the last answer until the shards have them all."""
    folder = folder_of(name_of(channel.records))
    packages = _packages(channel, payload, uploads)
    with connected(host.port, host.credentials) as client:
        _settle(client, folder, payload)
        before = shards_of(client.get(f"{folder}/{SHARD_INDEX}").body)
        cpu = host.worker_cpu_seconds()
        wall = upload_at_once(host, folder, packages, AT_ONCE)
        answered = time.perf_counter()
        _wait_for_shards(client, folder, packages, before)
        shards = time.perf_counter() - answered
        cpu = host.worker_cpu_seconds() - cpu
        wait_for_documents(client, folder, packages)
        documents = time.perf_counter() - answered
    title = f"{uploads} uploads by {AT_ONCE} clients into {channel.records:,} records"
    return Section(
        title,
        [
            Figure("until all are answered", wall, "s"),
            Figure("from there until the shards have all", shards, "s", at_most(1)),
            Figure("from there until repodata.json.zst has all", documents, "s"),
            Figure("the worker until then", cpu, "CPU-s"),
        ],
    )


def _wait_for_shards(
    client: Client, folder: str, packages: Sequence[Package], before: Mapping[str, bytes]
) -> None:
    """Until the index names other shards than before for all of them: each name had one upload."""
    missing = {package.name for package in packages}
    started, etag = time.perf_counter(), ""
    while missing:
        answer = client.get(f"{folder}/{SHARD_INDEX}", etag=etag)
        if answer.status == 200:
            etag, now = answer.etag, shards_of(answer.body)
            missing = {name for name in missing if now.get(name) == before.get(name)}
        _wait(started, *packages[:1])


def wait_for_documents(client: Client, folder: str, packages: Sequence[Package]) -> None:
    """Until ``repodata.json.zst`` names them all."""
    started = time.perf_counter()
    while True:
        try:
            _require_all(client, folder, packages)
        except NeverVisible:
            _wait(started, *packages[:1])
        else:
            return


# --- Uploads a second --------------------------------------------------------------------------


def measure_rates(
    host: Condarium, channel: Channel | None, payload: Payload, *, uploads: int, rounds: int
) -> Section:
    """Small packages by one client and by several, in turn, the worker indexing meanwhile."""
    records = channel.records if channel else 0
    folder = folder_of(name_of(records))
    rates: dict[int, list[float]] = {1: [], AT_ONCE: []}
    web = worker = 0.0
    with connected(host.port, host.credentials) as client:
        _settle(client, folder, payload)
    for number in range(rounds):
        for clients in sorted(rates, reverse=number % 2 == 1):
            packages = _packages(channel, payload, uploads)
            cpu = host.cpu_seconds(), host.worker_cpu_seconds()
            rates[clients].append(uploads / upload_at_once(host, folder, packages, clients))
            web += host.cpu_seconds() - cpu[0]
            worker += host.worker_cpu_seconds() - cpu[1]
    each = 1000 / (2 * uploads * rounds)
    goal: Goal | None = at_least(22)
    # Round by round: what the machine did beside it slowed both.
    faster = [many / one for many, one in zip(rates[AT_ONCE], rates[1], strict=True)]
    figures = [
        median_of("1 client", rates[1], "uploads/s", goal),
        median_of(f"{AT_ONCE} clients", rates[AT_ONCE], "uploads/s", goal),
        median_of(f"{AT_ONCE} clients / 1 client", faster, "×", at_least(1)),
        Figure("web process", web * each, "CPU-ms each"),
        Figure("worker, indexing meanwhile", worker * each, "CPU-ms each"),
    ]
    return Section("Uploads a second, by records of the subdir", figures, f"{records:,}")


def upload_at_once(
    host: Condarium, folder: str, packages: Sequence[Package], clients: int
) -> float:
    """Seconds until all are answered, shared among so many connections."""

    def upload(some: Sequence[Package]) -> None:
        with connected(host.port, host.credentials) as client:
            for package in some:
                client.put(f"{folder}/{package.filename}", package)

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(upload, [packages[number::clients] for number in range(clients)]))
    return time.perf_counter() - started


# --- What all of them need ---------------------------------------------------------------------


def folder_of(channel: str) -> str:
    return f"/conda/{ACCOUNT}/{channel}/{SUBDIR}"


def _packages(channel: Channel | None, payload: Payload, uploads: int) -> list[Package]:
    """New builds: of names that the channel has, each once, or of new ones where it has none."""
    version = next(_versions)
    names = _names_once(channel, version) if channel else (f"new-{number}" for number in count())
    return [payload.package(next(names), f"{version}.0", subdir=SUBDIR) for _ in range(uploads)]


def _names_once(channel: Channel, seed: int) -> Iterator[str]:
    """As `Channel.names_of_uploads`, without repetition, then names that it does not have."""
    drawn = channel.names_of_uploads(4 * len(channel.names), seed=seed)
    yield from dict.fromkeys(drawn)
    yield from (f"new-{number}" for number in count())


def _wait(since: float, *packages: Package) -> None:
    if time.perf_counter() - since > _PATIENCE_SECONDS:
        raise NeverVisible(f"{packages[0].filename} and others did not appear in time.")
    time.sleep(_PAUSE_SECONDS)


def _ms(seconds: Sequence[float]) -> list[float]:
    return [value * 1000 for value in seconds]
