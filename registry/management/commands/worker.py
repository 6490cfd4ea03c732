"""``condarium worker``: the embedded worker, which needs no broker."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections

from registry import condensing, front_downloads, housekeeping, indexing, jobs, recovery
from registry.doorbell import Doorbell
from registry.lanes import Chore, Chores, Lanes, let_small_work_pass

log = logging.getLogger(__name__)

_LANES = 3
# For what rang in vain, and for what gets due by the time alone.
_LOOK_ANYWAY_SECONDS = 1.0
# The rings of a burst are answered in one go, and looking takes a part of the time only.
_PAUSE_SECONDS = 0.005
_PAUSE_PER_LOOK = 4
# What is being indexed may end in that time. What doesn't is found by its marks at the next start.
_PATIENCE_SECONDS = 1.0

_CHORES = (
    Chore(recovery.check_after_restart, every_seconds=600, name="index files after a restart"),
    Chore(housekeeping.sweep_abandoned_uploads, every_seconds=20),
    Chore(housekeeping.keep_house, every_seconds=600),
    Chore(front_downloads.count, every_seconds=60, name="downloads by the front server"),
    Chore(condensing.condense_some, every_seconds=60, when_idle=True, name="smaller index files"),
)


class Command(BaseCommand):
    requires_system_checks = ()  # they would load every page
    help = "Index what was published, do jobs and keep house, without a broker."

    def handle(self, *args: Any, **options: Any) -> None:
        let_small_work_pass()
        with Doorbell() as doorbell:
            lanes = Lanes(_LANES, indexing.bring_up_to_date_for_clients, finished=doorbell.nudge)
            # Beside them: they take seconds for a large channel, whose next shards don't wait.
            summaries = Lanes(1, indexing.bring_summaries_up_to_date, finished=doorbell.nudge)
            Chores(
                _CHORES,
                is_idle=lambda: not (lanes.busy or summaries.busy or indexing.overdue()),
            )
            jobs.Lanes(settings.JOB_LANES)
            _work(doorbell, lanes, summaries)
            _let_go_of_jobs()
            # The next signal must not ring what is about to be closed.
            signal.set_wakeup_fd(-1)
            if not lanes.wait_until_idle(_PATIENCE_SECONDS) or summaries.busy:
                log.info("stopped while indexing; the next worker goes on")
                # At once: the end of the interpreter would wait for what computes without it.
                os._exit(0)


def _let_go_of_jobs() -> None:
    try:
        jobs.let_go()
    except DatabaseError:
        log.warning("the jobs that ran are taken over once their leases are over")


def _work(doorbell: Doorbell, lanes: Lanes, summaries: Lanes) -> None:
    """Give the lanes what is due, until told to stop or alone."""
    # No threading.Event: its lock can't be taken by a signal that interrupts its own wait.
    told_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told_to_stop.append(number))
    signal.set_wakeup_fd(doorbell.wakeup_fd, warn_on_full_buffer=False)
    parent = os.getppid()
    while not told_to_stop and os.getppid() == parent:
        started = time.monotonic()
        try:
            if lanes.free:
                lanes.take(indexing.awaited())
            if summaries.free:
                summaries.take(indexing.due_summaries())
        except DatabaseError:
            log.exception("the database does not answer; trying again")
            close_old_connections()
            time.sleep(1)
        looked_seconds = time.monotonic() - started
        rest = lanes.seconds_to_next_try(at_most=_LOOK_ANYWAY_SECONDS)
        doorbell.wait(summaries.seconds_to_next_try(at_most=rest))
        if lanes.busy:
            time.sleep(max(_PAUSE_SECONDS, _PAUSE_PER_LOOK * looked_seconds))
