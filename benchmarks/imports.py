"""Taking in a folder of packages that are all new, beside the indexers' first look at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.channel import SUBDIR, Channel
from benchmarks.cost import CommandFailed, Cost, cost_of, figures_of
from benchmarks.hosts import ACCOUNT, House
from benchmarks.packages import Payload
from benchmarks.peers import CONDA_INDEX, CONDA_INDEX_SHARDS, Peer
from benchmarks.report import Section, at_least, at_most, median_of

_SEED = 7
_SLOW_ROUNDS = 3  # of what takes minutes each time
_TRIES = 3


def measure_imports(
    empty: House,
    folder: Path,
    payload: Payload,
    peers: Sequence[Peer],
    *,
    packages: int,
    rounds: int,
) -> Section:
    """Condarium takes the packages over and checks each one whole; an indexer reads what their
    metadata says and leaves them where they are, as ``--link`` does.

    What was made in one round stays until the last one is over: making thousands of files right
    after thousands were deleted takes some file systems several times as long.
    """
    source = folder / "packages"
    write_packages(source, payload, packages)
    copied: list[Cost] = []
    linked: list[Cost] = []
    theirs: dict[str, list[Cost]] = {
        peer.name: [] for peer in peers if peer.name != CONDA_INDEX_SHARDS
    }
    for number in range(rounds):
        here = folder / f"round-{number}"
        copied.append(_import(empty, here / "copied", source))
        linked.append(_import(empty, here / "linked", source, "--link"))
        for place, peer in enumerate(peers):
            if peer.name in theirs and (number < _SLOW_ROUNDS or peer.name != CONDA_INDEX):
                theirs[peer.name].append(_first_index(peer, source, here / f"peer-{place}"))
    figures = figures_of("condarium import", copied, memory_goal=at_most(200))
    figures += figures_of("condarium import --link", linked)
    for name, costs in theirs.items():
        figures += figures_of(f"{name}, first time", costs)
    for name, costs in theirs.items():
        # Round by round: what the machine did beside it slowed both.
        pairs = list(zip(costs, copied, strict=False))
        wall = [theirs.wall_seconds / ours.wall_seconds for theirs, ours in pairs]
        cpu = [theirs.cpu_seconds / ours.cpu_seconds for theirs, ours in pairs]
        goal = at_least(10) if name == CONDA_INDEX else None
        figures += [
            median_of(f"{name} / condarium import, wall", wall, "×", goal),
            median_of(f"{name} / condarium import, CPU", cpu, "×"),
        ]
    return Section(f"{packages:,} packages that are new", figures)


def write_packages(folder: Path, payload: Payload, count: int) -> None:
    (folder / SUBDIR).mkdir(parents=True)
    (folder / "noarch").mkdir()
    for entry in Channel(count, seed=_SEED).entries():
        package = payload.package_of(entry)
        (folder / SUBDIR / package.filename).write_bytes(package.data())


def _import(empty: House, folder: Path, source: Path, *options: str) -> Cost:
    """The import into an empty house, which ends when the index of what came is published."""
    folder.mkdir(parents=True)
    here = empty.copied_to(folder)
    command = [sys.executable, "manage.py", "import", str(source), f"{ACCOUNT}/imported"]
    return cost_of([*command, *options], here.environ())


def _first_index(peer: Peer, source: Path, folder: Path) -> Cost:
    for attempt in range(_TRIES):
        here = folder / f"{attempt}"
        (here / SUBDIR).mkdir(parents=True)
        (here / "noarch").mkdir()
        # Links: none of them writes to a package.
        for path in (source / SUBDIR).iterdir():
            os.link(path, here / SUBDIR / path.name)
        try:
            return peer.index(here)
        except CommandFailed as error:
            # The processes of conda-index lock each other out of its database now and then.
            if "database is locked" not in str(error):
                raise
            failure = error
    raise failure
