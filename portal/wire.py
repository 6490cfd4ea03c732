"""The bodies of HTTP/1.1 requests, taken off the socket (RFC 9112 sections 6 and 7.1).

gunicorn judges the head, and with it which framing a body has. Its readers of bodies copy every
byte several times, so that taking in a file costs twice what hashing and storing it costs; these
read straight into the buffer of the one who asks. They are at least as strict.
"""

from __future__ import annotations

import io
import re
import socket
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gunicorn.http.body import CHUNK_EXT_RE

from portal.body import BodyTooSlow, MalformedBody, TruncatedBody

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNKED_BUFFER_BYTES = 256 * 1024
LINE_LIMIT_BYTES = 4096
TRAILER_LIMIT_BYTES = 8192
_NOWHERE = memoryview(bytearray())
# 15 digits are an exabyte; more than 16 would not even fit into a file's size.
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})" + CHUNK_EXT_RE.pattern)
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


@dataclass(slots=True)
class Pace:
    """How slowly a body may come before its thread is taken back.

    Each ``seconds`` of waiting must bring ``seconds`` x ``bytes_per_second``. Time in which the
    server was busy with what it had does not count against the client, and a fast beginning
    buys no slow end.
    """

    seconds: float = 30.0
    bytes_per_second: int = 16 * 1024
    waited_seconds: float = 0.0
    brought_bytes: int = 0

    def patience_seconds(self) -> float:
        left = self.seconds - self.waited_seconds
        if left <= 0:
            raise self.too_slow()
        return left

    def note(self, *, waited_seconds: float, brought_bytes: int) -> None:
        self.waited_seconds += waited_seconds
        self.brought_bytes += brought_bytes
        if self.brought_bytes >= self.seconds * self.bytes_per_second:
            self.waited_seconds = 0.0
            self.brought_bytes = 0

    def too_slow(self) -> BodyTooSlow:
        return BodyTooSlow(
            f"The body came with less than {self.bytes_per_second} bytes a second "
            f"for {self.seconds:g} seconds."
        )


