"""Sorted paths as folders that are looked into one at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from registry.conda.contents import PathEntry

PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    path: str


def steps(path: str) -> list[Step]:
    """The folders on the way to a path, itself last."""
    names = [name for name in path.split("/") if name]
    return [Step(name, "/".join(names[: number + 1])) for number, name in enumerate(names)]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in a folder; a chain of folders that hold nothing else is one."""

    name: str
    path: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    entry: PathEntry


@dataclass(slots=True)
class Shown:
    """What one page shows of a folder; ``after`` is where the next one begins."""

    folders: list[Folder] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    count: int = 0
    size_bytes: int = 0
    after: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.folders and not self.leaves


def _span(paths: Sequence[PathEntry], prefix: str) -> tuple[int, int]:
    def key(entry: PathEntry) -> str:
        return entry.path

    # No path holds a character above this one.
    start = bisect_left(paths, prefix, key=key)
    return start, bisect_left(paths, prefix + "\U0010ffff", key=key)


def entry_at(paths: Sequence[PathEntry], path: str) -> PathEntry | None:
    position = bisect_left(paths, path, key=lambda entry: entry.path)
    if path and position < len(paths) and paths[position].path == path:
        return paths[position]
    return None


def folder_at(paths: Sequence[PathEntry], path: str, *, words: str = "", after: str = "") -> Shown:
    """What lies in the folder ``path``; with ``words``, whatever below it has them in its path."""
    prefix = f"{path}/" if path else ""
    start, end = _span(paths, prefix) if prefix else (0, len(paths))
    inside = paths[start:end]
    if words:
        wanted = words.lower()
        inside = [entry for entry in inside if wanted in entry.path[len(prefix) :].lower()]
    shown = Shown(count=len(inside), size_bytes=sum(entry.size_bytes or 0 for entry in inside))
    leaves: list[Leaf] = []
    below: dict[str, list[PathEntry]] = {}
    for entry in inside:
        name = entry.path[len(prefix) :]
        folder, mark, _ = name.partition("/")
        if mark and not words:
            below.setdefault(folder, []).append(entry)
        else:
            leaves.append(Leaf(name, entry))
    # Folders come first; a page goes on in the leaves, since no package has so many folders.
    if not after:
        shown.folders = [_folder(prefix, name, found) for name, found in below.items()]
    else:
        leaves = [leaf for leaf in leaves if leaf.entry.path > after]
    shown.leaves = leaves[:PAGE_SIZE]
    if len(leaves) > PAGE_SIZE:
        shown.after = shown.leaves[-1].entry.path
    return shown


def _folder(prefix: str, name: str, inside: Sequence[PathEntry]) -> Folder:
    path = prefix + name
    # What has a common beginning in the first and the last has it in all between.
    first, last = inside[0].path, inside[-1].path
    while True:
        deeper = first[len(path) + 1 :].partition("/")
        longer = f"{path}/{deeper[0]}"
        if not deeper[1] or not last.startswith(f"{longer}/"):
            break
        path = longer
    return Folder(
        path[len(prefix) :],
        path,
        len(inside),
        sum(entry.size_bytes or 0 for entry in inside),
    )
