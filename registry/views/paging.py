"""Pages of long lists by position: each page costs the same, however far down it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Q, QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50

Row = TypeVar("Row")
Position = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """The rows of one page, and whether there are others on either side."""

    rows: list[Row]
    has_before: bool = False
    has_after: bool = False


def slice_of(
    rows: QuerySet[Any, Row],
    order: Sequence[str],
    *,
    after: Position | None = None,
    before: Position | None = None,
    size: int = PAGE_SIZE,
) -> Slice[Row]:
    """``size`` rows next to a position: the values that a row has in the fields of ``order``.

    Together these fields differ for each row; a minus turns one around, as in ``order_by``.
    """
    if before is not None:
        backwards = [name[1:] if name.startswith("-") else f"-{name}" for name in order]
        found = list(rows.filter(_beyond(backwards, before)).order_by(*backwards)[: size + 1])
        return Slice(found[:size][::-1], has_before=len(found) > size, has_after=True)
    if after is not None:
        rows = rows.filter(_beyond(order, after))
    found = list(rows.order_by(*order)[: size + 1])
    return Slice(found[:size], has_before=after is not None, has_after=len(found) > size)


def _beyond(order: Sequence[str], position: Position) -> Q:
    """Rows that come behind ``position``: the first field that differs decides."""
    condition = Q(pk__in=[])
    same = Q()
    for name, value in zip(order, position, strict=True):
        field = name.removeprefix("-")
        comparison = "lt" if name.startswith("-") else "gt"
        condition |= same & Q(**{f"{field}__{comparison}": value})
        same &= Q(**{field: value})
    # Implied, but an index of several fields is entered by it where the page begins.
    first = order[0].removeprefix("-")
    side = "lte" if order[0].startswith("-") else "gte"
    return condition & Q(**{f"{first}__{side}": position[0]})


def position(name: str) -> Position | None:
    """A position in lists that one field orders."""
    return (name,) if name else None


def links(request: HttpRequest, shown: Slice[Any], names: Sequence[object]) -> dict[str, str]:
    """Where the pages beside this one are; ``names`` say where its rows stand, in their order.

    The filters stay as they are.
    """
    return {
        "before_url": _link(request, "before", names[0]) if shown.has_before and names else "",
        "after_url": _link(request, "after", names[-1]) if shown.has_after and names else "",
    }


def _link(request: HttpRequest, direction: str, name: object) -> str:
    query = request.GET.copy()
    query.pop("before", None)
    query.pop("after", None)
    query[direction] = str(name)
    return f"?{query.urlencode()}"
