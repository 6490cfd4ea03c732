"""Bringing the published index of a subdir up to date.

The database is the truth and, by its stale marks, the queue. One worker at a time computes a
subdir from the database as it is now, writes the files of the next generation beside the
current one, and switches in one step. Running twice does no harm and writes the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, BinaryIO, cast

import msgspec
import zstandard
from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Collate
from django.utils import timezone

from portal import failpoints, processes
from registry import storage
from registry.conda.channeldata import InstallTraits, channeldata_entry, write_channeldata
from registry.conda.current import CurrentRow, current_filenames
from registry.conda.repodata import compress_bz2, compress_zst, write_repodata
from registry.conda.run_exports import write_run_exports
from registry.conda.shards import ShardTooLargeError, build_shard, write_shard_index
from registry.models import Channel, ChannelFile, Package, PublishedIndex, Removal, StaleMark

log = logging.getLogger(__name__)

ZST_LEVEL = 12
SHARD_INDEX = "repodata_shards.msgpack.zst"
_BATCH = 2000


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


@dataclass(slots=True)
class _Generation:
    """The files of the next generation of one audience, as they are being written."""

    channel: Channel
    subdir: str
    members_only: bool
    number: int
    files: dict[str, dict[str, object]] = field(default_factory=dict)
    record_count: int = 0

    @property
    def folder(self) -> str:
        return storage.generation_folder(
            self.channel.pk, self.subdir, generation=self.number, members_only=self.members_only
        )

    def add(self, name: str, fill: Callable[[BinaryIO], object], **facts: object) -> None:
        """Write one file and note what a server must know of it."""
        with storage.temporary_file("index-") as (file, path):
            fill(file)
            self._keep(name, file, path, facts)

    def add_with_zst(self, name: str, fill: Callable[[BinaryIO], dict[str, object]]) -> None:
        """Write ``name`` and its ``.zst`` twin; ``fill`` returns further facts."""
        with storage.temporary_file("index-") as (file, path):
            facts = fill(file)
            self._keep(name, file, path, facts)
            size_bytes = int(cast(int, self.files[name]["size"]))

            def compress(out: BinaryIO) -> None:
                with path.open("rb") as plain:
                    compress_zst(plain, out, size_bytes=size_bytes, level=ZST_LEVEL)

            self.add(f"{name}.zst", compress)

    def _keep(self, name: str, file: BinaryIO, path: Path, facts: dict[str, object]) -> None:
        file.flush()
        with path.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        # The digest is part of the key: a worker that lost its lease and goes on can't touch
        # what another wrote for the same generation.
        key = f"{self.folder}/{digest[:16]}-{name}"
        storage.store().keep(file, path, key)
        self.files[name] = {
            "key": key,
            "size": os.fstat(file.fileno()).st_size,
            "etag": f'"{digest[:40]}"',
            **facts,
        }


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
    generations = [_write_generation(channel, index, number, members_only=False)]
    if _has_private_packages(channel, index.subdir):
        generations.append(_write_generation(channel, index, number, members_only=True))
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
    index: PublishedIndex, worker: str, generations: list[_Generation], marks: list[int]
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


def _write_generation(
    channel: Channel, index: PublishedIndex, number: int, *, members_only: bool
) -> _Generation:
    generation = _Generation(channel, index.subdir, members_only, number)
    if index.subdir:
        # One snapshot for all files of the generation: they must agree with each other.
        with _snapshot():
            _write_subdir(generation)
    else:
        with _snapshot():
            generation.add("channeldata.json", lambda out: _write_channeldata(generation, out))
    return generation


@contextmanager
def _snapshot() -> Iterator[None]:
    """Let all queries of the block see the database as it is at its beginning."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        # A read transaction of SQLite in WAL mode is a snapshot. Django would begin an IMMEDIATE
        # one, which keeps writers waiting for as long as the index takes.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


# --- The files of a subdir ---------------------------------------------------------------------


def code_point_order(name: str) -> Collate | F:
    """Order by a text column as sorted() would: databases may follow a language's rules."""
    return Collate(F(name), "C") if connection.vendor == "postgresql" else F(name)


def _entries(generation: _Generation) -> QuerySet[ChannelFile]:
    entries = ChannelFile.objects.filter(channel=generation.channel)
    if generation.subdir:
        entries = entries.filter(subdir=generation.subdir)
    if not generation.channel.is_private and not generation.members_only:
        entries = entries.filter(file__package__is_private=False)
    return entries


def _sections(generation: _Generation) -> tuple[QuerySet[ChannelFile], QuerySet[ChannelFile]]:
    """The rows of ``packages`` and of ``packages.conda``, in the order of repodata."""
    ordered = _entries(generation).order_by(code_point_order("filename"))
    conda = Q(filename__endswith=".conda")
    return ordered.exclude(conda), ordered.filter(conda)


