"""Making documents smaller when nobody waits for anything.

A publish compresses a chunk as fast as it can be done well. Where a subdir has been at rest for a
while, its chunks are compressed again at the best level, which takes twenty times as long, and
the smaller file takes the place of the other in one step. Chunks know nothing of each other, so
short neighbours are compressed as one; the next publish that touches them cuts them again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import BinaryIO, NamedTuple

from django.db.models import F, Q
from django.utils import timezone

from registry import indexing, storage
from registry.conda.document import FULL_CHUNK_BYTES
from registry.conda.splice import (
    BEST_LEVEL,
    SEPARATOR,
    BrokenFrameError,
    Chunk,
    ChunkMap,
    Kept,
    Packed,
    compress_chunk,
    decompress_chunk,
    text_bytes_of,
    write_frame,
)
from registry.generations import Facts, Generation, copying, keep_document, read_map
from registry.models import Channel, PublishedIndex
from registry.rows import Audience

log = logging.getLogger(__name__)

AT_REST_AFTER = timedelta(minutes=10)
_PIECE_SECONDS = 0.5
# What a publish into such a chunk reads and compresses again: as much of each document.
_MOST_RECORDS = 1500


def condense_some() -> bool:
    """Do a little of it; True when there is more to do."""
    global _job  # noqa: PLW0603 - what one thread of the process is at
    if _job is None:
        index = _next()
        if index is None:
            return False
        _job = _Job(index.pk, _documents(index))
    if _job.go_on():
        return True
    _job.close()
    _job = None
    return True


def forget() -> None:
    """Leave what was begun."""
    global _job  # noqa: PLW0603 - as above
    if _job is not None:
        _job.close()
    _job = None


def _next() -> PublishedIndex | None:
    at_rest = PublishedIndex.objects.filter(
        Q(condensed_at=None) | Q(condensed_at__lt=F("documents_at")),
        members_only=False,
        documents_at__lt=timezone.now() - AT_REST_AFTER,
    )
    return at_rest.order_by("documents_at").first()


def _documents(index: PublishedIndex) -> list[_Document]:
    """The documents of everybody who reads the subdir, as far as they could be smaller."""
    found: list[_Document] = []
    for row in PublishedIndex.objects.filter(channel=index.channel_id, subdir=index.subdir):
        for name, facts in row.files.items():
            chunks = read_map(facts) if facts.get("frame") else None
            if chunks is not None:
                todo = [span for span in _spans(chunks.chunks) if _can_be_smaller(chunks, span)]
                if todo:
                    found.append(_Document(row.members_only, name, facts, chunks.chunks, todo))
    return found


class _Span(NamedTuple):
    start: int
    stop: int


def _spans(chunks: list[Chunk]) -> Iterator[_Span]:
    """All chunks, by those that are made one."""
    start = text_bytes = records = 0
    for number, chunk in enumerate(chunks):
        text_bytes += len(SEPARATOR) + chunk.text_bytes
        records += chunk.records
        if start < number and (text_bytes > FULL_CHUNK_BYTES or records > _MOST_RECORDS):
            yield _Span(start, number)
            start, text_bytes, records = number, chunk.text_bytes, chunk.records
    yield _Span(start, len(chunks))


def _can_be_smaller(chunks: ChunkMap, span: _Span) -> bool:
    is_one = span.stop - span.start == 1
    return not is_one or chunks.chunks[span.start].level < BEST_LEVEL


@dataclass(slots=True)
class _Document:
    members_only: bool
    name: str
    facts: Facts
    chunks: list[Chunk]
    todo: list[_Span]
    # Where in the temporary file the new blocks lie: offset and size.
    packed: dict[_Span, tuple[int, int]] = field(default_factory=dict)


class _Job:
    """The documents of one subdir, compressed into a temporary file until all are done."""

    def __init__(self, index_id: int, documents: list[_Document]) -> None:
        self._index_id = index_id
        self._documents = documents
        self._stack = ExitStack()
        self._file, _ = self._stack.enter_context(storage.temporary_file("condensed-"))
        self._work = self._compress()

    def close(self) -> None:
        self._stack.close()

    def go_on(self) -> bool:
        """Do a piece; False when the job is done or in vain."""
        deadline = time.monotonic() + _PIECE_SECONDS
        try:
            for _ in self._work:
                if time.monotonic() >= deadline:
                    return True
            self._finish()
        except (FileNotFoundError, BrokenFrameError):
            # Somebody published meanwhile: there will be another rest.
            log.info("left an index as it is: it changed", extra={"index": self._index_id})
        return False

    def _compress(self) -> Iterator[None]:
        store = storage.store()
        for document in self._documents:
            for span in document.todo:
                chunks = document.chunks[span.start : span.stop]
                key, start = str(document.facts["key"]), chunks[0].offset
                length = chunks[-1].offset + chunks[-1].size_bytes - start
                # With what is glued between them they are blocks of one chunk already.
                blocks = b"".join(store.blocks(key, start=start, length=length))
                text = decompress_chunk(blocks, text_bytes=text_bytes_of(chunks))
                # Of a short text the best is not always the shortest.
                packed = min(compress_chunk(text, level=BEST_LEVEL), blocks, key=len)
                document.packed[span] = (self._file.tell(), len(packed))
                self._file.write(packed)
                yield

    def _finish(self) -> None:
        index = PublishedIndex.objects.filter(pk=self._index_id).first()
        if index is None:
            return
        with indexing.lease(index.channel_id, index.subdir) as held:
            if held is None:
                return
            index, worker = held
            index.refresh_from_db()
            channel = Channel.objects.select_related("account").get(pk=index.channel_id)
            rows = PublishedIndex.objects.filter(channel=channel, subdir=index.subdir)
            generations = [
                Generation.after(
                    Audience(channel, index.subdir, members_only), index.generation + 1
                )
                for members_only in sorted(rows.values_list("members_only", flat=True))
            ]
            for generation in generations:
                for document in self._documents:
                    if document.members_only == generation.audience.members_only:
                        self._replace(generation, document)
            indexing.switch(
                index, worker, generations, [], next_stage=None, condensed_at=timezone.now()
            )

    def _replace(self, generation: Generation, document: _Document) -> None:
        served = generation.files.get(document.name)
        if served is None or served["key"] != document.facts["key"]:
            return
        with (
            storage.temporary_file("index-") as (file, path),
            copying(served) as copy,
        ):
            new = write_frame(
                file, self._plan(document, self._file), old=document.chunks, copy=copy
            )
            facts = {name: served[name] for name in served.keys() - {"key", "size", "etag"}}
            keep_document(generation, document.name, file, path, new, facts)

    def _plan(self, document: _Document, packed: BinaryIO) -> Iterator[Kept | Packed]:
        for span in _spans(document.chunks):
            if span not in document.packed:
                yield Kept(*span)
                continue
            offset, size_bytes = document.packed[span]
            packed.seek(offset)
            yield Packed(*span, packed.read(size_bytes), BEST_LEVEL)


_job: _Job | None = None
