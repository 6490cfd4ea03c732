"""Bringing the published index of a subdir up to date.

The database is the truth and, by its stale marks, the queue. One worker at a time computes a
subdir from the database as it is now, writes the files of the next generation beside the
current one, and switches in one step. Running twice does no harm and writes the same bytes.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from portal import failpoints, processes
from registry.generations import Generation, write_generation
from registry.models import Channel, ChannelFile, PublishedIndex, StaleMark

log = logging.getLogger(__name__)

# --- The queue ---------------------------------------------------------------------------------


def overdue(*, older_than_seconds: float = 0) -> list[tuple[int, str]]:
    """The (channel id, subdir) pairs that have marks of that age, oldest first."""
    marks = StaleMark.objects.all()
    if older_than_seconds:
        marks = marks.filter(marked_at__lte=timezone.now() - timedelta(seconds=older_than_seconds))
    rows = marks.order_by("id").values_list("channel_id", "subdir")
    return list(dict.fromkeys(rows[:10_000]))


def oldest_mark_seconds() -> int:
    """For how long the oldest change has been waiting; 0 when nothing waits."""
    oldest = StaleMark.objects.order_by("marked_at").values_list("marked_at", flat=True).first()
    return int((timezone.now() - oldest).total_seconds()) if oldest else 0


def bring_up_to_date(channel_id: int, subdir: str) -> bool:
    """Publish until the subdir has no mark left; False when another worker is at it."""
    while _has_marks(channel_id, subdir):
        with lease(channel_id, subdir) as held:
            if held is None:
                return False
            failpoints.reach("index-started")
            while _publish_once(*held):
                pass
        # What was marked while the lease was being given back rang in vain: look once more.
    return True


@contextmanager
def lease(channel_id: int, subdir: str) -> Iterator[tuple[PublishedIndex, str] | None]:
    """Be the only one who writes or sweeps index files of the subdir: gives its row and the name
    to hold it under, or None when another worker is at it."""
    worker = f"{processes.HOST}/{os.getpid()}/{uuid.uuid4().hex[:12]}"
    index = _take_lease(channel_id, subdir, worker)
    if index is None:
        yield None
        return
    try:
        with _renewed_lease(index.pk, worker):
            yield index, worker
    finally:
        PublishedIndex.objects.filter(pk=index.pk, lease_holder=worker).update(
            lease_holder="", lease_until=None
        )


def _has_marks(channel_id: int, subdir: str) -> bool:
    return StaleMark.objects.filter(channel=channel_id, subdir=subdir).exists()


def _take_lease(channel_id: int, subdir: str, worker: str) -> PublishedIndex | None:
    if not Channel.objects.filter(pk=channel_id).exists():
        return None
    index, _ = PublishedIndex.objects.get_or_create(
        channel_id=channel_id, subdir=subdir, members_only=False
    )
    free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    if _is_gone(index.lease_holder):
        free |= Q(lease_holder=index.lease_holder)
    taken = (
        PublishedIndex.objects.filter(pk=index.pk)
        .filter(free)
        .update(lease_holder=worker, lease_until=_lease_end())
    )
    return index if taken else None


def _is_gone(holder: str) -> bool:
    """Whether a lease belongs to a process of this machine that was killed."""
    host, _, rest = holder.partition("/")
    pid = rest.partition("/")[0]
    return pid.isdigit() and processes.has_ended(host, int(pid))


def _lease_end() -> object:
    return timezone.now() + timedelta(seconds=settings.INDEX_LEASE_SECONDS)


@contextmanager
def _renewed_lease(index_id: int, worker: str) -> Iterator[None]:
    """Keep the lease while the work takes longer than it lasts."""
    done = threading.Event()

    def renew() -> None:
        try:
            while not done.wait(settings.INDEX_LEASE_SECONDS / 3):
                PublishedIndex.objects.filter(pk=index_id, lease_holder=worker).update(
                    lease_until=_lease_end()
                )
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# --- One generation ----------------------------------------------------------------------------


def _publish_once(index: PublishedIndex, worker: str) -> bool:
    """Write and switch to one more generation; False when nothing was marked."""
    marks = list(
        StaleMark.objects.filter(channel=index.channel_id, subdir=index.subdir).values_list(
            "pk", flat=True
        )
    )
    if not marks:
        return False
    # Read after the marks: whatever they stand for was committed before them. And the channel
    # last: who makes it public counts the generation up, so what was private is not switched to.
    index.refresh_from_db(fields=["generation", "files"])
    channel = Channel.objects.select_related("account").get(pk=index.channel_id)
    number = index.generation + 1
    generations = [write_generation(channel, index.subdir, number, members_only=False)]
    if _has_private_packages(channel, index.subdir):
        generations.append(write_generation(channel, index.subdir, number, members_only=True))
    failpoints.reach("generation-written")
    if not _switch(index, worker, generations, marks):
        log.warning("lost the lease of an index", extra={"channel": channel.pk})
        return False
    failpoints.reach("generation-switched")
    return True


def _has_private_packages(channel: Channel, subdir: str) -> bool:
    entries = ChannelFile.objects.filter(channel=channel, file__package__is_private=True)
    if subdir:
        entries = entries.filter(subdir=subdir)
    return not channel.is_private and entries.exists()


def _switch(
    index: PublishedIndex, worker: str, generations: list[Generation], marks: list[int]
) -> bool:
    """Let clients see the new generation; False when the lease is somebody else's by now."""
    now = timezone.now()
    with transaction.atomic():
        public = generations[0]
        switched = PublishedIndex.objects.filter(
            pk=index.pk, lease_holder=worker, generation=index.generation
        ).update(
            generation=public.number,
            files=public.files,
            record_count=public.record_count,
            published_at=now,
        )
        if not switched:
            return False
        members = PublishedIndex.objects.filter(
            channel=index.channel_id, subdir=index.subdir, members_only=True
        )
        if len(generations) == 1:
            members.delete()
        else:
            members.update_or_create(
                channel_id=index.channel_id,
                subdir=index.subdir,
                members_only=True,
                defaults={
                    "generation": generations[1].number,
                    "files": generations[1].files,
                    "record_count": generations[1].record_count,
                    "published_at": now,
                },
            )
        for start in range(0, len(marks), 500):
            StaleMark.objects.filter(pk__in=marks[start : start + 500]).delete()
    return True


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
            StaleMark(channel=channel, subdir=subdir) for subdir in sorted(subdirs)
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
