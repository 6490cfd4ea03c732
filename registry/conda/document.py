"""Index documents as rows of pieces, cut into chunks that stay where they are.

A document is written from pieces that come in the order of their keys (`registry.conda.layout`).
It is cut into chunks where the content says so, not where a count runs out: whether a chunk
begins with a record depends on that record's key and on the size of the chunk before it. So a
changed record moves the cuts next to it at most, and the same records give the same chunks
whatever happened before.
"""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from registry.conda.layout import Part
from registry.conda.repodata import REPODATA_VERSION
from registry.conda.splice import Chunk, Kept, Text

MIN_CHUNK_BYTES = 256 * 1024
"""Chunks are longer, but for the last: below it libzstd compresses worse."""
FULL_CHUNK_BYTES = 768 * 1024
"""Here a chunk ends if no record wanted to begin one: with a record below 256 KiB, no chunk is
longer than 1 MiB."""
SMALL_RECORDS_CHUNK_BYTES = 48 * 1024
"""For documents of records of some sixty bytes: as many of them stand in it as of others."""
CUT_ONE_IN = 128
"""Which part of the records want to begin a chunk."""

Read = Callable[[bytes, bytes | None], Iterable[tuple[bytes, bytes]]]
"""Gives the records and removed names with ``start <= key < stop``, sorted, as pairs of key and
text; to the end of the document if ``stop`` is None."""


class UnsortedPiecesError(ValueError):
    """Pieces came out of order or twice, so the document would not be the same again."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The text that opens a part of the document."""

    part: Part
    text: bytes
    label: int = -1
    """Where in the text the place is that the document wants to find again."""

    @property
    def key(self) -> bytes:
        return bytes([self.part])


def repodata_openings(info: dict[str, object], *, with_v3: bool) -> tuple[Opening, ...]:
    """The frame of ``repodata.json`` (CEP 36), with the part ``v3`` (CEP 48) where it is wanted.

    ``removed`` comes last, for what reads Forgejo's dialect gets another end.
    """
    openings = [
        Opening(Part.TAR_BZ2, b'{"info":' + _json(info) + b',"packages":{'),
        Opening(Part.CONDA, b'},"packages.conda":{'),
    ]
    end = b"}"
    if with_v3:
        openings += _V3_OPENINGS
        end = b"}}"
    end += b',"removed":'
    return (
        *openings,
        Opening(Part.REMOVED, end + b"[", label=len(end)),
        Opening(Part.END, b'],"repodata_version":%d}' % REPODATA_VERSION),
    )


def run_exports_openings(info: dict[str, object], *, with_v3: bool) -> tuple[Opening, ...]:
    """The frame of ``run_exports.json`` (CEP 12); its parts are those of ``repodata.json``."""
    return (
        Opening(Part.TAR_BZ2, b'{"info":' + _json(info) + b',"packages":{'),
        Opening(Part.CONDA, b'},"packages.conda":{'),
        *(_V3_OPENINGS if with_v3 else ()),
        Opening(Part.END, b"}}}" if with_v3 else b"}}"),
    )


_V3_OPENINGS = (
    Opening(Part.V3_CONDA, b'},"v3":{"conda":{'),
    Opening(Part.V3_TAR_BZ2, b'},"tar.bz2":{'),
)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


@dataclass(frozen=True, slots=True)
class Document:
    """What a document is made of: the texts that open its parts, and its rows."""

    openings: tuple[Opening, ...]
    read: Read
    min_chunk_bytes: int = 0  # `MIN_CHUNK_BYTES`

    def frame_digest(self) -> str:
        """Tells whether chunks that were cut before are those that would be cut now."""
        cuts = f"{self.min_chunk_bytes} {MIN_CHUNK_BYTES} {FULL_CHUNK_BYTES} {CUT_ONE_IN} "
        texts = b"".join(opening.text for opening in self.openings)
        return hashlib.sha256(cuts.encode() + texts).hexdigest()[:16]


def whole(document: Document) -> Iterator[Text]:
    """All chunks of a document."""
    cutter = _Cutter(document)
    cutter.feed(document.openings[0].key, None)
    return cutter.to_the_end()


