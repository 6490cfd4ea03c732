"""Reading a tar archive as a stream, header by header (POSIX pax and ustar, GNU, v7).

Readers of tar disagree in many corners: which of two sizes counts, whose prefix
field holds a date, where the archive ends. Whatever conda's, rattler's and
libarchive's reader might take differently is refused here.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from registry.conda.errors import (
    ArchiveBombError,
    CorruptArchiveError,
    Phrase,
    SpecialFileError,
    TooLargeError,
    TrailingDataError,
    TruncatedError,
    UnsafePathError,
    UnsupportedArchiveError,
    gettext_noop,
    quote,
)
from registry.conda.limits import Limits
from registry.conda.streams import BLOCK_BYTES, ByteStream

BLOCK = 512
_ZERO_BLOCK = bytes(BLOCK)
_ZEROS = bytes(BLOCK_BYTES)
# name mode (uid gid) size mtime chksum type linkname magic (uname gname) (devmajor devminor)
# prefix rest
_HEADER = struct.Struct("100s8s16s12s12s8sc100s8s64x16s155s12s")
# name (mode uid gid) size mtime chksum (type linkname magic) (uname gname) devices (prefix rest)
_FILE_HEADER = struct.Struct("100s24s12s12s8s109s64x16s167s")
_NO_PREFIX, _NO_PADDING = bytes(155), bytes(12)
_NO_PREFIX_NOR_PADDING = _NO_PREFIX + _NO_PADDING
_USTAR, _GNU, _V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
_OCTAL = re.compile(rb" *([0-7]*)[ \x00]*")
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,7}) ")
_SET_ID_BITS = 0o6000
# uname, gname and the like are of no use to anybody who unpacks a package.
_PAX_REFUSED = ("GNU.sparse.", "SCHILY.realsize", "SCHILY.filetype", "GNU.volume.")
_UTF8_CHARSETS = (b"ISO-IR 10646 2000 UTF-8", b"UTF-8")


class Kind(Enum):
    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARD_LINK = "hard link"


_KINDS = {
    b"0": Kind.FILE,
    b"\x00": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.FOLDER,
}
_FILES = (b"0", b"\x00")
_SPECIAL = {
    b"3": Phrase(gettext_noop("a character device")),
    b"4": Phrase(gettext_noop("a block device")),
    b"6": Phrase(gettext_noop("a pipe")),
    b"7": Phrase(gettext_noop("a contiguous file")),
    b"S": Phrase(gettext_noop("a GNU sparse file")),
    b"D": Phrase(gettext_noop("a GNU folder listing")),
    b"M": Phrase(gettext_noop("a part of a multi-volume archive")),
    b"V": Phrase(gettext_noop("a volume label")),
    b"N": Phrase(gettext_noop("a GNU long name of old style")),
    b"X": Phrase(gettext_noop("a Solaris extended header")),
}


class Member(NamedTuple):
    path: str
    kind: Kind
    size_bytes: int
    target: str


class _Overrides:
    """What headers before a member say of it: GNU long names or a pax header."""

    __slots__ = ("path", "sort", "target")

    def __init__(self) -> None:
        self.path: str | None = None
        self.target: str | None = None
        self.sort = ""


class TarReader:
    """Yields members; the payload of the last one can be read until the next is asked for.

    ``unpacked_bytes`` counts everything that came out of ``stream``, which may be
    no more than ``budget_bytes``.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        name: str,
        budget_bytes: int,
        limits: Limits,
        buffer: bytearray | None = None,
    ) -> None:
        self._stream = stream
        self._name = name
        self._budget_bytes = budget_bytes
        self._limits = limits
        # Clearing a fresh one costs more than reading a small package.
        self._buffer = bytearray(BLOCK_BYTES) if buffer is None else buffer
        self._view = memoryview(self._buffer)
        self._position = self._end = 0
        self._payload_left = self._padding = 0
        self.unpacked_bytes = 0

    def __iter__(self) -> Iterator[Member]:
        overrides = _Overrides()
        while True:
            self._skip(self._payload_left + self._padding)
            if self._end - self._position < BLOCK and not self._fill(BLOCK):
                raise TruncatedError(
                    gettext_noop(
                        "%(name)s ends without the mark that ends a tar archive: upload the file "
                        "again, or rebuild the package."
                    ),
                    name=self._name,
                )
            start = self._position
            header = self._buffer[start : start + BLOCK]
            if not header[0] and header == _ZERO_BLOCK:
                self._check_end(overrides)
                return
            self._position = start + BLOCK
            member = None if overrides.sort else self._file(header)
            if member is None:
                member = self._header(header, overrides)
            if member is not None:
                yield member
                if overrides.sort:
                    overrides = _Overrides()

    def payload(self) -> Iterator[memoryview]:
        """The rest of the current member's content, in blocks that live until the next one."""
        while self._payload_left:
            if self._position == self._end:
                self._fill(1)
            count = min(self._payload_left, self._end - self._position)
            block = self._view[self._position : self._position + count]
            self._position += count
            self._payload_left -= count
            yield block

    def content(self) -> bytes:
        """What `payload` would yield, as one."""
        start, end = self._position, self._position + self._payload_left
        if end <= self._end:
            self._position, self._payload_left = end, 0
            return bytes(self._view[start:end])
        # Each block must be copied before the next one takes its place in the buffer.
        return b"".join([bytes(block) for block in self.payload()])

    # Headers.

    def _file(self, header: bytearray) -> Member | None:
        """The member of a header that is like most of them: a file's, in which nothing is odd."""
        name, numbers, size, mtime, checksum, sort, devices, rest = _FILE_HEADER.unpack(header)
        if rest != _NO_PREFIX_NOR_PADDING or not _are_of_a_file(numbers, sort, devices):
            return None
        size_bytes = _number(size)
        if size_bytes is None or not _is_number(mtime) or _sum_by(checksum) != _sum(header):
            return None
        path = _decode(_text(name))
        if path.endswith("/"):
            return None
        self._payload_left, self._padding = size_bytes, -size_bytes % BLOCK
        return Member(path, Kind.FILE, size_bytes, "")

    def _header(self, header: bytearray, overrides: _Overrides) -> Member | None:
        """The member of a header, or None where that says something of the next one."""
        fields = _HEADER.unpack(header)
        name, mode, ids, size, mtime, checksum, typeflag, linkname, magic = fields[:9]
        devices, prefix, padding = fields[9:]
        if _sum_by(checksum) != _sum(header):
            raise CorruptArchiveError(
                gettext_noop(
                    "%(name)s is damaged or no tar archive: a header has a wrong checksum. Upload "
                    "the file again."
                ),
                name=self._name,
            )
        if not (_are_numbers(ids + devices) and _is_number(mtime)):
            raise self._bad_header(Phrase(gettext_noop("holds a number that is none")))
        size_bytes, mode_bits = _number(size), _number(mode)
        if size_bytes is None or mode_bits is None:
            raise self._bad_header(Phrase(gettext_noop("has no valid size or mode")))
        if magic == _USTAR:
            path = _text(name)
            if prefix[0]:
                path = _text(prefix) + b"/" + path
        elif magic in (_GNU, _V7):
            # GNU keeps dates in this field; Python's tarfile takes them for a folder.
            if prefix != _NO_PREFIX or padding != _NO_PADDING:
                raise self._bad_header(
                    Phrase(gettext_noop("uses fields that readers understand differently"))
                )
            path = _text(name)
        else:
            raise self._bad_header(Phrase(gettext_noop("is of no known kind")))
        self._payload_left, self._padding = size_bytes, -size_bytes % BLOCK
        if typeflag in b"xgLK":
            self._extended_header(typeflag, overrides)
            return None
        return self._member(
            typeflag, path, _text(linkname), size_bytes, mode_bits, overrides=overrides
        )

    def _member(
        self,
        typeflag: bytes,
        raw_path: bytes,
        raw_target: bytes,
        size_bytes: int,
        mode_bits: int,
        *,
        overrides: _Overrides,
    ) -> Member:
        path = overrides.path if overrides.path is not None else _decode(raw_path)
        kind = _KINDS.get(typeflag)
        if kind is None:
            raise SpecialFileError(
                gettext_noop(
                    "The package holds %(path)s, which is %(kind)s. Packages may hold only files, "
                    "folders and links."
                ),
                path=quote(path),
                kind=_SPECIAL.get(typeflag, Phrase(gettext_noop("special"))),
            )
        if mode_bits & _SET_ID_BITS:
            raise SpecialFileError(
                gettext_noop(
                    "The package holds %(path)s with the setuid or setgid bit. Remove the bit and "
                    "rebuild the package."
                ),
                path=quote(path),
            )
        target = ""
        if kind in (Kind.SYMLINK, Kind.HARD_LINK):
            target = overrides.target if overrides.target is not None else _decode(raw_target)
        if kind is not Kind.FILE and size_bytes:
            raise self._bad_header(Phrase(gettext_noop("gives a link or a folder a content")))
        if kind is not Kind.FOLDER and path.endswith("/"):
            raise UnsafePathError(
                gettext_noop(
                    "The package holds the file %(path)s, whose name ends in a slash: rename it."
                ),
                path=quote(path),
            )
        return Member(path, kind, size_bytes, target)

    def _extended_header(self, typeflag: bytes, overrides: _Overrides) -> None:
        if self._payload_left > self._limits.pax_header_bytes:
            raise TooLargeError(
                gettext_noop(
                    "%(name)s holds an extended header of %(size)s bytes. At most %(most)s are "
                    "allowed: rebuild the package."
                ),
                name=self._name,
                size=self._payload_left,
                most=self._limits.pax_header_bytes,
            )
        size_bytes = self._payload_left
        content = self.content()
        # Readers differ on which of several counts, so there may be one, or GNU's pair.
        sort = typeflag.decode("ascii")
        if overrides.sort and {sort, overrides.sort} != {"L", "K"}:
            raise self._bad_header(
                Phrase(gettext_noop("is preceded by two headers that both describe the file"))
            )
        if typeflag == b"g":
            self._global_header(content)
            return
        overrides.sort += sort
        if typeflag == b"x":
            self._pax_header(content, overrides)
            return
        text = content.removesuffix(b"\x00")
        if size_bytes > self._limits.name_bytes + 1:
            raise UnsafePathError(
                gettext_noop(
                    "The package holds a path of %(size)s bytes, %(text)s. At most %(most)s are "
                    "allowed: shorten it."
                ),
                size=size_bytes,
                text=quote(text),
                most=self._limits.name_bytes,
            )
        if typeflag == b"L":
            overrides.path = _decode(text)
        else:
            overrides.target = _decode(text)

    def _global_header(self, content: bytes) -> None:
        if not {"comment", "mtime"}.issuperset(key for key, _ in self._pax_records(content)):
            raise self._bad_header(Phrase(gettext_noop("sets things for all files at once")))

    def _pax_header(self, content: bytes, overrides: _Overrides) -> None:
        seen = set()
        for key, value in self._pax_records(content):
            if key in seen:
                raise self._bad_header(
                    Phrase(gettext_noop("is preceded by a pax header that says one thing twice"))
                )
            seen.add(key)
            if key == "path":
                overrides.path = _decode(value)
            elif key == "linkpath":
                overrides.target = _decode(value)
            elif key == "size":
                # CVE-2025-62518: readers that skip by the other size find other members.
                self._check_pax_size(value)
            elif key == "hdrcharset" and value not in _UTF8_CHARSETS:
                raise self._bad_header(Phrase(gettext_noop("is not in UTF-8")))
            elif key.startswith(_PAX_REFUSED):
                raise SpecialFileError(
                    gettext_noop(
                        "%(name)s holds a sparse file or another special one (%(key)s). Packages "
                        "may hold only files, folders and links."
                    ),
                    name=self._name,
                    key=quote(key),
                )

    def _check_pax_size(self, value: bytes) -> None:
        if not value.isdigit() or len(value) > 18:
            raise self._bad_header(Phrase(gettext_noop("has no valid size")))
        # The member's own header comes next, behind this header's padding.
        self._skip(self._padding)
        self._padding = 0
        if not self._fill(BLOCK):
            raise TruncatedError(
                gettext_noop("%(name)s ends too early: upload the file again."), name=self._name
            )
        field = bytes(self._view[self._position + 124 : self._position + 136])
        if _number(field) != int(value):
            raise CorruptArchiveError(
                gettext_noop(
                    "%(name)s gives a file two different sizes. Readers disagree on which counts: "
                    "rebuild the package."
                ),
                name=self._name,
            )

    def _pax_records(self, content: bytes) -> Iterator[tuple[str, bytes]]:
        """The records ``<length> <key>=<value>\\n`` of a pax header."""
        position = 0
        while position < len(content):
            match = _PAX_LENGTH.match(content, position)
            end = position + int(match[1]) if match else 0
            if match is None or end > len(content) or content[end - 1 : end] != b"\n":
                raise self._bad_header(Phrase(gettext_noop("is preceded by a damaged pax header")))
            key, mark, value = content[match.end() : end - 1].partition(b"=")
            if not mark or not key.isascii():
                raise self._bad_header(Phrase(gettext_noop("is preceded by a damaged pax header")))
            yield key.decode("ascii"), value
            position = end

    def _bad_header(self, reason: Phrase) -> UnsupportedArchiveError:
        return UnsupportedArchiveError(
            gettext_noop(
                "%(name)s holds a tar header that %(reason)s. Rebuild the package with a conda "
                "build tool."
            ),
            name=self._name,
            reason=reason,
        )

    # Bytes.

    def _fill(self, wanted: int) -> bool:
        """Have at least ``wanted`` bytes in the buffer; False if the stream ended before any."""
        have = self._end - self._position
        if have >= wanted:
            return True
        if have:
            self._view[:have] = bytes(self._view[self._position : self._end])
        self._position, self._end = 0, have
        while self._end < wanted:
            count = self._read_into(self._view[self._end :])
            if not count:
                if self._end or wanted == 1:
                    raise TruncatedError(
                        gettext_noop("%(name)s ends in the middle of a file: upload it again."),
                        name=self._name,
                    )
                return False
            self._end += count
        return True

    def _read_into(self, view: memoryview) -> int:
        count = self._stream.readinto(view)
        self.unpacked_bytes += count
        if self.unpacked_bytes > self._budget_bytes:
            raise ArchiveBombError(
                gettext_noop(
                    "%(name)s unpacks to more than %(most)s bytes, which is more than a package "
                    "file of its size may hold. Split the package up."
                ),
                name=self._name,
                most=self._budget_bytes,
            )
        return count

    def _skip(self, count: int) -> None:
        self._payload_left = self._padding = 0
        have = self._end - self._position
        while count > have:
            # Nobody wants this payload: the same buffer is overwritten again and again.
            count -= have
            self._position, self._end = 0, self._read_into(self._view)
            have = self._end
            if not have:
                raise TruncatedError(
                    gettext_noop("%(name)s ends in the middle of a file: upload it again."),
                    name=self._name,
                )
        self._position += count

    def _check_end(self, overrides: _Overrides) -> None:
        if overrides.sort:
            raise TruncatedError(
                gettext_noop("%(name)s ends where a file was announced."), name=self._name
            )
        while True:
            # Comparing a memoryview would go item by item.
            rest = bytes(self._view[self._position : self._end])
            if rest != _ZEROS[: len(rest)]:
                raise TrailingDataError(
                    gettext_noop(
                        "%(name)s goes on behind the end of its tar archive: rebuild the package."
                    ),
                    name=self._name,
                )
            self._position, self._end = 0, self._read_into(self._view)
            if not self._end:
                return


