"""Finding lines of the audit log, and writing them out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from html import unescape

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import strip_tags
from django.utils.translation import gettext

from accounts.log_words import told
from accounts.models import Account, Event
from portal.spreadsheets import csv_lines

_CHUNK = 500
_IN_FEED = 50
_COLUMNS = (
    "at", "actor", "token", "action", "target", "ip_address", "user_agent", "detail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of a log; what is empty or None leaves nothing out."""

    thing: str = ""
    who: str = ""
    token: str = ""
    target: str = ""
    since: date | None = None
    until: date | None = None


def lines_of(account: Account, wanted: Wanted) -> QuerySet[Event]:
    """The lines about the account and what it owns, in no order yet."""
    events = Event.objects.filter(account=account)
    if wanted.thing:
        events = events.filter(action__startswith=f"{wanted.thing}.")
    if wanted.who:
        events = events.filter(Q(actor_name__iexact=wanted.who) | Q(token_name__iexact=wanted.who))
    if wanted.token:
        events = events.filter(token_name__iexact=wanted.token)
    if wanted.target:
        events = events.filter(target__icontains=wanted.target)
    if wanted.since is not None:
        events = events.filter(at__gte=datetime.combine(wanted.since, time(), tzinfo=UTC))
    if wanted.until is not None:
        end = datetime.combine(wanted.until + timedelta(days=1), time(), tzinfo=UTC)
        events = events.filter(at__lt=end)
    return events


def _newest_first(events: QuerySet[Event]) -> Iterator[Event]:
    """All of them, some hundreds at a time.

    One query for all would keep a transaction open for as long as a slow client takes.
    """
    below: int | None = None
    while True:
        rows = events if below is None else events.filter(pk__lt=below)
        chunk = list(rows.order_by("-id")[:_CHUNK])
        yield from chunk
        if len(chunk) < _CHUNK:
            return
        below = chunk[-1].pk


def as_csv(events: QuerySet[Event]) -> Iterator[str]:
    rows = (
        (
            event.at.isoformat(),
            event.actor_name,
            event.token_name,
            event.action,
            event.target,
            event.ip_address,
            event.user_agent,
            json.dumps(event.detail, ensure_ascii=False, sort_keys=True),
        )
        for event in _newest_first(events)
    )
    return csv_lines(_COLUMNS, rows)


def as_json_lines(events: QuerySet[Event]) -> Iterator[str]:
    for event in _newest_first(events):
        line = {
            "at": event.at.isoformat(),
            "actor": event.actor_name,
            "token": event.token_name,
            "action": event.action,
            "target": event.target,
            "ip_address": event.ip_address,
            "user_agent": event.user_agent,
            "detail": event.detail,
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def as_atom(account: Account, events: QuerySet[Event]) -> str:
    """The newest lines, for a feed reader."""
    address = f"{settings.BASE_URL}/{account.name}/settings/log"
    feed = Atom1Feed(
        title=gettext("Audit log of %(name)s") % {"name": account.name},
        link=address,
        description="",
        feed_url=f"{address}.atom",
        feed_guid=address,
    )
    for event in events.select_related("account").order_by("-id")[:_IN_FEED]:
        who = event.actor_name or gettext("the operator")
        feed.add_item(
            title=f"{who} {unescape(strip_tags(told(event).sentence))}",
            link=address,
            description=json.dumps(event.detail, ensure_ascii=False, sort_keys=True),
            unique_id=f"{address}#{event.pk}",
            pubdate=event.at,
            updateddate=event.at,
            author_name=who,
        )
    return feed.writeString("utf-8")