def changed(
    document: Document, *, old: Sequence[Chunk], touched: Iterable[bytes]
) -> Iterator[Text | Kept]:
    """What becomes of the chunks of a document, given the keys of all that may have changed.

    Only the ranges of the chunks that are touched are read, and of those beyond until a cut falls
    where there was one: from there on the old chunks are right.
    """
    if not old or old[0].key != document.openings[0].key:
        yield from whole(document)
        return
    keys = [chunk.key for chunk in old]
    waiting = sorted(set(touched), reverse=True)
    done = 0
    while waiting:
        first = max(bisect_right(keys, waiting[-1]) - 1, 0)
        if first > done and keys[first] == waiting[-1]:
            # Whether a chunk begins here at all is decided by the one before.
            first -= 1
        first = max(first, done)
        if first > done:
            yield Kept(done, first)
        cutter = _Cutter(document)
        done = yield from _rewritten(cutter, keys, first, waiting)
    if done < len(old):
        yield Kept(done, len(old))


def _rewritten(
    cutter: _Cutter, keys: Sequence[bytes], first: int, waiting: list[bytes]
) -> Generator[Text, None, int]:
    """Write chunks anew from the old one at ``first`` on; gives the first that can be kept."""
    for at in range(first, len(keys)):
        stop = keys[at + 1] if at + 1 < len(keys) else None
        while waiting and (stop is None or waiting[-1] < stop):
            waiting.pop()
        cutter.feed(keys[at], stop)
        yield from cutter.finished()
        if stop is not None and not (waiting and waiting[-1] == stop) and cutter.cuts_at(stop):
            yield from cutter.to_the_end()
            return at + 1
    yield from cutter.to_the_end()
    return len(keys)


class _Cutter:
    """Puts pieces together to chunks."""

    def __init__(self, document: Document) -> None:
        self._openings = document.openings
        self._read = document.read
        self._min_bytes = document.min_chunk_bytes or MIN_CHUNK_BYTES
        self._texts: list[bytes] = []
        self._size = 0
        self._records = 0
        self._key = b""
        self._label = -1
        self._last = b""
        # The part that was just opened: its first record has no comma before it.
        self._opened = -1
        self._start = b""
        self._stop: bytes | None = b""

    def feed(self, start: bytes, stop: bytes | None) -> None:
        """Go on with the pieces of a range that follows the one before."""
        self._start, self._stop = start, stop

    def finished(self) -> Iterator[Text]:
        """The chunks that the pieces fed complete; the rest waits for more."""
        start, stop = self._start, self._stop
        self._start = self._stop = b""
        openings = [
            opening
            for opening in reversed(self._openings)
            if start <= opening.key and (stop is None or opening.key < stop)
        ]
        parts = {int(opening.part) for opening in self._openings}
        texts = self._texts
        # A thousand pieces come by here for each change, and nearly all of them are records that
        # begin no chunk: no call is made for those.
        for key, text in self._read(start, stop) if start != stop else ():
            while openings and openings[-1].key < key:
                self._open(openings.pop())
            part = key[0]
            if part not in parts:
                continue
            if self._size >= self._min_bytes and texts and self.cuts_at(key):
                yield self._take()
                texts = self._texts
            if key <= self._last:
                raise UnsortedPiecesError(f"{key!r} came after {self._last!r}.")
            if not texts:
                self._key = key
            self._last = key
            if part != self._opened:
                texts.append(b",")
                self._size += 1
            self._opened = -1
            texts.append(text)
            self._size += len(text)
            self._records += part < Part.REMOVED
        while openings:
            self._open(openings.pop())

    def _open(self, opening: Opening) -> None:
        """Go on with the text that opens a part; it begins no chunk but the first."""
        if opening.key <= self._last:
            raise UnsortedPiecesError(f"{opening.key!r} came after {self._last!r}.")
        if not self._texts:
            self._key = opening.key
        self._last = opening.key
        self._opened = int(opening.part)
        if opening.label >= 0:
            self._label = self._size + opening.label
        self._texts.append(opening.text)
        self._size += len(opening.text)

    def to_the_end(self) -> Iterator[Text]:
        yield from self.finished()
        if self._texts:
            yield self._take()

    def cuts_at(self, key: bytes) -> bool:
        """Whether a chunk begins with the record of this key, if it comes next.

        Never with the first of its part: where it stands depends on whether others come before,
        and a chunk must not change with those of another.
        """
        return (
            self._size >= self._min_bytes
            and len(key) > 1
            and key[0] != self._opened
            and (self._size >= FULL_CHUNK_BYTES or zlib.crc32(key) % CUT_ONE_IN == 0)
        )

    def _take(self) -> Text:
        text = Text(self._key, b"".join(self._texts), self._records, self._label)
        self._texts, self._size, self._records, self._label = [], 0, 0, -1
        return text
