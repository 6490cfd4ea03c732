"""Bringing the published index of a subdir up to date.

The database is the truth and, by its stale marks, the queue. One worker at a time computes a
subdir from the database as it is now, writes the files of the next generation beside the
current one, and switches in one step. Running twice does no harm and writes the same bytes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import cast

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import Account
from portal import failpoints
from portal.prepared import Prepared
from registry import package_tree, storage, summaries, tree
from registry.generations import (
    REPODATA,
    SHARD_INDEX,
    Generation,
    map_key,
    snapshot,
    write_documents,
    write_shards,
)
from registry.leases import hold
from registry.models import Channel, ChannelFile, PublishedIndex, StaleMark
from registry.rows import Change, audiences, batched, touched_keys

log = logging.getLogger(__name__)

Pair = tuple[int, str]
Stage = StaleMark.Stage
SUMMARIES_EVERY = timedelta(seconds=60)
SUMMARIES_AT_ONCE_BELOW = 2000
_DOCUMENT_BYTES_A_SECOND = 64 * 1024 * 1024
_DOCUMENT_BYTES_AHEAD = 4 * 1024**3
_DOCUMENTS_REST = 3.0  # for each second of writing them, while more is published
_LOOK_SECONDS = 0.01
_DOCUMENT = f"{REPODATA}.zst"
_MOST_PAIRS = 10_000

# --- The queue ---------------------------------------------------------------------------------


def overdue(*, older_than_seconds: float = 0) -> list[Pair]:
    """The (channel id, subdir) pairs with work that is due, those that wait longest first.

    ``older_than_seconds`` looks only for what should have been done by then.
    """
    pairs = awaited(older_than_seconds=older_than_seconds)
    return list(dict.fromkeys([*pairs, *due_summaries(older_than_seconds=older_than_seconds)]))


def awaited(*, older_than_seconds: float = 0) -> list[Pair]:
    """Those of which clients wait for shards or documents."""
    if older_than_seconds:
        urgent = _urgent().filter(marked_at__lte=_seconds_ago(older_than_seconds))
        return list(dict.fromkeys(urgent.values_list("channel_id", "subdir")[:_MOST_PAIRS]))
    # Asked in the moment somebody published: a worker looks for nothing else first.
    return list(dict.fromkeys(_AWAITED.rows()))


def _urgent() -> QuerySet[StaleMark]:
    return StaleMark.objects.filter(stage__lt=Stage.SUMMARIES).order_by("id")


_AWAITED = Prepared(lambda: _urgent().values_list("channel_id", "subdir")[:_MOST_PAIRS])


def due_summaries(*, older_than_seconds: float = 0) -> list[Pair]:
    """Those whose summaries should be written now."""
    waiting = StaleMark.objects.filter(
        stage=Stage.SUMMARIES, marked_at__lte=_seconds_ago(older_than_seconds)
    )
    pairs = waiting.order_by("channel_id", "subdir").values_list("channel_id", "subdir")
    return [pair for pair in pairs.distinct()[:_MOST_PAIRS] if _summaries_due(*pair)]


def _seconds_ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def oldest_mark_seconds() -> int:
    """For how long the oldest change has been waiting; 0 when nothing waits."""
    oldest = _urgent().order_by("marked_at").values_list("marked_at", flat=True).first()
    return int((timezone.now() - oldest).total_seconds()) if oldest else 0


def bring_up_to_date(channel_id: int, subdir: str) -> bool:
    """Publish until nothing is due for the subdir; False when another worker is at it."""
    return bring_up_to_date_for_clients(channel_id, subdir) and bring_summaries_up_to_date(
        channel_id, subdir
    )


def bring_up_to_date_for_clients(channel_id: int, subdir: str) -> bool:
    """Publish what clients wait for; False when another worker is at it."""
    while _URGENT_OF_SUBDIR.exists(channel_id, subdir):
        with lease(channel_id, subdir) as held:
            if held is None:
                return False
            failpoints.reach("index-started")
            _publish_until_done(*held)
        # What was marked while the lease was being given back rang in vain: look once more.
    return True


_URGENT_OF_SUBDIR = Prepared(
    lambda channel_id, subdir: StaleMark.objects.filter(
        channel=channel_id, subdir=subdir, stage__lt=Stage.SUMMARIES
    ).values_list("pk")[:1],
    int,
    str,
)


def bring_summaries_up_to_date(channel_id: int, subdir: str) -> bool:
    """Write the summaries as far as they are due; False when another worker is at it."""
    marks = StaleMark.objects.filter(channel=channel_id, subdir=subdir, stage=Stage.SUMMARIES)
    while marks.exists() and _summaries_due(channel_id, subdir):
        if not publish_summaries(channel_id, subdir):
            return False
    return True


def bring_summaries_up_to_date_ahead(channel_id: int, subdir: str) -> bool:
    """The same, begun while another process brings the subdir up to date for clients."""
    if not _summaries_due(channel_id, subdir):
        return True
    return publish_summaries(channel_id, subdir, ahead=True)


def _publish_until_done(index: PublishedIndex, worker: str) -> None:
    rests_until = 0.0
    while True:
        if publish_shards(index, worker):
            continue
        pause = max(_documents_due_in(index), rests_until - time.monotonic())
        if pause > 0 and _marks(index, Stage.DOCUMENTS).exists():
            # New shards don't wait for it.
            time.sleep(min(pause, _LOOK_SECONDS))
            continue
        began = time.monotonic()
        if not publish_documents(index, worker):
            return
        # Whoever publishes without a pause needs the processor, too. Who waits until clients see
        # one change before they make the next is past this: nothing is marked, and it ends here.
        ended = time.monotonic()
        rests_until = ended + _DOCUMENTS_REST * (ended - began)


def _documents_due_in(index: PublishedIndex) -> float:
    """Seconds until the documents may be written again.

    A document is written whole, and nobody needs one of some hundred megabytes ten times a
    second for hours: a subdir writes ahead of its share for a while, and then keeps to it.
    """
    return (_ahead_bytes(index) - _DOCUMENT_BYTES_AHEAD) / _DOCUMENT_BYTES_A_SECOND


def _ahead_bytes(index: PublishedIndex) -> int:
    """How much more than its share of bytes the subdir has written."""
    if index.documents_at is None:
        return 0
    seconds = (timezone.now() - index.documents_at).total_seconds()
    return max(0, index.documents_ahead_bytes - int(seconds * _DOCUMENT_BYTES_A_SECOND))


def _document_bytes(files: dict[str, dict[str, object]]) -> int:
    return sum(int(cast(int, facts["size"])) for name, facts in files.items())


def _summaries_due(channel_id: int, subdir: str) -> bool:
    """Whether the summaries should be written now: at once where it is little work."""
    index = PublishedIndex.objects.filter(
        channel=channel_id, subdir=subdir, members_only=False
    ).first()
    if index is None or index.summaries_at is None:
        return True
    if _is_small(index) or timezone.now() - index.summaries_at >= SUMMARIES_EVERY:
        return True
    marks = StaleMark.objects.filter(channel=channel_id, subdir=subdir, stage=Stage.SUMMARIES)
    # Somebody asked for all of it, or must not see a part of it.
    return marks.filter(Q(package_name="") | Q(is_urgent=True)).exists()


def _is_small(index: PublishedIndex) -> bool:
    if index.subdir:
        return index.record_count < SUMMARIES_AT_ONCE_BELOW
    entries = ChannelFile.objects.filter(channel=index.channel_id)
    return not entries[SUMMARIES_AT_ONCE_BELOW : SUMMARIES_AT_ONCE_BELOW + 1].exists()


@contextmanager
def lease(channel_id: int, subdir: str) -> Iterator[tuple[PublishedIndex, str] | None]:
    """Be the only one who writes or sweeps index files of the subdir: gives its row and the name
    to hold it under, or None when another worker is at it."""
    with _without_waiting_for_the_disk():
        index = _index_of(channel_id, subdir)
        if index is None:
            yield None
            return
        with hold(index, "lease") as worker:
            yield None if worker is None else (index, worker)


def _index_of(channel_id: int, subdir: str) -> PublishedIndex | None:
    with suppress(PublishedIndex.DoesNotExist):
        return cast(PublishedIndex, _INDEX.get(channel_id, subdir))
    if not Channel.objects.filter(pk=channel_id).exists():
        return None
    return PublishedIndex.objects.get_or_create(
        channel_id=channel_id, subdir=subdir, members_only=False
    )[0]


_INDEX = Prepared(
    lambda channel_id, subdir: PublishedIndex.objects.filter(
        channel=channel_id, subdir=subdir, members_only=False
    ).order_by(),
    int,
    str,
)


@contextmanager
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Let commits of the block be lost with the power: what they say can be done again.

    The marks come back with the generation they were for. SQLite sets it for the connection and
    not within a transaction; PostgreSQL for a session.
    """
    if connection.in_atomic_block or getattr(_relaxed, "is_so", False):
        yield
        return
    if connection.vendor == "postgresql":
        relaxed, strict = "SET synchronous_commit = off", "SET synchronous_commit = on"
    else:
        relaxed, strict = "PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL"
    with connection.cursor() as cursor:
        cursor.execute(relaxed)
    _relaxed.is_so = True
    try:
        yield
    finally:
        _relaxed.is_so = False
        with connection.cursor() as cursor:
            cursor.execute(strict)


