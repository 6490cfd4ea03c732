"""Answering with stored bytes, for every face that clients download through.

One place for what HTTP asks of it (RFC 9110): HEAD as GET, strong ETags, conditions, one range.
Nothing is compressed on the way: ``Content-Encoding`` on a ``.zst`` makes conda decode it twice
and fails solves in mamba.

With ``ACCEL_PREFIX`` set, nginx sends the bytes and cuts the ranges, and conditions are answered
here. Of our headers nginx (1.22) keeps Content-Type, Content-Disposition and Cache-Control, drops
the others, and makes an ETag of time and size, which two generations can share. So its internal
location needs ``etag off; if_modified_since off;`` and ``add_header <name> $upstream_http_<name>;``
for ETag, Last-Modified, Vary and X-Content-Type-Options. ``If-Range`` then goes by our ETag too.
With an S3 behind it, nginx is given the path and the query of an address that was signed for it.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import (
    content_disposition_header,
    http_date,
    parse_etags,
    parse_http_date_safe,
)
from django.utils.translation import gettext_noop

from accounts import switches
from accounts.authentication import PATH_TOKEN
from portal.errors import Refusal, Unavailable
from portal.sentences import gettext
from registry import downloads, storage
from registry.generations import Derived, Facts
from registry.models import PackageFile

log = logging.getLogger(__name__)

# An index has to be asked for each time: whoever has just published wants to install.
INDEX_CACHE_SECONDS = 0
SHARD_CACHE_SECONDS = 365 * 24 * 3600
# In an immutable channel a filename is one file for good, but it may be deleted or made private.
# Elsewhere it may be replaced, and whoever reads the new index must not be given the old bytes.
PACKAGE_CACHE_SECONDS = 7 * 24 * 3600

# Last-Modified counts whole seconds: one that is not over yet could still see another generation.
_SETTLED_SECONDS = 2
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
_DERIVING_SECONDS = 10
_RETRY_DAMAGED_SECONDS = 3600
_deriving = threading.Lock()


class MethodNotAllowed(Refusal):
    slug = "method-not-allowed"
    title = "This method is not allowed here"
    status = 405

    def __init__(self, method: str | None, allowed: str) -> None:
        super().__init__(
            f"{(method or '')[:20]!r} is not done here; {allowed} can be.",
            headers={"Allow": allowed},
        )


class RangeNotSatisfiable(Refusal):
    slug = "range-not-satisfiable"
    title = "The range lies outside of the file"
    status = 416

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            f"The file has {size_bytes} bytes, and none of them is in the range asked for.",
            headers={"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"},
        )


class PackageDamaged(Unavailable):
    slug = "package-damaged"
    title = gettext_noop("The stored package is damaged")


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that can be answered with, and what HTTP has to know of them.

    ``etag`` is strong, quotes included, and belongs to exactly these bytes. ``size_bytes`` is how
    many are served. They lie under ``key``, or are ``data``; with ``tail`` they are the beginning
    of what lies under ``key``, as much as is needed, and then ``tail``.
    """

    key: str
    size_bytes: int
    etag: str
    content_type: str
    modified_at: datetime | None = None
    cache_seconds: int = INDEX_CACHE_SECONDS
    is_immutable: bool = False
    # Never given again unasked, by whatever cache (CEP 50).
    no_cache: bool = False
    is_private: bool = False
    # Who may see more gets other bytes under the same URL.
    varies: bool = False
    download_name: str | None = None
    # Where the store can hand clients over to an address of its own.
    may_redirect: bool = False
    # Known not to be what was published (`registry.checking`).
    is_damaged: bool = False
    data: bytes | None = None
    tail: bytes = b""
    # In a repodata file: where the value of its ``removed`` begins.
    removed_offset: int | None = None
    # Of a document: the published file that holds its text.
    compressed: Facts | None = None
    # What nobody asked for yet; its size is -1 then.
    derived: Derived | None = None

    def made_by(self, derived: Derived) -> Stored:
        """Another form of a document, which may have to be made first."""
        size_bytes = derived.size_bytes()
        if size_bytes is not None:
            return replace(self, key=derived.key, etag=derived.etag, size_bytes=size_bytes)
        return replace(self, key=derived.key, etag=derived.etag, size_bytes=-1, derived=derived)

    def with_tail(self, offset: int, tail: bytes) -> Stored:
        """The first ``offset`` bytes and then ``tail``: another file, with an ETag of its own."""
        digest = hashlib.sha256(f"{self.etag} {offset} ".encode() + tail).hexdigest()
        changed = replace(self, etag=f'"{digest[:40]}"', removed_offset=None)
        if self.data is not None:
            data = self.data[:offset] + tail
            return replace(changed, data=data, size_bytes=len(data))
        return replace(changed, tail=tail, size_bytes=offset + len(tail))


