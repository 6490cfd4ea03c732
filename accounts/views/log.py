from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.forms import LogForm
from accounts.models import Event
from accounts.views.frame import administered, page, settings_frame

_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class _Lines:
    """One page of the log, newest first, and where the next ones begin."""

    events: list[Event]
    newer_than: int | None
    older_than: int | None


def _page(events: QuerySet[Event], *, before: int | None, after: int | None) -> _Lines:
    """The lines before, or else after, the one with that id: a page costs the same everywhere."""
    if after is not None:
        rows = list(events.filter(pk__gt=after).order_by("id")[: _PAGE_SIZE + 1])
        more, rows = len(rows) > _PAGE_SIZE, rows[:_PAGE_SIZE][::-1]
        return _Lines(
            events=rows,
            newer_than=rows[0].pk if rows and more else None,
            older_than=rows[-1].pk if rows else after + 1,
        )
    if before is not None:
        events = events.filter(pk__lt=before)
    rows = list(events.order_by("-id")[: _PAGE_SIZE + 1])
    more, rows = len(rows) > _PAGE_SIZE, rows[:_PAGE_SIZE]
    newest = rows[0].pk if rows else (before or 1) - 1
    return _Lines(
        events=rows,
        newer_than=newest if before is not None else None,
        older_than=rows[-1].pk if rows and more else None,
    )


@page
def log(request: HttpRequest, account: str) -> HttpResponse:
    """What was done to the account and what it owns: who, with which token, from where."""
    _, found = administered(request, account)
    form = LogForm(request.GET, account=found, auto_id="log_%s")
    wanted = form.cleaned_data if form.is_valid() else {}
    events = Event.objects.filter(account=found)
    filters = {name: wanted[name] for name in ("thing", "who") if wanted.get(name)}
    if "thing" in filters:
        events = events.filter(action__startswith=f"{filters['thing']}.")
    if "who" in filters:
        events = events.filter(
            Q(actor_name__iexact=filters["who"]) | Q(token_name__iexact=filters["who"])
        )
    lines = _page(events, before=wanted.get("before"), after=wanted.get("after"))
    context = {
        **settings_frame(request, found, "log"),
        "form": form,
        "filters": filters,
        "events": lines.events,
        "newer_url": _url(filters, "after", lines.newer_than),
        "older_url": _url(filters, "before", lines.older_than),
    }
    return render(request, "accounts/log.html", context, status=422 if form.errors else 200)


def _url(filters: dict[str, str], name: str, event_id: int | None) -> str:
    return "" if event_id is None else f"?{urlencode({**filters, name: event_id})}"
