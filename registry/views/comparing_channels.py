"""What one channel holds that another one doesn't."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from registry import access
from registry.filter_forms import CompareChannelsForm
from registry.models import Channel, ChannelFile
from registry.views.frame import account_context, viewer
from registry.views.paging import PAGE_SIZE, Slice, links

_CHANNELS_OFFERED = 200
_MOST_VERSIONS = 20_000
# Which of the two a row of a query is about.
_BEFORE, _AFTER = Value(0), Value(1)


@dataclass(slots=True)
class Side:
    """What a channel holds of a package."""

    newest: str = ""
    version_key: bytes = b""
    only_here: int = 0


@dataclass(slots=True)
class Row:
    name: str
    before: Side = field(default_factory=Side)
    after: Side = field(default_factory=Side)

    def side(self, number: int) -> Side:
        return self.after if number else self.before

    @property
    def is_newer(self) -> bool:
        return self.after.version_key < self.before.version_key


@require_safe
def compare_channels(request: HttpRequest, account: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_account(account)
    channels = access.visible_channels(identity, found).order_by("name")[:_CHANNELS_OFFERED]
    by_name = {channel.name: channel for channel in channels}
    form = CompareChannelsForm(request.GET, channels=by_name)
    context = {**account_context(identity, found, "channels"), "channels": by_name, "form": form}
    context["crumbs"] = [
        {"label": found.name, "url": reverse("registry:account", args=[found.name])},
        {"label": _("Compare channels")},
    ]
    first, second = by_name.get(form.value("from")), by_name.get(form.value("to"))
    if first is not None and second is not None and first != second:
        context |= _compared(request, identity, first, second, form)
    return render(request, "registry/compare_channels.html", context)


def _entries(identity: Identity, channel: Channel) -> QuerySet[ChannelFile]:
    packages = access.visible_packages(identity, channel.account)
    return ChannelFile.objects.filter(
        channel=channel, file__package__in=packages.values("pk")
    ).order_by()


def _only_in(identity: Identity, channel: Channel, other: Channel) -> QuerySet[ChannelFile]:
    there = ChannelFile.objects.filter(channel=other, file=OuterRef("file"))
    return _entries(identity, channel).filter(~Exists(there))


def _compared(
    request: HttpRequest,
    identity: Identity,
    first: Channel,
    second: Channel,
    form: CompareChannelsForm,
) -> dict[str, Any]:
    """The packages in which they differ, a page of them; four queries, each about both sides."""
    before, after = _only_in(identity, first, second), _only_in(identity, second, first)
    start = form.value("after")
    names = before.filter(name__gt=start).values_list("name")
    names = names.union(after.filter(name__gt=start).values_list("name"))
    ordered = [name for (name,) in names.order_by("name")[: PAGE_SIZE + 1]]
    shown = Slice([Row(name) for name in ordered[:PAGE_SIZE]], has_after=len(ordered) > PAGE_SIZE)
    by_name = {row.name: row for row in shown.rows}
    totals = {
        row["side"]: row["count"]
        for row in _counted(before.values(side=_BEFORE)).union(_counted(after.values(side=_AFTER)))
    }
    differing = [rows.filter(name__in=by_name) for rows in (before, after)]
    counts = _counted(differing[0].values("name", side=_BEFORE))
    for row in counts.union(_counted(differing[1].values("name", side=_AFTER))):
        by_name[row["name"]].side(row["side"]).only_here = row["count"]
    _fill_newest(identity, first, second, by_name)
    return {
        "before": first,
        "after": second,
        "rows": shown.rows,
        "only_before": totals.get(0, 0),
        "only_after": totals.get(1, 0),
        **links(request, shown, [row.name for row in shown.rows]),
    }


def _counted(rows: QuerySet[ChannelFile, Any]) -> QuerySet[ChannelFile, Any]:
    return rows.annotate(count=Count("pk"))


def _fill_newest(identity: Identity, first: Channel, second: Channel, rows: dict[str, Row]) -> None:
    columns = ("name", "file__version_key", "file__version")
    before = _entries(identity, first).filter(name__in=rows).values_list(_BEFORE, *columns)
    after = _entries(identity, second).filter(name__in=rows).values_list(_AFTER, *columns)
    for number, name, key, version in before.union(after)[:_MOST_VERSIONS].iterator():
        side = rows[name].side(number)
        if bytes(key) > side.version_key:
            side.newest, side.version_key = version, bytes(key)
