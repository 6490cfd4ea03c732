"""What a decision asked the database, and whether it would be told the same now.

What was decided from the answers to some queries, and from nothing else, still holds as long as
the database gives the same answers. To run the same SELECTs again costs a tenth of making them
with Django, and nothing is taken on trust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

Row = tuple[Any, ...]


@dataclass(slots=True)
class Questions:
    """The SELECTs of a block with their answers, as the database's driver has them."""

    texts: list[str] = field(default_factory=list)
    params: list[tuple[Any, ...]] = field(default_factory=list)
    answers: list[list[Row]] = field(default_factory=list)
    # Whether nothing but SELECTs were run: what was read before a change is told otherwise after.
    is_reading: bool = True
    # SQLite's: how far the database had come when the answers were the same, by connection.
    _seen: dict[Any, tuple[int, int]] = field(default_factory=dict)

    def __call__(
        self,
        execute: Callable[..., object],
        sql: str,
        params: Sequence[Any] | None,
        many: bool,
        context: dict[str, Any],
    ) -> object:
        """Django calls this around each query (``execute_wrapper``)."""
        result = execute(sql, params, many, context)
        if many or params is None or not sql.startswith("SELECT"):
            self.is_reading = False
            return result
        # The rows as they come, before Django makes something of them; then it reads them, too.
        cursor = context["cursor"]
        rows = cursor.fetchall()
        cursor.cursor = _Rows(rows, cursor.cursor)
        self.texts.append(sql % (("?",) * len(params)) if connection.vendor == "sqlite" else sql)
        self.params.append(tuple(params))
        self.answers.append(rows)
        return result

    def are_answered_alike(self) -> bool:
        """Ask again. Raises ``DatabaseError`` as any query does."""
        connection.ensure_connection()
        with connection.wrap_database_errors:
            if connection.vendor == "sqlite":
                return self._sqlite_answers_alike(connection.connection)
            return self._postgresql_answers_alike(connection.connection)

    def _sqlite_answers_alike(self, database: Any) -> bool:
        # The first number changes when another connection has committed anything, the second when
        # this one has changed a row. Read before the answers: what comes between counts as new.
        (version,) = database.execute("PRAGMA data_version").fetchone()
        state = (version, database.total_changes)
        if self._seen.get(database) == state:
            return True
        asked = zip(self.texts, self.params, self.answers, strict=True)
        if not all(database.execute(text, p).fetchall() == answer for text, p, answer in asked):
            return False
        self._seen[database] = state
        return True

    def _postgresql_answers_alike(self, database: Any) -> bool:
        # All in one message: the way there and back costs more than the queries.
        cursor = database.execute("; ".join(self.texts), [p for some in self.params for p in some])
        with cursor:
            for answer in self.answers:
                if cursor.fetchall() != answer:
                    return False
                cursor.nextset()
        return True


class _Rows:
    """Stands for a cursor whose rows were read already."""

    def __init__(self, rows: Sequence[Row], cursor: Any) -> None:
        self._rows = iter(rows)
        self._cursor = cursor

    def fetchone(self) -> Row | None:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Row]:
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[Row]:
        return list(self._rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@contextmanager
def noted() -> Iterator[Questions]:
    """Take down what the block asks."""
    questions = Questions()
    with connection.execute_wrapper(questions):
        yield questions