def _sum(header: bytearray) -> int:
    """All bytes of a header added up. Adler-32 does so in its lower half, modulo 65521, which
    512 bytes of ASCII do not reach, nor 256 of any other kind; adding them up in Python took a
    third of reading a package."""
    if header.isascii():
        return (zlib.adler32(header) & 0xFFFF) - 1
    middle = BLOCK // 2
    first, second = header[:middle], header[middle:]
    return (zlib.adler32(first) & 0xFFFF) + (zlib.adler32(second) & 0xFFFF) - 2


# The members of an archive differ in name and size, and hardly ever in all the rest.


@lru_cache(maxsize=1024)
def _sum_by(checksum: bytes) -> int | None:
    """What the bytes of a header come to by its checksum, for which its own field counts as eight
    spaces; None if it is no number."""
    number = _number(checksum)
    return None if number is None else number + sum(checksum) - 8 * ord(" ")


@lru_cache(maxsize=1024)
def _are_of_a_file(numbers: bytes, sort: bytes, devices: bytes) -> bool:
    """Whether these fields of a header, which has neither prefix nor padding, are those of a file
    like any other."""
    mode = _number(numbers[:8])
    return (
        sort[:1] in _FILES
        and sort[101:] in (_USTAR, _GNU, _V7)
        and mode is not None
        and not mode & _SET_ID_BITS
        and _are_numbers(numbers[8:] + devices)
    )


@lru_cache(maxsize=1024)
def _are_numbers(fields: bytes) -> bool:
    return all(_is_number(fields[start : start + 8]) for start in range(0, len(fields), 8))


@lru_cache(maxsize=1024)
def _is_number(field: bytes) -> bool:
    return _number(field, signed=True) is not None


@lru_cache(maxsize=1024)
def _number(field: bytes, *, signed: bool = False) -> int | None:
    """The number in a header field: octal digits, or GNU's base 256. None if it is none."""
    if field[0] & 0x80:
        if field[0] == 0x80 or signed:
            return int.from_bytes(field[1:], "big")
        return None
    # int() would take "0o17" and "1_0" too, as Python's tarfile does.
    match = _OCTAL.fullmatch(field)
    return None if match is None else int(match[1] or b"0", 8)


def _text(field: bytes) -> bytes:
    """What stands before the first NUL; behind it, rattler-build leaves older bytes."""
    return field.partition(b"\x00")[0]


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UnsafePathError(
            gettext_noop(
                "The package holds the path %(raw)s, which is not in UTF-8: rename the file."
            ),
            raw=quote(raw),
        ) from None
