"""Unpacking streams: zstd frames, bzip2 streams and deflate, in blocks of bounded size.

Every stream offers ``readinto(buffer) -> int`` like a raw file, 0 at its end, and
raises a ``PackageError`` for anything wrong in the bytes. An ``OSError`` of the
file itself is none of the uploader's making and passes through.
"""

import bz2
import io
import threading
import weakref
import zlib
from typing import IO, BinaryIO, Protocol, cast

import zstandard

from registry.conda.errors import (
    ArchiveBombError,
    CorruptArchiveError,
    LargeWindowError,
    TrailingDataError,
    TruncatedError,
    UnsupportedArchiveError,
    gettext_noop,
)
from registry.conda.limits import Limits

BLOCK_BYTES = 256 * 1024

# Up to this size a frame is unpacked at once, if it says that what it holds is small as well.
_SMALL_FRAME_BYTES = 64 * 1024

_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK_MAXIMUM = 128 * 1024
_RAW_BLOCK, _RLE_BLOCK, _COMPRESSED_BLOCK = range(3)
# Walking from block to block costs time for each. Compressors make blocks of 128 KiB, in rare
# cases of some hundred bytes; three bytes are enough for a block of nothing.
_BYTES_PER_ZSTD_BLOCK = 256
_SPARE_ZSTD_BLOCKS = 65_536


