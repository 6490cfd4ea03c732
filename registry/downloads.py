"""Counting downloads without a write for each: in memory first, every few seconds in one go.

What a killed process had not written yet is lost; these are figures for people, not for bills.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from registry.models import Download, DownloadTotal, PackageFile

log = logging.getLogger(__name__)

Counts = Mapping[tuple[int, date], int]

# So many different files between two writes; beyond that a count is lost, not memory.
MAX_FILES = 20_000
_ROWS_PER_STATEMENT = 300


class _Counter:
    """What was counted and is not written yet, of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, date]] = Counter()
        self._wake = threading.Event()
        self._stopping = False
        self._writer: threading.Thread | None = None
        self._writer_pid = 0

    def add(self, counts: Counts) -> None:
        with self._lock:
            before = len(self._counts)
            for key, number in counts.items():
                if key in self._counts or len(self._counts) < MAX_FILES:
                    self._counts[key] += number
            if before < MAX_FILES // 2 <= len(self._counts):
                self._wake.set()

    def take(self) -> Counter[tuple[int, date]]:
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return taken

    def ensure_writer(self) -> None:
        # Started by the first download, not on import: threads don't live through a fork.
        if self._writer_pid == os.getpid() or not settings.DOWNLOADS_FLUSH_SECONDS:
            return
        with self._lock:
            if self._writer_pid == os.getpid():
                return
            self._writer_pid, self._stopping = os.getpid(), False
            self._writer = threading.Thread(target=self._run, name="downloads", daemon=True)
            self._writer.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the writer, once it has written what there is."""
        writer, self._writer, self._writer_pid = self._writer, None, 0
        self._stopping = True
        self._wake.set()
        if writer is not None:
            writer.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(settings.DOWNLOADS_FLUSH_SECONDS)
            self._wake.clear()
            try:
                flush()
            except DatabaseError as error:
                log.warning("downloads could not be written: %s", type(error).__name__)
            finally:
                connection.close()


_counter = _Counter()


def count(file_id: int) -> None:
    """Note one download of a package file."""
    _counter.add({(file_id, timezone.now().date()): 1})
    _counter.ensure_writer()


def flush() -> int:
    """Write what was counted in this process; how many downloads that were."""
    counts = _counter.take()
    try:
        _add_to_database(counts)
    except BaseException:
        _counter.add(counts)
        raise
    return counts.total()


def forget() -> None:
    """Drop what was counted and not written."""
    _counter.take()


def stop() -> None:
    """Write what was counted, and no more by itself until the next download."""
    _counter.stop()


def _add_to_database(counts: Counts) -> None:
    """Add to the rows there are, whoever else adds to them at the same time."""
    if not counts:
        return
    known: set[int] = set()
    ids = sorted({file_id for file_id, _ in counts})
    for start in range(0, len(ids), _ROWS_PER_STATEMENT):
        some = ids[start : start + _ROWS_PER_STATEMENT]
        known.update(PackageFile.objects.filter(pk__in=some).values_list("pk", flat=True))
    # In one order for everybody: processes that lock rows crosswise would wait for each other.
    days = [(*key, number) for key, number in sorted(counts.items()) if key[0] in known]
    totals: Counter[int] = Counter()
    for file_id, _, number in days:
        totals[file_id] += number
    with transaction.atomic():
        _add(Download, ("file_id", "day"), days)
        _add(DownloadTotal, ("file_id",), sorted(totals.items()))


def _add(model: type[Model], key: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add the last value of each row to ``count`` of the row with this key.

    Django's bulk_create can set a column on conflict, but not add to it.
    """
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - Django's documented API
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
