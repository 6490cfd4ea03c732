"""The directory of a .conda file, which is a ZIP archive (CEP 35, APPNOTE 6.3.10).

Readers of ZIP disagree about archives that say one thing in the directory and another
before the data, or that hide bytes between members. So every byte of the file must be
accounted for: members from the first byte on without a gap, then the directory, then its
end, then nothing.
"""

import struct
from operator import attrgetter
from typing import BinaryIO, NamedTuple

from registry.conda.errors import (
    CorruptArchiveError,
    DuplicateMemberError,
    MisplacedMemberError,
    Phrase,
    TrailingDataError,
    TruncatedError,
    UnsafePathError,
    UnsupportedArchiveError,
    gettext_noop,
    quote,
)

LOCAL_MAGIC = b"PK\x03\x04"

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ZIP64_END = struct.Struct("<4sQ2H2I4Q")
_ZIP64_LOCATOR = struct.Struct("<4sIQI")
_DESCRIPTOR = struct.Struct("<4s3I")
_CENTRAL_MAGIC, _END_MAGIC = b"PK\x01\x02", b"PK\x05\x06"
_ZIP64_END_MAGIC, _LOCATOR_MAGIC, _DESCRIPTOR_MAGIC = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_HAS_DESCRIPTOR, _IS_UTF8 = 0x8, 0x800
_KNOWN_FLAGS = _HAS_DESCRIPTOR | _IS_UTF8 | 0x6  # 0x6: how hard deflate tried
_MAX_VERSION = 45  # zip64
_ZIP64_EXTRA = 0x0001
# zip64, NTFS times, and the Unix times of Info-ZIP. 0x7075 would be another name for the file.
_KNOWN_EXTRAS = {_ZIP64_EXTRA, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875}
_MAX_MEMBERS = 16
_MAX_DIRECTORY_BYTES = 16 * 1024
_END_BYTES = 4096
_MAX_32, _MAX_16 = 0xFFFFFFFF, 0xFFFF


class ZipMember(NamedTuple):
    name: str
    start: int
    """Where its data begin."""
    packed_bytes: int
    unpacked_bytes: int
    crc32: int
    deflated: bool


class _Entry(NamedTuple):
    name: bytes
    offset: int
    flags: int
    method: int
    crc32: int
    packed_bytes: int
    unpacked_bytes: int


def read_directory(file: BinaryIO, *, size_bytes: int, allow_deflate: bool) -> dict[str, ZipMember]:
    """The members by name, in the order of their data.

    ``allow_deflate`` also lets sizes stand behind the data instead of before it,
    as archives written to a pipe have it.
    """
    archive = _Archive(file, size_bytes)
    entries, directory_offset = _central_entries(archive, size_bytes)
    members: dict[str, ZipMember] = {}
    position = 0
    for entry in sorted(entries, key=attrgetter("offset")):
        name = _check_entry(entry, allow_deflate=allow_deflate)
        if name in members:
            raise DuplicateMemberError(
                gettext_noop(
                    "The .conda file holds %(name)s twice. Each part may occur once: rebuild the "
                    "package."
                ),
                name=quote(name),
            )
        if entry.offset != position:
            raise TrailingDataError(
                gettext_noop(
                    "The .conda file holds bytes before %(name)s that belong to no member, or two "
                    "members overlap: rebuild the package."
                ),
                name=quote(name),
            )
        start = _check_local(archive, entry, name)
        position = start + entry.packed_bytes
        if position > directory_offset:
            raise _corrupt(
                Phrase(gettext_noop("%(name)s runs into the directory"), name=quote(name))
            )
        if entry.flags & _HAS_DESCRIPTOR:
            _check_descriptor(archive, position, entry, name)
            position += _DESCRIPTOR.size
        members[name] = ZipMember(
            name,
            start,
            entry.packed_bytes,
            entry.unpacked_bytes,
            entry.crc32,
            entry.method == _DEFLATED,
        )
    if position != directory_offset:
        raise TrailingDataError(
            gettext_noop(
                "The .conda file holds bytes before its directory that belong to no member: "
                "rebuild the package."
            )
        )
    return members


