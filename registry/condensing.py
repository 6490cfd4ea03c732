"""Making documents smaller when nobody waits for anything.

A publish compresses a chunk as fast as it can be done well. Where a subdir has been at rest for a
while, its chunks are compressed again at the best level, which takes twenty times as long, and
the smaller file takes the place of the other in one step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import BinaryIO

from django.db.models import F, Q
from django.utils import timezone

from registry import indexing, storage
from registry.conda.splice import (
    BEST_LEVEL,
    BrokenFrameError,
    Chunk,
    Kept,
    Packed,
    compress_chunk,
    decompress_chunk,
    write_frame,
)
from registry.generations import Facts, Generation, copying, keep_document, read_map
from registry.models import Channel, PublishedIndex
from registry.rows import Audience

log = logging.getLogger(__name__)

AT_REST_AFTER = timedelta(minutes=10)
_PIECE_SECONDS = 0.5


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
                todo = [n for n, chunk in enumerate(chunks.chunks) if chunk.level < BEST_LEVEL]
                if todo:
                    found.append(_Document(row.members_only, name, facts, chunks.chunks, todo))
    return found


@dataclass(slots=True)
class _Document:
    members_only: bool
    name: str
    facts: Facts
    chunks: list[Chunk]
    todo: list[int]
    # Where in the temporary file the new blocks lie: offset and size, by chunk.
    packed: dict[int, tuple[int, int]] = field(default_factory=dict)


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
            for number in document.todo:
                chunk = document.chunks[number]
                key = str(document.facts["key"])
                blocks = b"".join(store.blocks(key, start=chunk.offset, length=chunk.size_bytes))
                text = decompress_chunk(blocks, text_bytes=chunk.text_bytes)
                # Of a short text the best is not always the shortest.
                packed = min(compress_chunk(text, level=BEST_LEVEL), blocks, key=len)
                document.packed[number] = (self._file.tell(), len(packed))
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
        for number in range(len(document.chunks)):
            if number not in document.packed:
                yield Kept(number, number + 1)
                continue
            offset, size_bytes = document.packed[number]
            packed.seek(offset)
            yield Packed(number, packed.read(size_bytes), BEST_LEVEL)


_job: _Job | None = None
