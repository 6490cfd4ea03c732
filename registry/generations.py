"""Writing the files of an index beside those that are served.

The same rows give the same bytes, whichever way they came about: a few changes are written into
what there is, everything else is written anew from the database. Nothing here holds a channel:
rows come as they are read, and each record was serialized when its file was taken in.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import zstandard
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from registry import storage
from registry.conda.document import (
    SMALL_RECORDS_CHUNK_BYTES,
    Document,
    changed,
    repodata_openings,
    run_exports_openings,
    whole,
)
from registry.conda.layout import Part
from registry.conda.relations import channel_relations
from registry.conda.repodata import compress_bz2, write_repodata
from registry.conda.run_exports import run_exports_info, write_run_exports
from registry.conda.shards import MAX_SHARD_BYTES, ShardIndex, build_shard
from registry.conda.splice import (
    SEPARATOR,
    BrokenFrameError,
    Chunk,
    ChunkMap,
    Copy,
    Kept,
    Text,
    copy_from,
    decompress,
    plain_frame,
    write_frame,
)
from registry.models import ChannelFile, PublishedIndex, Removal
from registry.rows import BATCH, Asked, Audience, batched

log = logging.getLogger(__name__)

SHARD_INDEX = "repodata_shards.msgpack.zst"
REPODATA = "repodata.json"
ORIGINALS = "repodata_from_packages.json"
RUN_EXPORTS = "run_exports.json"

# Below it the uncompressed twin is written along; above it is made when somebody asks for it.
PLAIN_TWIN_BELOW_RECORDS = 20_000
_SUMMARY_ZST_LEVEL = 3
# What a shard holds beside its records: keys and file names.
_SHARD_OVERHEAD_BYTES = 300

Facts = dict[str, object]
"""What a server must know of a file: ``key``, ``size``, ``etag``, and what is said where it is
written."""


@dataclass(slots=True)
class Generation:
    """The files of the next generation for one audience, as they are being written.

    ``files`` begins as what is served now; whatever is written takes its place there.
    """

    audience: Audience
    number: int
    files: dict[str, Facts]
    record_count: int = 0
    replaced: dict[str, Facts] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)

    @classmethod
    def after(
        cls, audience: Audience, number: int, current: PublishedIndex | None = None
    ) -> Generation:
        """The one after that of ``current``, or of what is published for the audience."""
        current = (
            current
            or PublishedIndex.objects.filter(
                channel=audience.channel,
                subdir=audience.subdir,
                members_only=audience.members_only,
            ).first()
        )
        if current is None:
            return cls(audience, number, {})
        return cls(audience, number, dict(current.files), current.record_count, current.files)

    def add(self, name: str, fill: Callable[[BinaryIO], object], **facts: object) -> None:
        """Write one file and note what a server must know of it."""
        with storage.temporary_file("index-") as (file, path):
            fill(file)
            file.flush()
            with path.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").digest()
            self.keep(name, file, path, digest, **facts)

    def keep(self, name: str, file: BinaryIO, path: Path, digest: bytes, **facts: object) -> bool:
        """Put a written file where it is served from; the same as before stays what it is."""
        etag = f'"{digest.hex()[:40]}"'
        if self.files.get(name, {}).get("etag") == etag and not self._is_rewritten:
            return False
        # The digest is part of the key: a worker that lost its lease and goes on can't touch
        # what another wrote for the same generation.
        key = f"{self._folder}/{digest.hex()[:16]}-{name}"
        storage.store().keep(file, path, key, is_durable=False)
        self.files[name] = {
            "key": key,
            "size": os.fstat(file.fileno()).st_size,
            "etag": etag,
            **facts,
        }
        self.written.add(name)
        return True

    def take_over(self, other: Generation) -> None:
        """Let what was written for another generation be files of this one."""
        for name in other.written:
            self.files[name] = other.files[name]
        self.drop(*other.dropped)

    _is_rewritten: bool = False

    def rewrite(self) -> None:
        """Let what is written from now on take the place of files with the same bytes: those
        on the disk may be damaged."""
        self._is_rewritten = True

    def drop(self, *names: str) -> None:
        for name in names:
            self.files.pop(name, None)
            self.dropped.add(name)

    @property
    def _folder(self) -> str:
        return storage.generation_folder(
            self.audience.channel.pk,
            self.audience.subdir,
            generation=self.number,
            members_only=self.audience.members_only,
        )


@contextmanager
def snapshot() -> Iterator[None]:
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


def info_of(audience: Audience) -> dict[str, object]:
    """What indexes say of the subdir itself."""
    channel = audience.channel
    info: dict[str, object] = {"subdir": audience.subdir}
    relations = channel_relations(channel.base_relation, channel.overrides_relation)
    if relations:
        info["channel_relations"] = relations
    if channel.allows_v3:
        info["repodata_revisions"] = {"v3": {}}
    return info


# --- Shards ------------------------------------------------------------------------------------


def write_shards(generation: Generation, names: Collection[str] | None) -> None:
    """Write the shards of these names, or of all, then the index that names every shard."""
    info = info_of(generation.audience)
    index = None if names is None else _served_index(generation)
    if names is None or index is None or not index.has_info(info):
        index = ShardIndex(info, dict(_shards(generation, None, frozenset())))
    else:
        for some in batched(sorted(names), BATCH // 4):
            known = {index.digests[name] for name in some if name in index.digests}
            shards = dict(_shards(generation, some, known))
            index.update(shards, without=set(some) - shards.keys())
    data = index.encode()
    generation.add(SHARD_INDEX, lambda out: out.write(data))
    _remember(str(generation.files[SHARD_INDEX]["key"]), index)


# The indexes written last, by key: an index is the same for as long as its key is.
_indexes: OrderedDict[str, ShardIndex] = OrderedDict()
_indexes_lock = threading.Lock()
_INDEXES_REMEMBERED = 4


def _served_index(generation: Generation) -> ShardIndex | None:
    """The shard index that is served, to be changed; None where there is none that can be read."""
    facts = generation.files.get(SHARD_INDEX)
    if facts is None:
        return None
    with _indexes_lock:
        # Taken out: it is changed before the changed one is served.
        index = _indexes.pop(str(facts["key"]), None)
    if index is not None:
        return index
    try:
        return ShardIndex.decode(_bytes_of(facts))
    except (FileNotFoundError, zstandard.ZstdError, msgspec.MsgspecError):
        log.exception("a shard index can't be read; it is made anew")
        return None


def _remember(key: str, index: ShardIndex) -> None:
    with _indexes_lock:
        _indexes[key] = index
        while len(_indexes) > _INDEXES_REMEMBERED:
            _indexes.popitem(last=False)


def _shards(
    generation: Generation, names: Sequence[str] | None, known: AbstractSet[bytes]
) -> Iterator[tuple[str, bytes]]:
    audience = generation.audience
    if names is None:
        withdrawn = _removed_of(audience).iterator(chunk_size=BATCH)
        ordered = _records_of(audience).iterator(chunk_size=BATCH)
    else:
        withdrawn = _REMOVED_OF_NAMES.stream(audience, names)
        ordered = _RECORDS_OF_NAMES.stream(audience, names)
    removed: dict[str, list[str]] = {}
    for name, filename in withdrawn:
        removed.setdefault(name, []).append(filename)
    for name, group in groupby(ordered, key=itemgetter(0)):
        records = [(bytes(key), bytes(record)) for _, key, record in group]
        shard = build_shard(
            _readable(audience, name, records),
            removed=removed.get(name, ()),
            with_v3=audience.channel.allows_v3,
        )
        if shard.digest not in known:
            key = storage.shard_key(audience.channel.pk, audience.subdir, shard.filename)
            with storage.temporary_file("shard-") as (file, path):
                file.write(shard.data)
                storage.store().keep(file, path, key, is_durable=False)
        yield name, shard.digest


def _records_of(audience: Audience, **where: object) -> QuerySet[ChannelFile, Any]:
    rows = audience.listed.filter(**where).order_by("name", "repodata_key")
    return rows.values_list("name", "repodata_key", audience.shard_record)


def _removed_of(audience: Audience, **where: object) -> QuerySet[Removal, Any]:
    return audience.removals.filter(**where).order_by().values_list("package_name", "filename")


_RECORDS_OF_NAMES = Asked(lambda audience, names: _records_of(audience, name__in=names), list[str])
_REMOVED_OF_NAMES = Asked(
    lambda audience, names: _removed_of(audience, package_name__in=names), list[str]
)


def _readable(
    audience: Audience, name: str, records: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """As many records as clients read in one shard (16 MiB), the newest of them.

    The oldest stay in ``repodata.json``; without this nobody would find the name at all.
    """
    sizes = {key: len(key) + len(record) + 8 for key, record in records}
    room = MAX_SHARD_BYTES - _SHARD_OVERHEAD_BYTES
    if sum(sizes.values()) <= room:
        return records
    newest = (
        audience.listed.filter(name=name)
        .order_by("-file__indexed_timestamp_ms", "repodata_key")
        .values_list("repodata_key", flat=True)
    )
    chosen: set[bytes] = set()
    for key in map(bytes, newest.iterator(chunk_size=BATCH)):
        room -= sizes[key]
        if room < 0:
            break
        chosen.add(key)
    log.warning(
        "a shard is too large for clients: its oldest records are left out",
        extra={"package": name, "left_out": len(records) - len(chosen)},
    )
    return [record for record in records if record[0] in chosen]


def read_shard_index(facts: Facts) -> dict[str, bytes]:
    """Package names with the digests of their shards, of a published shard index."""
    return ShardIndex.decode(_bytes_of(facts)).digests


def _bytes_of(facts: Facts) -> bytes:
    length = int(cast(int, facts["size"]))
    return b"".join(storage.store().blocks(str(facts["key"]), start=0, length=length))


# --- Documents ---------------------------------------------------------------------------------


def write_documents(generation: Generation, touched: Iterable[bytes] | None) -> None:
    """Write ``repodata.json`` and its like, as far as these keys touch them, or whole."""
    audience = generation.audience
    keys = None if touched is None else list(touched)
    openings = repodata_openings(info_of(audience), with_v3=audience.channel.allows_v3)
    listed = Document(openings, audience.read_repodata)
    generation.record_count = write_document(generation, REPODATA, listed, keys)
    if audience.is_patched:
        originals = Document(openings, audience.read_originals)
        write_document(generation, ORIGINALS, originals, keys)
    else:
        generation.drop(ORIGINALS, f"{ORIGINALS}.zst")
    exports = Document(
        run_exports_openings(run_exports_info(audience.subdir), with_v3=audience.channel.allows_v3),
        audience.read_run_exports,
        SMALL_RECORDS_CHUNK_BYTES,
    )
    if keys is not None:
        keys = [key for key in keys if key[0] < Part.REMOVED]
    write_document(generation, RUN_EXPORTS, exports, keys)


def write_document(
    generation: Generation, name: str, document: Document, touched: list[bytes] | None
) -> int:
    """Write one document as ``.zst``, and plain where it is small; how many records it has."""
    frame = document.frame_digest() if settings.SPLICED_INDEXES else ""
    served = None if touched is None else _Served.of(generation, name, frame)
    with (
        storage.temporary_file("index-") as (file, path),
        storage.temporary_file("plain-") as (plain, plain_path),
    ):
        chunks: ChunkMap | None = None
        has_plain = False
        if served is not None and touched is not None:
            try:
                chunks = _write_changes(document, served, touched, file, plain)
                has_plain = served.plain is not None
            except (BrokenFrameError, FileNotFoundError):
                log.exception("an index file is damaged; it is made anew", extra={"file": name})
                for damaged in (file, plain):
                    damaged.seek(0)
                    damaged.truncate()
        if chunks is None:
            texts = whole(document)
            chunks = write_frame(file, texts) if frame else plain_frame(texts, file)
        label = chunks.label_offset
        facts: Facts = {} if label is None else {"removed_offset": label}
        keep_document(generation, f"{name}.zst", file, path, chunks, {**facts, "frame": frame})
        if chunks.records >= PLAIN_TWIN_BELOW_RECORDS:
            generation.drop(name)
            return chunks.records
        if not has_plain:
            file.seek(0)
            decompress(file, plain)
        digest = hashlib.sha256(b"plain " + chunks.digest()).digest()
        generation.keep(name, plain, plain_path, digest, **facts)
        return chunks.records


def keep_document(
    generation: Generation,
    name: str,
    file: BinaryIO,
    path: Path,
    chunks: ChunkMap,
    facts: Facts,
) -> None:
    """Keep a compressed document, and its map beside it."""
    if generation.keep(name, file, path, chunks.digest(), **facts):
        _keep_map(generation.files[name], chunks)


@dataclass(frozen=True, slots=True)
class _Served:
    """A document that is served, as far as it is needed to change it."""

    compressed: Facts
    plain: Facts | None
    chunks: list[Chunk]

    @classmethod
    def of(cls, generation: Generation, name: str, frame: str) -> _Served | None:
        compressed = generation.files.get(f"{name}.zst")
        if not frame or compressed is None or compressed.get("frame") != frame:
            return None
        chunks = read_map(compressed)
        if chunks is None:
            return None
        return cls(compressed, generation.files.get(name), chunks.chunks)


def _write_changes(
    document: Document, served: _Served, touched: list[bytes], file: BinaryIO, plain: BinaryIO
) -> ChunkMap:
    steps = changed(document, old=served.chunks, touched=touched)
    with ExitStack() as stack:
        copy = stack.enter_context(copying(served.compressed))
        if served.plain is not None:
            copy_text = stack.enter_context(copying(served.plain))
            steps = _also_plain(steps, plain, old=served.chunks, copy=copy_text)
        return write_frame(file, steps, old=served.chunks, copy=copy)


def _also_plain(
    steps: Iterable[Text | Kept], out: BinaryIO, *, old: Sequence[Chunk], copy: Copy
) -> Iterator[Text | Kept]:
    """Write the text of every step as well, on its way."""
    starts = [0, *accumulate(chunk.text_bytes + len(SEPARATOR) for chunk in old)]
    is_first = True
    for step in steps:
        if not is_first:
            out.write(SEPARATOR)
        is_first = False
        if isinstance(step, Text):
            out.write(step.text)
        else:
            start, stop = starts[step.start], starts[step.stop] - len(SEPARATOR)
            copy(out, start=start, size_bytes=stop - start)
        yield step
    out.flush()


def map_key(facts: Facts) -> str:
    """Where the map of a spliced file lies: beside it, since one is useless without the other."""
    return f"{facts['key']}.map"


def _keep_map(facts: Facts, chunks: ChunkMap) -> None:
    with storage.temporary_file("map-") as (file, path):
        file.write(chunks.encode())
        storage.store().keep(file, path, map_key(facts), is_durable=False)


def read_map(facts: Facts) -> ChunkMap | None:
    key = map_key(facts)
    try:
        size_bytes = storage.store().size(key)
        if size_bytes is None:
            return None
        data = b"".join(storage.store().blocks(key, start=0, length=size_bytes))
        return ChunkMap.decode(data)
    except (FileNotFoundError, BrokenFrameError):
        log.exception("the map of an index file can't be read", extra={"key": key})
        return None


@contextmanager
def copying(facts: Facts) -> Iterator[Copy]:
    """Copying ranges of a published file, within the file system where it can be."""
    store, key = storage.store(), str(facts["key"])
    local = store.open_local(key)
    if local is not None:
        with local:
            yield copy_from(local)
        return

    def copy(out: BinaryIO, /, *, start: int, size_bytes: int) -> None:
        out.writelines(store.blocks(key, start=start, length=size_bytes))

    yield copy


# --- What is there without an index, and what is made when asked for ---------------------------


@cache
def empty_documents(subdir: str) -> dict[str, bytes]:
    """What a subdir without any file is served as, by name.

    ``noarch`` has to be there from the first moment on: without it clients say that the channel
    does not exist.
    """
    documents: dict[str, bytes] = {}
    for name in (REPODATA, "current_repodata.json", ORIGINALS):
        out = io.BytesIO()
        write_repodata(out, info={"subdir": subdir}, packages=(), conda_packages=(), removed=())
        documents[name] = out.getvalue()
    out = io.BytesIO()
    write_run_exports(out, subdir=subdir, packages=(), conda_packages=())
    documents[RUN_EXPORTS] = out.getvalue()
    for name, data in list(documents.items()):
        documents[f"{name}.zst"] = zstandard.ZstdCompressor(level=3).compress(data)
    documents[SHARD_INDEX] = ShardIndex({"subdir": subdir}, {}).encode()
    return documents


@dataclass(frozen=True, slots=True)
class Derived:
    """A file made from the text of a published ``.zst`` when it is first asked for.

    It is kept beside its source and goes with it. ``fill(text, out)`` writes it; the same text
    must give the same bytes. Its ETag is known before: from what it is made, and into what.
    """

    source: Facts
    form: str
    fill: Callable[[BinaryIO, BinaryIO], object]

    @property
    def key(self) -> str:
        return f"{self.source['key']}.{self.form}"

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.key.encode()).hexdigest()[:40]}"'

    def size_bytes(self) -> int | None:
        """How long it is, or None as long as nobody asked for it."""
        return storage.store().size(self.key)

    def make(self) -> int:
        """Make it if it is not there; how long it is."""
        size_bytes = self.size_bytes()
        if size_bytes is not None:
            return size_bytes
        with (
            _opened(self.source) as compressed,
            zstandard.ZstdDecompressor().stream_reader(compressed) as text,
            storage.temporary_file("derived-") as (file, path),
        ):
            self.fill(cast(BinaryIO, text), file)
            file.flush()
            storage.store().keep(file, path, self.key, is_durable=False)
            return os.fstat(file.fileno()).st_size


@contextmanager
def _opened(source: Facts) -> Iterator[BinaryIO]:
    store, key = storage.store(), str(source["key"])
    local = store.open_local(key)
    if local is not None:
        with local:
            yield local
        return
    with storage.temporary_file("derived-") as (file, _):
        for block in store.blocks(key, start=0, length=int(cast(int, source["size"]))):
            file.write(block)
        file.seek(0)
        yield file


def plain_of(source: Facts) -> Derived:
    """The document as it is, for clients that ask for it so."""
    return Derived(source, "plain", lambda text, out: shutil.copyfileobj(text, out, 1024 * 1024))


def bz2_of(source: Facts) -> Derived:
    """The ``.bz2`` twin, for clients that know nothing newer."""
    return Derived(source, "bz2", compress_bz2)
