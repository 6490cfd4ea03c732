"""One zstd frame made of chunks that can be replaced one by one (RFC 8878).

A changed record of a large document then costs one chunk to compress, and the rest of the file
is copied as it is. One frame and not several, which zstd would allow: py-rattler stops after
the first, and so does every one-shot decoder.

How it works. Each chunk is compressed alone; its frame's header is dropped, and its blocks are
put behind one header for all. Three things could leak from one chunk into the next:

- *matches*: the encoder of a chunk knows nothing but the chunk, so it refers to nothing before;
- *entropy tables*: for the same reason its first compressed block brings its own;
- *repeat offsets*: every encoder begins with 1, 4, 8, while a decoder goes on with what the last
  chunk left. So between two chunks stands `GLUE`: two small blocks that use the offsets 8, 4
  and 1, after which the decoder is where the encoder of the next chunk begins.

The glue decodes to 17 spaces, which have to be allowed where chunks meet.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Protocol

import msgspec
import zstandard

LEVEL = 10
BEST_LEVEL = 19
"""Some per cent smaller than `LEVEL`, for twenty times the work: for when nobody waits."""

MAX_CHUNK_BYTES = 8 * 1024 * 1024
SEPARATOR = b" " * 17

_MAGIC = b"\x28\xb5\x2f\xfd"
# A content size of 8 bytes, no checksum (it would change with every chunk), no dictionary; and
# a window of 8 MiB, which every decoder grants: more than any chunk refers back.
_DESCRIPTOR = b"\xc0\x68"
_CONTENT_SIZE_OFFSET = len(_MAGIC + _DESCRIPTOR)
HEADER_BYTES = _CONTENT_SIZE_OFFSET + 8
_LAST_BLOCK = b"\x01\x00\x00"
# Two compressed blocks: literals as a run of one space, one sequence each, tables as runs of one
# symbol (RFC 8878, sections 3.1.1.3.1 and 3.1.1.3.2).
GLUE = bytes.fromhex("440000412001540803000b440000012002540002001c")
# Half of a record are hexadecimal digits. Without it this level follows chance matches of four and
# five of them, which takes a third more time and gives 3 to 7 % more bytes.
_MATCHES: dict[int, dict[str, int]] = {LEVEL: {"min_match": 6}}
# As for inputs of a megabyte: below 256 KiB libzstd would choose slower and worse ones.
_PARAMETERS = {
    level: zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=1024 * 1024,
        write_checksum=0,
        write_content_size=1,
        **_MATCHES.get(level, {}),
    )
    for level in (LEVEL, BEST_LEVEL)
}


class ChunkTooLargeError(ValueError):
    """A chunk could refer further back than the window that decoders keep."""


class BrokenFrameError(ValueError):
    """The bytes are not what the map says they are."""


class Chunk(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where one chunk lies in the file, and what it says.

    ``key`` is that of the first piece of its text, ``records`` how many of its pieces are records,
    ``label`` an offset in its text that the document wants to find again, or -1.
    """

    key: bytes
    offset: int
    size_bytes: int
    text_bytes: int
    level: int
    digest: bytes
    records: int = 0
    label: int = -1


class ChunkMap(msgspec.Struct, array_like=True, frozen=True):
    """The chunks of one file, in their order; kept beside it."""

    chunks: list[Chunk]

    @property
    def text_bytes(self) -> int:
        """How long the decoded document is."""
        return text_bytes_of(self.chunks)

    @property
    def records(self) -> int:
        return sum(chunk.records for chunk in self.chunks)

    @property
    def label_offset(self) -> int | None:
        """Where in the decoded document the labelled place is."""
        offset = _label_of(self.chunks)
        return offset if offset >= 0 else None

    def digest(self) -> bytes:
        """SHA-256 over the digests of the chunks: the same for the same bytes."""
        return hashlib.sha256(b"".join(chunk.digest for chunk in self.chunks)).digest()

    def encode(self) -> bytes:
        return _ENCODER.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> ChunkMap:
        try:
            return _DECODER.decode(data)
        except msgspec.MsgspecError as error:
            raise BrokenFrameError(f"The map of the chunks can't be read: {error}.") from error


def text_bytes_of(chunks: Sequence[Chunk]) -> int:
    """How long chunks that follow each other are, decoded, with what separates them."""
    return sum(chunk.text_bytes for chunk in chunks) + len(SEPARATOR) * (len(chunks) - 1)


def _label_of(chunks: Sequence[Chunk]) -> int:
    offset = 0
    for chunk in chunks:
        if chunk.label >= 0:
            return offset + chunk.label
        offset += chunk.text_bytes + len(SEPARATOR)
    return -1


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ChunkMap)


class Text(msgspec.Struct, frozen=True, gc=False):
    """A chunk that has to be compressed."""

    key: bytes
    text: bytes
    records: int = 0
    label: int = -1


class Kept(msgspec.Struct, frozen=True, gc=False):
    """Chunks that stay as they are: those from ``start`` on, before ``stop``."""

    start: int
    stop: int


class Packed(msgspec.Struct, frozen=True, gc=False):
    """Chunks of the old file, those from ``start`` on, before ``stop``, compressed again as one.

    It decodes to what they decoded to, the separators between them too. Whoever cuts its text
    anew finds the same cuts again: it begins where the first of them began.
    """

    start: int
    stop: int
    blocks: bytes
    level: int


class Copy(Protocol):
    """Copies a range of the file there is to the end of the new one."""

    def __call__(self, out: BinaryIO, /, *, start: int, size_bytes: int) -> None: ...


