"""Channels of an account: how to use them, what stands in them, whether they are up to date."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from accounts.models import Account
from registry import access, notices
from registry.conda.subdirs import NOARCH
from registry.forms import PositionForm
from registry.models import Channel, ChannelFile, PublishedIndex, StaleMark
from registry.views.accounts import packages_part
from registry.views.frame import account_context, viewer
from registry.views.install import channel_variants
from registry.views.listing import in_order
from registry.views.paging import links, position, slice_of

# What clients fetch, and how the page calls it.
_INDEX_FILES = {
    "repodata.json": "repodata",
    "repodata.json.zst": "zst",
    "repodata_shards.msgpack.zst": "shard index",
}


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
    counted = _counted(identity, found, shown.rows)
    context = {
        **account_context(identity, found, "channels"),
        "rows": [{**counted.get(each.pk, {}), "channel": each} for each in shown.rows],
        **links(request, shown, [each.name for each in shown.rows]),
    }
    return render(request, "registry/channels.html", context)


def _counted(
    identity: Identity, account: Account, shown: list[Channel]
) -> dict[int, dict[str, Any]]:
    """What the viewer may see in each of these channels; one query."""
    files = access.visible_files_of_account(identity, account)
    rows = (
        ChannelFile.objects.filter(channel__in=shown, file__in=files.order_by().values("pk"))
        .values("channel")
        .annotate(
            files=Count("pk"),
            packages=Count("file__package", distinct=True),
            size=Sum("file__size_bytes"),
            changed_at=Max("added_at"),
        )
    )
    return {row["channel"]: dict(row) for row in rows}


@require_safe
def channel(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_channel(identity, account, channel)
    files = access.visible_files_of_account(identity, found.account).filter(entries__channel=found)
    standing = ChannelFile.objects.filter(channel=found, file__package=OuterRef("pk"))
    packages = access.visible_packages(identity, found.account).filter(Exists(standing))
    name = found.account.name
    context = {
        **account_context(identity, found.account, "channels"),
        "channel": found,
        "crumbs": [
            {"label": name, "url": reverse("registry:account", args=[name])},
            {"label": "Channels", "url": reverse("registry:channels", args=[name])},
            {"label": found.name},
        ],
        "variants": channel_variants(identity, found),
        "totals": _counted(identity, found.account, [found]).get(found.pk, {}),
        "index": _index_state(identity, found),
        "notices": notices.live_notices().filter(channel=found),
        **packages_part(request, packages, files),
    }
    return render(request, "registry/channel.html", context)


# --- The index ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SubdirState:
    """The index of one platform as clients get it, and what has not reached it yet."""

    subdir: str
    generation: int
    sizes: list[tuple[str, int]]
    waiting: int


@dataclass(frozen=True, slots=True)
class _IndexState:
    subdirs: list[_SubdirState] = field(default_factory=list)
    published_at: datetime | None = None
    waiting: int = 0
    waiting_since: datetime | None = None


def _index_state(identity: Identity, channel: Channel) -> _IndexState:
    """The published index, with nothing that only tells of packages the viewer can't see."""
    published = [
        row
        for row in PublishedIndex.objects.filter(channel=channel, members_only=False)
        if row.subdir and (row.record_count or row.subdir == NOARCH)
    ]
    known = access.visible_packages(identity, channel.account).order_by().values("name")
    marks = {
        row["subdir"]: row
        for row in StaleMark.objects.filter(channel=channel, stage__lt=StaleMark.Stage.SUMMARIES)
        .exclude(subdir="")
        .filter(Q(package_name="") | Q(package_name__in=known))
        .values("subdir")
        .annotate(count=Count("pk"), since=Min("marked_at"))
    }
    rows = {row.subdir: row for row in published}
    subdirs = [
        _SubdirState(
            subdir,
            rows[subdir].generation if subdir in rows else 0,
            _sizes(rows[subdir]) if subdir in rows else [],
            marks[subdir]["count"] if subdir in marks else 0,
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


def _sizes(row: PublishedIndex) -> list[tuple[str, int]]:
    found = []
    for name, word in _INDEX_FILES.items():
        size = row.files.get(name, {}).get("size")
        if isinstance(size, int):
            found.append((word, size))
    return found
