"""What the pages of much cost, for each role that sees them differently."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from benchmarks.client import connected
from benchmarks.cost import PROJECT, cost_of
from benchmarks.hosts import ACCOUNT, HostFailed, House, condarium
from benchmarks.increments import fill_channel, name_of, reindex
from benchmarks.report import Figure, Section, at_most, median_of

_ORGANIZATION = "house"
_MOST_MS = 200
_TIMEOUT_SECONDS = 60


def measure_pages(house: House, *, files: int, rounds: int, every: int = 1) -> Section:
    """The slowest page of each role, by the median of its rounds, and which one it is.

    Wall time is the client's, from the request until the whole page is there, over loopback: what
    people wait for, and on a busy machine more than that. Beside it stand the longest that any page
    took in any round, and the web's processor time, which others on the machine add less to;
    another process' database is no part of that. All routes that can be made of what is there are
    asked for (`benchmarks.people`); those that answer with a page are asked again, in turn. With
    ``every`` above one, so many are left out but one.
    """
    command = [sys.executable, "manage.py", "createorg", _ORGANIZATION, "--owner", ACCOUNT]
    cost_of(command, house.environ())
    fill_channel(house, name_of(files), files, account=_ORGANIZATION)
    reindex(house, name_of(files), account=_ORGANIZATION)
    told = _people(house, name_of(files))
    samples: dict[str, dict[str, list[_Sample]]] = {}
    with condarium(house) as host:
        # Each time a connection of its own: the server ends those that wait for other roles' turn.
        for role, headers in told.headers.items():
            with connected(host.port, headers) as client:
                found = filter(client.finds_page, told.paths[::every])
                samples[role] = {path: [] for path in found}
        for _ in range(rounds):
            for role, pages in samples.items():
                with connected(host.port, told.headers[role]) as client:
                    for path, taken in pages.items():
                        before, started = host.cpu_seconds(), time.perf_counter()
                        client.get(path)
                        wall = time.perf_counter() - started
                        taken.append(_Sample(wall * 1000, (host.cpu_seconds() - before) * 1000))
    return Section(
        f"Pages of an organization with {files:,} files, {told.files:,} of them of"
        f" {told.package}: the slowest",
        [figure for role, pages in samples.items() for figure in _slowest(role, pages)],
    )


class _Sample(NamedTuple):
    wall_ms: float
    cpu_ms: float


def _slowest(role: str, pages: dict[str, list[_Sample]]) -> list[Figure]:
    def slowest(which: Callable[[_Sample], float], unit: str) -> Figure:
        figures = [
            median_of(
                f"{role}, of {len(pages)}: {path}", [*map(which, taken)], unit, at_most(_MOST_MS)
            )
            for path, taken in pages.items()
        ]
        return max(figures, key=lambda figure: figure.value)

    longest, path = max((one.wall_ms, path) for path, taken in pages.items() for one in taken)
    return [
        slowest(attrgetter("wall_ms"), "ms"),
        Figure(f"{role}, the longest that any took once: {path}", longest, "ms"),
        slowest(attrgetter("cpu_ms"), "ms CPU"),
    ]


@dataclass(frozen=True, slots=True)
class _Told:
    """What `benchmarks.people` says."""

    package: str
    files: int
    headers: dict[str, dict[str, str]]
    """What each role sends."""
    paths: list[str]


def _people(house: House, channel: str) -> _Told:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.people", _ORGANIZATION, channel],
        cwd=PROJECT,
        env=dict(house.environ()),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise HostFailed(f"benchmarks.people failed.\n{done.stderr[-4000:]}")
    return _Told(**json.loads(done.stdout))