class Inlet:
    """What arrives after a request's head: first what was read along with it, then the socket."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        read_ahead: bytes,
        pace: Pace,
        expects_continue: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sock = sock
        self._read_ahead = memoryview(read_ahead)
        self._pace = pace
        self._clock = clock
        self._continue_due = expects_continue and not read_ahead
        self.received_bytes = 0

    def receive_into(self, view: memoryview, overflow: memoryview = _NOWHERE) -> int:
        """At least one byte into ``view``, and what there is beyond it into ``overflow``.

        Returns the sum; raises `TruncatedBody` or `BodyTooSlow` when nothing comes.
        """
        if self._read_ahead:
            count = min(len(view), len(self._read_ahead))
            view[:count] = self._read_ahead[:count]
            self._read_ahead = self._read_ahead[count:]
            self.received_bytes += count
            return count
        if self._continue_due:
            # Only now: who is refused over the head alone never sends the body.
            self._continue_due = False
            self._send_continue()
        usual_timeout = self._sock.gettimeout()
        started = self._clock()
        try:
            self._sock.settimeout(self._pace.patience_seconds())
            count = self._sock.recvmsg_into([view, overflow])[0]
        except TimeoutError as error:
            raise self._pace.too_slow() from error
        except OSError as error:
            raise self._cut() from error
        finally:
            self._sock.settimeout(usual_timeout)
        if count == 0:
            raise self._cut()
        self._pace.note(waited_seconds=self._clock() - started, brought_bytes=count)
        self.received_bytes += count
        return count

    def rest(self) -> bytes:
        return bytes(self._read_ahead)

    def _send_continue(self) -> None:
        try:
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except OSError as error:
            raise self._cut() from error

    def _cut(self) -> TruncatedBody:
        return TruncatedBody(
            f"The connection ended {self.received_bytes} bytes into the body. Send it again."
        )


class RequestBody(io.RawIOBase):
    """``wsgi.input``: fills whatever buffer it is given, unless the body ends before.

    Any error is final: where the next request starts is not known any more, so the connection
    has to be closed (`finished` stays false).
    """

    def __init__(self, inlet: Inlet) -> None:
        super().__init__()
        self._inlet = inlet
        self.finished = False
        self.failed = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self.failed:
            raise MalformedBody("The body could not be read before and can't be read on.")
        try:
            return self._fill(memoryview(buffer).cast("B"))
        except Exception:
            self.failed = True
            raise

    def surplus(self) -> bytes:
        """What was received beyond the finished body: the beginning of the next request."""
        return self._inlet.rest()

    @abstractmethod
    def _fill(self, view: memoryview) -> int: ...


class LengthBody(RequestBody):
    def __init__(self, inlet: Inlet, length_bytes: int) -> None:
        super().__init__(inlet)
        self._left_bytes = length_bytes
        self.finished = length_bytes == 0

    def _fill(self, view: memoryview) -> int:
        view = view[: self._left_bytes]
        filled = 0
        while filled < len(view):
            filled += self._inlet.receive_into(view[filled:])
        self._left_bytes -= filled
        self.finished = self._left_bytes == 0
        return filled


class ChunkedBody(RequestBody):
    """A body in chunks; it is whole only when the last chunk and the empty line were seen."""

    def __init__(self, inlet: Inlet) -> None:
        super().__init__(inlet)
        self._buffer = bytearray(CHUNKED_BUFFER_BYTES)
        self._start = 0
        self._end = 0
        self._chunk_left_bytes = 0

    def surplus(self) -> bytes:
        return bytes(self._buffer[self._start : self._end]) + super().surplus()

    def _fill(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view) and not self.finished:
            if self._chunk_left_bytes == 0:
                self._begin_chunk()
                continue
            part = view[filled : filled + self._chunk_left_bytes]
            count = self._take(part)
            filled += count
            self._chunk_left_bytes -= count
            if self._chunk_left_bytes == 0 and self._line(limit_bytes=2):
                raise MalformedBody("A chunk doesn't end where its size says.")
        return filled

    def _begin_chunk(self) -> None:
        line = self._line(limit_bytes=LINE_LIMIT_BYTES)
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise MalformedBody(f"{line[:40]!r} is not the size of a chunk.")
        self._chunk_left_bytes = int(size[1], 16)
        if self._chunk_left_bytes == 0:
            self._drop_trailers()
            self.finished = True

    def _drop_trailers(self) -> None:
        seen_bytes = 0
        while line := self._line(limit_bytes=LINE_LIMIT_BYTES):
            seen_bytes += len(line)
            if seen_bytes > TRAILER_LIMIT_BYTES or not _TRAILER.fullmatch(line):
                raise MalformedBody("The trailers after the body are not valid.")

    def _take(self, view: memoryview) -> int:
        if self._start == self._end:
            # The chunk goes where it is wanted; only what follows it takes the detour.
            with memoryview(self._buffer) as buffer:
                count = self._inlet.receive_into(view, buffer)
            self._start, self._end = 0, max(0, count - len(view))
            return min(count, len(view))
        count = min(len(view), self._end - self._start)
        with memoryview(self._buffer) as buffer:
            view[:count] = buffer[self._start : self._start + count]
        self._start += count
        return count

    def _line(self, *, limit_bytes: int) -> bytes:
        searched = self._start
        while (newline := self._buffer.find(b"\n", searched, self._end)) < 0:
            if self._end - self._start > limit_bytes:
                raise MalformedBody(f"A line between chunks is over {limit_bytes} bytes long.")
            seen_bytes = self._end - self._start
            self._refill()
            searched = self._start + seen_bytes
        line = bytes(self._buffer[self._start : newline])
        if not line.endswith(b"\r") or line.count(b"\r") > 1 or len(line) > limit_bytes:
            raise MalformedBody("A line between chunks doesn't end with CR LF.")
        self._start = newline + 1
        return line[:-1]

    def _refill(self) -> None:
        kept = self._buffer[self._start : self._end]
        self._buffer[: len(kept)] = kept
        self._start, self._end = 0, len(kept)
        with memoryview(self._buffer) as buffer:
            self._end += self._inlet.receive_into(buffer[self._end :])
