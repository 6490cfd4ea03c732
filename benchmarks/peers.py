"""The indexers that Condarium is compared to, each on a folder of its own.

The packages that stand there already are empty files: what an indexer knows of them it finds where
it keeps that, so that only the one new package is read. That is the best case it has.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.channel import SUBDIR, Channel, Entry, write_repodata
from benchmarks.cost import PROJECT, Cost, cost_of
from benchmarks.packages import Package

_KNOWN_SECONDS = 1_700_000_000
_CONDA_INDEX = ("-m", "conda_index", "--threads", "2", "--no-channeldata")
RATTLER = "rattler.index, zst + shards"
CONDA_INDEX = "conda-index, all outputs"
CONDA_INDEX_SHARDS = "conda-index, only shards"


@dataclass(frozen=True, slots=True)
class Peer:
    """An indexer: the command that brings a folder up to date."""

    name: str
    command: tuple[str, ...]

    def index(self, folder: Path) -> Cost:
        return cost_of([*self.command, str(folder)])

    @property
    def is_conda_index(self) -> bool:
        return self.name != RATTLER


@dataclass(slots=True)
class Place:
    """A folder that a peer keeps the index of, and what each further package cost it."""

    peer: Peer
    folder: Path
    costs: list[Cost] = field(default_factory=list)

    def add(self, package: Package) -> None:
        """Put one more package there, and have it indexed."""
        (self.folder / SUBDIR / package.filename).write_bytes(package.data())
        self.costs.append(self.peer.index(self.folder))


def available_peers(conda_index_python: str) -> list[Peer]:
    """rattler's indexer, and conda-index in both its ways where a Python has it."""
    peers = [Peer(RATTLER, (sys.executable, "-m", "benchmarks.rattler_index"))]
    if conda_index_python and _imports_conda_index(conda_index_python):
        command = (conda_index_python, *_CONDA_INDEX)
        peers += [
            Peer(
                CONDA_INDEX,
                (*command, "--zst", "--write-shards", "--run-exports", "--current-repodata"),
            ),
            Peer(
                CONDA_INDEX_SHARDS,
                (*command, "--no-write-monolithic", "--write-shards", "--no-run-exports",
                 "--no-current-repodata"),
            ),
        ]  # fmt: skip
    return peers


def _imports_conda_index(python: str) -> bool:
    # It builds current_repodata.json with conda itself.
    command = [python, "-c", "import conda, conda_index"]
    try:
        done = subprocess.run(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
    except OSError:
        return False
    return done.returncode == 0


def place(peer: Peer, folder: Path, channel: Channel, first: Package) -> Place:
    """A folder in which the peer knows all packages of the channel, and has indexed them."""
    subdir = folder / SUBDIR
    subdir.mkdir(parents=True)
    (folder / "noarch").mkdir()
    made = Place(peer, folder)
    if peer.is_conda_index:
        made.add(first)  # which makes the database that it keeps
        _let_conda_index_know(subdir / ".cache" / "cache.db", channel)
    else:
        write_repodata(subdir / "repodata.json", channel)
    for entry in channel.entries():
        path = subdir / entry.filename
        path.touch()
        os.utime(path, (_KNOWN_SECONDS, _KNOWN_SECONDS))
    made.costs.clear()
    return made


def _let_conda_index_know(database: Path, channel: Channel) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT OR REPLACE INTO index_json (path, index_json) VALUES (?, ?)",
            ((entry.filename, _compact(entry.record)) for entry in channel.entries()),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO run_exports (path, run_exports) VALUES (?, ?)",
            (
                (entry.filename, _compact(entry.run_exports))
                for entry in channel.entries()
                if entry.run_exports
            ),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO stat (stage, path, mtime, size, sha256, md5)"
            " VALUES (?, ?, ?, 0, ?, ?)",
            _stats(channel.entries()),
        )


def _stats(entries: Iterator[Entry]) -> Iterator[tuple[object, ...]]:
    for entry in entries:
        record = entry.record
        for stage in ("fs", "indexed"):
            yield stage, entry.filename, _KNOWN_SECONDS, record["sha256"], record["md5"]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
