"""Holding what only one worker at a time may do, for as long as it takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from portal import processes
from portal.prepared import Prepared
from registry.models import PublishedIndex

log = logging.getLogger(__name__)


@contextmanager
def hold(index: PublishedIndex, lease_name: str) -> Iterator[str | None]:
    """Hold one of an index's leases while the block runs: gives the name that it is held under,
    or None when another worker has it. What a killed process of this machine held is free."""
    worker = processes.new_holder()
    queries = _queries_of(lease_name)
    last = getattr(index, f"{lease_name}_holder")
    left = last if processes.holder_has_ended(last) else worker
    if not queries.take.update(index.pk, timezone.now(), left, worker, _lease_end()):
        yield None
        return
    try:
        every_seconds = settings.INDEX_LEASE_SECONDS / 3
        with renewed(
            lambda: _renew(index.pk, lease_name, worker),
            every_seconds=every_seconds,
            of=f"{lease_name} of index {index.pk}",
        ):
            yield worker
    finally:
        queries.give_back.update(index.pk, worker)


class _LeaseQueries(NamedTuple):
    take: Prepared
    give_back: Prepared


@cache
def _queries_of(lease_name: str) -> _LeaseQueries:
    holder, until = f"{lease_name}_holder", f"{lease_name}_until"

    def free(pk: int, now: datetime, left: str, *_: object) -> QuerySet[PublishedIndex]:
        is_free = Q(**{until: None}) | Q(**{f"{until}__lt": now}) | Q(**{holder: left})
        return PublishedIndex.objects.filter(is_free, pk=pk)

    return _LeaseQueries(
        Prepared(
            free, int, datetime, str, str, datetime,
            changes=lambda _pk, _now, _left, worker, end: {holder: worker, until: end},
        ),
        Prepared(
            lambda pk, worker: PublishedIndex.objects.filter(pk=pk, **{holder: worker}), int, str,
            changes=lambda *_: {holder: "", until: None},
        ),
    )  # fmt: skip


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.INDEX_LEASE_SECONDS)


def _renew(index_id: int, lease_name: str, worker: str) -> None:
    mine = PublishedIndex.objects.filter(pk=index_id, **{f"{lease_name}_holder": worker})
    mine.update(**{f"{lease_name}_until": _lease_end()})


@contextmanager
def renewed(renew: Callable[[], object], *, every_seconds: float, of: str) -> Iterator[None]:
    """Call ``renew`` now and then, from another thread, as long as the block runs.

    A database that doesn't answer is asked again sooner, and the log hears of it once.
    """
    done = threading.Event()

    def keep_on() -> None:
        is_failing = False
        # Most work is done by then, and not even a connection was made.
        while not done.wait(every_seconds / 4 if is_failing else every_seconds):
            try:
                renew()
                is_failing = False
            except DatabaseError as error:
                if not is_failing:
                    log.warning(
                        "a lease could not be renewed; trying again",
                        extra={"lease": of, "error": type(error).__name__},
                    )
                is_failing = True
            finally:
                connection.close()

    thread = threading.Thread(target=keep_on, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