class ByteStream(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...


class Input(Protocol):
    """Packed bytes: a section of the file, or what was unpacked from one."""

    @property
    def name(self) -> str: ...
    @property
    def remaining(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...


class Section:
    """A part of a file, read from front to back; its CRC-32 is computed on the way."""

    def __init__(
        self, file: BinaryIO, *, start: int, size_bytes: int, name: str, crc32: int | None
    ) -> None:
        self._file = file
        self._position = start
        self.remaining = size_bytes
        self.name = name
        self._wanted_crc32 = crc32
        self._crc32 = 0

    def read(self, size: int) -> bytes:
        # The file may be shared by several sections, so each seeks for itself.
        if not self.remaining:
            return b""
        self._file.seek(self._position)
        block = self._file.read(min(size, self.remaining))
        if not block:
            raise TruncatedError(
                gettext_noop("%(name)s ends too early: upload the file again."), name=self.name
            )
        self._position += len(block)
        self.remaining -= len(block)
        if self._wanted_crc32 is not None:
            self._crc32 = zlib.crc32(block, self._crc32)
            if not self.remaining and self._crc32 != self._wanted_crc32:
                raise CorruptArchiveError(
                    gettext_noop(
                        "%(name)s was damaged: its checksum differs from the one in the archive. "
                        "Upload the file again."
                    ),
                    name=self.name,
                )
        return block


class _Own(threading.local):
    """Making a decompressor takes longer than unpacking a small frame with it."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_own = _Own()


class ZstdFrame:
    """One zstd frame that fills its section exactly (RFC 8878).

    Older conda clients read only the first frame of several and newer ones all, and
    a skippable frame looks like the end to some, so anything but one plain frame
    would be read differently by different clients. The library tells neither a
    truncated frame nor bytes behind it, so the headers of the blocks are followed here.
    """

    def __init__(self, section: Input, limits: Limits) -> None:
        self._section = section
        self._name = section.name
        self._max_window_bytes = limits.zstd_window_bytes
        self._blocks_left = section.remaining // _BYTES_PER_ZSTD_BLOCK + _SPARE_ZSTD_BLOCKS
        self._pending = b""
        self._skip = 0
        self._has_checksum = False
        self._started = self._last_block_seen = self._complete = False
        self._content_bytes = 0
        self._reader: ByteStream | None = None

    def readinto(self, buffer: memoryview) -> int:
        try:
            if self._reader is None:
                self._reader = self._open()
            count = self._reader.readinto(buffer)
        except zstandard.ZstdError as error:
            raise CorruptArchiveError(
                gettext_noop(
                    "%(name)s is damaged: its zstd data cannot be unpacked. Upload the file again, "
                    "or rebuild the package."
                ),
                name=self._name,
            ) from error
        if not count:
            self._finish()
        return count

    def _open(self) -> ByteStream:
        if self._section.remaining > _SMALL_FRAME_BYTES:
            # It asks for nothing but read(), whatever its annotation says. The library's objects
            # are not seen by the garbage collector, so a reference back would never be given up,
            # and with it a window of up to 128 MiB for each package.
            return self._stream(cast("IO[bytes]", weakref.proxy(self)))
        packed = self.read(_SMALL_FRAME_BYTES)
        while block := self.read(_SMALL_FRAME_BYTES):
            packed += block
        if self._complete and self._content_bytes <= BLOCK_BYTES:
            return io.BytesIO(_own.decompressor.decompress(packed))
        return self._stream(packed)

    def _stream(self, source: IO[bytes] | bytes) -> ByteStream:
        decompressor = zstandard.ZstdDecompressor(max_window_size=self._max_window_bytes)
        return decompressor.stream_reader(source, read_size=BLOCK_BYTES)

    def read(self, size: int) -> bytes:
        """What the decompressor calls for more input."""
        block = self._section.read(size)
        if block:
            self._follow(block)
        return block

    def _finish(self) -> None:
        # The decompressor stops at the end of the frame and may not have asked for all.
        while self.read(BLOCK_BYTES):
            pass
        if not self._complete:
            raise TruncatedError(
                gettext_noop(
                    "%(name)s ends in the middle of its zstd data: upload the file again."
                ),
                name=self._name,
            )

    def _follow(self, block: bytes) -> None:
        """Walk over the headers in ``block``, which continues the input."""
        if self._skip >= len(block):
            self._skip -= len(block)
            if self._skip or not self._last_block_seen:
                return
            self._complete = True
            return
        position = self._skip
        if self._pending:
            block = self._pending + block
            self._pending = b""
        if not self._started:
            # The longest frame header takes 18 bytes; more will come unless this is all.
            if len(block) < 18 and self._section.remaining:
                self._pending = block
                return
            position = self._start(block)
        end = len(block)
        while not self._last_block_seen and position + 3 <= end:
            position += self._enter_block(block[position : position + 3])
        if self._last_block_seen:
            if position < end:
                raise TrailingDataError(
                    gettext_noop(
                        "%(name)s goes on behind its zstd frame. It must be one frame and nothing "
                        "else: rebuild the package."
                    ),
                    name=self._name,
                )
            self._complete = position == end
            self._skip = position - end
        elif position < end:
            self._pending = block[position:]
            self._skip = 0
        else:
            self._skip = position - end

    def _start(self, block: bytes) -> int:
        magic = int.from_bytes(block[:4], "little")
        if magic in _ZSTD_SKIPPABLE:
            raise UnsupportedArchiveError(
                gettext_noop(
                    "%(name)s begins with a skippable zstd frame. It must be one plain frame: "
                    "rebuild the package."
                ),
                name=self._name,
            )
        if magic != _ZSTD_MAGIC or len(block) < 6:
            raise CorruptArchiveError(
                gettext_noop(
                    "%(name)s is not zstd data. Rebuild the package with a conda build tool."
                ),
                name=self._name,
            )
        try:
            parameters = zstandard.get_frame_parameters(block[:18])
        except zstandard.ZstdError as error:
            raise CorruptArchiveError(
                gettext_noop("%(name)s begins with a damaged zstd header: upload the file again."),
                name=self._name,
            ) from error
        if parameters.dict_id:
            raise UnsupportedArchiveError(
                gettext_noop(
                    "%(name)s was packed with a zstd dictionary, which no client has: rebuild the "
                    "package without."
                ),
                name=self._name,
            )
        if parameters.window_size > self._max_window_bytes:
            raise LargeWindowError(
                gettext_noop(
                    "%(name)s needs a zstd window of %(size)s bytes. Clients allow %(most)s: "
                    "rebuild it without --long or --ultra."
                ),
                name=self._name,
                size=parameters.window_size,
                most=self._max_window_bytes,
            )
        self._started = True
        self._has_checksum = parameters.has_checksum
        self._content_bytes = parameters.content_size
        descriptor = block[4]
        single_segment = descriptor >> 5 & 1
        content_size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
        return 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size_bytes

    def _enter_block(self, header: bytes) -> int:
        self._blocks_left -= 1
        if self._blocks_left < 0:
            raise ArchiveBombError(
                gettext_noop(
                    "%(name)s is cut into a flood of tiny zstd blocks: rebuild the package."
                ),
                name=self._name,
            )
        value = header[0] | header[1] << 8 | header[2] << 16
        kind, size = value >> 1 & 3, value >> 3
        if kind > _COMPRESSED_BLOCK or size > _ZSTD_BLOCK_MAXIMUM:
            raise CorruptArchiveError(
                gettext_noop(
                    "%(name)s is damaged: a zstd block has an impossible header. Upload the file "
                    "again."
                ),
                name=self._name,
            )
        stored = 1 if kind == _RLE_BLOCK else size
        if value & 1:
            self._last_block_seen = True
            stored += 4 if self._has_checksum else 0
        return 3 + stored


class Bzip2Streams:
    """bzip2 streams, one behind another, that fill their section.

    Several are legal: pbzip2 writes them, and every reader goes on to the next.
    """

    def __init__(self, section: Section, limits: Limits) -> None:
        self._section = section
        self._streams_left = limits.bzip2_streams
        self._decompressor = bz2.BZ2Decompressor()
        self._input = b""
        self._done = False

    def readinto(self, buffer: memoryview) -> int:
        while not self._done:
            if self._decompressor.eof:
                self._next_stream()
                continue
            if not self._input and self._decompressor.needs_input:
                self._input = self._section.read(BLOCK_BYTES)
                if not self._input:
                    raise TruncatedError(
                        gettext_noop(
                            "The file ends in the middle of its bzip2 data: upload it again."
                        )
                    )
            try:
                output = self._decompressor.decompress(self._input, max_length=len(buffer))
            # Not the file's: BZ2Decompressor says OSError where it means bad data.
            except (OSError, EOFError, ValueError) as error:
                raise CorruptArchiveError(
                    gettext_noop(
                        "The file is damaged: its bzip2 data cannot be unpacked. Upload it again, "
                        "or rebuild the package."
                    )
                ) from error
            self._input = b""
            if output:
                buffer[: len(output)] = output
                return len(output)
        return 0

    def _next_stream(self) -> None:
        rest = self._decompressor.unused_data or self._section.read(BLOCK_BYTES)
        if not rest:
            self._done = True
            return
        while len(rest) < 3 and (more := self._section.read(BLOCK_BYTES)):
            rest += more
        if not rest.startswith(b"BZh"):
            raise TrailingDataError(
                gettext_noop(
                    "The file goes on behind its bzip2 data with something else: rebuild the "
                    "package."
                )
            )
        self._streams_left -= 1
        if self._streams_left <= 0:
            raise ArchiveBombError(
                gettext_noop(
                    "The file is cut into a flood of tiny bzip2 streams: rebuild the package."
                )
            )
        self._decompressor = bz2.BZ2Decompressor()
        self._input = rest


class Deflated:
    """A section packed with ZIP's deflate, as Go's ``archive/zip`` does unasked."""

    def __init__(self, section: Section, *, unpacked_bytes: int, crc32: int) -> None:
        self._section = section
        self.remaining = unpacked_bytes
        self.name = section.name
        self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        self._wanted_crc32 = crc32
        self._crc32 = 0

    def read(self, size: int) -> bytes:
        output = b""
        while not output and not self._decompressor.eof:
            block = self._decompressor.unconsumed_tail or self._section.read(BLOCK_BYTES)
            try:
                output = self._decompressor.decompress(block, min(size, self.remaining + 1))
            except (zlib.error, ValueError) as error:
                raise self._damaged() from error
            if not output and not block:
                raise TruncatedError(
                    gettext_noop("%(name)s ends too early: upload the file again."), name=self.name
                )
        self._crc32 = zlib.crc32(output, self._crc32)
        self.remaining -= len(output)
        if self.remaining < 0:
            raise self._damaged()
        if self._decompressor.eof and (
            self.remaining
            or self._decompressor.unused_data
            or self._section.remaining
            or self._crc32 != self._wanted_crc32
        ):
            raise self._damaged()
        return output

    def _damaged(self) -> CorruptArchiveError:
        return CorruptArchiveError(
            gettext_noop(
                "%(name)s is damaged: it does not unpack to what the archive says of it. Upload "
                "the file again, or rebuild the package."
            ),
            name=self.name,
        )
