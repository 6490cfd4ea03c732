"""The body of a request as a stream that can't be mistaken for a whole one when it was cut.

Django hands out an empty body when there is no ``Content-Length``, and servers differ in what a
cut body looks like to the one who reads it: a short read, no error at all, or an exception of
their own. Whoever takes in files opens the body here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData, ParseException

from portal.errors import Refusal
from portal.upload_check import stop_here_if_asked

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class BodyRefusal(Refusal):
    """The body can't be taken in; what was read of it is worth nothing.

    No ``OSError``: Django would turn it into an `UnreadablePostError`, and that into a 500.
    """

    slug = "unreadable-body"
    title = "The body can't be read"


class TruncatedBody(BodyRefusal):
    slug = "truncated-body"
    title = "The body was cut"


class MalformedBody(BodyRefusal):
    slug = "malformed-body"
    title = "The body is not valid HTTP"


class LengthNeeded(BodyRefusal):
    slug = "length-needed"
    title = "The length of the body is needed"
    status = 411


class BodyTooLarge(BodyRefusal):
    slug = "body-too-large"
    title = "The body is too large"
    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than the {limit_bytes} bytes that are taken here.")


class BodyTooSlow(BodyRefusal):
    slug = "body-too-slow"
    title = "The body came too slowly"
    status = 408


class BodyReader(io.RawIOBase):
    """Reads a request's body to its proven end, or raises a `BodyRefusal`.

    `readinto` fills the buffer as far as there is anything to come. 0 bytes mean the end, and
    the end is only reported when everything that was announced has arrived.
    """

    def __init__(
        self, stream: Any, *, length_bytes: int | None, limit_bytes: int | None = None
    ) -> None:
        super().__init__()
        if limit_bytes is not None and length_bytes is not None and length_bytes > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        self._stream = stream
        self._readinto = getattr(stream, "readinto", None)
        self._limit_bytes = limit_bytes
        self.length_bytes = length_bytes
        self.received_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self.length_bytes is not None:
            # Some servers wait for ever, or fail, when asked for more than the length.
            view = view[: self.length_bytes - self.received_bytes]
        elif self._limit_bytes is not None:
            view = view[: self._limit_bytes - self.received_bytes + 1]
        if not view:
            return 0
        count = self._fill(view)
        self.received_bytes += count
        if count == 0 and self.length_bytes is not None:
            raise TruncatedBody(
                f"The body ended after {self.received_bytes} of {self.length_bytes} bytes. "
                "Send it again."
            )
        if self._limit_bytes is not None and self.received_bytes > self._limit_bytes:
            raise BodyTooLarge(self._limit_bytes)
        return count

    def _fill(self, view: memoryview) -> int:
        try:
            if self._readinto is not None:
                return int(self._readinto(view))
            data = self._stream.read(len(view))
        except NoMoreData as error:
            raise _cut_after(self.received_bytes) from error
        except ChunkMissingTerminator as error:
            if error.term:
                raise MalformedBody("A chunk doesn't end where its size says.") from error
            raise _cut_after(self.received_bytes) from error
        except ParseException as error:
            raise MalformedBody(f"The chunked body is broken: {error}.") from error
        except OSError as error:
            raise _cut_after(self.received_bytes) from error
        view[: len(data)] = data
        return len(data)


def open_body(environ: Mapping[str, Any], *, limit_bytes: int | None = None) -> BodyReader:
    """The body of a WSGI request, with a length or chunked, under any server.

    Raises before anything is read when the announced length is beyond ``limit_bytes``, and where
    a front server only asked whether the body may come.
    """
    stop_here_if_asked(environ)
    declared = environ.get("CONTENT_LENGTH") or None
    chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
    if declared is not None and chunked:
        raise MalformedBody("Send Content-Length or Transfer-Encoding, not both.")
    if declared is not None and not (declared.isascii() and declared.isdigit()):
        raise MalformedBody(f"Content-Length is {declared[:40]!r}; a whole number is wanted.")
    if chunked and not environ.get("wsgi.input_terminated"):
        raise LengthNeeded("This server reads no chunked bodies. Send a Content-Length.")
    length_bytes = int(declared) if declared is not None else None if chunked else 0
    return BodyReader(environ["wsgi.input"], length_bytes=length_bytes, limit_bytes=limit_bytes)


def _cut_after(received_bytes: int) -> TruncatedBody:
    return TruncatedBody(
        f"The connection ended after {received_bytes} bytes, before the body did. Send it again."
    )
