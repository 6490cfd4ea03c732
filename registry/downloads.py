"""Counting downloads without a write for each: in memory first, every few seconds in one go.

What a killed process had not written yet is lost; these are figures for people, not for bills.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from django.db import transaction
from django.utils import timezone

from portal.counting import Buffer
from registry.models import Download, DownloadTotal, PackageFile, bulk

Counts = Mapping[tuple[int, date], int]

# So many different files between two writes; beyond that a count is lost, not memory.
MAX_FILES = 20_000
_ROWS_PER_STATEMENT = 300


def count(file_id: int) -> None:
    """Note one download of a package file."""
    _counter.add({(file_id, timezone.now().date()): 1})
    _counter.ensure_writer()


def flush() -> int:
    """Write what was counted in this process; how many downloads that were."""
    counts = _counter.take()
    try:
        add_to_database(counts)
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


def add_to_database(counts: Counts) -> None:
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
        bulk.add_up(Download, ("file_id", "day"), days)
        bulk.add_up(DownloadTotal, ("file_id",), sorted(totals.items()))


_counter: Buffer[tuple[int, date]] = Buffer("downloads", flush, most=MAX_FILES)
