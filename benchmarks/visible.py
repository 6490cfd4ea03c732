"""How long an acknowledged upload takes to be seen by clients."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.client import Client, connected
from benchmarks.hosts import ACCOUNT, PROJECT, Condarium, HostFailed
from benchmarks.packages import Payload, small_payload
from benchmarks.reading import shards_of
from benchmarks.report import Figure, median_of, percentile

_PAUSE_SECONDS = 0.002
_PATIENCE_SECONDS = 60.0
_SEED_SECONDS = 240.0


class NeverVisible(RuntimeError):
    """An upload was acknowledged and did not appear in the index."""


def fill(host: Condarium, folder: Path, *, channel: str, first: int, count: int) -> None:
    """Publish records number ``first`` and on (see `benchmarks.seed`), and wait for their index."""
    command = [sys.executable, "-m", "benchmarks.seed", str(folder), ACCOUNT, channel]
    done = subprocess.run(
        [*command, str(first), str(count)],
        cwd=PROJECT,
        env=dict(host.environ()),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SEED_SECONDS,
        check=False,
    )
    if done.returncode:
        raise HostFailed(f"Filling the channel failed.\n{done.stderr[-4000:]}")
    host.forget_stored_bytes()
    # What is published now is seen last, so everything before it is in the index too.
    with connected(host.port, host.credentials) as client:
        _upload_and_watch(client, small_payload(folder / "last"), channel, f"last-{first}")


def measure_visible(host: Condarium, folder: Path, *, channel: str, count: int) -> list[Figure]:
    """Uploads of new packages one by one; each waits until the one before is seen."""
    payload = small_payload(folder / "hello")
    shard_ms, repodata_ms = [], []
    before = host.worker_cpu_seconds()
    with connected(host.port, host.credentials) as client:
        records = client.get(f"/conda/{ACCOUNT}/{channel}/noarch/repodata.json").body.count(b'"fn"')
        for number in range(count):
            in_shards, in_repodata = _upload_and_watch(
                client, payload, channel, f"seen-{records}-{number}"
            )
            shard_ms.append(in_shards * 1000)
            repodata_ms.append(in_repodata * 1000)
    worker_ms = (host.worker_cpu_seconds() - before) / count * 1000
    return [
        figure
        for what, values in (("shard index", shard_ms), ("repodata.json", repodata_ms))
        for figure in (
            median_of(f"until the {what} names it, p50", values, "ms wall"),
            Figure(f"until the {what} names it, p95", percentile(values, 95), "ms wall"),
        )
    ] + [Figure("the worker's indexing", worker_ms, "CPU-ms each")]


def _upload_and_watch(
    client: Client, payload: Payload, channel: str, name: str
) -> tuple[float, float]:
    """Seconds from the acknowledgement to the answers that name the package."""
    package = payload.package(name)
    folder = f"/conda/{ACCOUNT}/{channel}/noarch"
    shards, repodata = f"{folder}/repodata_shards.msgpack.zst", f"{folder}/repodata.json"
    etags = {shards: client.get(shards).etag, repodata: client.get(repodata).etag}
    seen: dict[str, float] = {}
    client.put(f"{folder}/{package.filename}", package)
    started = time.perf_counter()
    while len(seen) < len(etags):
        for path in etags.keys() - seen.keys():
            answer = client.get(path, etag=etags[path])
            arrived = time.perf_counter() - started
            if answer.status == 304:
                continue
            etags[path] = answer.etag
            is_named = (
                name in shards_of(answer.body)
                if path == shards
                else package.filename.encode() in answer.body
            )
            if is_named:
                seen[path] = arrived
        if time.perf_counter() - started > _PATIENCE_SECONDS:
            raise NeverVisible(f"{package.filename} did not appear in {folder}.")
        time.sleep(_PAUSE_SECONDS)
    return seen[shards], seen[repodata]
