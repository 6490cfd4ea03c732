"""The files of one generation of an index, written from the database as it is now.

The same rows give the same bytes. Nothing here holds a channel: rows come as they are read, and
each record was serialized when its file was taken in.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, BinaryIO, cast

import msgspec
import zstandard
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Collate

from portal import failpoints
from registry import storage
from registry.conda.channeldata import InstallTraits, channeldata_entry, write_channeldata
from registry.conda.current import CurrentRow, current_filenames
from registry.conda.repodata import compress_bz2, compress_zst, write_repodata
from registry.conda.run_exports import write_run_exports
from registry.conda.shards import ShardTooLargeError, build_shard, write_shard_index
from registry.models import Channel, ChannelFile, Package, PublishedIndex, Removal

log = logging.getLogger(__name__)

ZST_LEVEL = 12
SHARD_INDEX = "repodata_shards.msgpack.zst"
_BATCH = 2000


@dataclass(slots=True)
class Generation:
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


def write_generation(
    channel: Channel, subdir: str, number: int, *, members_only: bool
) -> Generation:
    """Write all files of a subdir, or of the channel itself, beside those that are served."""
    generation = Generation(channel, subdir, members_only, number)
    # One snapshot for all files of the generation: they must agree with each other.
    with _snapshot():
        if subdir:
            _write_subdir(generation)
        else:
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


def _entries(generation: Generation) -> QuerySet[ChannelFile]:
    entries = ChannelFile.objects.filter(channel=generation.channel)
    if generation.subdir:
        entries = entries.filter(subdir=generation.subdir)
    if not generation.channel.is_private and not generation.members_only:
        entries = entries.filter(file__package__is_private=False)
    return entries


def _sections(generation: Generation) -> tuple[QuerySet[ChannelFile], QuerySet[ChannelFile]]:
    """The rows of ``packages`` and of ``packages.conda``, in the order of repodata."""
    ordered = _entries(generation).order_by(code_point_order("filename"))
    conda = Q(filename__endswith=".conda")
    return ordered.exclude(conda), ordered.filter(conda)


def _column(rows: QuerySet[ChannelFile], column: str) -> Iterator[bytes]:
    for value in rows.values_list(column, flat=True).iterator(chunk_size=_BATCH):
        yield bytes(value)


def _removed(generation: Generation) -> list[tuple[str, str]]:
    channel = generation.channel
    removals = Removal.objects.filter(channel=channel, subdir=generation.subdir)
    if not channel.is_private and not generation.members_only:
        private = Package.objects.filter(account=channel.account_id, is_private=True)
        removals = removals.exclude(package_name__in=private.values("name"))
    return list(removals.values_list("package_name", "filename"))


def _write_subdir(generation: Generation) -> None:
    removed = _removed(generation)
    _write_shards(generation, removed)
    failpoints.reach("shards-written")
    tar_bz2, conda = _sections(generation)
    generation.record_count = _entries(generation).count()

    def repodata(out: BinaryIO) -> dict[str, object]:
        layout = write_repodata(
            out,
            subdir=generation.subdir,
            packages=_column(tar_bz2, "file__record__json"),
            conda_packages=_column(conda, "file__record__json"),
            removed=[filename for _, filename in removed],
        )
        return {"removed_offset": layout.removed_offset}

    def run_exports(out: BinaryIO) -> dict[str, object]:
        write_run_exports(
            out,
            subdir=generation.subdir,
            packages=_column(tar_bz2, "file__record__run_exports_json"),
            conda_packages=_column(conda, "file__record__run_exports_json"),
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
    columns = rows.values_list("filename", "file__record__json")
    for filename, record in columns.iterator(chunk_size=_BATCH):
        if filename in chosen:
            yield bytes(record)


class _CurrentRows:
    """The rows that `current_filenames` reads, several times, in small pieces."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation

    def __iter__(self) -> Iterator[CurrentRow]:
        rows = (
            _entries(self._generation)
            .order_by(code_point_order("file__name"), code_point_order("filename"))
            .values_list("filename", "file__name", "file__version", "file__index__depends")
        )
        for filename, name, version, depends in rows.iterator(chunk_size=_BATCH):
            yield CurrentRow(filename, name, version, tuple(depends or ()))


def _write_shards(generation: Generation, removed: list[tuple[str, str]]) -> None:
    """Write the shards that are not there yet, then the index that names all of them."""
    removed_of: dict[str, list[str]] = {}
    for name, filename in removed:
        removed_of.setdefault(name, []).append(filename)
    stored = _stored_digests(generation)
    digests: list[tuple[str, bytes]] = []
    rows = (
        _entries(generation)
        .order_by(code_point_order("file__name"), code_point_order("filename"))
        .values_list("file__name", "filename", "file__record__msgpack")
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


def _keep_shard(generation: Generation, filename: str, data: bytes) -> None:
    key = storage.shard_key(generation.channel.pk, generation.subdir, filename)
    with storage.temporary_file("shard-") as (file, path):
        file.write(data)
        storage.store().keep(file, path, key)


def _stored_digests(generation: Generation) -> set[bytes]:
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


def _write_channeldata(generation: Generation, out: BinaryIO) -> None:
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
