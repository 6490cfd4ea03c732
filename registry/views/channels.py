"""Channels of an account: how to use them, what stands in them, whether they are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from registry import access, activity, notices
from registry.conda.subdirs import NOARCH
from registry.filter_forms import PositionForm
from registry.holdings import holdings
from registry.models import Channel, ChannelFile, PublishedIndex, StaleMark
from registry.views.frame import account_context, viewer
from registry.views.happenings import rows_of
from registry.views.install import channel_url, channel_variants
from registry.views.listing import in_order
from registry.views.package_lists import packages_part
from registry.views.paging import links, position, slice_of

# What clients fetch, in the order of the page's columns.
_INDEX_FILES = ("repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst")
_MOST_CHANGES = 15


@require_safe
def channels(request: HttpRequest, account: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_account(account)
    form = PositionForm(request.GET)
    shown = slice_of(
        access.visible_channels(identity, found),
        ["name"],
        after=position(form.value("after")),
        before=position(form.value("before")),
    )
    belongs = access.reads_privately(identity, found)
    held = holdings(identity, found, shown.rows, belongs=belongs)
    context = {
        **account_context(identity, found, "channels"),
        "rows": [{"channel": each, "holding": held[each.pk]} for each in shown.rows],
        **links(request, shown, [each.name for each in shown.rows]),
    }
    return render(request, "registry/channels.html", context)


@require_safe
def channel(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_channel(identity, account, channel)
    files = access.shown_files(identity, found.account).filter(entries__channel=found)
    standing = ChannelFile.objects.filter(channel=found, file__package=OuterRef("pk"))
    packages = access.visible_packages(identity, found.account).filter(Exists(standing))
    name = found.account.name
    belongs = access.reads_privately(identity, found.account)
    marks = _waiting(found)
    indexes = list(PublishedIndex.objects.filter(channel=found).annotate(any_waits=Exists(marks)))
    waits = not indexes or indexes[0].any_waits
    holding = holdings(identity, found.account, [found], belongs=belongs, indexes=indexes)[found.pk]
    happened = activity.of_account(
        identity, found.account, channel=found, most=_MOST_CHANGES, belongs=belongs
    )
    context = {
        **account_context(identity, found.account, "channels"),
        "channel": found,
        "crumbs": [
            {"label": name, "url": reverse("registry:account", args=[name])},
            {"label": gettext("Channels"), "url": reverse("registry:channels", args=[name])},
            {"label": found.name},
        ],
        "variants": channel_variants(identity, found),
        "address": channel_url(found),
        "may_copy": not identity.is_anonymous,
        "holding": holding,
        "platforms": [(subdir, holding.subdirs[subdir]) for subdir in in_order(holding.subdirs)],
        "index": _index_state(identity, found, indexes, marks if waits else marks.none()),
        "notices": notices.live_notices().filter(channel=found),
        "happenings": rows_of(name, happened.rows),
        **packages_part(request, packages, files),
    }
    return render(request, "registry/channel.html", context)


# --- The index ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SubdirState:
    """The index of one platform as clients get it, and what has not reached it yet."""

    subdir: str
    generation: int
    sizes: list[int | None]
    """Of `_INDEX_FILES`; what is made when it is asked for has none yet."""
    waiting: int
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True)
class _IndexState:
    subdirs: list[_SubdirState] = field(default_factory=list)
    published_at: datetime | None = None
    waiting: int = 0
    waiting_since: datetime | None = None


def _waiting(channel: Channel) -> QuerySet[StaleMark]:
    marks = StaleMark.objects.filter(channel=channel, stage__lt=StaleMark.Stage.SUMMARIES)
    return marks.exclude(subdir="")


def _index_state(
    identity: Identity,
    channel: Channel,
    indexes: Sequence[PublishedIndex],
    waiting: QuerySet[StaleMark],
) -> _IndexState:
    """The published index, with nothing that only tells of packages the viewer can't see."""
    published = [
        row
        for row in indexes
        if not row.members_only and row.subdir and (row.record_count or row.subdir == NOARCH)
    ]
    known = access.visible_packages(identity, channel.account).order_by().values("name")
    marks = {
        row["subdir"]: row
        for row in waiting.filter(Q(package_name="") | Q(package_name__in=known))
        .values("subdir")
        .annotate(count=Count("pk"), since=Min("marked_at"))
    }
    rows = {row.subdir: row for row in published}
    subdirs = [
        _SubdirState(
            subdir,
            rows[subdir].generation if subdir in rows else 0,
            _sizes(rows[subdir].files if subdir in rows else {}),
            marks[subdir]["count"] if subdir in marks else 0,
            marks[subdir]["since"] if subdir in marks else None,
        )
        for subdir in in_order(rows.keys() | marks.keys())
    ]
    dates = [row.published_at for row in published if row.published_at is not None]
    return _IndexState(
        subdirs,
        published_at=max(dates, default=None),
        waiting=sum(row["count"] for row in marks.values()),
        waiting_since=min((row["since"] for row in marks.values()), default=None),
    )


def _sizes(files: dict[str, dict[str, object]]) -> list[int | None]:
    sizes = [files.get(name, {}).get("size") for name in _INDEX_FILES]
    return [size if isinstance(size, int) else None for size in sizes]
