"""What one channel holds that another one doesn't."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet
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
    context = {**account_context(identity, found, "channels"), "form": form}
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
    """The packages in which they differ, a page of them; six queries."""
    sides = ((first, second), (second, first))
    differing = [_only_in(identity, here, there) for here, there in sides]
    totals = [rows.count() for rows in differing]
    after = form.value("after")
    names: set[str] = set()
    for rows in differing:
        found = rows.filter(name__gt=after).values_list("name", flat=True).distinct()
        names.update(found.order_by("name")[: PAGE_SIZE + 1])
    ordered = sorted(names)[: PAGE_SIZE + 1]
    shown = Slice([Row(name) for name in ordered[:PAGE_SIZE]], has_after=len(ordered) > PAGE_SIZE)
    by_name = {row.name: row for row in shown.rows}
    for number, rows in enumerate(differing):
        counted = rows.filter(name__in=by_name).values_list("name").annotate(count=Count("pk"))
        for name, count in counted:
            (by_name[name].after if number else by_name[name].before).only_here = count
        _fill_newest(identity, sides[number][0], by_name, is_after=bool(number))
    return {
        "before": first,
        "after": second,
        "rows": shown.rows,
        "only_before": totals[0],
        "only_after": totals[1],
        **links(request, shown, [row.name for row in shown.rows]),
    }


def _fill_newest(
    identity: Identity, channel: Channel, rows: dict[str, Row], *, is_after: bool
) -> None:
    versions = (
        _entries(identity, channel)
        .filter(name__in=rows)
        .values_list("name", "file__version_key", "file__version")
        .distinct()
    )
    for name, key, version in versions[:_MOST_VERSIONS].iterator():
        side = rows[name].after if is_after else rows[name].before
        if bytes(key) > side.version_key:
            side.newest, side.version_key = version, bytes(key)