# Whether this thread, and with it its connection, is in such a block: the end of one within
# another would have the rest of the outer one wait.
_relaxed = threading.local()


# --- One generation ----------------------------------------------------------------------------


def publish_shards(index: PublishedIndex, worker: str) -> bool:
    """Let clients see in shards what was marked; False when nothing was.

    A subdir that has no documents yet gets all of its files in one step.
    """
    marks = _read_marks(index, Stage.SHARDS)
    if not marks:
        return False
    channel = _refreshed(index)
    generations = _begin(index, channel)
    # Where the public have no documents yet, everybody's are written now.
    is_first = _DOCUMENT not in index.files
    with snapshot():
        for generation in generations:
            _write_shards(generation, marks)
            if is_first or _DOCUMENT not in generation.files:
                write_documents(generation, None)
    touched = package_tree.touched((mark.name, mark.filename) for mark in marks)
    package_tree.place(channel, index.subdir, touched)
    failpoints.reach("shards-written")
    switched = switch(
        index,
        worker,
        generations,
        marks,
        next_stage=Stage.SUMMARIES if is_first else Stage.DOCUMENTS,
        **(_document_facts(index, generations) if is_first else {}),
    )
    failpoints.reach("shards-switched")
    return switched


def publish_documents(index: PublishedIndex, worker: str) -> bool:
    """Let clients see in documents what they see in shards; False when nothing was marked."""
    marks = _read_marks(index, Stage.DOCUMENTS)
    if not marks:
        return False
    channel = _refreshed(index)
    generations = _begin(index, channel)
    whole = any(mark.is_everything for mark in marks)
    keys = None if whole else touched_keys(channel, index.subdir, _changes(marks))
    with snapshot():
        for generation in generations:
            if whole:
                generation.rewrite()
            write_documents(generation, keys)
    failpoints.reach("generation-written")
    switched = switch(
        index,
        worker,
        generations,
        marks,
        next_stage=Stage.SUMMARIES,
        **_document_facts(index, generations),
    )
    failpoints.reach("generation-switched")
    return switched