def deliver(request: HttpRequest, stored: Stored) -> HttpResponseBase:
    """Answer GET or HEAD with stored bytes; HEAD opens no file and asks no storage.

    Raises `RangeNotSatisfiable`.
    """
    headers = _headers(request, stored)
    if _is_not_modified(request, stored, headers.get("Last-Modified")):
        return _not_modified(headers)
    if stored.derived is not None:
        if request.method == "HEAD" and not stored.tail:
            # Clients look what there is, and take another: its length is not worth minutes.
            del headers["Accept-Ranges"]
            return StreamingHttpResponse((), headers=headers)
        stored = _made(stored, stored.derived)
    if settings.ACCEL_PREFIX and stored.data is None and not stored.tail:
        del headers["Accept-Ranges"]  # nginx says it itself
        return HttpResponse(headers={**headers, "X-Accel-Redirect": _accel_place(request, stored)})
    if stored.may_redirect:
        address = storage.store().signed_url(
            stored.key, method=str(request.method), headers=headers
        )
        if address is not None:
            return HttpResponse(
                status=302, headers={"Location": address, "Cache-Control": "private, no-store"}
            )
    return _answer(request, stored, headers)


def _made(stored: Stored, derived: Derived) -> Stored:
    # It takes a while for a large channel: once for all, and nobody waits for long.
    if not _deriving.acquire(timeout=_DERIVING_SECONDS):
        raise Unavailable(
            gettext("This file is being made. Try again in a moment."), retry_after_seconds=10
        )
    try:
        size_bytes = derived.make()
    except FileNotFoundError as error:
        raise Unavailable(gettext("The channel was just changed. Try again.")) from error
    finally:
        _deriving.release()
    return replace(stored, size_bytes=stored.size_bytes if stored.tail else size_bytes)


def _accel_place(request: HttpRequest, stored: Stored) -> str:
    """Where nginx finds the bytes: in a folder, or in an S3 by an address signed for it."""
    prefix = settings.ACCEL_PREFIX.rstrip("/")
    address = storage.store().signed_url(
        stored.key,
        method=str(request.method),
        headers={"Content-Type": stored.content_type},
    )
    if address is None:
        return f"{prefix}/{quote(stored.key)}"
    parts = urlsplit(address)
    return f"{prefix}{parts.path}?{parts.query}"


def deliver_package(request: HttpRequest, file: PackageFile, stored: Stored) -> HttpResponseBase:
    """`deliver` a package file, and count a download when its beginning is asked for.

    Readers of metadata fetch the end of a ``.conda``, and who resumes was counted before.
    """
    switches.require(switches.Name.DOWNLOADS)
    if stored.is_damaged:
        raise PackageDamaged(
            gettext(
                "The stored bytes of this file are damaged, so it is not given out. It can be "
                "fetched again once somebody has uploaded the same file anew."
            ),
            retry_after_seconds=_RETRY_DAMAGED_SECONDS,
        )
    response = deliver(request, stored)
    is_given = request.method == "GET" and response.status_code in {200, 206, 302}
    if is_given and _wants_beginning(request, stored):
        downloads.count(file.pk)
    return response


def _headers(request: HttpRequest, stored: Stored) -> dict[str, str]:
    # Whatever is public is so under an address without a secret; no shared cache keeps the other.
    is_private = stored.is_private or PATH_TOKEN in request.META
    freshness = "immutable" if stored.is_immutable else "must-revalidate"
    kept = "no-cache" if stored.no_cache else f"max-age={stored.cache_seconds}, {freshness}"
    headers = {
        "Content-Type": stored.content_type,
        "ETag": stored.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": f"{'private' if is_private else 'public'}, {kept}",
        "X-Content-Type-Options": "nosniff",
    }
    if is_private or stored.varies:
        headers["Vary"] = "Authorization, Cookie"
    if stored.modified_at is not None:
        modified = stored.modified_at.timestamp()
        if stored.is_immutable or time.time() - modified >= _SETTLED_SECONDS:
            headers["Last-Modified"] = http_date(modified)
    if stored.download_name is not None:
        headers["Content-Disposition"] = (
            content_disposition_header(True, stored.download_name) or "attachment"
        )
    return headers


