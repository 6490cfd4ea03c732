"""What lies in a package that was taken in: its paths, its metadata, and one file of it.

Nothing is unpacked to disk, and reading stops as soon as what is looked for has been seen, or when
more time or bytes went by than somebody who waits for a page is worth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from operator import attrgetter
from typing import BinaryIO, NamedTuple

import msgspec

from registry.conda.archive import COMPONENT, INDEX, PATHS, unzipped
from registry.conda.errors import InvalidMetadataError, Phrase, gettext_noop
from registry.conda.limits import Limits
from registry.conda.names import ArchiveFormat
from registry.conda.paths import check_path
from registry.conda.paths_json import Entry, PathsJsonScanner
from registry.conda.streams import ByteStream, Bzip2Streams, Section, ZstdFrame
from registry.conda.tar import Kind, Member, TarReader
from registry.conda.zip_directory import read_directory

MAX_PATHS = 100_000
"""What is kept of the paths of one package."""
MAX_TEXT_BYTES = 256 * 1024
"""The longest file that is shown."""
_MAX_DOCUMENTS = 2_000
_MAX_DOCUMENTS_BYTES = 4 * 1024 * 1024
_OLD_LIST = "info/files"


class OutOfPatience(Exception):
    """It would take longer, or more bytes, than it may."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long reading may take, and how much may be unpacked for it."""

    until: float
    """By `time.monotonic`."""
    limit_bytes: int


class PathEntry(NamedTuple):
    """One path that a package lays into an environment, as far as it says so."""

    path: str
    kind: str = ""
    """``hardlink`` for files, ``softlink`` or ``directory``."""
    size_bytes: int | None = None
    sha256: str = ""
    prefix: str = ""
    """``text`` or ``binary`` where clients write the environment's own path into it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file of ``info/``; ``data`` is None where it is too long to show."""

    path: str
    size_bytes: int
    data: bytes | None


