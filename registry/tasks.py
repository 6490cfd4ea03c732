"""Celery's door to the work. A message is only the doorbell: what is to be done stands in the
database, so a lost message costs a delay and a doubled one nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import DatabaseError, close_old_connections, transaction
from kombu.exceptions import OperationalError

from registry import housekeeping, indexing

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def bring_up_to_date(channel_id: int, subdir: str) -> None:
    indexing.bring_up_to_date(channel_id, subdir)


@shared_task(ignore_result=True)
def ring_for_overdue_marks() -> None:
    for channel_id, subdir in indexing.overdue(older_than_seconds=settings.INDEX_SWEEP_SECONDS):
        bring_up_to_date.delay(channel_id, subdir)


@shared_task(ignore_result=True)
def keep_house() -> None:
    housekeeping.keep_house()


def ring(channel_id: int, subdirs: Iterable[str]) -> None:
    """Wake a worker once the marks just written are committed.

    Without a broker the worker watches the database by itself.
    """
    if not settings.CELERY_BROKER_URL:
        return

    def send() -> None:
        try:
            for subdir in subdirs:
                bring_up_to_date.delay(channel_id, subdir)
        except (OperationalError, OSError) as error:
            # The upload is committed and stays so; the sweeper finds its marks.
            log.warning("the broker does not answer: %s", type(error).__name__)

    transaction.on_commit(send)


@worker_ready.connect
def start_sweeper(**_kwargs: object) -> None:
    """Watch for overdue marks in the worker itself, so that a broker that is away only delays."""

    def sweep() -> None:
        while True:
            time.sleep(settings.INDEX_SWEEP_SECONDS)
            try:
                indexing.run_overdue(older_than_seconds=settings.INDEX_SWEEP_SECONDS)
            except DatabaseError:
                log.exception("the database does not answer; trying again")
            finally:
                close_old_connections()

    threading.Thread(target=sweep, name="sweeper", daemon=True).start()