def _document_facts(index: PublishedIndex, generations: list[Generation]) -> dict[str, object]:
    written = sum(_document_bytes(generation.files) for generation in generations)
    return {
        "record_count": generations[0].record_count,
        "documents_at": timezone.now(),
        "documents_ahead_bytes": _ahead_bytes(index) + written,
    }


def publish_summaries(channel_id: int, subdir: str, *, ahead: bool = False) -> bool:
    """Write what nobody waits for; False when another worker is at it.

    It takes seconds for a large channel, and new shards must not wait that long: the lease is
    taken for the switch alone. ``ahead`` begins while another process publishes for clients, and
    then waits for that one.
    """
    index = _index_of(channel_id, subdir)
    if index is None:
        return False
    with _without_waiting_for_the_disk(), hold(index, "summaries_lease") as worker:
        return worker is not None and _publish_summaries(index, ahead=ahead)


def _publish_summaries(index: PublishedIndex, *, ahead: bool) -> bool:
    stages = list(Stage) if ahead else [Stage.SUMMARIES]
    marks = [mark for stage in stages for mark in _read_marks(index, stage)]
    if not marks:
        return True
    channel = _refreshed(index)
    whole = any(mark.is_everything for mark in marks)
    written = {
        generation.audience.members_only: generation for generation in _begin(index, channel)
    }
    more = summaries.note_changes(
        channel,
        index.subdir,
        None if whole else {mark.name for mark in marks},
        list(written.values()),
    )
    if more:
        marks += _read_marks(index, Stage.SUMMARIES, only=more)
    changes = None if whole or more is None else _changes(marks)
    with snapshot():
        for generation in written.values():
            if whole:
                generation.rewrite()
            summaries.write_summaries(generation, changes)
    failpoints.reach("summaries-written")
    if ahead and not _published_for_clients(index, marks):
        return False
    deadline = time.monotonic() + settings.INDEX_LEASE_SECONDS
    while time.monotonic() < deadline:
        with lease(index.channel_id, index.subdir) as held:
            if held is not None:
                index, worker = held
                generations = _begin(index, _refreshed(index))
                if {generation.audience.members_only for generation in generations} != set(written):
                    return True  # others read it now than those it was written for: once more
                for generation in generations:
                    generation.take_over(written[generation.audience.members_only])
                now = timezone.now()
                return switch(index, worker, generations, marks, next_stage=None, summaries_at=now)
        time.sleep(_LOOK_SECONDS)
    return False


