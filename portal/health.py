"""``/livez``: the process answers. ``/readyz``: so do the parts it stands on."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache


@never_cache
def livez(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "does not answer"
    return "ok"


def _cache() -> str:
    cache.set("readyz", "1", 10)
    return "ok" if cache.get("readyz") == "1" else "does not answer"


def _index() -> str:
    # Named in a string: the portal stands below the registry and imports nothing of it.
    overdue: Callable[[], int] = importlib.import_module("registry.indexing").oldest_mark_seconds
    age = overdue()
    return "ok" if age < 60 else f"oldest change waits for {age} seconds"


@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when all parts answer, else 503; the body says which do not."""
    database = _database()
    parts = {"database": database}
    if database == "ok":
        parts |= {"cache": _cache(), "index": _index()}
    ready = all(state == "ok" for state in parts.values())
    return JsonResponse({"ready": ready, "parts": parts}, status=200 if ready else 503)