class _Archive:
    """A file of which the end is read at once: there stands the directory, of small packages
    everything."""

    __slots__ = ("_end", "_end_offset", "_file")

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._end_offset = max(0, size_bytes - _END_BYTES)
        file.seek(self._end_offset)
        self._end = file.read(size_bytes - self._end_offset)

    def up_to(self, position: int, size: int) -> bytes:
        """``size`` bytes, or less where the file ends."""
        start = position - self._end_offset
        if start >= 0:
            return self._end[start : start + size]
        self._file.seek(position)
        return self._file.read(size)

    def read(self, position: int, size: int) -> bytes:
        data = self.up_to(position, size)
        if len(data) != size:
            raise _truncated()
        return data


def _truncated() -> TruncatedError:
    return TruncatedError(gettext_noop("The .conda file ends too early: upload it again."))


def _central_entries(archive: _Archive, size_bytes: int) -> tuple[list[_Entry], int]:
    end_offset = size_bytes - _END.size
    if end_offset < 0:
        raise _truncated()
    # Only here: a reader that searches backwards finds the same, as no comment may follow.
    end = _END.unpack(archive.read(end_offset, _END.size))
    if end[0] != _END_MAGIC or end[7]:
        raise TruncatedError(
            gettext_noop(
                "The .conda file does not end with its ZIP directory. It was cut off, or something "
                "stands behind it: upload it again, or rebuild the package."
            )
        )
    _, disk, directory_disk, count_here, count, directory_bytes, directory_offset, _ = end
    directory_end = end_offset
    locator_offset = end_offset - _ZIP64_LOCATOR.size
    if locator_offset >= 0:
        locator = _ZIP64_LOCATOR.unpack(archive.read(locator_offset, _ZIP64_LOCATOR.size))
        if locator[0] == _LOCATOR_MAGIC:
            directory_end, count, directory_bytes, directory_offset = _zip64_end(
                archive, locator_offset, locator, (count, directory_bytes, directory_offset)
            )
            count_here = min(count_here, count)
    if disk or directory_disk or count_here != count:
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file is a part of a ZIP archive on several disks: rebuild the package."
            )
        )
    if count > _MAX_MEMBERS or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise MisplacedMemberError(
            gettext_noop(
                "The .conda file has %(count)s ZIP members. It must have three: metadata.json, "
                "info-….tar.zst and pkg-….tar.zst."
            ),
            count=count,
        )
    if directory_offset + directory_bytes != directory_end:
        raise TrailingDataError(
            gettext_noop(
                "The .conda file's ZIP directory is not where the file says: something was put "
                "before or behind it. Rebuild the package."
            )
        )
    directory = archive.read(directory_offset, directory_bytes)
    entries, position = [], 0
    for _ in range(count):
        entry, position = _central_entry(directory, position)
        entries.append(entry)
    if position != len(directory):
        raise _corrupt(Phrase(gettext_noop("its directory is longer than its members need")))
    return entries, directory_offset


def _zip64_end(
    archive: _Archive,
    locator_offset: int,
    locator: tuple[bytes, int, int, int],
    plain: tuple[int, int, int],
) -> tuple[int, int, int, int]:
    record_offset = locator_offset - _ZIP64_END.size
    if record_offset < 0 or locator[1:] != (0, record_offset, 1):
        raise _corrupt(Phrase(gettext_noop("its zip64 directory is not where it says")))
    record = _ZIP64_END.unpack(archive.read(record_offset, _ZIP64_END.size))
    magic, length, _, _, disk, directory_disk, count_here, count, size, offset = record
    if magic != _ZIP64_END_MAGIC or length != _ZIP64_END.size - 12:
        raise _corrupt(Phrase(gettext_noop("its zip64 directory is damaged")))
    if disk or directory_disk or count_here != count:
        raise _corrupt(Phrase(gettext_noop("its zip64 directory speaks of several disks")))
    for wide, narrow, unset in zip(
        (count, size, offset), plain, (_MAX_16, _MAX_32, _MAX_32), strict=True
    ):
        if narrow not in (wide, unset):
            raise _corrupt(Phrase(gettext_noop("its two ZIP directories contradict each other")))
    return record_offset, count, size, offset


