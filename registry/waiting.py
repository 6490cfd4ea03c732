"""Answering an upload when what it brought is visible: ``Prefer: wait=N`` (RFC 7240), ``?wait=N``.

All faces that take uploads ask here, and none of them decides. An upload is durable before anybody
waits: not waiting, or not long enough, never changes the status of its answer.
"""

from __future__ import annotations

import re
import threading
import time
from functools import cache
from typing import TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from portal import processes
from portal.errors import InvalidInput
from registry.models import StaleMark
from registry.publishing import Published

MAX_SECONDS = 60
APPLIED = "Preference-Applied"
_COUNTED_PAUSE_SECONDS = 0.005
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.05
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
# Preferences between commas, their parameters behind semicolons; either may hold a quoted string.
_PREFERENCE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_WAIT = re.compile(r'(?ais)wait\s*=\s*("?)(?P<seconds>[0-9]{1,9})\1\s*(?:;.*)?')
Response = TypeVar("Response", bound=HttpResponseBase)


def asked_seconds(request: HttpRequest, *, by_default: int = 0) -> int:
    """How long the sender wants to wait, within what is granted: asked before the body is read.

    The address goes before the header, and is refused where it is no number; a preference that
    isn't understood is ignored, as the RFC wants it.
    """
    wanted = request.GET.get("wait")
    if wanted is None:
        preferred = _preferred_seconds(request.headers.get("Prefer", ""))
        return min(by_default if preferred is None else preferred, MAX_SECONDS)
    if not _WHOLE_NUMBER.fullmatch(wanted):
        raise InvalidInput(
            f"wait is {wanted[:40]!r}; a whole number of seconds is wanted, {MAX_SECONDS} at most."
        )
    return min(int(wanted), MAX_SECONDS)


def _preferred_seconds(header: str) -> int | None:
    for preference in _PREFERENCE.findall(header):
        name = preference.partition("=")[0].partition(";")[0].strip()
        if name.lower() == "wait":
            match = _WAIT.fullmatch(preference.strip())
            return int(match["seconds"]) if match else None  # only the first counts
    return None


def answer_when_visible(response: Response, published: Published, seconds: int) -> Response:
    """The answer to an upload, given back when clients see the file, or after ``seconds``.

    ``Preference-Applied`` stands in it when they see it. Call it when the upload's slot is free
    again: whoever waits holds a thread, and those have a bound of their own.
    """
    if seconds and _becomes_visible(published, seconds):
        response.headers[APPLIED] = f"wait={seconds}"
    return response


@cache
def _places(count: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(count)


def _becomes_visible(published: Published, seconds: int) -> bool:
    places = _places(settings.UPLOAD_WAITERS)
    if not places.acquire(blocking=False):
        return not _marks(published).exists()
    try:
        return _wait_until_gone(_marks(published), seconds)
    finally:
        places.release()


def _marks(published: Published) -> QuerySet[StaleMark]:
    """What clients that install are not given yet; the summaries are read by none of them."""
    file = published.file
    return StaleMark.objects.filter(
        channel=published.channel,
        subdir=file.subdir,
        package_name=file.name,
        filename=file.filename,
        stage__lt=StaleMark.Stage.SUMMARIES,
    )


def _wait_until_gone(marks: QuerySet[StaleMark], seconds: float) -> bool:
    # No transaction is open here, so each look sees what others committed.
    deadline = time.monotonic() + seconds
    commits = _Commits()
    while marks.exists():
        if not commits.wait_for_another(deadline):
            return False
    return True


class _Commits:
    """Those of others, each of which may be the one that is waited for.

    SQLite counts them, and tells the number for next to nothing. Elsewhere any may have come in a
    while, and the whiles get longer.
    """

    def __init__(self) -> None:
        self._are_counted = connection.vendor == "sqlite"
        self._seen = self._count()
        self._pause = _COUNTED_PAUSE_SECONDS if self._are_counted else _FIRST_PAUSE_SECONDS

    def wait_for_another(self, deadline: float) -> bool:
        """False when there was none in time, or this process is about to end."""
        while (left := deadline - time.monotonic()) > 0 and not processes.is_ending():
            time.sleep(min(self._pause, left))
            if not self._are_counted:
                self._pause = min(self._pause * 1.25, _LONGEST_PAUSE_SECONDS)
                return True
            seen, self._seen = self._seen, self._count()
            if self._seen != seen:
                return True
        return False

    def _count(self) -> int:
        if not self._are_counted:
            return 0
        with connection.cursor() as cursor:
            row: tuple[int] = cursor.execute("PRAGMA data_version").fetchone()
        return row[0]
