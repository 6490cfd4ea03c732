"""What differs between two packages: dependencies, metadata, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from registry.conda.contents import Listing, PathEntry
from registry.conda.current import constraint, required_name
from registry.conda.errors import PackageError
from registry.conda.version import sort_key


class Sign(Enum):
    ADDED = "added"
    DROPPED = "dropped"
    CHANGED = "changed"
    TIGHTENED = "tightened"
    LOOSENED = "loosened"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing, as it was and as it is; a side that has none of it is empty."""

    sign: Sign
    name: str
    before: str = ""
    after: str = ""


# --- Dependencies ------------------------------------------------------------------------------


def compare_specs(before: Iterable[str], after: Iterable[str]) -> list[Change]:
    """What is asked of which package: by name, what differs only."""
    old, new = _by_name(before), _by_name(after)
    changes = []
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if was is None:
            changes.append(Change(Sign.ADDED, name, "", now or ""))
        elif now is None:
            changes.append(Change(Sign.DROPPED, name, was, ""))
        else:
            changes.append(Change(_direction(was, now), name, was, now))
    return changes


def _by_name(specs: Iterable[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for spec in specs:
        words = " ".join(spec.split())
        name = required_name(words) or words
        found.setdefault(name, []).append(constraint(words) if name != words else "")
    return {name: "; ".join(sorted(rests)) for name, rests in found.items()}


def _direction(before: str, after: str) -> Sign:
    """Whether fewer or more versions will do, where that can be told from the words."""
    old, new = _clauses(before), _clauses(after)
    if old < new:
        return Sign.TIGHTENED
    if new < old:
        return Sign.LOOSENED
    gone, come = old - new, new - old
    if len(gone) == len(come) == 1:
        was, now = gone.pop(), come.pop()
        for mark, raised in ((">=", Sign.TIGHTENED), ("<", Sign.LOOSENED)):
            if was.startswith(mark) and now.startswith(mark):
                return _by_order(was[len(mark) :], now[len(mark) :], raised)
    return Sign.CHANGED


def _by_order(was: str, now: str, raised: Sign) -> Sign:
    lowered = Sign.LOOSENED if raised is Sign.TIGHTENED else Sign.TIGHTENED
    try:
        return raised if sort_key(was) < sort_key(now) else lowered
    except PackageError:
        return Sign.CHANGED


def _clauses(spec: str) -> set[str]:
    return {clause for clause in spec.replace(" ", ",").split(",") if clause not in {"", "*"}}


# --- Metadata ----------------------------------------------------------------------------------


def compare_values(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Values by their names, in the order of the names; what differs only."""
    changes = []
    for name in [*before, *(name for name in after if name not in before)]:
        was, now = before.get(name, ""), after.get(name, "")
        if was == now:
            continue
        sign = Sign.ADDED if not was else Sign.DROPPED if not now else Sign.CHANGED
        changes.append(Change(sign, name, was, now))
    return changes


# --- Files -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileChange:
    sign: Sign
    path: str
    size_bytes: int = 0
    """How much larger it is; of what was renamed, nothing."""
    came_from: str = ""


@dataclass(frozen=True, slots=True)
class FolderSize:
    name: str
    before_bytes: int
    after_bytes: int

    @property
    def difference(self) -> int:
        return self.after_bytes - self.before_bytes


@dataclass(slots=True)
class FilesCompared:
    changes: list[FileChange] = field(default_factory=list)
    folders: list[FolderSize] = field(default_factory=list)
    before_bytes: int = 0
    after_bytes: int = 0
    is_partial: bool = False
    """One of them lists more paths than were looked at."""

    @property
    def difference(self) -> int:
        return self.after_bytes - self.before_bytes

    def count(self, sign: Sign) -> int:
        return sum(change.sign is sign for change in self.changes)


def compare_files(before: Listing, after: Listing) -> FilesCompared:
    """By path; what has the same bytes under another path was renamed."""
    old = {entry.path: entry for entry in before.paths}
    new = {entry.path: entry for entry in after.paths}
    gone = [entry for path, entry in old.items() if path not in new]
    come = [entry for path, entry in new.items() if path not in old]
    renamed, gone, come = _renamed(gone, come)
    changes = [
        *renamed,
        *(FileChange(Sign.DROPPED, entry.path, -(entry.size_bytes or 0)) for entry in gone),
        *(FileChange(Sign.ADDED, entry.path, entry.size_bytes or 0) for entry in come),
    ]
    for path, entry in new.items():
        was = old.get(path)
        if was is not None and _is_other(was, entry):
            larger = (entry.size_bytes or 0) - (was.size_bytes or 0)
            changes.append(FileChange(Sign.CHANGED, path, larger))
    changes.sort(key=lambda change: change.path)
    return FilesCompared(
        changes,
        _folders(before.paths, after.paths),
        _total(before.paths),
        _total(after.paths),
        is_partial=any(len(each.paths) < each.path_count for each in (before, after)),
    )


def _is_other(was: PathEntry, now: PathEntry) -> bool:
    if was.sha256 and now.sha256:
        return was.sha256 != now.sha256 or was.kind != now.kind
    return (was.size_bytes, was.kind) != (now.size_bytes, now.kind)


def _renamed(
    gone: Sequence[PathEntry], come: Sequence[PathEntry]
) -> tuple[list[FileChange], list[PathEntry], list[PathEntry]]:
    """Pairs of the same bytes, in the order of their paths; empty files are all alike."""
    by_hash: dict[str, list[PathEntry]] = {}
    for entry in reversed(gone):
        if entry.sha256 and entry.size_bytes:
            by_hash.setdefault(entry.sha256, []).append(entry)
    renamed, left = [], []
    taken: set[str] = set()
    for entry in come:
        sources = by_hash.get(entry.sha256)
        if sources:
            source = sources.pop()
            taken.add(source.path)
            renamed.append(FileChange(Sign.RENAMED, entry.path, 0, source.path))
        else:
            left.append(entry)
    return renamed, [entry for entry in gone if entry.path not in taken], left


def _total(paths: Iterable[PathEntry]) -> int:
    return sum(entry.size_bytes or 0 for entry in paths)


def _folders(before: Iterable[PathEntry], after: Iterable[PathEntry]) -> list[FolderSize]:
    """By the first folder of the path, the one that changed most first."""
    sizes: dict[str, list[int]] = {}
    for side, paths in enumerate((before, after)):
        for entry in paths:
            folder, mark, _ = entry.path.partition("/")
            sizes.setdefault(folder if mark else "", [0, 0])[side] += entry.size_bytes or 0
    folders = [FolderSize(name, *both) for name, both in sizes.items()]
    return sorted(folders, key=lambda folder: (-abs(folder.difference), folder.name))
