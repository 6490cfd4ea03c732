"""What is done by the clock: how often at most, when it was done last, and how it went.

It stands in the database, so it holds for all workers together, and outlives them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.utils import timezone

from registry.models import ChoreRun

_Result = TypeVar("_Result")


def run(name: str, work: Callable[[], _Result], *, every_seconds: float = 0) -> _Result | None:
    """Do it and note how it went, or nothing if anybody began it a shorter time ago.

    What the work raises passes through.
    """
    if not _begin(name, every_seconds):
        return None
    started = time.monotonic()
    try:
        result = work()
    except Exception as error:
        _note(name, failed_at=timezone.now(), failure=type(error).__name__[:100])
        raise
    _note(name, ended_at=timezone.now(), seconds=time.monotonic() - started)
    return result


def _begin(name: str, every_seconds: float) -> bool:
    now = timezone.now()
    known, is_new = ChoreRun.objects.get_or_create(name=name, defaults={"began_at": now})
    if is_new:
        return True
    if every_seconds and known.began_at > now - timedelta(seconds=every_seconds):
        return False
    # Of two workers that come at the same time one does it.
    rows = ChoreRun.objects.filter(name=name)
    if every_seconds:
        rows = rows.filter(began_at=known.began_at)
    return rows.update(began_at=now) == 1


def _note(name: str, **how_it_went: object) -> None:
    ChoreRun.objects.filter(name=name).update(**how_it_went)
