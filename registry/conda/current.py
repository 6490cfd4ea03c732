"""Which records stand in ``current_repodata.json``.

Only conda's classic solver reads that file. It tries with it first, since it is small, and
falls back to ``repodata.json`` when that finds no solution, so the choice made here decides
on speed and never on what can be installed. Hence the two liberties taken: a spec that the
small matcher below doesn't understand counts as satisfied, and chains of pins end somewhere.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from registry.conda.version import VersionOrder

MAX_ROUNDS = 20
"""Each round reads all rows once. Real channels need two or three."""

MAX_SPEC_LENGTH = 500


@dataclass(frozen=True, slots=True)
class CurrentRow:
    """What there is to know of one package file."""

    filename: str
    name: str
    version: str
    depends: tuple[str, ...]


def current_filenames(rows: Iterable[CurrentRow]) -> set[str]:
    """Choose the newest version of each name, and older ones that others are pinned to.

    As conda-index does, all files of a chosen version are chosen. When no chosen version of
    a name meets what a chosen file depends on, the newest that does is added, with its own
    pins in turn. Names that don't occur in ``rows`` are somebody else's: another subdir's or
    another channel's.

    ``rows`` come grouped by name and are read several times, so that only what was chosen is
    held in memory: pass a list, or an object whose ``__iter__`` starts anew.
    """
    if iter(rows) is rows:
        raise TypeError("rows must be readable several times; an iterator is empty afterwards.")
    choice = _Choice()
    for name, versions in _by_version(rows):
        newest = max(versions, key=attrgetter("order"))
        choice.add(name, newest, versions)
    for _ in range(MAX_ROUNDS):
        unmet = choice.take_unmet()
        if not unmet:
            break
        for name, versions in _by_version(rows, only=unmet):
            newest_first = sorted(versions, key=attrgetter("order"), reverse=True)
            for requirement in unmet[name]:
                if choice.meets(name, requirement):
                    continue
                for version in newest_first:
                    if requirement.allows(version):
                        choice.add(name, version, versions)
                        break
    return choice.filenames


@dataclass(frozen=True, slots=True)
class _Version:
    text: str
    order: VersionOrder = field(compare=False)


@dataclass(slots=True)
class _Choice:
    """What has been chosen so far, and what that depends on."""

    filenames: set[str] = field(default_factory=set)
    _versions: dict[str, list[_Version]] = field(default_factory=dict)
    _depends: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)

    def add(self, name: str, version: _Version, versions: dict[_Version, list[CurrentRow]]) -> None:
        # 1.0 and 1.0.0 are the same version in two spellings.
        for spelling, rows in versions.items():
            if spelling.order == version.order:
                self._versions.setdefault(name, []).append(spelling)
                for row in rows:
                    self.filenames.add(row.filename)
                    self._depends.update(row.depends)

    def meets(self, name: str, requirement: "_Requirement") -> bool:
        return any(map(requirement.allows, self._versions[name]))

    def take_unmet(self) -> dict[str, list["_Requirement"]]:
        """Requirements that came in since the last call and that nothing chosen meets."""
        unmet: dict[str, list[_Requirement]] = {}
        for dependency in sorted(self._depends - self._seen):
            name, requirement = _parse_dependency(dependency)
            if name not in self._versions or requirement is None:
                continue
            if not self.meets(name, requirement):
                unmet.setdefault(name, []).append(requirement)
        self._seen |= self._depends
        self._depends = set()
        return unmet


@dataclass(frozen=True, slots=True)
class _Constraint:
    operator: str
    bound: _Version

    def allows(self, version: _Version) -> bool:
        match self.operator:
            case "==":
                return version.order == self.bound.order
            case "!=":
                return version.order != self.bound.order
            case ">=":
                return version.order >= self.bound.order
            case "<=":
                return version.order <= self.bound.order
            case ">":
                return version.order > self.bound.order
            case "<":
                return version.order < self.bound.order
            case "!=*":
                return not _starts_with(version.text, self.bound.text)
            case "~=":
                series = self.bound.text.rpartition(".")[0]
                return version.order >= self.bound.order and _starts_with(version.text, series)
            case _:
                return _starts_with(version.text, self.bound.text)


@dataclass(frozen=True, slots=True)
class _Requirement:
    """Alternatives, of which one must hold, each of constraints that must all hold."""

    alternatives: tuple[tuple[_Constraint, ...], ...]

    def allows(self, version: _Version) -> bool:
        return any(
            all(constraint.allows(version) for constraint in constraints)
            for constraints in self.alternatives
        )


_DEPENDENCY = re.compile(r"(?:[^\s:\[]+::)?([A-Za-z0-9_.-]+)(.*)", re.DOTALL)
_CONSTRAINT = re.compile(r"(>=|<=|==|!=|~=|=|>|<)?([a-z0-9._+!]+?)(\.?\*)?", re.IGNORECASE)


def _parse_dependency(dependency: str) -> tuple[str, _Requirement | None]:
    """The name, and what is asked of its version; ``None`` if that is nothing or unclear.

    Builds need no look: all builds of a version are chosen together.
    """
    match = _DEPENDENCY.fullmatch(dependency[:MAX_SPEC_LENGTH].strip())
    if match is None or len(dependency) > MAX_SPEC_LENGTH:
        return "", None
    name, rest = match[1].lower(), " ".join(match[2].split())
    for separator in ",|":
        rest = rest.replace(f" {separator}", separator).replace(f"{separator} ", separator)
    version, _, _build = rest.partition(" ")
    alternatives = []
    for alternative in version.split("|"):
        constraints = _parse_constraints(alternative)
        if constraints is None:
            return name, None
        alternatives.append(constraints)
    return name, _Requirement(tuple(alternatives))


def _parse_constraints(text: str) -> tuple[_Constraint, ...] | None:
    constraints = []
    for part in text.split(","):
        if part == "*":
            continue
        match = _CONSTRAINT.fullmatch(part)
        if match is None:
            return None
        operator, bound, wildcard = match[1] or "==", match[2].lower(), bool(match[3])
        if operator == "=" or (operator == "==" and wildcard):
            operator = "=*"
        elif operator == "!=" and wildcard:
            operator = "!=*"
        try:
            constraints.append(_Constraint(operator, _Version(bound, VersionOrder(bound))))
        except ValueError:  # Not a version: some channels hold specs that nobody can read.
            return None
    return tuple(constraints)


def _starts_with(version: str, prefix: str) -> bool:
    """Whether ``version`` is in the series ``prefix``: 1.2.3 is in 1.2, 1.20 isn't."""
    rest = version.lower().removeprefix(prefix)
    if len(rest) == len(version):
        return not prefix
    return not (rest[:1].isdigit() and prefix[-1:].isdigit())


def _by_version(
    rows: Iterable[CurrentRow], *, only: dict[str, list[_Requirement]] | None = None
) -> Iterator[tuple[str, dict[_Version, list[CurrentRow]]]]:
    for name, group in groupby(rows, key=attrgetter("name")):
        if only is not None and name not in only:
            continue
        by_text: dict[str, list[CurrentRow]] = {}
        for row in group:
            by_text.setdefault(row.version, []).append(row)
        yield name, {_Version(text, VersionOrder(text)): found for text, found in by_text.items()}
