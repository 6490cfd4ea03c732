"""Queries that are asked for each change, and whose text is worked out once.

Putting a small query into words takes Django twenty times as long as it takes the database to
answer it. Here the words are kept; what differs from time to time is put into their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from django.db import connection
from django.db.models import QuerySet
from django.db.models.query import RelatedPopulator, get_related_populators
from django.db.models.sql import DeleteQuery, UpdateQuery

# Values that stand in no query otherwise, by the type of what they stand for.
_STAND_INS: dict[object, Callable[[int], Any]] = {
    int: lambda place: 31_700 + place,  # as large as the smallest of columns holds
    str: lambda place: f"\x1a{place}\x1a",
    bytes: lambda place: b"\x1a%d\x1a" % place,
    datetime: lambda place: datetime(1, 1, 1, 0, 0, place, tzinfo=UTC),
    dict: lambda place: {"\x1a": place},  # of a column of JSON
}
_PLACE = "%s"
_MANY: dict[object, type] = {list[str]: str, list[bytes]: bytes, list[int]: int}


class _Words(NamedTuple):
    """A query as the database takes it: its text, what stands in its places, and which value
    comes into which of them."""

    text: str
    params: list[Any]
    places: list[tuple[int, int]]
    model: Any
    columns: list[str]
    """The attributes of an instance that the columns are; empty where no instance is asked for."""
    converters: dict[int, tuple[Sequence[Callable[..., Any]], Any]]
    """What makes of a column's value that of the attribute, and the expression that it is told."""
    related: list[RelatedPopulator]
    """What makes the instances that come along."""

    def instance(self, row: Sequence[Any]) -> Any:
        """Of a row as the database gives it, as `ModelIterable` does so."""
        found = list(row)
        for at, (converts, expression) in self.converters.items():
            for convert in converts:
                found[at] = convert(found[at], expression, connection)
        made = self.model.from_db(connection.alias, self.columns, found[: len(self.columns)])
        for along in self.related:
            along.populate(found, made)
        return made


class Prepared:
    """A query by the values that differ, of these types, each of which stands in it once or more.

    ``make`` makes it from them; ``changes`` are the columns that an update sets, and one that
    ``deletes`` does so without looking at other tables. ``list[str]`` is the type of what stands
    in an ``__in``, which may be another number of values each time.
    """

    def __init__(
        self,
        make: Callable[..., QuerySet[Any, Any]],
        *types: object,
        changes: Callable[..., dict[str, object]] | None = None,
        deletes: bool = False,
    ) -> None:
        self._make = make
        self._types = types
        self._changes = changes
        self._deletes = deletes
        self._words: dict[str, _Words] = {}

    def rows(self, *values: object) -> list[tuple[Any, ...]]:
        """What is found, as the driver has it: bytes may come as a view of them, and in SQLite a
        boolean is a number."""
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            return list(cursor.fetchall())

    def get(self, *values: object) -> Any:
        """The first instance of the model that is found, where the query has all of its columns,
        with those that ``select_related`` names; raises its `DoesNotExist`."""
        words = self._known()
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            row = cursor.fetchone()
        if row is None:
            raise words.model.DoesNotExist
        return words.instance(row)

    def instances(self, *values: object) -> list[Any]:
        """All instances that are found, as `get` has one."""
        words = self._known()
        return [words.instance(row) for row in self.rows(*values)]

    def exists(self, *values: object) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            return cursor.fetchone() is not None

    def update(self, *values: object) -> int:
        """How many rows were changed, or deleted."""
        with connection.cursor() as cursor:
            cursor.execute(*self._in_words(values))
            return int(cursor.rowcount)

    def _known(self) -> _Words:
        if connection.vendor not in self._words:
            self._words[connection.vendor] = self._worked_out()
        return self._words[connection.vendor]

    def _in_words(self, values: Sequence[object]) -> tuple[str, list[Any]]:
        text, params, places, *_ = self._known()
        params = list(params)
        many: dict[int, Sequence[object]] = {}
        for at, which in places:
            value = values[which]
            if isinstance(value, list):
                many[at] = value
            else:
                params[at] = _as_driver_has_it(value)
        return _with_many(text, params, many) if many else (text, params)

    def _worked_out(self) -> _Words:
        known = [_STAND_INS[_MANY.get(kind, kind)](place) for place, kind in enumerate(self._types)]
        stand_ins = [
            [one] if kind in _MANY else one for one, kind in zip(known, self._types, strict=True)
        ]
        query = self._make(*stand_ins).query
        if self._changes is not None:
            update = cast(UpdateQuery, query.chain(UpdateQuery))
            update.add_update_values(self._changes(*stand_ins))
            query = update
        elif self._deletes:
            query = query.chain(DeleteQuery)
        compiler = query.get_compiler(connection=connection)
        text, params = compiler.as_sql()
        known = [_unwrapped(_as_driver_has_it(value)) for value in known]
        plain = [_unwrapped(param) for param in params]
        places = [(at, known.index(value)) for at, value in enumerate(plain) if value in known]
        if {which for _, which in places} != set(range(len(known))):
            raise ValueError("Each of the values must stand in the query as it is.")
        return _Words(text, plain, places, query.model, *_columns(compiler))


def _columns(
    compiler: Any,
) -> tuple[list[str], dict[int, tuple[Sequence[Callable[..., Any]], Any]], list[RelatedPopulator]]:
    """What an instance is made of, as `ModelIterable` makes it."""
    info = getattr(compiler, "klass_info", None)
    if not info:
        return [], {}, []
    expressions = [expression for expression, _, _ in compiler.select]
    columns = [expressions[at].target.attname for at in info["select_fields"]]
    # The stubs are those of Django 6.
    related = get_related_populators(info, compiler.select, connection.alias)  # type: ignore[call-arg]
    return columns, compiler.get_converters(expressions), related


def _with_many(
    text: str, params: list[Any], many: dict[int, Sequence[object]]
) -> tuple[str, list[Any]]:
    """Make as many places of these as there are values; of none, one for NULL, which is in no
    list."""
    before, *rest = text.split(_PLACE)
    texts: list[str] = [before]
    spread: list[Any] = []
    for at, (param, after) in enumerate(zip(params, rest, strict=True)):
        values = [param] if at not in many else many[at] or [None]
        texts += [", ".join([_PLACE] * len(values)), after]
        spread += values
    return "".join(texts), spread


def _as_driver_has_it(value: object) -> object:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, dict):
        return connection.ops.adapt_json_value(value, None)
    return value


def _unwrapped(param: object) -> object:
    """psycopg wraps bytes and JSON."""
    return getattr(param, "obj", param)