def write_frame(
    out: BinaryIO,
    plan: Iterable[Text | Kept | Packed],
    *,
    old: Sequence[Chunk] = (),
    copy: Copy | None = None,
    level: int = LEVEL,
) -> ChunkMap:
    """Write a file of the chunks that ``plan`` names, in their order; give its map.

    ``copy`` brings the bytes of what is kept of the ``old`` file.
    """
    out.write(_MAGIC + _DESCRIPTOR + bytes(8))
    offset = HEADER_BYTES
    chunks: list[Chunk] = []
    for step in plan:
        if chunks:
            out.write(GLUE)
            offset += len(GLUE)
        if not isinstance(step, Kept):
            chunk, blocks = _written(step, old, offset, level)
            out.write(blocks)
            chunks.append(chunk)
            offset += chunk.size_bytes
            continue
        if copy is None:
            raise TypeError("without `copy` nothing can be kept")
        kept = old[step.start : step.stop]
        begin, end = kept[0].offset, kept[-1].offset + kept[-1].size_bytes
        moved = offset - begin
        copy(out, start=begin, size_bytes=end - begin)
        chunks += _moved(kept, moved) if moved else kept
        offset += end - begin
    out.write(_LAST_BLOCK)
    new = ChunkMap(chunks)
    out.flush()
    os.pwrite(out.fileno(), new.text_bytes.to_bytes(8, "little"), _CONTENT_SIZE_OFFSET)
    return new


def _written(
    step: Text | Packed, old: Sequence[Chunk], offset: int, level: int
) -> tuple[Chunk, bytes]:
    if isinstance(step, Packed):
        blocks, said = step.blocks, old[step.start : step.stop]
        level, text_bytes = step.level, text_bytes_of(said)
        key, records, label = said[0].key, sum(one.records for one in said), _label_of(said)
    else:
        blocks, text_bytes = compress_chunk(step.text, level=level), len(step.text)
        key, records, label = step.key, step.records, step.label
    digest = hashlib.sha256(blocks).digest()[:16]
    return Chunk(key, offset, len(blocks), text_bytes, level, digest, records, label), blocks


def _moved(chunks: Iterable[Chunk], by: int) -> Iterator[Chunk]:
    for chunk in chunks:
        yield Chunk(
            chunk.key,
            chunk.offset + by,
            chunk.size_bytes,
            chunk.text_bytes,
            chunk.level,
            chunk.digest,
            chunk.records,
            chunk.label,
        )


def copy_from(source: BinaryIO) -> Copy:
    """Copying within the kernel, and without any copying where files can share their blocks."""

    def copy(out: BinaryIO, /, *, start: int, size_bytes: int) -> None:
        out.flush()
        left, at = size_bytes, start
        while left:
            count = _copy_some(source.fileno(), out.fileno(), at, left)
            if count == 0:
                raise BrokenFrameError(
                    f"The file ends at byte {at}, {left} bytes before what its map says."
                )
            left, at = left - count, at + count

    return copy


def _copy_some(source: int, target: int, at: int, size_bytes: int) -> int:
    try:
        return os.copy_file_range(source, target, size_bytes, offset_src=at)
    except OSError:  # not between these file systems, or not in this kernel
        return os.write(target, os.pread(source, min(size_bytes, 1024 * 1024), at))


def compress_chunk(text: bytes, *, level: int = LEVEL) -> bytes:
    """The blocks of a chunk, none of which is marked as the last."""
    if not 0 < len(text) <= MAX_CHUNK_BYTES:
        raise ChunkTooLargeError(
            f"A chunk of {len(text)} bytes can't be spliced: 1 to {MAX_CHUNK_BYTES} are possible."
        )
    frame = bytearray(
        zstandard.ZstdCompressor(compression_params=_PARAMETERS[level]).compress(text)
    )
    start = zstandard.frame_header_size(bytes(frame[:18]))
    at = start
    while True:
        header = int.from_bytes(frame[at : at + 3], "little")
        frame[at] &= 0xFE
        # A run of one byte (type 1) is stored as that byte.
        at += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
        if header & 1:
            break
    return bytes(frame[start:at])


def decompress_chunk(blocks: bytes, *, text_bytes: int) -> bytes:
    """The text of a chunk; raises `BrokenFrameError` where the bytes don't yield it."""
    header = _MAGIC + _DESCRIPTOR + text_bytes.to_bytes(8, "little")
    try:
        text = zstandard.ZstdDecompressor().decompress(header + blocks + _LAST_BLOCK)
    except zstandard.ZstdError as error:
        raise BrokenFrameError(f"A chunk can't be decompressed: {error}.") from error
    if len(text) != text_bytes:
        raise BrokenFrameError(f"A chunk holds {len(text)} bytes, its map says {text_bytes}.")
    return text


def plain_frame(texts: Iterable[Text], out: BinaryIO, *, level: int = LEVEL) -> ChunkMap:
    """The same document as an ordinary frame of one encoder, for those who want no other.

    The map then only says what the text is made of: nothing of the file can be kept.
    """
    chunks: list[Chunk] = []
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, write_checksum=1, **_MATCHES.get(level, {})
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with compressor.stream_writer(out, closefd=False) as stream:
        for text in texts:
            if chunks:
                stream.write(SEPARATOR)
            stream.write(text.text)
            chunks.append(
                Chunk(
                    key=text.key,
                    offset=0,
                    size_bytes=0,
                    text_bytes=len(text.text),
                    level=level,
                    digest=hashlib.sha256(text.text).digest()[:16],
                    records=text.records,
                    label=text.label,
                )
            )
    return ChunkMap(chunks)


def decompress(source: BinaryIO, out: BinaryIO) -> None:
    """Write the decoded document of any frame, in flat memory."""
    zstandard.ZstdDecompressor().copy_stream(source, out, write_size=1024 * 1024)
    out.flush()
