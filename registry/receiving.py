"""What all faces share that take package files in, before `registry.publishing` does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.http import HttpRequest

from portal.errors import InvalidInput, Unavailable


@cache
def _slots(count: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(count)


@contextmanager
def upload_slot() -> Iterator[None]:
    """Hold one of this process's places for uploads, or refuse at once.

    Uploads last as long as their senders like. With all threads receiving, nobody could read.
    """
    slots = _slots(settings.UPLOAD_SLOTS)
    if not slots.acquire(blocking=False):
        raise Unavailable(
            f"{settings.UPLOAD_SLOTS} uploads are being received already. Try again in a moment.",
            retry_after_seconds=5,
        )
    try:
        yield
    finally:
        slots.release()


# What FastAPI takes for a truth value, for Quetz' clients; its own writes Python's.
_TRUE = {"true", "1", "t", "yes", "y", "on"}
_FALSE = {"false", "0", "f", "no", "n", "off"}


def asks_for_force(request: HttpRequest) -> bool:
    """Whether ``?force=`` says that the file is to replace one that has its name."""
    asked = request.GET.get("force", "").lower()
    if asked and asked not in _TRUE | _FALSE:
        raise InvalidInput(f"force is {asked[:40]!r}; true or false is wanted.")
    return asked in _TRUE
