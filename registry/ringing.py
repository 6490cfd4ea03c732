"""Waking a worker: by the doorbell of one host, or by Celery's broker."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from django.conf import settings
from django.db import transaction

from registry import doorbell


def ring(channel_id: int, subdirs: Iterable[str]) -> None:
    """Wake a worker once the marks just written are committed."""
    if not settings.CELERY_BROKER_URL:
        doorbell.ring()
        return
    # Where there is no broker, nothing pays for Celery when it starts.
    from registry import tasks  # noqa: PLC0415 - see above

    transaction.on_commit(partial(tasks.send, channel_id, list(subdirs)))