def _published_for_clients(index: PublishedIndex, marks: list[_Mark]) -> bool:
    """Wait as long as somebody is at it; whether clients see what was marked."""
    unseen = StaleMark.objects.filter(
        channel=index.channel_id,
        subdir=index.subdir,
        stage__lt=Stage.SUMMARIES,
        pk__lte=max(mark.pk for mark in marks),
    )
    index_row = PublishedIndex.objects.filter(pk=index.pk)
    while True:
        # Asked first: who gives it back in between has done it.
        is_leased = index_row.filter(lease_until__gte=timezone.now()).exists()
        if not unseen.exists():
            return True
        if not is_leased:
            return False
        time.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Mark:
    pk: int
    name: str
    filename: str
    removed: bool

    @property
    def is_everything(self) -> bool:
        return not self.name


def _changes(marks: Iterable[_Mark]) -> list[Change]:
    return [Change(mark.name, mark.filename, mark.removed) for mark in marks]


def _marks(index: PublishedIndex, stage: Stage) -> QuerySet[StaleMark]:
    return StaleMark.objects.filter(channel=index.channel_id, subdir=index.subdir, stage=stage)


def _read_marks(
    index: PublishedIndex, stage: Stage, *, only: Iterable[int] | None = None
) -> list[_Mark]:
    if only is None:
        rows = _MARKS.rows(index.channel_id, index.subdir, stage.value)
    else:
        marks = _marks(index, stage).filter(pk__in=only)
        rows = list(marks.values_list("pk", "package_name", "filename", "removed"))
    return [_Mark(pk, name, filename, bool(removed)) for pk, name, filename, removed in rows]


_MARKS = Prepared(
    lambda channel_id, subdir, stage: StaleMark.objects.filter(
        channel=channel_id, subdir=subdir, stage=stage
    ).values_list("pk", "package_name", "filename", "removed"),
    int,
    str,
    int,
)


_MARKS_DONE = Prepared(
    lambda marks: StaleMark.objects.filter(pk__in=marks), list[int], deletes=True
)
_MARKS_TO_STAGE = Prepared(
    lambda marks, _stage: StaleMark.objects.filter(pk__in=marks),
    list[int],
    int,
    changes=lambda _marks, stage: {"stage": stage},
)


def _refreshed(index: PublishedIndex) -> Channel:
    """The channel as it is now, and what is published of it.

    Read after the marks: whatever they stand for was committed before them. And the channel not
    before: who makes it public counts the generation up, so what was private is not switched to.
    """
    now = _INDEX_NOW.get(index.pk)
    for name in ("generation", "files", "documents_at", "documents_ahead_bytes", "record_count"):
        setattr(index, name, getattr(now, name))
    channel: Channel = _CHANNEL_NOW.get(index.channel_id)
    channel.account = _ACCOUNT_NOW.get(channel.account_id)
    return channel


_INDEX_NOW = Prepared(lambda pk: PublishedIndex.objects.filter(pk=pk), int)
_CHANNEL_NOW = Prepared(lambda pk: Channel.objects.filter(pk=pk).order_by(), int)
_ACCOUNT_NOW = Prepared(lambda pk: Account.objects.filter(pk=pk).order_by(), int)


def _begin(index: PublishedIndex, channel: Channel) -> list[Generation]:
    public, *members = audiences(channel, index.subdir)
    number = index.generation + 1
    return [
        Generation.after(public, number, index),
        *(Generation.after(audience, number) for audience in members),
    ]


def _write_shards(generation: Generation, marks: list[_Mark]) -> None:
    whole = any(mark.is_everything for mark in marks) or SHARD_INDEX not in generation.files
    if whole:
        generation.rewrite()
    write_shards(generation, None if whole else {mark.name for mark in marks})


def switch(
    index: PublishedIndex,
    worker: str,
    generations: list[Generation],
    marks: list[_Mark],
    *,
    next_stage: Stage | None,
    **facts: object,
) -> bool:
    """Let clients see the new generation; False when the lease is somebody else's by now."""
    public = generations[0]
    channel = public.audience.channel
    with transaction.atomic():
        tree.withdraw(channel, index.subdir)  # before anything else is locked
        switched = _switching(tuple(facts)).update(
            index.pk, worker, index.generation,
            public.number, public.files, timezone.now(), *facts.values(),
        )  # fmt: skip
        if not switched:
            log.warning("lost the lease of an index", extra={"channel": index.channel_id})
            return False
        if generations[1:] or next_stage == Stage.SUMMARIES:
            # Members go on with their own until the documents for all list what they saw.
            _switch_members(index, generations[1:])
        for some in batched([mark.pk for mark in marks], 500):
            if next_stage is None:
                _MARKS_DONE.update(some)
            else:
                _MARKS_TO_STAGE.update(some, next_stage.value)
    tree.place(channel, index.subdir)
    _give_up(generations)
    for field, value in {"generation": public.number, "files": public.files, **facts}.items():
        setattr(index, field, value)
    return True


