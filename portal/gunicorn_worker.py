"""gunicorn's threaded worker, made fit for files of gigabytes and for slow clients.

What differs from ``gthread``: a connection gets a thread only when the head of its request has
arrived as a whole; bodies are read by `portal.wire`; ``100 Continue`` is sent when the
application starts to read, not before it has looked at the head; nothing waits for a client
without an end; and no log line repeats a URL, since tokens can stand in it.
"""

from __future__ import annotations

import errno
import json
import selectors
import signal
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors, message, parser
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from portal import processes
from portal.body import BodyRefusal
from portal.wire import ChunkedBody, Inlet, LengthBody, Pace, RequestBody

HEAD_LIMIT_BYTES = 64 * 1024
HEAD_SECONDS = 15.0
# Each so many seconds of waiting must bring as many times 16 KiB of a body.
BODY_SECONDS = 30.0
# For one block of the answer, not for all of it.
SEND_SECONDS = 60.0
STOPPING_SECONDS = 2.0
# For so long a thread throws away what comes after a refusal.
LINGER_SECONDS = 2.0
# For so long a thread waits for the next request of a connection that it has answered.
NEXT_REQUEST_SECONDS = 0.01
# For each connection that it has, a process waits so long before it takes another one, so that
# one that has fewer comes first; but not longer than for ten of them.
POLITE_SECONDS = 0.0001
MOST_POLITE = 10


class ClientSocket(socket.socket):
    """A connection whose patience the kernel keeps: set once, not before and after each call.

    Each such change is a call of the kernel in which a thread gives the interpreter away and
    stands in line for it again; of a request that is answered from memory that was a third of the
    work. A socket in Python's own mode with a time-out asks the kernel twice for each block.
    """

    @classmethod
    def of(cls, accepted: socket.socket) -> ClientSocket:
        client = cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().settimeout(client, None)
        for option, seconds in (
            (socket.SO_RCVTIMEO, NEXT_REQUEST_SECONDS),
            (socket.SO_SNDTIMEO, SEND_SECONDS),
        ):
            microseconds = round(seconds * 1e6)
            value = struct.pack("@ll", *divmod(microseconds, 1_000_000))
            client.setsockopt(socket.SOL_SOCKET, option, value)
        return client

    def setblocking(self, flag: bool, /) -> None:
        """Nothing: to receive never waits for long, and to send never without an end."""

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        # It would ask again and again whether the kernel, which has lost patience, can go on.
        self.settimeout(SEND_SECONDS)
        try:
            return super().sendfile(file, offset, count)
        finally:
            self.settimeout(None)


