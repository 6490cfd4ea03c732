"""Which records stand in ``current_repodata.json``.

Only conda's classic solver reads that file. It tries with it first, since it is small, and
falls back to ``repodata.json`` when that finds no solution, so the choice made here decides
on speed and never on what can be installed. Hence the two liberties taken: a spec that the
small matcher below doesn't understand counts as satisfied, and chains of pins end somewhere.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from registry.conda.version import VersionOrder

MAX_ROUNDS = 20
"""Real channels need two or three."""

MAX_SPEC_LENGTH = 500


class CurrentRow(NamedTuple):
    """What there is to know of one package file."""

    filename: str
    name: str
    version: str


class Newest(msgspec.Struct, array_like=True, frozen=True):
    """The files of the newest version of a name, each with the spelling of its version, and what
    any of them depends on."""

    name: str
    files: list[tuple[str, str]]
    depends: list[str]


def current_filenames(
    newest: Iterable[Newest],
    more: Callable[[Collection[str]], Iterable[CurrentRow]],
    depends: Callable[[Collection[str]], Iterable[str]],
) -> set[str]:
    """Choose the newest version of each name, and older ones that others are pinned to.

    As conda-index does, all files of a chosen version are chosen. When no chosen version of
    a name meets what a chosen file depends on, the newest that does is added, with its own
    pins in turn. Names that don't occur in ``newest`` are somebody else's: another subdir's or
    another channel's.

    ``newest`` is read twice, so that only what was chosen is held; ``more`` gives all files of the
    names it is asked for, grouped by name; ``depends`` what the files of these names depend on.
    """
    if iter(newest) is newest:
        raise TypeError("newest must be readable twice; an iterator is empty afterwards.")
    choice = _Choice()
    for found in newest:
        for version, filename in found.files:
            choice.add(found.name, _Version.of(version), [filename])
    unmet = choice.unmet_by(spec for found in newest for spec in found.depends)
    for _ in range(MAX_ROUNDS):
        if not unmet:
            break
        added: list[str] = []
        for name, versions in _by_version(more(unmet)):
            added += choice.meet(name, unmet[name], versions)
        unmet = choice.unmet_by(depends(added))
    return choice.filenames


@dataclass(frozen=True, slots=True)
class _Version:
    text: str
    order: VersionOrder = field(compare=False)

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(text: str) -> "_Version":
        return _Version(text, VersionOrder(text))


@dataclass(slots=True)
class _Choice:
    """What has been chosen so far."""

    filenames: set[str] = field(default_factory=set)
    _versions: dict[str, list[_Version]] = field(default_factory=dict)
    # Hashes: a large channel depends in a hundred thousand ways. What is taken for another one
    # counts as met, as what isn't understood does.
    _seen: set[int] = field(default_factory=set)

    def add(self, name: str, version: _Version, filenames: Iterable[str]) -> None:
        versions = self._versions.setdefault(name, [])
        if version not in versions:
            versions.append(version)
        self.filenames.update(filenames)

    def meet(
        self,
        name: str,
        dependencies: Iterable[str],
        versions: dict[_Version, list[str]],
    ) -> list[str]:
        """Add for each dependency the newest version that meets it; the files that came in."""
        newest_first = sorted(versions, key=attrgetter("order"), reverse=True)
        added: list[str] = []
        for dependency in sorted(dependencies):
            _, requirement = _parse_dependency(dependency)
            if requirement is None or self.meets(name, requirement):
                continue
            found = next(filter(requirement.allows, newest_first), None)
            for version in versions if found is not None else ():
                # All of its spellings: 1.0 and 1.0.0 are the same.
                if found is not None and version.order == found.order:
                    self.add(name, version, versions[version])
                    added += versions[version]
        return added

    def meets(self, name: str, requirement: "_Requirement") -> bool:
        return any(map(requirement.allows, self._versions[name]))

    def unmet_by(self, dependencies: Iterable[str]) -> dict[str, list[str]]:
        """What is required here, was not before, and is met by nothing chosen."""
        unmet: dict[str, list[str]] = {}
        for dependency in dependencies:
            if hash(dependency) in self._seen:
                continue
            self._seen.add(hash(dependency))
            name, requirement = _parse_dependency(dependency)
            if name not in self._versions or requirement is None:
                continue
            if not self.meets(name, requirement):
                unmet.setdefault(name, []).append(dependency)
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


@lru_cache(maxsize=4096)
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
            constraints.append(_Constraint(operator, _Version.of(bound)))
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
    rows: Iterable[CurrentRow],
) -> Iterator[tuple[str, dict[_Version, list[str]]]]:
    for name, group in groupby(rows, key=attrgetter("name")):
        filenames: dict[_Version, list[str]] = {}
        for filename, _, version in group:
            filenames.setdefault(_Version.of(version), []).append(filename)
        yield name, filenames