_FACTS: dict[str, type] = {
    "record_count": int,
    "documents_at": datetime,
    "documents_ahead_bytes": int,
    "summaries_at": datetime,
    "condensed_at": datetime,
}


@cache
def _switching(facts: tuple[str, ...]) -> Prepared:
    """The switch to the files of a generation, which sets these columns, too."""
    return Prepared(
        lambda pk, worker, before, *_: PublishedIndex.objects.filter(
            pk=pk, lease_holder=worker, generation=before
        ),
        int, str, int, int, dict, datetime, *(_FACTS[name] for name in facts),
        changes=lambda _pk, _worker, _before, number, files, now, *more: {
            "generation": number, "files": files, "published_at": now,
            **dict(zip(facts, more, strict=True)),
        },
    )  # fmt: skip


# Files that were replaced, and since when.
_replaced: deque[tuple[float, storage.Store, str]] = deque()


def _give_up(generations: list[Generation]) -> None:
    """Delete what was replaced a moment ago, for large channels soon fill a disk with it.

    Whoever was given an address a moment ago may still open it. What this process does not come
    to, housekeeping does.
    """
    now, store = time.monotonic(), storage.store()
    for generation in generations:
        kept = {facts["key"] for facts in generation.files.values()}
        for facts in generation.replaced.values():
            if facts["key"] not in kept:
                _replaced.append((now, store, str(facts["key"])))
    expired: set[str] = set()
    while _replaced and _replaced[0][0] < now - store.replaced_kept_seconds:
        _, where, key = _replaced.popleft()
        if where is store:
            expired.add(key)
    if expired:
        for key in expired - _served_keys(expired):
            store.delete(key)
            store.delete(map_key({"key": key}))


def _served_keys(keys: set[str]) -> set[str]:
    """Those that some index still names: what was everybody's may have become the members'."""
    channels = {int(key.split("/")[1]) for key in keys}
    rows = PublishedIndex.objects.filter(channel__in=channels).values_list("files", flat=True)
    return {str(facts["key"]) for files in rows for facts in files.values()}


def _switch_members(index: PublishedIndex, generations: list[Generation]) -> None:
    if not generations and not _MEMBERS.exists(index.channel_id, index.subdir):
        return
    rows = PublishedIndex.objects.filter(
        channel=index.channel_id, subdir=index.subdir, members_only=True
    )
    if not generations:
        rows.delete()
        return
    (members,) = generations
    rows.update_or_create(
        channel_id=index.channel_id,
        subdir=index.subdir,
        members_only=True,
        defaults={
            "generation": members.number,
            "files": members.files,
            "record_count": members.record_count,
            "published_at": timezone.now(),
        },
    )


_MEMBERS = Prepared(
    lambda channel_id, subdir: PublishedIndex.objects.filter(
        channel=channel_id, subdir=subdir, members_only=True
    ).values_list("pk")[:1],
    int,
    str,
)


# --- For the operator --------------------------------------------------------------------------


def mark_everything(channels: QuerySet[Channel]) -> int:
    """Mark every subdir of the channels stale, so that all of their files are made anew."""
    count = 0
    for channel in channels.iterator():
        subdirs = set(
            ChannelFile.objects.filter(channel=channel).values_list("subdir", flat=True).distinct()
        )
        subdirs |= set(
            PublishedIndex.objects.filter(channel=channel).values_list("subdir", flat=True)
        )
        subdirs |= {"noarch", ""}
        StaleMark.objects.bulk_create(
            StaleMark(
                channel=channel,
                subdir=subdir,
                stage=Stage.SHARDS if subdir else Stage.SUMMARIES,
            )
            for subdir in sorted(subdirs)
        )
        count += len(subdirs)
    return count


def run_overdue(*, older_than_seconds: float = 0) -> int:
    """Bring everything that is marked up to date; how many subdirs were looked at."""
    pairs = overdue(older_than_seconds=older_than_seconds)
    for channel_id, subdir in pairs:
        try:
            bring_up_to_date(channel_id, subdir)
        except Exception:  # one channel's trouble must not keep the others waiting
            log.exception("an index failed", extra={"channel": channel_id, "subdir": subdir})
            close_old_connections()
    return len(pairs)
