"""What stands around a name: who needs it, what it needs, a few steps each way.

Steps go from name to name. Where several accounts have a package of a name, that of the account
that is looked at speaks for it, or else all that the viewer may know of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, Q, Value

from accounts.identity import Identity
from accounts.models import Account
from registry import access, dependents
from registry.models import Package

MAX_DEPTH = 3
MOST_NODES = 60
_MOST_ROWS = 4000


@dataclass(slots=True)
class Node:
    """A name, and how many steps it is away: dependents are below zero."""

    name: str
    steps: int
    package: Package | None = None
    needs: list[str] = field(default_factory=list)
    """Those of the other names that it needs."""

    @property
    def is_virtual(self) -> bool:
        return self.name.startswith("__")


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The names around one, each once; ``is_cut`` when there are more than are shown."""

    centre: Node
    dependents: list[list[Node]]
    """By steps: those that need it, those that need these…"""
    dependencies: list[list[Node]]
    is_cut: bool

    @property
    def nodes(self) -> list[Node]:
        groups = [*self.dependents, [self.centre], *self.dependencies]
        return [node for group in groups for node in group]


class _Finder:
    def __init__(
        self, viewer: Identity, account: Account, name: str, known: Package | None
    ) -> None:
        self._viewer = viewer
        self._account = account
        self._nodes = {name: Node(name, 0)}
        self._edges: set[tuple[str, str]] = set()
        self._packages: dict[str, list[Package]] = {} if known is None else {name: [known]}
        self.is_cut = False

    def find(self, name: str, depth: int) -> Neighbourhood:
        before, after = [name], [name]
        for step in range(1, depth + 1):
            left, right = self._edges_of(before, after)
            # The nearer ones come in first, and each side leaves room for the other.
            room = MOST_NODES - len(self._nodes)
            before = self._take(left, -step, room - min(len(right), room // 2))
            after = self._take(right, step, MOST_NODES - len(self._nodes))
        self._look_up(list(self._nodes))
        for source, target in sorted(self._edges):
            if source in self._nodes and target in self._nodes:
                self._nodes[source].needs.append(target)
        groups: dict[int, list[Node]] = {}
        for node in sorted(self._nodes.values(), key=lambda one: one.name):
            node.package = next(iter(self._packages.get(node.name, ())), None)
            groups.setdefault(node.steps, []).append(node)
        return Neighbourhood(
            self._nodes[name],
            [groups[-step] for step in range(depth, 0, -1) if -step in groups],
            [groups[step] for step in range(1, depth + 1) if step in groups],
            self.is_cut,
        )

    def _take(self, names: Iterable[str], steps: int, room: int) -> list[str]:
        new = [name for name in dict.fromkeys(names) if name not in self._nodes]
        self.is_cut |= len(new) > max(room, 0)
        new = new[: max(room, 0)]
        self._nodes |= {name: Node(name, steps) for name in new}
        return new

    def _look_up(self, names: list[str]) -> None:
        wanted = [name for name in names if name not in self._packages]
        if wanted:
            found = dependents.packages_called(self._viewer, wanted, self._account)
            self._packages |= {name: found.get(name, []) for name in wanted}

    def _edges_of(self, needed: list[str], needing: list[str]) -> tuple[list[str], list[str]]:
        """Who needs one of the first names, and what the others need; one query."""
        if not needed and not needing:
            return [], []
        edges = dependents.visible_edges(self._viewer).order_by()
        own = access.visible_packages(self._viewer, self._account).filter(
            name=OuterRef("package_name")
        )
        speaking = Q(package__account=self._account) | ~Exists(own)
        columns = ("side", "package_name", "name")
        forward = edges.filter(speaking, package_name__in=needing).annotate(side=Value(0))
        backward = edges.filter(name__in=needed).annotate(side=Value(1))
        # What is needed first, which is little: what many need would leave it no room.
        found = forward.values_list(*columns).union(backward.values_list(*columns))
        rows = list(found.order_by(*columns)[: _MOST_ROWS + 1])
        self.is_cut |= len(rows) > _MOST_ROWS
        sources, targets = set[str](), set[str]()
        for side, source, target in rows[:_MOST_ROWS]:
            self._edges.add((source, target))
            if side:
                sources.add(source)
            else:
                targets.add(target)
        return sorted(sources), sorted(targets)


def around(
    viewer: Identity, account: Account, name: str, depth: int = 1, known: Package | None = None
) -> Neighbourhood:
    """The neighbourhood of a name, as the viewer may know it and the account sees it; ``known`` is
    the account's package that is called so, where the viewer was found to see it."""
    finder = _Finder(viewer, account, name, known)
    return finder.find(name, max(1, min(depth, MAX_DEPTH)))


def is_known(viewer: Identity, name: str) -> bool:
    """Whether there is anything of the name that the viewer may know of."""
    return (
        access.visible_packages(viewer).filter(name=name).exists()
        or dependents.edges_to(viewer, [name]).exists()
    )
