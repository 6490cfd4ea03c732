"""The rows that one index is made of: a subdir of a channel, as one audience may see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec
from django.db import connection
from django.db.models import Exists, Expression, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce

from registry.conda.layout import V3_SCHEMA, Part, removal_key, repodata_key
from registry.models import Channel, ChannelFile, Package, Patch, Removal
from registry.models.prepared import Prepared

BATCH = 2000
Item = TypeVar("Item")
_REMOVED = bytes([Part.REMOVED])


@dataclass(frozen=True)
class Audience:
    """Those who read the same index: everybody who may, or the members, where a public channel
    lists private packages. An empty subdir is all of the channel."""

    channel: Channel
    subdir: str
    members_only: bool = False

    @cached_property
    def _private(self) -> QuerySet[Package]:
        return Package.objects.filter(account=self.channel.account_id, is_private=True)

    @cached_property
    def hides(self) -> bool:
        """Whether there may be files that this audience must not know of."""
        if self.channel.is_private or self.members_only:
            return False
        return _PRIVATE.exists(self.channel.account_id)

    def hidden(self, names: Iterable[str]) -> set[str]:
        """Those of the package names that this audience must not know of."""
        if not self.hides:
            return set()
        return set(self._private.filter(name__in=list(names)).values_list("name", flat=True))

    @cached_property
    def entries(self) -> QuerySet[ChannelFile]:
        """What stands in the subdir, withdrawn records too."""
        entries = ChannelFile.objects.filter(channel=self.channel)
        if self.subdir:
            entries = entries.filter(subdir=self.subdir)
        return entries.exclude(name__in=self._private.values("name")) if self.hides else entries

    @cached_property
    def listed(self) -> QuerySet[ChannelFile]:
        """What the index lists."""
        return self.entries.filter(is_withdrawn=False)

    @cached_property
    def removals(self) -> QuerySet[Removal]:
        removals = Removal.objects.filter(channel=self.channel, subdir=self.subdir)
        if self.hides:
            removals = removals.exclude(package_name__in=self._private.values("name"))
        return removals

    @cached_property
    def is_patched(self) -> bool:
        """Whether the index says of any file something else than the file itself."""
        return _PATCHED.exists(self.channel.pk, self.subdir)

    @property
    def record(self) -> Expression | F:
        return Coalesce("patched__json", "record__json") if self.is_patched else RECORD

    @property
    def shard_record(self) -> Expression | F:
        if self.is_patched:
            return Coalesce("patched__msgpack", "record__msgpack")
        return F("record__msgpack")

    @property
    def _run_exports(self) -> Expression | F:
        own = "record__run_exports_json"
        return Coalesce("patched__run_exports_json", own) if self.is_patched else F(own)

    # --- Readers of documents (`registry.conda.document.Read`) -----------------------------------

    def read_repodata(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        yield from _records(self.listed, self.record, start, stop)
        yield from self.read_removed(start, stop)

    def read_removed(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        yield from _removed(self.removals, start, stop)

    def read_originals(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """As `read_repodata`, without what patches changed."""
        yield from _records(self.entries, RECORD, start, stop)
        there = self.entries.filter(filename=OuterRef("filename"))
        yield from _removed(self.removals.exclude(Exists(there)), start, stop)

    def read_run_exports(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """What the archives say (CEP 12), or what patches say instead (CEP 21)."""
        yield from _records(self.entries, self._run_exports, start, stop)


RECORD = F("record__json")
_PRIVATE = Prepared(
    lambda account_id: (
        Package.objects.filter(account=account_id, is_private=True).order_by().values_list("pk")[:1]
    ),
    int,
)
_PATCHED = Prepared(
    lambda channel_id, subdir: (
        Patch.objects.filter(channel=channel_id, subdir=subdir, undone_at=None)
        .order_by()
        .values_list("pk")[:1]
    ),
    int,
    str,
)


def _records(
    entries: QuerySet[ChannelFile], column: Expression | F, start: bytes, stop: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    if start >= _REMOVED:
        return
    rows = entries.filter(
        repodata_key__gte=start,
        repodata_key__lt=_REMOVED if stop is None else min(stop, _REMOVED),
    )
    ordered = rows.order_by("repodata_key").values_list("repodata_key", column)
    found: Iterator[tuple[bytes, bytes]] = ordered.iterator(chunk_size=BATCH)
    if connection.vendor == "sqlite":  # they are bytes
        yield from found
        return
    for key, text in found:
        yield bytes(key), bytes(text)


def _removed(
    removals: QuerySet[Removal], start: bytes, stop: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    if stop is not None and stop <= _REMOVED:
        return
    rows = removals.filter(repodata_key__gte=start)
    if stop is not None:
        rows = rows.filter(repodata_key__lt=stop)
    ordered = rows.order_by("repodata_key").values_list("repodata_key", "filename")
    for key, filename in ordered.iterator(chunk_size=BATCH):
        yield bytes(key), msgspec.json.encode(filename)


def audiences(channel: Channel, subdir: str) -> list[Audience]:
    """Everybody, and the members where they see more of the subdir."""
    public = Audience(channel, subdir)
    if not public.hides:
        return [public]
    members = Audience(channel, subdir, members_only=True)
    private = Package.objects.filter(account=channel.account_id, is_private=True)
    hidden = members.entries.filter(name__in=private.values("name"))
    return [public, members] if hidden.exists() else [public]


class Change(NamedTuple):
    """What of a subdir changed, as its marks say: one file, all files of a name, or everything."""

    name: str
    filename: str
    removed: bool


def touched_keys(channel: Channel, subdir: str, changes: Iterable[Change]) -> list[bytes]:
    """The keys of all pieces of documents that may have changed with them."""
    keys: set[bytes] = set()
    names: set[str] = set()
    for change in changes:
        if not change.filename:
            names.add(change.name)
            continue
        # Its row may be gone, and with it what is known of its schema.
        for version in (1, V3_SCHEMA) if channel.allows_v3 else (1,):
            keys.add(repodata_key(change.filename, schema_version=version))
        if change.removed:
            keys.add(removal_key(change.filename))
    here = {"channel": channel, "subdir": subdir}
    for some in batched(sorted(names), BATCH):
        entries = ChannelFile.objects.filter(**here, name__in=some)
        removals = Removal.objects.filter(**here, package_name__in=some)
        keys.update(bytes(key) for key in entries.values_list("repodata_key", flat=True))
        keys.update(bytes(key) for key in removals.values_list("repodata_key", flat=True))
    return sorted(keys)


def gathered(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`batched`, for what can be read only once."""
    source = iter(items)
    while some := list(islice(source, size)):
        yield some


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
