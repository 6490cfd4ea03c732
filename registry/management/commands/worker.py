"""``condarium worker``: the embedded worker, which needs no broker."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections, connection

from registry import housekeeping, indexing

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.02
_LOOK_ANYWAY_SECONDS = 2.0
_POLL_SECONDS = 0.2  # where the database can't be asked cheaply whether anything changed
_HOUSEKEEPING_SECONDS = 600.0
_SWEEP_SECONDS = 20.0


class Command(BaseCommand):
    help = "Index what was published and keep house, without a broker."

    def handle(self, *args: Any, **options: Any) -> None:
        # No threading.Event: its lock can't be taken by a signal that interrupts its own wait.
        told_to_stop: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: told_to_stop.append(number))
        parent = os.getppid()
        housekeeping_due = sweep_due = time.monotonic()
        changes = Changes()
        while not told_to_stop and os.getppid() == parent:
            try:
                if changes.seen():
                    indexing.run_overdue()
                if time.monotonic() >= sweep_due:
                    sweep_due = time.monotonic() + _SWEEP_SECONDS
                    housekeeping.sweep_abandoned_uploads()
                if time.monotonic() >= housekeeping_due:
                    housekeeping_due = time.monotonic() + _HOUSEKEEPING_SECONDS
                    housekeeping.keep_house()
            except DatabaseError:
                log.exception("the database does not answer; trying again")
                close_old_connections()
                time.sleep(1)
            time.sleep(changes.pause_seconds)


class Changes:
    """Tells whether the database may hold new marks since it was last asked.

    SQLite counts the commits of other connections, and telling the number costs microseconds,
    so it is asked fifty times a second. Elsewhere the marks are looked for right away.
    """

    def __init__(self) -> None:
        self._counts = connection.vendor == "sqlite"
        self._version = -1
        self._looked = 0.0
        self.pause_seconds = _LOOK_SECONDS if self._counts else _POLL_SECONDS

    def seen(self) -> bool:
        if not self._counts:
            return True
        with connection.cursor() as cursor:
            version = cursor.execute("PRAGMA data_version").fetchone()[0]
        now = time.monotonic()
        if version == self._version and now - self._looked < _LOOK_ANYWAY_SECONDS:
            return False
        self._version, self._looked = version, now
        return True
