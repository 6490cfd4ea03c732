"""How many answers of each hour had a status of 500 or more, of all processes together.

Counted in memory and written a moment later, from another thread: the database may be just what is
amiss. What a web server in front says by itself, when nobody answers here, is not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from portal.counting import Buffer
from registry.models import FaultCount, bulk

_KEPT = timedelta(days=30)
_MOST = 1000


class CountFaults:
    """The middleware; it stands outside of all that may fail."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code >= 500:
            note(response.status_code)
        return response


def note(status: int) -> None:
    """Count an answer; those that come through the middleware are."""
    _buffer.add({(_this_hour(), status): 1})
    _buffer.ensure_writer()


def _this_hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def flush() -> int:
    """Write what was counted in this process; how many answers that were."""
    counts = _buffer.take()
    rows = [(hour, status, count) for (hour, status), count in sorted(counts.items())]
    try:
        bulk.add_up(FaultCount, ("hour", "status"), rows)
    except BaseException:
        _buffer.add(counts)
        raise
    return counts.total()


def forget() -> None:
    """Drop what was counted and not written."""
    _buffer.take()


def sweep() -> int:
    return FaultCount.objects.filter(hour__lt=timezone.now() - _KEPT).delete()[0]


_buffer: Buffer[tuple[datetime, int]] = Buffer("errors", flush, most=_MOST)