def _is_not_modified(request: HttpRequest, stored: Stored, last_modified: str | None) -> bool:
    known = request.META.get("HTTP_IF_NONE_MATCH")
    if known is not None:
        # Compared weakly: front servers weaken tags when they compress.
        tags = {tag.removeprefix("W/") for tag in parse_etags(known)}
        return "*" in tags or stored.etag in tags
    since = request.META.get("HTTP_IF_MODIFIED_SINCE")
    if since is None or last_modified is None:
        return False
    seen = parse_http_date_safe(since)
    modified = parse_http_date_safe(last_modified)
    return seen is not None and modified is not None and modified <= seen


def _not_modified(headers: dict[str, str]) -> HttpResponseBase:
    kept = ("ETag", "Last-Modified", "Cache-Control", "Vary")
    # Streaming, for Django gives every other answer a length, and here 0 would be wrong.
    response = StreamingHttpResponse(
        (), status=304, headers={name: headers[name] for name in kept if name in headers}
    )
    del response.headers["Content-Type"]
    return response


def _wanted_range(
    request: HttpRequest, stored: Stored, last_modified: str | None
) -> tuple[int, int] | None:
    """The first byte wanted and the one after the last, or None for the whole.

    Several ranges, and what isn't understood, get the whole as well (RFC 9110 section 14.2).
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or not (match[1] or match[2]):
        return None
    condition = request.headers.get("If-Range")
    if condition is not None and condition not in {stored.etag, last_modified}:
        return None
    size_bytes = stored.size_bytes
    if match[1]:
        start = int(match[1])
        last = int(match[2]) if match[2] else size_bytes - 1
        if match[2] and last < start:
            return None
        stop = min(last + 1, size_bytes)
    else:
        start, stop = max(0, size_bytes - int(match[2])), size_bytes
    if start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return start, stop


def _wants_beginning(request: HttpRequest, stored: Stored) -> bool:
    try:
        wanted = _wanted_range(request, stored, None)
    except RangeNotSatisfiable:  # of a redirect, so somebody else will say it
        return False
    return wanted is None or wanted[0] == 0


def _answer(request: HttpRequest, stored: Stored, headers: dict[str, str]) -> HttpResponseBase:
    if request.method == "HEAD":
        return HttpResponse(headers={**headers, "Content-Length": str(stored.size_bytes)})
    wanted = _wanted_range(request, stored, headers.get("Last-Modified"))
    start, stop = wanted or (0, stored.size_bytes)
    response = _body(stored, start, stop)
    for name, value in headers.items():
        response.headers[name] = value
    response.headers["Content-Length"] = str(stop - start)
    if wanted is not None:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size_bytes}"
    return response


def _body(stored: Stored, start: int, stop: int) -> HttpResponseBase:
    if stored.data is not None:
        return HttpResponse(stored.data[start:stop])
    border = stored.size_bytes - len(stored.tail)
    tail = stored.tail[max(0, start - border) : max(0, stop - border)]
    stop = min(stop, border)
    if start >= stop:
        return HttpResponse(tail)
    store = storage.store()
    try:
        file = store.open_local(stored.key)
        if file is None:
            blocks = store.blocks(stored.key, start=start, length=stop - start)
            return StreamingHttpResponse(chain(blocks, (tail,) if tail else ()))
    except FileNotFoundError as error:
        log.exception("the bytes of a file are gone", extra={"key": stored.key})
        raise Unavailable(gettext("The bytes of this file can't be read right now.")) from error
    part = FilePart(file, start=start, length=stop - start)
    return StreamingHttpResponse(_Pieces(part, tail)) if tail else FileAnswer(part)


class FilePart:
    """A part of an open file, as WSGI servers want a file: they send it without reading it.

    gunicorn asks for the descriptor and takes the length from the headers; others call ``read``
    until it gives nothing.
    """

    def __init__(self, file: BinaryIO, *, start: int, length: int) -> None:
        self._file = file
        self._left = length
        file.seek(start)

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = 0) -> int:
        """To a place of the whole file: the server looks up by itself where the part begins."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(block)
        return block

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(storage.BLOCK_BYTES):
            yield block

    def close(self) -> None:
        self._file.close()


class _Pieces:
    """A part of a file and what comes after it. No generator: one that was never started would
    never close the file."""

    def __init__(self, part: FilePart, tail: bytes) -> None:
        self._part = part
        self._tail = tail

    def __iter__(self) -> Iterator[bytes]:
        yield from self._part
        yield self._tail

    def close(self) -> None:
        self._part.close()


class FileAnswer(StreamingHttpResponse):
    """Lets Django hand the file to the server's ``wsgi.file_wrapper``."""

    block_size = storage.BLOCK_BYTES

    def __init__(self, part: FilePart) -> None:
        super().__init__(part)
        self.file_to_stream = part
