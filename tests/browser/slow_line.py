"""A line between a browser and a host that is as slow as one wants, without a clock.

Pages come in pieces, and each piece waits until it is asked for; all else comes at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.servers import LOOPBACK

_KEPT_TO_A_HOP = {"connection", "content-length", "transfer-encoding"}
_PATIENCE_SECONDS = 60
_ENDS = (b"</tr>", b"</section>", b"</form>", b"</header>", b"</div>", b"</li>", b"</aside>")


class SlowLine:
    """As a context manager it listens at ``url``, and passes what is asked on to ``port``."""

    def __init__(self, port: int, *, piece_bytes: int) -> None:
        self._port, self._piece_bytes = port, piece_bytes
        self._asked, self._is_over = threading.Semaphore(0), threading.Event()
        line = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                line._pass_on(self)

            def log_message(self, *_: object) -> None:
                pass  # pytest has its own log

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def begin(self) -> None:
        """Before a page is asked for: of it comes one piece."""
        self._asked, self._is_over = threading.Semaphore(1), threading.Event()

    def another_piece(self) -> bool:
        """Let another one come; False when there is none."""
        self._asked.release()
        return not self._is_over.is_set()

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        there = HTTPConnection(LOOPBACK, self._port, timeout=_PATIENCE_SECONDS)
        headers = {
            name: value
            for name in ("Host", "Cookie", "Accept", "Accept-Language")
            if (value := handler.headers[name])
        }
        there.request("GET", handler.path, headers=headers)
        answer = there.getresponse()
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _KEPT_TO_A_HOP:
                handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        is_page = "text/html" in answer.headers["Content-Type"]
        for piece in self._pieces(answer) if is_page else [answer.read()]:
            handler.wfile.write(piece)
        there.close()

    def _pieces(self, answer: HTTPResponse) -> Iterator[bytes]:
        """They end with a row or a block, and come when they are asked for."""
        asked, is_over = self._asked, self._is_over
        piece = b""
        for line in answer:
            piece += line
            if len(piece) >= self._piece_bytes and line.rstrip().endswith(_ENDS):
                assert asked.acquire(timeout=_PATIENCE_SECONDS), "nobody asks for the next piece"
                yield piece
                piece = b""
        yield piece
        is_over.set()
