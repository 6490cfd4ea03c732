"""Answers that may be large: written piece by piece, compressed on the way for who takes that, and
out of memory beyond some size."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol, cast

import zstandard
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from registry.dialects.anaconda.endpoint import JSON

MAX_BYTES_IN_MEMORY = 8 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024
_ITEMS_AT_ONCE = 100


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _compressor(request: HttpRequest) -> tuple[str, _Compressor | None]:
    """The first way to compress that the client names, cheap ones first: text like this becomes a
    tenth of itself by the fastest."""
    accepted = {
        name.strip().lower()
        for part in request.headers.get("Accept-Encoding", "").split(",")
        for name, _, weight in [part.partition(";")]
        if weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    }
    if "zstd" in accepted:
        return "zstd", zstandard.ZstdCompressor(level=1).compressobj()
    if "gzip" in accepted:
        return "gzip", zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return "", None


class Spool:
    """The body of an answer while it is made.

    It is whole before its first byte is sent: what goes wrong meanwhile is still answered with an
    error, and nobody who reads slowly keeps the database waiting.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._encoding, self._compressor = _compressor(request)
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._is_long = False
        folder = Path(settings.INCOMING_FOLDER)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = tempfile.SpooledTemporaryFile(MAX_BYTES_IN_MEMORY, dir=str(folder))  # noqa: SIM115 - the answer closes it

    def write(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) >= _BLOCK_BYTES:
            self._is_long = True
            self._take()

    def write_list(self, items: Iterable[bytes]) -> None:
        """A list of what is JSON already."""
        rest = iter(items)
        between = b"["
        while some := list(islice(rest, _ITEMS_AT_ONCE)):
            self.write(between + b",".join(some))
            between = b","
        self.write(b"[]" if between == b"[" else b"]")

    def _take(self) -> None:
        data = bytes(self._pending)
        self._pending.clear()
        self._digest.update(data)
        self._keep(data if self._compressor is None else self._compressor.compress(data))

    def _keep(self, data: bytes) -> None:
        self._file.write(data)
        self._size_bytes += len(data)

    def answer(self) -> HttpResponseBase:
        """200, or 304 for who has these bytes; they are for those who asked alone."""
        if not self._is_long:  # compressing would not be worth it
            self._encoding, self._compressor = "", None
        self._take()
        if self._compressor is not None:
            self._keep(self._compressor.flush())
        etag = "-".join(filter(None, (self._digest.hexdigest()[:40], self._encoding)))
        headers = {
            "Content-Type": JSON,
            "Content-Length": str(self._size_bytes),
            "Cache-Control": "private, no-cache",
            "ETag": f'"{etag}"',
            "Vary": "Authorization, Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if self._encoding:
            headers["Content-Encoding"] = self._encoding
        self._file.seek(0)
        response: HttpResponse | StreamingHttpResponse
        if self._request.method == "HEAD" or self._size_bytes <= MAX_BYTES_IN_MEMORY:
            with self._file:
                body = b"" if self._request.method == "HEAD" else self._file.read()
                response = HttpResponse(body, headers=headers)
        else:
            response = StreamingHttpResponse(self, headers=headers)
        answered = get_conditional_response(
            self._request,
            etag=headers["ETag"],
            response=cast(HttpResponse, response),  # it looks at the headers alone
        )
        if answered is not response:
            self._file.close()
        return answered or response

    def __iter__(self) -> Iterator[bytes]:
        while block := self._file.read(_BLOCK_BYTES):
            yield block

    def close(self) -> None:
        self._file.close()
