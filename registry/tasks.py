"""Celery's door to the work. A message is only the doorbell: what is to be done stands in the
database, so a lost message costs a delay and a doubled one nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from kombu.exceptions import OperationalError

from registry import condensing, front_downloads, housekeeping, indexing, jobs, recovery
from registry.lanes import Chore, Chores, let_small_work_pass

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def bring_up_to_date(channel_id: int, subdir: str) -> None:
    indexing.bring_up_to_date(channel_id, subdir)
    if subdir:
        # The channel's own files come after what clients wait for, not beside it.
        indexing.bring_up_to_date(channel_id, "")


@shared_task(ignore_result=True)
def ring_for_overdue_marks() -> None:
    for channel_id, subdir in indexing.overdue(older_than_seconds=settings.INDEX_SWEEP_SECONDS):
        bring_up_to_date.delay(channel_id, subdir)


@shared_task(ignore_result=True)
def keep_house() -> None:
    housekeeping.keep_house()


def send(channel_id: int, subdirs: Iterable[str]) -> None:
    """Ring for a channel's subdirs at the broker."""
    # The channel's own files are brought up to date along with any of its subdirs.
    try:
        for subdir in [subdir for subdir in subdirs if subdir] or [""]:
            bring_up_to_date.delay(channel_id, subdir)
    except (OperationalError, OSError) as error:
        # What was done is committed and stays so; the sweeper finds its marks.
        log.warning("the broker does not answer: %s", type(error).__name__)


def _sweep() -> None:
    indexing.run_overdue(older_than_seconds=settings.INDEX_SWEEP_SECONDS)


@worker_ready.connect
def prepare_worker(**_kwargs: object) -> None:
    """Watch for overdue marks in the worker itself, so that a broker that is away only delays."""
    let_small_work_pass()
    Chores(
        [
            Chore(
                recovery.check_after_restart, every_seconds=600, name="index files after a restart"
            ),
            Chore(_sweep, every_seconds=settings.INDEX_SWEEP_SECONDS),
            Chore(front_downloads.count, every_seconds=60, name="downloads by the front server"),
            Chore(
                condensing.condense_some,
                every_seconds=60,
                when_idle=True,
                name="smaller index files",
            ),
        ],
        is_idle=lambda: not indexing.overdue(),
    )
    # Not as tasks: one of hours would be sent again meanwhile, and keep a place from the indexes.
    jobs.Lanes(settings.JOB_LANES)


@worker_shutdown.connect
def end_worker(**_kwargs: object) -> None:
    jobs.let_go()
