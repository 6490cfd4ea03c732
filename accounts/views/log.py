from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.finding import find_account
from accounts.authentication import identify
from accounts.forms import LogForm
from accounts.identity import Identity
from accounts.log import as_atom, as_csv, as_json_lines, lines_of
from accounts.log_words import told
from accounts.models import Account, Event
from accounts.rights import require_admin
from accounts.scopes import Ability
from accounts.views.frame import administered, page, settings_frame
from portal.errors import CredentialNeeded, InvalidInput
from portal.spreadsheets import download

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


def _found(
    request: HttpRequest, account: str, identity: Identity | None = None
) -> tuple[Account, LogForm, QuerySet[Event]]:
    """The account, and the lines of its log that the query asks for."""
    if identity is None:
        _, found = administered(request, account)
    else:
        found = find_account(account)
        require_admin(identity, found, Ability.READ)
    form = LogForm(request.GET, account=found, auto_id="log_%s")
    return found, form, lines_of(found, form.wanted())


@page
def log(request: HttpRequest, account: str) -> HttpResponse:
    """What was done to the account and what it owns: who, with which token, from where."""
    found, form, events = _found(request, account)
    wanted = form.wanted()
    filters = {
        field.name: str(getattr(wanted, field.name))
        for field in dataclasses.fields(wanted)
        if getattr(wanted, field.name)
    }
    given = form.cleaned_data if form.is_valid() else {}
    lines = _page(
        events.select_related("account"), before=given.get("before"), after=given.get("after")
    )
    context = {
        **settings_frame(request, found, "log"),
        "form": form,
        "filters": filters,
        "query": urlencode(filters),
        "lines": [told(event) for event in lines.events],
        "newer_url": _url(filters, "after", lines.newer_than),
        "older_url": _url(filters, "before", lines.older_than),
    }
    return render(request, "accounts/log.html", context, status=422 if form.errors else 200)


def _url(filters: dict[str, str], name: str, event_id: int | None) -> str:
    return "" if event_id is None else f"?{urlencode({**filters, name: event_id})}"


def _require_valid(form: LogForm) -> None:
    if not form.is_valid():
        errors = {name: [str(error) for error in found] for name, found in form.errors.items()}
        raise InvalidInput(gettext("The filters of the log are not usable."), errors)


@never_cache
@login_required
@require_safe
def log_csv(request: HttpRequest, account: str) -> StreamingHttpResponse:
    found, form, events = _found(request, account)
    _require_valid(form)
    return download(as_csv(events), filename=f"log-{found.name}.csv", content_type="text/csv")


@never_cache
@login_required
@require_safe
def log_json_lines(request: HttpRequest, account: str) -> StreamingHttpResponse:
    found, form, events = _found(request, account)
    _require_valid(form)
    return download(
        as_json_lines(events),
        filename=f"log-{found.name}.jsonl",
        content_type="application/jsonl",
    )


@never_cache
@require_safe
def log_atom(request: HttpRequest, account: str) -> HttpResponse:
    """For feed readers, which come with a token in a header rather than a session."""
    identity = identify(request, session=True)
    if identity.is_anonymous:
        raise CredentialNeeded
    found, form, events = _found(request, account, identity)
    _require_valid(form)
    return HttpResponse(as_atom(found, events), content_type="application/atom+xml; charset=utf-8")
