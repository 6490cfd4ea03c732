"""What the database needs to search names and summaries by parts of words.

PostgreSQL finds them by its extension ``pg_trgm``, SQLite by a table of its own full-text search
with the tokenizer ``trigram``. Both are set up after each migration, and not by one: on SQLite, a
migration that makes a table anew drops the triggers that stand on it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, connection, transaction

log = logging.getLogger(__name__)

GRAM = 3
"""Shorter words can't be looked up by their parts."""

# Names stand between marks that nobody types, so that their beginnings and ends are parts, too.
_TABLE = "registry_packagewords"
_TRIGGERS = {
    f"{_TABLE}_added": "AFTER INSERT ON registry_package BEGIN {insert} END",
    f"{_TABLE}_gone": "AFTER DELETE ON registry_package BEGIN {delete} END",
    f"{_TABLE}_changed": (
        "AFTER UPDATE OF name, summary ON registry_package"
        " WHEN old.name <> new.name OR old.summary <> new.summary BEGIN {delete} {insert} END"
    ),
}
_STEPS = {
    "insert": (
        f"INSERT INTO {_TABLE}(rowid, name, summary)"  # noqa: S608 - a table's name, and ours
        " VALUES (new.id, char(2) || new.name || char(3), new.summary);"
    ),
    "delete": f"DELETE FROM {_TABLE} WHERE rowid = old.id;",  # noqa: S608 - the same
}
_EXTENSION = "pg_trgm"
_INDEXES = {
    "package_names_in_parts": "(name gin_trgm_ops)",
    # As the ORM asks when capitals make no difference.
    "package_summaries_in_parts": "(UPPER((summary)::text) gin_trgm_ops)",
}


def set_up(**_: Any) -> None:
    if connection.vendor == "postgresql":
        _set_up_trigrams()
    else:
        _set_up_words()


def _set_up_words() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE %s", [f"{_TABLE}%"])
        present = {name for (name,) in cursor.fetchall()}
        missing = [name for name in _TRIGGERS if name not in present]
        if not missing and _TABLE in present:
            return
        cursor.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {_TABLE}"
            " USING fts5(name, summary, tokenize='trigram')"
        )
        for name in missing:
            cursor.execute(f"CREATE TRIGGER {name} {_TRIGGERS[name].format(**_STEPS)}")
        # What happened without the triggers is unknown.
        cursor.execute(f"DELETE FROM {_TABLE}")  # noqa: S608 - a table's name, and ours
        cursor.execute(
            f"INSERT INTO {_TABLE}(rowid, name, summary)"  # noqa: S608 - the same
            " SELECT id, char(2) || name || char(3), summary FROM registry_package"
        )


def _set_up_trigrams() -> None:
    if not has_trigrams():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {_EXTENSION}")
        except DatabaseError as error:
            log.warning(
                "the database has no pg_trgm: searching reads all packages, and doesn't see typing "
                "errors. Install PostgreSQL's contrib modules, CREATE EXTENSION pg_trgm, migrate.",
                extra={"reason": str(error).partition("\n")[0]},
            )
            return
    with connection.cursor() as cursor:
        for name, columns in _INDEXES.items():
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {name} ON registry_package USING gin {columns}"
            )


def has_trigrams() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = %s", [_EXTENSION])
        return cursor.fetchone() is not None


def with_words(words: Sequence[str], *, in_name: bool) -> tuple[str, list[str]]:
    """SQLite's query for the keys of packages with all these words, of three letters or more."""
    all_words = " AND ".join(map(_quoted, words))
    return (
        f"SELECT rowid FROM {_TABLE} WHERE {_TABLE} MATCH %s",  # noqa: S608 - a table's name
        [f"name : ({all_words})" if in_name else all_words],
    )


def similar_names(name: str, most: int) -> tuple[str, list[Any]]:
    """The query for the keys of packages whose names share most parts with this one."""
    if connection.vendor == "postgresql":
        query = (
            "SELECT id FROM registry_package WHERE name %% %s"
            " ORDER BY similarity(name, %s) DESC, name LIMIT %s"
        )
        return query, [name, name, most]
    marked = f"\x02{name}\x03"
    parts = {marked[at : at + GRAM] for at in range(len(marked) - GRAM + 1)}
    query = (
        f"SELECT rowid FROM {_TABLE} WHERE {_TABLE} MATCH %s"  # noqa: S608 - a table's name
        " ORDER BY rank LIMIT %s"
    )
    return query, [f"name : ({' OR '.join(map(_quoted, sorted(parts)))})", most]


def _quoted(words: str) -> str:
    """As a string of FTS5, in which nothing has a meaning but the quotation mark."""
    return '"' + words.replace('"', '""') + '"'
