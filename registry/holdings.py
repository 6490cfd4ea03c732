"""How much channels hold, at the price of a few rows: what their indexes say they list.

Rows of a channel may be some hundred thousand. The index of each subdir knows how many records it
has, for everybody and for members; it is behind by what waits to be published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum

from accounts.identity import Identity
from accounts.models import Account
from registry import access
from registry.models import Channel, ChanneldataEntry, ChannelFile, Package, PublishedIndex

MOST_ADDED_UP = 10_000
"""Of more files the bytes are not added up: each is a row to be read."""


@dataclass(slots=True)
class Holding:
    """What a channel shows to one viewer."""

    packages: int = 0
    subdirs: dict[str, int] = field(default_factory=dict)
    """How many files each platform has."""
    changed_at: datetime | None = None
    size_bytes: int | None = None

    @property
    def files(self) -> int:
        return sum(self.subdirs.values())


def holdings(
    viewer: Identity,
    account: Account,
    channels: Sequence[Channel],
    *,
    belongs: bool,
    indexes: Iterable[PublishedIndex] | None = None,
) -> dict[int, Holding]:
    """What these channels of one account, which the viewer may read, show to them; by key.

    ``belongs`` is what `access.reads_privately` says; ``indexes`` are those of the channels, where
    they were read already.
    """
    found = {channel.pk: Holding() for channel in channels}
    whole = {
        channel.pk
        for channel in channels
        if channel.is_private or (belongs and access.within_channel_limit(viewer, channel.name))
    }
    if indexes is None:
        rows = PublishedIndex.objects.filter(channel__in=found.keys())
        indexes = rows.only("channel", "subdir", "members_only", "record_count", "published_at")
    _count_files(found, whole, indexes)
    left = MOST_ADDED_UP
    small = []
    for channel_id, one in sorted(found.items(), key=lambda item: item[1].files):
        left -= one.files
        if left >= 0:
            small.append(channel_id)
    for channel_id, number, size in _names_and_sizes(account, found, small, whole):
        found[channel_id].packages = number or 0
        found[channel_id].size_bytes = size
    return found


def _count_files(
    found: dict[int, Holding], whole: set[int], indexes: Iterable[PublishedIndex]
) -> None:
    # The members' row, where there is one, comes last.
    for index in sorted(indexes, key=lambda one: one.members_only):
        if not index.subdir or (index.members_only and index.channel_id not in whole):
            continue
        one = found[index.channel_id]
        one.subdirs[index.subdir] = index.record_count
        if index.published_at is not None:
            one.changed_at = max(one.changed_at or index.published_at, index.published_at)
    for one in found.values():
        one.subdirs = {subdir: count for subdir, count in one.subdirs.items() if count}


def _names_and_sizes(
    account: Account, channels: Iterable[int], small: Sequence[int], whole: set[int]
) -> QuerySet[Channel, tuple[int, int | None, int | None]]:
    """How many packages each of the channels lists, and of the small ones the bytes; one query."""
    private = Package.objects.filter(account=account, is_private=True)
    of_channel = Q(channel=OuterRef("pk"))
    shown = Q(channel__in=whole)
    entries = ChanneldataEntry.objects.filter(
        of_channel, shown | ~Exists(private.filter(name=OuterRef("package_name")))
    )
    files = ChannelFile.objects.filter(
        of_channel, shown | ~Exists(private.filter(name=OuterRef("name"))), channel__in=small
    )
    return Channel.objects.filter(pk__in=channels).values_list(
        "pk",
        Subquery(entries.order_by().values("channel").values_list(Count("pk"))),
        Subquery(files.order_by().values("channel").values_list(Sum("file__size_bytes"))),
    )