def _column(rows: QuerySet[ChannelFile], column: str) -> Iterator[bytes]:
    for value in rows.values_list(column, flat=True).iterator(chunk_size=_BATCH):
        yield bytes(value)


def _removed(generation: _Generation) -> list[tuple[str, str]]:
    channel = generation.channel
    removals = Removal.objects.filter(channel=channel, subdir=generation.subdir)
    if not channel.is_private and not generation.members_only:
        private = Package.objects.filter(account=channel.account_id, is_private=True)
        removals = removals.exclude(package_name__in=private.values("name"))
    return list(removals.values_list("package_name", "filename"))


def _write_subdir(generation: _Generation) -> None:
    removed = _removed(generation)
    _write_shards(generation, removed)
    failpoints.reach("shards-written")
    tar_bz2, conda = _sections(generation)
    generation.record_count = _entries(generation).count()

    def repodata(out: BinaryIO) -> dict[str, object]:
        layout = write_repodata(
            out,
            subdir=generation.subdir,
            packages=_column(tar_bz2, "file__record_json"),
            conda_packages=_column(conda, "file__record_json"),
            removed=[filename for _, filename in removed],
        )
        return {"removed_offset": layout.removed_offset}

    def run_exports(out: BinaryIO) -> dict[str, object]:
        write_run_exports(
            out,
            subdir=generation.subdir,
            packages=_column(tar_bz2, "file__run_exports_json"),
            conda_packages=_column(conda, "file__run_exports_json"),
        )
        return {}

    def current(out: BinaryIO) -> dict[str, object]:
        chosen = current_filenames(_CurrentRows(generation))
        layout = write_repodata(
            out,
            subdir=generation.subdir,
            packages=_chosen(tar_bz2, chosen),
            conda_packages=_chosen(conda, chosen),
            removed=[filename for _, filename in removed],
        )
        return {"removed_offset": layout.removed_offset}

    generation.add_with_zst("repodata.json", repodata)
    generation.add_with_zst("run_exports.json", run_exports)
    generation.add_with_zst("current_repodata.json", current)


def _chosen(rows: QuerySet[ChannelFile], chosen: set[str]) -> Iterator[bytes]:
    columns = rows.values_list("filename", "file__record_json")
    for filename, record in columns.iterator(chunk_size=_BATCH):
        if filename in chosen:
            yield bytes(record)


class _CurrentRows:
    """The rows that `current_filenames` reads, several times, in small pieces."""

    def __init__(self, generation: _Generation) -> None:
        self._generation = generation

    def __iter__(self) -> Iterator[CurrentRow]:
        rows = (
            _entries(self._generation)
            .order_by(code_point_order("file__name"), code_point_order("filename"))
            .values_list("filename", "file__name", "file__version", "file__index__depends")
        )
        for filename, name, version, depends in rows.iterator(chunk_size=_BATCH):
            yield CurrentRow(filename, name, version, tuple(depends or ()))


def _write_shards(generation: _Generation, removed: list[tuple[str, str]]) -> None:
    """Write the shards that are not there yet, then the index that names all of them."""
    removed_of: dict[str, list[str]] = {}
    for name, filename in removed:
        removed_of.setdefault(name, []).append(filename)
    stored = _stored_digests(generation)
    digests: list[tuple[str, bytes]] = []
    rows = (
        _entries(generation)
        .order_by(code_point_order("file__name"), code_point_order("filename"))
        .values_list("file__name", "filename", "file__record_msgpack")
        .iterator(chunk_size=_BATCH)
    )
    for name, group in groupby(rows, key=itemgetter(0)):
        records = [(filename, bytes(record)) for _, filename, record in group]
        try:
            shard = build_shard(
                packages=[r for r in records if not r[0].endswith(".conda")],
                conda_packages=[r for r in records if r[0].endswith(".conda")],
                removed=removed_of.get(name, ()),
            )
        except ShardTooLargeError as error:
            # Its files stay in repodata.json; the other names must not wait for it.
            log.error("a shard can't be made: %s", error, extra={"package": name})  # noqa: TRY400 - no traceback helps here
            continue
        if shard.digest not in stored:
            _keep_shard(generation, shard.filename, shard.data)
        digests.append((name, shard.digest))
    generation.add(
        SHARD_INDEX,
        lambda out: write_shard_index(out, subdir=generation.subdir, shards=digests),
    )


def _keep_shard(generation: _Generation, filename: str, data: bytes) -> None:
    key = storage.shard_key(generation.channel.pk, generation.subdir, filename)
    with storage.temporary_file("shard-") as (file, path):
        file.write(data)
        storage.store().keep(file, path, key)