def _central_entry(directory: bytes, position: int) -> tuple[_Entry, int]:
    data_start = position + _CENTRAL.size
    if data_start > len(directory):
        raise _corrupt(Phrase(gettext_noop("its directory is too short")))
    fields = _CENTRAL.unpack_from(directory, position)
    magic, _, version, flags, method, _, _, crc32, packed, unpacked = fields[:10]
    name_length, extra_length, comment_length, disk, _, _, offset = fields[10:]
    end = data_start + name_length + extra_length
    if magic != _CENTRAL_MAGIC or end + comment_length > len(directory):
        raise _corrupt(Phrase(gettext_noop("its directory is damaged")))
    name = directory[data_start : data_start + name_length]
    if comment_length or (disk not in (0, _MAX_16)):
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file's member %(name)s has a comment or lies on another disk: rebuild "
                "the package."
            ),
            name=quote(name),
        )
    if version > _MAX_VERSION:
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file's member %(name)s needs a newer ZIP version: rebuild it."
            ),
            name=quote(name),
        )
    extra = directory[data_start + name_length : end]
    if extra:
        unpacked, packed, offset = _zip64_values(extra, (unpacked, packed, offset), name)
    return _Entry(name, offset, flags, method, crc32, packed, unpacked), end


def _zip64_values(extra: bytes, values: tuple[int, int, int], name: bytes) -> tuple[int, int, int]:
    """Sizes and offset, with those filled in that only the zip64 field can hold.

    rattler-build writes the field even where nothing needs it; then it must agree.
    """
    content = _zip64_extra(extra, name)
    if content is None:
        return values
    if len(content) not in (8, 16, 24, 28):
        raise _corrupt(
            Phrase(gettext_noop("the zip64 field of %(name)s is damaged"), name=quote(name))
        )
    wide = list(struct.unpack_from(f"<{len(content) // 8}Q", content))
    missing = values.count(_MAX_32)
    if missing:
        if len(wide) < missing:
            raise _corrupt(
                Phrase(gettext_noop("the zip64 field of %(name)s is too short"), name=quote(name))
            )
        # The field holds only what is missing, in this order; more would be ambiguous.
        if len(wide) != missing:
            raise _corrupt(
                Phrase(gettext_noop("the zip64 field of %(name)s says too much"), name=quote(name))
            )
        filled = [wide.pop(0) if value == _MAX_32 else value for value in values]
        return filled[0], filled[1], filled[2]
    if wide != list(values[: len(wide)]):
        raise _corrupt(
            Phrase(
                gettext_noop("the zip64 field of %(name)s contradicts its sizes"), name=quote(name)
            )
        )
    return values


def _zip64_extra(extra: bytes, name: bytes) -> bytes | None:
    found: bytes | None = None
    position = 0
    while position < len(extra):
        if position + 4 > len(extra):
            raise _corrupt(
                Phrase(gettext_noop("an extra field of %(name)s is damaged"), name=quote(name))
            )
        kind, length = struct.unpack_from("<HH", extra, position)
        content = extra[position + 4 : position + 4 + length]
        if len(content) != length:
            raise _corrupt(
                Phrase(gettext_noop("an extra field of %(name)s is damaged"), name=quote(name))
            )
        if kind not in _KNOWN_EXTRAS or (kind == _ZIP64_EXTRA and found is not None):
            raise UnsupportedArchiveError(
                gettext_noop(
                    "The .conda file's member %(name)s has an extra ZIP field %(kind)s that conda "
                    "packages do not use: rebuild the package."
                ),
                name=quote(name),
                kind=f"{kind:#06x}",
            )
        if kind == _ZIP64_EXTRA:
            found = content
        position += 4 + length
    return found