@dataclass(slots=True)
class Listing:
    """What a package says it holds. ``paths`` are sorted, and no more than `MAX_PATHS`."""

    paths: list[PathEntry] = field(default_factory=list)
    path_count: int = 0
    has_paths: bool = False
    documents: dict[str, Document] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A member of the archive; ``data`` is None for what is no file, or too long to show."""

    kind: Kind
    size_bytes: int
    target: str
    data: bytes | None


def read_listing(
    file: BinaryIO,
    *,
    size_bytes: int,
    archive_format: ArchiveFormat,
    patience: Patience,
    limits: Limits,
) -> Listing:
    """Read ``info/``. Raises a ``PackageError`` for what is wrong with the archive, and
    `OutOfPatience`.

    In a ``.tar.bz2`` it comes first, as conda-build packs it; in old ones it may come last.
    """
    gathered = _Gathered(limits)
    reader = _tar(file, size_bytes, archive_format, "info", patience, limits)
    for member in reader or ():
        path = check_path(member.path, limits=limits)
        if path.startswith("info/"):
            gathered.take(member, path, reader)
        elif archive_format is ArchiveFormat.TAR_BZ2 and gathered.is_enough:
            break
    return gathered.listing()


def read_member(
    file: BinaryIO,
    path: str,
    *,
    size_bytes: int,
    archive_format: ArchiveFormat,
    patience: Patience,
    limits: Limits,
) -> Found | None:
    """The member at ``path``, or None. Raises like `read_listing`."""
    part = "info" if path.startswith("info/") else "pkg"
    reader = _tar(file, size_bytes, archive_format, part, patience, limits)
    for member in reader or ():
        if check_path(member.path, limits=limits) == path and member.kind is not Kind.FOLDER:
            is_shown = member.kind is Kind.FILE and member.size_bytes <= MAX_TEXT_BYTES
            data = reader.content() if reader is not None and is_shown else None
            return Found(member.kind, member.size_bytes, member.target, data)
    return None


def _tar(
    file: BinaryIO,
    size_bytes: int,
    archive_format: ArchiveFormat,
    part: str,
    patience: Patience,
    limits: Limits,
) -> TarReader | None:
    """The members of that part; of a ``.tar.bz2`` all of them."""
    stream: ByteStream
    if archive_format is ArchiveFormat.TAR_BZ2:
        whole = Section(
            file, start=0, size_bytes=size_bytes, name=Phrase(gettext_noop("The file")), crc32=None
        )
        stream = Bzip2Streams(whole, limits)
    else:
        members = read_directory(file, size_bytes=size_bytes, allow_deflate=True).items()
        matches = ((COMPONENT.fullmatch(name), member) for name, member in members)
        found = next((member for match, member in matches if match and match[1] == part), None)
        if found is None:
            return None
        stream = ZstdFrame(unzipped(file, found, limits), limits)
    return TarReader(
        _Watched(stream, patience),
        name=Phrase(gettext_noop("The package")),
        budget_bytes=limits.payload_bytes(size_bytes),
        limits=limits,
    )


class _Watched:
    """A stream that ends when patience does."""

    def __init__(self, stream: ByteStream, patience: Patience) -> None:
        self._stream = stream
        self._until = patience.until
        self._bytes_left = patience.limit_bytes

    def readinto(self, buffer: memoryview) -> int:
        if self._bytes_left <= 0 or time.monotonic() > self._until:
            raise OutOfPatience
        count = self._stream.readinto(buffer)
        self._bytes_left -= count
        return count


class _Gathered:
    """What is kept of ``info/`` while it streams by."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._documents: dict[str, Document] = {}
        self._bytes_left = _MAX_DOCUMENTS_BYTES
        self._lister: _Lister | None = None

    @property
    def is_enough(self) -> bool:
        return INDEX in self._documents and (self._lister is not None or self._old_list is not None)

    @property
    def _old_list(self) -> Document | None:
        return self._documents.get(_OLD_LIST)

    def take(self, member: Member, path: str, reader: TarReader | None) -> None:
        if member.kind is not Kind.FILE or reader is None:
            return
        data = None
        if member.size_bytes <= min(MAX_TEXT_BYTES, self._bytes_left):
            data = reader.content()
            self._bytes_left -= len(data)
        if path == PATHS and member.size_bytes <= self._limits.paths_json_bytes:
            self._lister = _Lister(self._limits)
            for block in reader.payload() if data is None else [data]:
                self._lister.feed(bytes(block))
            self._lister.finish()
        if len(self._documents) < _MAX_DOCUMENTS:
            self._documents[path] = Document(path, member.size_bytes, data)

    def listing(self) -> Listing:
        documents = dict(sorted(self._documents.items()))
        if self._lister is not None:
            paths = sorted(self._lister.entries, key=attrgetter("path"))
            return Listing(paths, self._lister.count, True, documents)
        if self._old_list is None or self._old_list.data is None:
            return Listing(documents=documents)
        # What packages had before there was paths.json: the paths, and nothing else of them.
        lines = sorted(set(self._old_list.data.decode(errors="replace").split("\n")))
        names = [PathEntry(line) for line in lines if line and not line.startswith("info/")]
        return Listing(names[:MAX_PATHS], len(names), True, documents)


class _FullEntry(Entry):
    path_type: str | None = None
    sha256: str | None = None
    size_in_bytes: int | None = None


_DECODER = msgspec.json.Decoder(_FullEntry)


class _Lister(PathsJsonScanner):
    """Keeps what the entries say of themselves."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.entries: list[PathEntry] = []
        self.count = 0

    def _decode(self, text: bytes) -> _FullEntry:
        try:
            return _DECODER.decode(text)
        except msgspec.ValidationError:
            # Uploads are asked for no more than the path; what else is wrong is left out.
            plain = super()._decode(text)
            return _FullEntry(plain.path, plain.file_mode, plain.prefix_placeholder)

    def _check(self, entry: Entry) -> None:
        super()._check(entry)
        self.count += 1
        if self.count > MAX_PATHS:
            return
        if not isinstance(entry, _FullEntry):
            raise InvalidMetadataError(gettext_noop("An entry was read as something else."))
        prefix = ""
        if entry.prefix_placeholder is not None:
            prefix = "binary" if entry.file_mode == "binary" else "text"
        self.entries.append(
            PathEntry(
                entry.path,
                entry.path_type or "hardlink",
                entry.size_in_bytes,
                entry.sha256 or "",
                prefix,
            )
        )
