"""What patches change, as lines that a page can show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from registry.patched import KeyChange

_MAX_LENGTH = 300


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One key; ``lines`` come with the class that says whether they were added or dropped."""

    key: str
    lines: list[tuple[str, str]]


def shown_changes(changes: Iterable[KeyChange]) -> list[ShownChange]:
    return [ShownChange(each.key, _lines(each.before, each.after)) for each in changes]


def _lines(before: object, after: object) -> list[tuple[str, str]]:
    old, new = _items(before), _items(after)
    dropped = [("diff-dropped", item) for item in old if item not in new]
    added = [("diff-added", item) for item in new if item not in old]
    # The same in another order is a change as well.
    return [*dropped, *added] or [("diff-changed", item) for item in new]


def _items(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [_text(item) for item in value]
    return [_text(value)]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
