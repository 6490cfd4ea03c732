"""Queries that are asked for each change, and whose text is worked out once.

Putting a small query into words takes Django twenty times as long as it takes the database to
answer it. Here the words are kept; what differs from time to time is put into their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django.db import connection
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery

# Values that stand in no query otherwise, by the type of what they stand for.
_STAND_INS: dict[type, Callable[[int], object]] = {
    int: lambda place: 31_700 + place,  # as large as the smallest of columns holds
    str: lambda place: f"\x1a{place}\x1a",
    datetime: lambda place: datetime(1, 1, 1, 0, 0, place, tzinfo=UTC),
}


class Prepared:
    """A query by the values that differ, of these types, each of which stands in it once or more.

    ``make`` makes it from them; ``changes`` are the columns that an update sets.
    """

    def __init__(
        self,
        make: Callable[..., QuerySet[Any, Any]],
        *types: type,
        changes: Callable[..., dict[str, object]] | None = None,
    ) -> None:
        self._make = make
        self._types = types
        self._changes = changes
        self._words: dict[str, tuple[str, list[Any], list[tuple[int, int]]]] = {}

    def rows(self, *values: object) -> list[tuple[Any, ...]]:
        """What is found, as the driver has it: bytes may come as a view of them, and in SQLite a
        boolean is a number."""
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            return list(cursor.fetchall())

    def exists(self, *values: object) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            return cursor.fetchone() is not None

    def update(self, *values: object) -> int:
        """How many rows were changed."""
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            return int(cursor.rowcount)

    def _in_words(self, values: Sequence[object]) -> tuple[str, list[Any]]:
        if connection.vendor not in self._words:
            self._words[connection.vendor] = self._worked_out()
        words, fixed, places = self._words[connection.vendor]
        params = list(fixed)
        for at, which in places:
            params[at] = _as_driver_has_it(values[which])
        return words, params

    def _worked_out(self) -> tuple[str, list[Any], list[tuple[int, int]]]:
        stand_ins = [_STAND_INS[kind](place) for place, kind in enumerate(self._types)]
        query = self._make(*stand_ins).query
        if self._changes is not None:
            update = cast(UpdateQuery, query.chain(UpdateQuery))
            update.add_update_values(self._changes(*stand_ins))
            query = update
        words, params = query.get_compiler(connection=connection).as_sql()
        known = [_as_driver_has_it(value) for value in stand_ins]
        places = [(at, known.index(value)) for at, value in enumerate(params) if value in known]
        if {which for _, which in places} != set(range(len(known))):
            raise ValueError("Each of the values must stand in the query as it is.")
        return words, list(params), places


def _as_driver_has_it(value: object) -> object:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value