def _check_entry(entry: _Entry, *, allow_deflate: bool) -> str:
    try:
        name = entry.name.decode("ascii")
    except UnicodeDecodeError:
        raise UnsafePathError(
            gettext_noop("The .conda file has a member %(name)s. Names must be plain ASCII."),
            name=quote(entry.name),
        ) from None
    if not name.isprintable() or "/" in name or "\\" in name or name in {"", ".", ".."}:
        raise UnsafePathError(
            gettext_noop(
                "The .conda file has a member %(name)s. It must have no other than metadata.json, "
                "info-….tar.zst and pkg-….tar.zst."
            ),
            name=quote(name),
        )
    if entry.flags & _ENCRYPTED:
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file's member %(name)s is encrypted: rebuild the package without a "
                "password."
            ),
            name=quote(name),
        )
    if entry.flags & ~_KNOWN_FLAGS:
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file's member %(name)s has ZIP flags %(flags)s that conda packages do "
                "not use: rebuild the package."
            ),
            name=quote(name),
            flags=f"{entry.flags:#06x}",
        )
    if entry.method != _STORED and not (allow_deflate and entry.method == _DEFLATED):
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file's member %(name)s is packed by ZIP (method %(method)s). Members "
                "must be stored as they are: rebuild it with a conda build tool."
            ),
            name=quote(name),
            method=entry.method,
        )
    if entry.flags & _HAS_DESCRIPTOR and not allow_deflate:
        raise UnsupportedArchiveError(
            gettext_noop(
                "The .conda file's member %(name)s has its size behind its data, where clients "
                "that stream cannot see it: rebuild it with a conda build tool."
            ),
            name=quote(name),
        )
    if entry.method == _STORED and entry.packed_bytes != entry.unpacked_bytes:
        raise _corrupt(Phrase(gettext_noop("the two sizes of %(name)s differ"), name=quote(name)))
    return name


def _check_local(archive: _Archive, entry: _Entry, name: str) -> int:
    """Compare the header before the data with the directory; return where the data begin."""
    header = archive.up_to(entry.offset, _LOCAL.size + len(entry.name))
    if len(header) < _LOCAL.size:
        raise _truncated()
    fields = _LOCAL.unpack_from(header)
    magic, version, flags, method, _, _, crc32, packed, unpacked = fields[:9]
    name_length: int = fields[9]
    extra_length: int = fields[10]
    if magic != LOCAL_MAGIC:
        raise _corrupt(
            Phrase(gettext_noop("%(name)s is not where the directory says"), name=quote(name))
        )
    start = entry.offset + _LOCAL.size + name_length + extra_length
    texts = header[_LOCAL.size :]
    if len(texts) != name_length + extra_length:
        texts = archive.read(entry.offset + _LOCAL.size, name_length + extra_length)
    wanted = (
        (0, 0, 0)
        if entry.flags & _HAS_DESCRIPTOR
        else (entry.crc32, entry.unpacked_bytes, entry.packed_bytes)
    )
    if version > _MAX_VERSION:
        raise _corrupt(Phrase(gettext_noop("%(name)s needs a newer ZIP version"), name=quote(name)))
    if extra_length:
        unpacked, packed, _ = _zip64_values(texts[name_length:], (unpacked, packed, 0), entry.name)
    if (
        texts[:name_length] != entry.name
        or (flags, method) != (entry.flags, entry.method)
        or (crc32, unpacked, packed) != wanted
    ):
        raise _corrupt(
            Phrase(
                gettext_noop("the header of %(name)s contradicts the directory"), name=quote(name)
            )
        )
    return start


def _check_descriptor(archive: _Archive, position: int, entry: _Entry, name: str) -> None:
    descriptor = _DESCRIPTOR.unpack(archive.read(position, _DESCRIPTOR.size))
    if descriptor != (_DESCRIPTOR_MAGIC, entry.crc32, entry.packed_bytes, entry.unpacked_bytes):
        raise _corrupt(
            Phrase(
                gettext_noop("the sizes behind %(name)s contradict the directory"), name=quote(name)
            )
        )


def _corrupt(reason: Phrase) -> CorruptArchiveError:
    return CorruptArchiveError(
        gettext_noop(
            "The .conda file contradicts itself: %(reason)s. Upload it again, or rebuild the "
            "package."
        ),
        reason=reason,
    )