def _stored_digests(generation: _Generation) -> set[bytes]:
    """Digests of the shards that the current generation names, which therefore are stored."""
    current = PublishedIndex.objects.filter(
        channel=generation.channel,
        subdir=generation.subdir,
        members_only=generation.members_only,
    ).first()
    if current is None or SHARD_INDEX not in current.files:
        return set()
    return set(read_shard_index(current.files[SHARD_INDEX]).values())


def read_shard_index(file: dict[str, object]) -> dict[str, bytes]:
    """Package names with the digests of their shards, of a published shard index."""
    blocks = storage.store().blocks(str(file["key"]), start=0, length=int(cast(int, file["size"])))
    data = zstandard.ZstdDecompressor().decompress(b"".join(blocks))
    return cast(dict[str, bytes], msgspec.msgpack.decode(data)["shards"])


def _write_channeldata(generation: _Generation, out: BinaryIO) -> None:
    rows = (
        _entries(generation)
        .order_by(code_point_order("file__name"), "file__version_key", "file__id")
        .values_list(
            "file__name",
            "file__version",
            "subdir",
            "file__about",
            "file__index__timestamp",
            "file__run_exports",
            "file__channeldata_flags",
        )
        .iterator(chunk_size=_BATCH)
    )
    subdirs = {"noarch"}

    def entries() -> Iterator[bytes]:
        for name, group in groupby(rows, key=itemgetter(0)):
            exports: dict[str, object] = {}
            seen: set[str] = set()
            flags: dict[str, bool] = {}
            timestamp = 0
            version = ""
            about: dict[str, object] = {}
            for row in group:
                _, version, subdir, about, stamp, run_exports, traits = row
                seen.add(subdir)
                timestamp = max(timestamp, int(stamp or 0))
                if run_exports:
                    exports[version] = run_exports
                flags = {key: flags.get(key, False) or value for key, value in traits.items()}
            subdirs.update(seen)
            yield channeldata_entry(
                name=name,
                version=version,
                subdirs=seen,
                about=about,
                timestamp_ms=timestamp,
                run_exports=exports,
                traits=InstallTraits(**flags),
            )

    # Names, not files: this is held in memory because the subdirs are known at its end.
    write_channeldata(out, packages=list(entries()), subdirs=subdirs)


# --- What is there without an index, and what is made when asked for ---------------------------


@cache
def empty_documents(subdir: str) -> dict[str, bytes]:
    """What a subdir without any file is served as, by name.

    ``noarch`` has to be there from the first moment on: without it clients say that the channel
    does not exist.
    """
    documents: dict[str, bytes] = {}
    for name in ("repodata.json", "current_repodata.json"):
        out = io.BytesIO()
        write_repodata(out, subdir=subdir, packages=(), conda_packages=(), removed=())
        documents[name] = out.getvalue()
    out = io.BytesIO()
    write_run_exports(out, subdir=subdir, packages=(), conda_packages=())
    documents["run_exports.json"] = out.getvalue()
    for name, data in list(documents.items()):
        documents[f"{name}.zst"] = zstandard.ZstdCompressor(level=3).compress(data)
    out = io.BytesIO()
    write_shard_index(out, subdir=subdir, shards=())
    documents[SHARD_INDEX] = out.getvalue()
    return documents


def derived_file(
    source: dict[str, object], name: str, fill: Callable[[IO[bytes], BinaryIO], object]
) -> dict[str, object]:
    """A file made from a published one when it is first asked for, and kept beside it.

    ``fill(source, out)`` writes it; the same source must give the same bytes. It goes when its
    generation is swept.
    """
    key = f"{source['key']}.{name}"
    store = storage.store()
    facts = _derived_facts(key)
    if facts is not None:
        return facts
    with (
        storage.temporary_file("derived-") as (plain, _),
        storage.temporary_file("derived-") as (
            file,
            path,
        ),
    ):
        length = int(cast(int, source["size"]))
        for block in store.blocks(str(source["key"]), start=0, length=length):
            plain.write(block)
        plain.seek(0)
        fill(plain, file)
        file.flush()
        store.keep(file, path, key)
    made = _derived_facts(key)
    if made is None:
        raise FileNotFoundError(key)
    return made


def _derived_facts(key: str) -> dict[str, object] | None:
    size_bytes = storage.store().size(key)
    if size_bytes is None:
        return None
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"key": key, "size": size_bytes, "etag": f'"{digest[:40]}"'}


def bz2_of(source: dict[str, object]) -> dict[str, object]:
    """The ``.bz2`` twin of a published file, for clients that know nothing newer."""
    return derived_file(source, "bz2", lambda plain, out: compress_bz2(cast(BinaryIO, plain), out))


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
