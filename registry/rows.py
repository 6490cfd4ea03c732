"""The rows that one index is made of: a subdir of a channel, as one audience may see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.db import connection
from django.db.models import Exists, Expression, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce

from portal.prepared import Prepared
from registry.conda.layout import V3_SCHEMA, Part, removal_key, repodata_key
from registry.models import Channel, ChannelFile, Package, Patch, Removal

BATCH = 2000
_FEW = 8  # names, each of which may have thousands of files
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
    def run_exports(self) -> Expression | F:
        own = "record__run_exports_json"
        return Coalesce("patched__run_exports_json", own) if self.is_patched else F(own)

    # --- Readers of documents (`registry.conda.document.Read`) -----------------------------------

    def read_repodata(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        yield from _LISTED.read(self, start, stop)
        yield from self.read_removed(start, stop)

    def read_removed(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        if _may_be_removed(self, stop):
            yield from _removed(self.removals, start, stop)

    def read_originals(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """As `read_repodata`, without what patches changed."""
        yield from _ORIGINALS.read(self, start, stop)
        if _may_be_removed(self, stop):
            there = self.entries.filter(filename=OuterRef("filename"))
            yield from _removed(self.removals.exclude(Exists(there)), start, stop)

    def read_run_exports(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """What the archives say (CEP 12), or what patches say instead (CEP 21)."""
        yield from _RUN_EXPORTS.read(self, start, stop)


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
_REMOVALS = Prepared(
    lambda channel_id, subdir: (
        Removal.objects.filter(channel=channel_id, subdir=subdir).order_by().values_list("pk")[:1]
    ),
    int,
    str,
)
_KEYS_OF_FILES = Prepared(
    lambda channel_id, subdir, names: (
        ChannelFile.objects.filter(channel=channel_id, subdir=subdir, name__in=names)
        .order_by()
        .values_list("repodata_key")
    ),
    int,
    str,
    list[str],
)
_KEYS_OF_REMOVALS = Prepared(
    lambda channel_id, subdir, names: (
        Removal.objects.filter(channel=channel_id, subdir=subdir, package_name__in=names)
        .order_by()
        .values_list("repodata_key")
    ),
    int,
    str,
    list[str],
)


class _Kind(NamedTuple):
    """What a query about an audience depends on beside values."""

    members_only: bool
    hides: bool
    is_patched: bool


class Asked:
    """A query about what an audience sees of a subdir, put into words once for all audiences that
    ask it alike.

    ``make`` makes it for an audience, from values of these types (see `Prepared`).
    """

    def __init__(self, make: Callable[..., QuerySet[Any, Any]], *types: object) -> None:
        self._make = make
        self._types = types
        self._prepared: dict[_Kind, Prepared] = {}

    def rows(self, audience: Audience, *values: object) -> list[tuple[Any, ...]]:
        """What is found, as `Prepared.rows` has it."""
        kind = _Kind(audience.members_only, audience.hides, audience.is_patched)
        query = self._prepared.get(kind)
        if query is None:
            # Who sees all does not ask whose it is.
            whose = (int,) if kind.hides else ()
            query = Prepared(partial(self._as_if, kind), int, str, *whose, *self._types)
            self._prepared[kind] = query
        channel = audience.channel
        account = (channel.account_id,) if kind.hides else ()
        return query.rows(channel.pk, audience.subdir, *account, *values)

    def stream(self, audience: Audience, *values: object) -> Iterator[tuple[Any, ...]]:
        """The same, as it is read where many are asked for at once."""
        if any(isinstance(value, list) and len(value) > _FEW for value in values):
            return iter(self._make(audience, *values).iterator(chunk_size=BATCH))
        return iter(self.rows(audience, *values))

    def _as_if(self, kind: _Kind, channel_id: int, subdir: str, *values: Any) -> QuerySet[Any, Any]:
        account, values = (values[:1], values[1:]) if kind.hides else ((None,), values)
        channel = Channel(pk=channel_id, account_id=account[0])
        audience = Audience(channel, subdir, members_only=kind.members_only)
        # Else it would look them up.
        vars(audience).update(hides=kind.hides, is_patched=kind.is_patched)
        return self._make(audience, *values)


# --- Pieces of documents -----------------------------------------------------------------------


class _Records:
    """Files by their keys, with the text of a column; ``of`` says which of an audience's."""

    def __init__(
        self,
        of: Callable[[Audience], QuerySet[ChannelFile]],
        column: Callable[[Audience], Expression | F],
    ) -> None:
        self._of = of
        self._column = column
        self._page = Asked(lambda *asked: self._between(*asked)[:BATCH], bytes, bytes)

    def read(
        self, audience: Audience, start: bytes, stop: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]:
        end = _REMOVED if stop is None else min(stop, _REMOVED)
        if start >= end:
            return
        # What may be all of the subdir is one query, whatever the database makes of it.
        found = (
            self._between(audience, start, end).iterator(chunk_size=BATCH)
            if stop is None
            else self._pages(audience, start, end)
        )
        if connection.vendor == "sqlite":  # they are bytes
            yield from found
            return
        for key, text in found:
            yield bytes(key), bytes(text)

    def _pages(self, audience: Audience, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """A chunk is one page, where not thousands of records came into it at once."""
        rows = self._page.rows(audience, start, end)
        yield from rows
        while len(rows) == BATCH:
            rows = self._page.rows(audience, bytes(rows[-1][0]) + b"\0", end)
            yield from rows

    def _between(
        self, audience: Audience, start: bytes, end: bytes
    ) -> QuerySet[ChannelFile, tuple[bytes, bytes]]:
        rows = self._of(audience).filter(repodata_key__gte=start, repodata_key__lt=end)
        return rows.order_by("repodata_key").values_list("repodata_key", self._column(audience))


_LISTED = _Records(lambda audience: audience.listed, lambda audience: audience.record)
_ORIGINALS = _Records(lambda audience: audience.entries, lambda _: RECORD)
_RUN_EXPORTS = _Records(lambda audience: audience.entries, lambda audience: audience.run_exports)


def _may_be_removed(audience: Audience, stop: bytes | None) -> bool:
    """Whether names of removed files stand before this key."""
    if stop is not None and stop <= _REMOVED:
        return False
    return _REMOVALS.exists(audience.channel.pk, audience.subdir)


def _removed(
    removals: QuerySet[Removal], start: bytes, stop: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
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
    for some in batched(sorted(names), BATCH):
        for query in (_KEYS_OF_FILES, _KEYS_OF_REMOVALS):
            keys.update(bytes(key) for (key,) in query.rows(channel.pk, subdir, some))
    return sorted(keys)


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
