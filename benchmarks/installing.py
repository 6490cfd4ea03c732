"""How long a client takes from asking to an installed package: py-rattler, the core of pixi.

With an empty cache, as a job of a CI starts. It reads the shards of the names that it comes to,
or, told to read no shards, ``repodata.json.zst`` as a whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import machine
from benchmarks.channel import SUBDIR, Channel
from benchmarks.client import UnexpectedAnswer, connected
from benchmarks.cost import PROJECT
from benchmarks.hosts import ACCOUNT, Condarium
from benchmarks.increments import name_of
from benchmarks.packages import Payload
from benchmarks.report import Section, median_of
from benchmarks.visible import folder_of, wait_for_documents

_CLIENT = PROJECT / "tests" / "clients" / "rattler_install.py"
_PATIENCE_SECONDS = 120.0
_WAYS = {"by shards": {}, "by repodata.json.zst": {"WITHOUT_SHARDS": "1"}}


def measure_installing(
    host: Condarium, channel: Channel, payload: Payload, folder: Path, *, rounds: int
) -> Section:
    """A new package and what it depends on, published among so many others and then installed."""
    wanted = payload.package("shown", subdir=SUBDIR, depends=["shown-base >=1"])
    base = payload.package("shown-base", subdir=SUBDIR, depends=[])
    index = folder_of(name_of(channel.records))
    with connected(host.port, host.credentials) as client:
        for package in (base, wanted):
            client.put(f"{index}/{package.filename}", package)
        wait_for_documents(client, index, [base, wanted])
    address = f"http://{machine.LOOPBACK}:{host.port}/conda/{ACCOUNT}/{name_of(channel.records)}"
    spec = "shown >=1"
    expected = {package.filename for package in (base, wanted)}
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    for _ in range(rounds):
        for way, settings in _WAYS.items():
            with tempfile.TemporaryDirectory(dir=folder) as place:
                took, installed = _install(address, spec, Path(place), settings)
            if installed != expected:
                raise UnexpectedAnswer(f"{sorted(installed)} was installed {way}")
            seconds[way].append(took)
    return Section(
        f"py-rattler, with an empty cache: solve and install from {channel.records:,} records",
        [median_of(way, samples, "s") for way, samples in seconds.items()],
    )


def _install(
    channel: str, spec: str, place: Path, settings: Mapping[str, str]
) -> tuple[float, set[str]]:
    """The seconds of a whole process, and the files whose records stand in the prefix then."""
    command = [
        sys.executable,
        str(_CLIENT),
        channel,
        spec,
        str(place / "prefix"),
        str(place / "cache"),
    ]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(place), "NO_PROXY": machine.LOOPBACK, **settings,
    }  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS,
        check=False,
    )  # fmt: skip
    took = time.perf_counter() - started
    if done.returncode:
        raise UnexpectedAnswer(f"py-rattler: {done.stderr[-1000:]}")
    records = (place / "prefix" / "conda-meta").glob("*.json")
    return took, {json.loads(path.read_text(encoding="utf-8"))["fn"] for path in records}
