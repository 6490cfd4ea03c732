"""Which versions stand in ``current_repodata.json``.

Only conda's classic solver reads that file. It tries with it first, since it is small, and
falls back to ``repodata.json`` when that finds no solution, so the choice made here decides
on speed and never on what can be installed. Hence the liberty taken: a spec that the small
matcher below doesn't understand counts as satisfied.

Chosen is the newest version of each name, and of what a chosen file depends on, where the newest
version doesn't do, the newest that does. conda-index chooses so, but for one thing: it leaves a
version out when another, older one that was chosen before would do. What is chosen here doesn't
depend on any order, so a change can be followed to where it leads and no further.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from registry.conda.version import sort_key

MAX_SPEC_LENGTH = 500


class Version(NamedTuple):
    """A version as it orders (`registry.conda.version.sort_key`) and as it is spelled."""

    key: bytes
    text: str


class VersionFacts(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A version of a name: how it is spelled, its files by their keys in repodata, and what they
    depend on."""

    spellings: list[str]
    repodata_keys: list[bytes]
    depends: list[str]


def required_name(dependency: str) -> str:
    """The name that a dependency asks for; empty if it can't be read."""
    return _name_and_rest(dependency)[0]


def constraint(dependency: str) -> str:
    """What a dependency asks of the name, as it is written; empty if any version does."""
    return _name_and_rest(dependency)[1]


def exact_version(dependency: str) -> bytes | None:
    """The key of the one version that a dependency can be met with; ``None`` if others do, too."""
    name, asked = required_name(dependency), constraint(dependency)
    in_brackets = _VERSION_IN_BRACKETS.search(asked)
    if in_brackets is not None:
        asked = in_brackets[1]
    with_build = _WITH_BUILD.fullmatch(asked)
    if with_build is not None:
        asked = f"=={with_build[1]}"
    _, requirement = _parse_dependency(f"{name} {asked}")
    if requirement is None or len(requirement.alternatives) != 1:
        return None
    (constraints,) = requirement.alternatives
    if len(constraints) != 1 or constraints[0].operator != "==":
        return None
    return constraints[0].bound.key


def is_met(dependency: str, versions: Iterable[Version]) -> bool:
    """Whether one of the versions does; one that can't be read is met by any."""
    _, requirement = _parse_dependency(dependency)
    return requirement is None or any(map(requirement.allows, versions))


def needed_version(dependency: str, versions: Sequence[Version]) -> bytes | None:
    """The version that must be chosen beside the newest one, so that the dependency is met.

    ``versions`` are those of the name it asks for, the newest first, all spellings of each. None
    if the newest does, none does, or the dependency can't be read.
    """
    _, requirement = _parse_dependency(dependency)
    if requirement is None or not versions:
        return None
    found = next((version.key for version in versions if requirement.allows(version)), None)
    return None if found == versions[0].key else found


@dataclass(frozen=True, slots=True)
class _Bound:
    text: str
    key: bytes = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Constraint:
    operator: str
    bound: _Bound

    def allows(self, version: Version) -> bool:
        match self.operator:
            case "==":
                return version.key == self.bound.key
            case "!=":
                return version.key != self.bound.key
            case ">=":
                return version.key >= self.bound.key
            case "<=":
                return version.key <= self.bound.key
            case ">":
                return version.key > self.bound.key
            case "<":
                return version.key < self.bound.key
            case "!=*":
                return not _starts_with(version.text, self.bound.text)
            case "~=":
                series = self.bound.text.rpartition(".")[0]
                return version.key >= self.bound.key and _starts_with(version.text, series)
            case _:
                return _starts_with(version.text, self.bound.text)


@dataclass(frozen=True, slots=True)
class _Requirement:
    """Alternatives, of which one must hold, each of constraints that must all hold."""

    alternatives: tuple[tuple[_Constraint, ...], ...]

    def allows(self, version: Version) -> bool:
        return any(
            all(constraint.allows(version) for constraint in constraints)
            for constraints in self.alternatives
        )


_DEPENDENCY = re.compile(r"(?:[^\s:\[]+::)?([A-Za-z0-9_.-]+)(.*)", re.DOTALL)
_CONSTRAINT = re.compile(r"(>=|<=|==|!=|~=|=|>|<)?([a-z0-9._+!]+?)(\.?\*)?", re.IGNORECASE)

# ``name=1.0=h0``, where the version is exact however many signs come before it (CEP 29).
_WITH_BUILD = re.compile(r"={0,2}([^=<>!~,|()\[\]\s*]+)=([^=<>!~,|()\[\]\s]+)")
_VERSION_IN_BRACKETS = re.compile(r"""\[(?:[^\[\]]*,)?\s*version\s*=\s*["']([^"'\[\]]*)["']""")


def _name_and_rest(dependency: str) -> tuple[str, str]:
    """The name, and all that is asked of it; both empty if it can't be read."""
    # Longer ones are not kept either.
    return ("", "") if len(dependency) > MAX_SPEC_LENGTH else _split(dependency)


# Of each record each dependency comes by, and few of them are then looked at closer.
@lru_cache(maxsize=16_384)
def _split(dependency: str) -> tuple[str, str]:
    match = _DEPENDENCY.fullmatch(dependency.strip())
    return (match[1].lower(), " ".join(match[2].split())) if match else ("", "")


def _parse_dependency(dependency: str) -> tuple[str, _Requirement | None]:
    """The name, and what is asked of its version; ``None`` if that is nothing or unclear.

    Builds need no look: all builds of a version are chosen together.
    """
    return ("", None) if len(dependency) > MAX_SPEC_LENGTH else _parse(dependency)


@lru_cache(maxsize=4096)
def _parse(dependency: str) -> tuple[str, _Requirement | None]:
    name, rest = _name_and_rest(dependency)
    if not name:
        return "", None
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
            constraints.append(_Constraint(operator, _Bound(bound, sort_key(bound))))
        except ValueError:  # Not a version: some channels hold specs that nobody can read.
            return None
    return tuple(constraints)


def _starts_with(version: str, prefix: str) -> bool:
    """Whether ``version`` is in the series ``prefix``: 1.2.3 is in 1.2, 1.20 isn't."""
    rest = version.lower().removeprefix(prefix)
    if len(rest) == len(version):
        return not prefix
    return not (rest[:1].isdigit() and prefix[-1:].isdigit())
