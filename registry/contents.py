"""What lies in a stored package, read from its archive when somebody looks.

It is kept nowhere but in memory, and there for as long as there is room: the info part of a
package is small, and comes first. Reading is bounded in time, bytes and number at once, so that
an archive that takes long holds up nobody but the one who asked for it.
"""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, TypeVar, cast

from registry import storage
from registry.conda.contents import (
    Found,
    Listing,
    OutOfPatience,
    Patience,
    read_listing,
    read_member,
)
from registry.conda.errors import LargeWindowError, PackageError
from registry.conda.limits import DEFAULT_LIMITS, MEBIBYTE, Limits
from registry.conda.names import ArchiveFormat
from registry.models import PackageFile
from registry.reading import ORDINARY, large_window

_SECONDS = 4.0
_UNPACKED_BYTES = 512 * MEBIBYTE
# Of this process; who asks while all are taken waits for a moment.
_readers = threading.BoundedSemaphore(2)
_WAIT_SECONDS = 1.5
# An entry takes some 300 bytes.
_PATHS_KEPT = 50_000
_FIRST_READ_BYTES = 256 * 1024
_LONGEST_READ_BYTES = 8 * MEBIBYTE

Result = TypeVar("Result")


class Unreadable(Exception):
    """Nothing can be shown of the archive, for one of these reasons."""


class Busy(Unreadable):
    """Others are being read: trying again helps."""


class TakesTooLong(Unreadable):
    """What is looked for lies behind more than is read for a page."""


class Damaged(Unreadable):
    """The bytes are gone, or not what they were."""


def listing_of(file: PackageFile) -> Listing:
    """The paths and the metadata of a package file. Raises `Unreadable`."""
    known = _kept.get(file.sha256)
    if known is not None:
        return known

    def read(archive: BinaryIO, patience: Patience, limits: Limits) -> Listing:
        return read_listing(
            archive,
            size_bytes=file.size_bytes,
            archive_format=_format(file),
            patience=patience,
            limits=limits,
        )

    listing = _read(file, read)
    _kept.put(file.sha256, listing)
    return listing


def member_of(file: PackageFile, path: str) -> Found | None:
    """One file in a package file, None for no such path. Raises `Unreadable`."""

    def read(archive: BinaryIO, patience: Patience, limits: Limits) -> Found | None:
        return read_member(
            archive,
            path,
            size_bytes=file.size_bytes,
            archive_format=_format(file),
            patience=patience,
            limits=limits,
        )

    return _read(file, read)


def forget() -> None:
    """Drop what is kept in memory."""
    _kept.clear()


def _format(file: PackageFile) -> ArchiveFormat:
    return ArchiveFormat.CONDA if file.is_conda else ArchiveFormat.TAR_BZ2


def _read(file: PackageFile, read: Callable[[BinaryIO, Patience, Limits], Result]) -> Result:
    if not _readers.acquire(timeout=_WAIT_SECONDS):
        raise Busy
    try:
        with _opened(file) as archive:
            patience = Patience(time.monotonic() + _SECONDS, _UNPACKED_BYTES)
            try:
                return read(archive, patience, ORDINARY)
            except LargeWindowError:
                pass
            # As on arrival: of the archives that need much memory one at a time.
            if not large_window.acquire(timeout=_WAIT_SECONDS):
                raise Busy
            try:
                return read(archive, patience, DEFAULT_LIMITS)
            finally:
                large_window.release()
    except OutOfPatience as error:
        raise TakesTooLong from error
    except (PackageError, FileNotFoundError) as error:
        raise Damaged from error
    finally:
        _readers.release()


@contextmanager
def _opened(file: PackageFile) -> Iterator[BinaryIO]:
    store, key = storage.store(), storage.blob_key(file.sha256)
    local = store.open_local(key)
    if local is not None:
        with local:
            yield local
    else:
        with closing(_Remote(store, key, file.size_bytes)) as remote:
            yield cast(BinaryIO, io.BufferedReader(remote))


class _Remote(io.RawIOBase):
    """An object that is fetched piece by piece, in longer ones the further it is read."""

    def __init__(self, store: storage.Store, key: str, size_bytes: int) -> None:
        super().__init__()
        self._store, self._key, self._size_bytes = store, key, size_bytes
        self._position = 0
        self._start, self._piece = 0, b""
        self._next_bytes = _FIRST_READ_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        inside = self._position - self._start
        if not 0 <= inside < len(self._piece):
            self._fetch()
            inside = 0
        part = self._piece[inside : inside + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _fetch(self) -> None:
        follows = self._position == self._start + len(self._piece) and self._piece
        self._next_bytes = (
            min(2 * self._next_bytes, _LONGEST_READ_BYTES) if follows else _FIRST_READ_BYTES
        )
        length = min(self._next_bytes, self._size_bytes - self._position)
        blocks = self._store.blocks(self._key, start=self._position, length=length)
        self._start = self._position
        self._piece = b"".join(blocks) if length > 0 else b""


class _Kept:
    """The listings that were asked for last, as many as there is room for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listings: OrderedDict[str, Listing] = OrderedDict()
        self._size = 0

    def get(self, sha256: str) -> Listing | None:
        with self._lock:
            listing = self._listings.get(sha256)
            if listing is not None:
                self._listings.move_to_end(sha256)
            return listing

    def put(self, sha256: str, listing: Listing) -> None:
        with self._lock:
            if sha256 in self._listings or self._cost(listing) > _PATHS_KEPT:
                return
            self._listings[sha256] = listing
            self._size += self._cost(listing)
            while self._size > _PATHS_KEPT:
                _, dropped = self._listings.popitem(last=False)
                self._size -= self._cost(dropped)

    def clear(self) -> None:
        with self._lock:
            self._listings.clear()
            self._size = 0

    @staticmethod
    def _cost(listing: Listing) -> int:
        data = sum(len(document.data or b"") for document in listing.documents.values())
        return len(listing.paths) + len(listing.documents) + data // 300 + 10


_kept = _Kept()