class Unreader(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """What was received of a request's head, collected without waiting for more than a moment."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._searched_bytes = 0

    def receive(self) -> bool:
        """Take what is there; False when the client has gone."""
        try:
            data = self.sock.recv(HEAD_LIMIT_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.buf.seek(0, 2)
        self.buf.write(data)
        return bool(data)

    def head_arrived(self) -> bool:
        """Whether the parser can come to a verdict with what is there."""
        with self.buf.getbuffer() as received:
            size = len(received)
            start = min(self._searched_bytes, size)
            found = b"\r\n\r\n" in bytes(received[max(0, start - 3) :])
        self._searched_bytes = size
        return found or size > HEAD_LIMIT_BYTES

    def begin_next_head(self) -> None:
        """What is there now, or comes, belongs to another head than what was searched."""
        self._searched_bytes = 0

    def take_buffered(self) -> bytes:
        self.begin_next_head()
        return bytes(super().take_buffered())

    def chunk(self, size_hint: int | None = None) -> bytes:
        # A thread that parses never waits for the socket. Nothing more to come ends the parsing.
        return b""


class Request(message.Request):  # type: ignore[misc]  # gunicorn has no types
    body: RequestBody
    _expected_100_continue: bool

    def parse(self, unreader: Unreader) -> bytes:
        received = unreader.buf.getvalue()
        if len(received) > HEAD_LIMIT_BYTES and b"\r\n\r\n" not in received:
            raise errors.LimitRequestHeaders(f"over {HEAD_LIMIT_BYTES} bytes")
        try:
            return bytes(super().parse(unreader))
        finally:
            unreader.begin_next_head()

    def set_body_reader(self) -> None:
        super().set_body_reader()  # judges the headers that frame the body
        reader = self.body.reader  # type: ignore[attr-defined] # still gunicorn's own
        if not isinstance(reader, ChunkedReader) and reader.length == 0:
            inlet = Inlet(self.unreader.sock, read_ahead=b"", pace=Pace(), expects_continue=False)
            self.body = LengthBody(inlet, 0)
            return
        inlet = Inlet(
            self.unreader.sock,
            read_ahead=self.unreader.take_buffered(),
            pace=Pace(seconds=BODY_SECONDS),
            expects_continue=self._expected_100_continue,
        )
        self._expected_100_continue = False  # or gunicorn would send it before we looked
        self.body = (
            ChunkedBody(inlet)
            if isinstance(reader, ChunkedReader)
            else LengthBody(inlet, reader.length)
        )

    def should_close(self) -> bool:
        # Asked for when the answer begins. What then is left of the body may never come, or
        # come for hours; reading on would be work for somebody who was just refused.
        if not self.body.finished:
            self.force_close()
        return bool(super().should_close())


class Parser(parser.RequestParser):  # type: ignore[misc]  # gunicorn has no types
    mesg_class = Request
    mesg: Request | None

    def __init__(self, cfg: Any, sock: socket.socket, client: Any) -> None:
        super().__init__(cfg, sock, client)
        self.unreader = Unreader(sock)

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        if self.mesg is None:
            return True
        if not self.mesg.body.finished:
            return False
        self.unreader.unread(self.mesg.body.surplus())
        self.mesg = None
        return True


class Connection(gthread.TConn):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.parser = Parser(cfg, sock, client)
        self.data_ready = True
        self.closed = False

    def close(self, graceful: bool = False) -> None:
        if not self.closed:
            self.closed = True
            if graceful:
                self._linger()
            super().close()

    def _linger(self) -> None:
        """Throw away what still comes, until the client hangs up or for a while.

        Who closes while bytes are on their way resets the connection, and nginx, which is sending
        a body on, then tells its client of a 502 and not of our refusal. gunicorn takes 64 KiB.
        """
        deadline = time.monotonic() + LINGER_SECONDS
        nowhere = bytearray(256 * 1024)
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self.sock.settimeout(left)
                if not self.sock.recv_into(nowhere):
                    return


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each request asks for a dozen settings, and gunicorn looks each up in two ways in vain.
        self.cfg.__dict__.update({name: one.get() for name, one in self.cfg.settings.items()})
        # For each thread that may wait for a connection's next request: half of them are left for
        # those who come anew. Taking one and giving it back are one step each, without a lock.
        self._permits = deque([None] * (self.cfg.threads // 2))

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C reaches the whole group; its parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: Any) -> None:
        processes.note_ending()
        super().handle_exit(sig, frame)

    def accept(self, listener: socket.socket) -> None:
        if self.cfg.workers > 1 and self.nr_conns:
            # All processes were woken. Without this the first would often get nearly all.
            time.sleep(min(self.nr_conns, MOST_POLITE) * POLITE_SECONDS)
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}:
                return
            raise
        self.nr_conns += 1
        client = ClientSocket.of(sock)
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Give ``conn`` a thread once its request's head is there; until then it costs none."""
        if conn.parser.unreader.head_arrived():
            super().enqueue_req(conn)
            return
        conn.timeout = time.monotonic() + (HEAD_SECONDS if self.alive else STOPPING_SECONDS)
        self.pending_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn)
        )

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        unreader = conn.parser.unreader
        still_there = unreader.receive()
        if still_there and not unreader.head_arrived():
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if still_there:
            super().enqueue_req(conn)
        else:
            self.nr_conns -= 1
            conn.close()

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Connection) -> Any:
        keep = super().handle(conn)
        while keep and self._asks_again(conn):
            keep = super().handle(conn)
        if not keep:
            # Lingers for up to two seconds. gunicorn does it in the thread that accepts, where
            # a few clients who don't hang up would keep everybody waiting.
            conn.close(graceful=True)
        return keep

    def _asks_again(self, conn: Connection) -> bool:
        """Whether the next request comes at once, and nobody else waits for this thread.

        Then the same thread goes on with it. To give the connection back, wait for it among all
        others, and wake a thread again costs as much as answering what is remembered.
        """
        unreader = conn.parser.unreader
        if not self.alive or self.tpool._work_queue.qsize():  # noqa: SLF001 - no other way to ask
            return False
        if unreader.buf.getvalue():  # sent ahead
            return False
        try:
            self._permits.pop()
        except IndexError:
            return False
        try:
            # Where it has hung up, whoever looks for the next among all connections will see it.
            return unreader.receive() and unreader.head_arrived()
        finally:
            self._permits.append(None)

    def handle_request(self, req: Request, conn: Connection) -> Any:
        try:
            return super().handle_request(req, conn)
        except (TimeoutError, BlockingIOError):
            self.log.info("A client took nothing of the answer for %d seconds.", SEND_SECONDS)
            raise StopIteration from None

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        if isinstance(exc, BodyRefusal):
            status, detail = HTTPStatus(exc.status), exc.detail
        elif isinstance(exc, errors.ParseException) and not isinstance(
            exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName
        ):
            status, detail = _fault_of_the_client(exc)
            self.log.info("Refused a request from %s: %s", addr and addr[0], type(exc).__name__)
        else:
            status, detail = HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed."
            self.log.error("Error handling a request", exc_info=exc)
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value}
        content = json.dumps({**problem, "detail": detail}).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        try:
            util.write(client, head.encode() + content)
        except OSError:
            self.log.debug("The client was gone before it could be told.")


def _fault_of_the_client(exc: Exception) -> tuple[HTTPStatus, str]:
    match exc:
        case errors.LimitRequestLine():
            return HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long."
        case errors.LimitRequestHeaders():
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large."
        case errors.ExpectationFailed():
            return HTTPStatus.EXPECTATION_FAILED, "Only Expect: 100-continue is understood."
        case errors.UnsupportedTransferCoding():
            return HTTPStatus.BAD_REQUEST, "Of the transfer codings only chunked is understood."
        case _:
            return HTTPStatus.BAD_REQUEST, "The request is not valid HTTP/1.1."
