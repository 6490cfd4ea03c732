"""Writing many rows for the price of the database.

For each value that it writes the ORM asks its field how, which takes several times as long as
the database does. Here values come as the driver takes them (JSON as text, a relation as its
key), and fields are asked once, only for what all rows have in common.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from django.db import connection, transaction
from django.db.models import DateTimeField, Field, Model
from django.db.models.expressions import RawSQL
from django.utils import timezone

_ROWS_PER_STATEMENT = 300

_AnyField: TypeAlias = "Field[Any, Any]"


def any_of(texts: Collection[str]) -> RawSQL:
    """What to filter by instead of hundreds of texts, as in ``filter(sha256__in=any_of(…))``.

    They are one value to the ORM and the database, which costs a tenth, and there may be more of
    them than a statement of SQLite takes values.
    """
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::text[])", [list(texts)])
    return RawSQL("SELECT value FROM json_each(%s)", [msgspec.json.encode(list(texts)).decode()])


def insert(
    model: type[Model],
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    *,
    keep_known: bool = False,
    **common: object,
) -> None:
    """Insert rows of values, in the order of ``columns``.

    All other fields are what ``common`` says for all rows, or their defaults; times that are set
    on adding are now. With ``keep_known``, a row that a constraint forbids is left out.
    """
    fields = _fields(model)
    others: dict[str, object] = {
        name: field.get_default()
        for name, field in fields.items()
        if name not in columns and not field.primary_key
    }
    others |= dict.fromkeys(_times(fields, "auto_now_add", "auto_now"), timezone.now())
    shared = _prepared(fields, {**others, **common}, leave_out=columns)
    values = tuple(shared.values())
    names = [fields[name].column for name in (*columns, *shared)]
    marks = ", ".join(["%s"] * len(names))
    _execute(
        f"INSERT INTO {_quoted(model._meta.db_table)}"  # noqa: S608, SLF001 - documented, and ours
        f" ({', '.join(map(_quoted, names))}) VALUES ({marks})"
        + (" ON CONFLICT DO NOTHING" if keep_known else ""),
        [(*row, *values) for row in rows],
    )


def update(instances: Sequence[Model], columns: Sequence[str]) -> None:
    """Write these columns of rows that are there; times that are set on saving are now."""
    if not instances:
        return
    model = type(instances[0])
    fields = _fields(model)
    shared = _prepared(fields, dict.fromkeys(_times(fields, "auto_now"), timezone.now()))
    settings = ", ".join(f"{_quoted(fields[name].column)} = %s" for name in (*columns, *shared))
    values = tuple(shared.values())
    key = model._meta.pk.column  # noqa: SLF001 - documented
    _execute(
        f"UPDATE {_quoted(model._meta.db_table)}"  # noqa: S608, SLF001 - documented, and ours
        f" SET {settings} WHERE {_quoted(key)} = %s",
        [
            (*(getattr(instance, name) for name in columns), *values, instance.pk)
            for instance in instances
        ],
    )


def _execute(statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        # In a transaction of the caller's, or in one of its own, but not in one for each row.
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:
            cursor.executemany(statement, rows)


def _fields(model: type[Model]) -> dict[str, _AnyField]:
    return {field.attname: field for field in model._meta.concrete_fields}  # noqa: SLF001 - documented


def _times(fields: Mapping[str, _AnyField], *kinds: str) -> list[str]:
    return [
        name
        for name, field in fields.items()
        if isinstance(field, DateTimeField) and any(getattr(field, kind) for kind in kinds)
    ]


def _prepared(
    fields: Mapping[str, _AnyField], values: Mapping[str, object], leave_out: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        name: fields[name].get_db_prep_save(value, connection)
        for name, value in values.items()
        if name not in leave_out
    }


def _quoted(name: str | None) -> str:
    return str(connection.ops.quote_name(name or ""))


def add_up(model: type[Model], key: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add the last value of each row to ``count`` of the row with this key.

    Django's bulk_create can set a column on conflict, but not add to it.
    """
    table = _quoted(model._meta.db_table)  # noqa: SLF001 - Django's documented API
    columns = ", ".join(key)
    marks = f"({', '.join(['%s'] * (len(key) + 1))})"
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            batch = rows[start : start + _ROWS_PER_STATEMENT]
            cursor.execute(
                f"INSERT INTO {table} ({columns}, count) "  # noqa: S608 - names of ours
                f"VALUES {', '.join([marks] * len(batch))} "
                f"ON CONFLICT ({columns}) "
                f"DO UPDATE SET count = {table}.count + excluded.count",
                [value for row in batch for value in row],
            )
