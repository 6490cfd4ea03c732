from __future__ import annotations

import contextlib
import hashlib
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData, ParseException
from gunicorn.http.unreader import IterUnreader
from hypothesis import example, given
from hypothesis import strategies as st

from portal.body import (
    BodyRefusal,
    BodyTooLarge,
    LengthNeeded,
    MalformedBody,
    TruncatedBody,
    open_body,
)
from portal.wire import ChunkedBody, Inlet, Pace

ROOT = Path(__file__).parents[2]
THREADS = 3
Address = tuple[str, int]


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: Address = listener.getsockname()
        process = subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("body_server.py"),
                str(listener.fileno()),
                kind,
            ],
            pass_fds=[listener.fileno()],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
        )
    try:
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def ours() -> Iterator[Address]:
    with serving("ours") as address:
        yield address


@pytest.fixture(scope="module")
def gunicorn() -> Iterator[Address]:
    with serving("gunicorn") as address:
        yield address


@pytest.fixture(params=["ours", "gunicorn"])
def server(request: pytest.FixtureRequest) -> Address:
    address: Address = request.getfixturevalue(request.param)
    return address


class Wire:
    """A client that sends what it is told to, right or wrong."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.answers = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self.answers.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self.answers.readline().strip().decode():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.answers.read(int(headers.get("content-length", 0)))

    def is_closed(self) -> bool:
        try:
            return self.answers.read(1) == b""
        except ConnectionResetError:
            return True


def head(path: str = "/take", *headers: str, method: str = "PUT") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def in_chunks(content: bytes, size: int) -> bytes:
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def is_alive(address: Address) -> bool:
    with Wire(address) as wire:
        wire.send(head("/ok", method="GET"))
        return wire.answer()[0] == 200


def understood(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


CONTENT = bytes(range(256)) * 12_345


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, len(CONTENT)])
def test_a_body_with_a_length_arrives_whole(server: Address, size: int) -> None:
    with Wire(server) as wire:
        wire.send(head("/take", f"Content-Length: {size}") + CONTENT[:size])
        status, _, answer = wire.answer()

    assert status == 200
    assert json.loads(answer) == understood(CONTENT[:size])


@pytest.mark.parametrize("chunk", [1, 7, 4096, 65_536, 300_000, 10_000_000])
def test_a_chunked_body_arrives_whole(server: Address, chunk: int) -> None:
    content = CONTENT if chunk > 100 else CONTENT[:5000]
    with Wire(server) as wire:
        wire.send(head("/take", "Transfer-Encoding: chunked") + in_chunks(content, chunk))
        status, _, answer = wire.answer()

    assert status == 200
    assert json.loads(answer) == understood(content)


def test_no_body_is_an_empty_one(server: Address) -> None:
    with Wire(server) as wire:
        wire.send(head("/take"))

        assert json.loads(wire.answer()[2]) == understood(b"")


def test_one_connection_carries_many_bodies_even_sent_ahead(ours: Address) -> None:
    chunked = head("/take", "Transfer-Encoding: chunked") + in_chunks(b"abcdefg", 3)
    sized = head("/take", "Content-Length: 4") + b"wxyz"
    with Wire(ours) as wire:
        wire.send(chunked + sized + chunked + sized[:-2])
        answers = [json.loads(wire.answer()[2])["bytes"] for _ in range(3)]
        wire.send(sized[-2:] + chunked)
        answers += [json.loads(wire.answer()[2])["bytes"] for _ in range(2)]

    assert answers == [7, 4, 7, 4, 7]


def test_requests_without_bodies_may_be_sent_ahead(ours: Address) -> None:
    request = head("/take")
    with Wire(ours) as wire:
        wire.send(request * 3 + request[:-2])
        answers = [json.loads(wire.answer()[2])["bytes"] for _ in range(3)]
        wire.send(request[-2:] + request)
        answers += [json.loads(wire.answer()[2])["bytes"] for _ in range(2)]

    assert answers == [0] * 5


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.0021, 0.01])
def test_a_kept_connection_is_answered_however_soon_it_asks_again(
    ours: Address, pause: float
) -> None:
    requests = [head("/take"), head("/take", "Content-Length: 4") + b"wxyz", head("/take")]
    with Wire(ours) as wire:
        for number in range(30):
            time.sleep(pause)
            request = requests[number % 3]
            cut = len(request) if number % 2 else 20
            wire.send(request[:cut])
            wire.send(request[cut:])
            assert wire.answer()[0] == 200


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("chunk", [None, 65_536, 10_000_000])
def test_a_cut_body_is_never_taken_for_a_whole_one(
    server: Address, share: float, chunk: int | None
) -> None:
    body = CONTENT if chunk is None else in_chunks(CONTENT, chunk)
    framing = f"Content-Length: {len(body)}" if chunk is None else "Transfer-Encoding: chunked"
    with Wire(server) as wire:
        wire.send(head("/take", framing) + body[: min(len(body) - 1, int(len(body) * share))])
        wire.end()
        status, _, answer = wire.answer()

    assert (status, json.loads(answer)) == (400, {"slug": "truncated-body"})


SMUGGLED = b"GET /canary HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
LYING_REQUESTS = {
    "length and coding": head("/take", "Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "two lengths": head("/take", "Content-Length: 5", "Content-Length: 6") + b"hello",
    "the same length twice": head("/take", "Content-Length: 5", "Content-Length: 5") + b"hello",
    "list of lengths": head("/take", "Content-Length: 5, 5") + b"hello",
    "signed length": head("/take", "Content-Length: +5") + b"hello",
    "negative length": head("/take", "Content-Length: -5") + b"hello",
    "hex length": head("/take", "Content-Length: 0x5") + b"hello",
    "gzip": head("/take", "Transfer-Encoding: gzip") + b"hello",
    "unknown coding": head("/take", "Transfer-Encoding: rot13") + b"hello",
    "chunked twice": head("/take", CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "chunked not last": head("/take", "Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "vertical tab coding": head("/take", "Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "chunked in 1.0": head("/take", CHUNKED).replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "name with space": head("/take", "Content-Length : 5") + b"hello",
    "bare LF head": b"PUT /take HTTP/1.1\nHost: x\nContent-Length: 0\n\n\r\n\r\n",
    "folded header": head("/take", "X-A: b\r\n c") + b"",
    "huge chunk": head("/take", CHUNKED) + b"FFFFFFFFFFFFFFFF\r\nhello",
    "chunk 0x5": head("/take", CHUNKED) + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk +5": head("/take", CHUNKED) + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk -5": head("/take", CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk 5_0": head("/take", CHUNKED) + b"0_5\r\nhello\r\n0\r\n\r\n",
    "chunk with space": head("/take", CHUNKED) + b"5 \r\nhello\r\n0\r\n\r\n",
    "empty chunk size": head("/take", CHUNKED) + b"\r\nhello\r\n0\r\n\r\n",
    "long extension": head("/take", CHUNKED) + b"5;a=" + b"b" * 1_000_000 + b"\r\nhello\r\n",
    "broken extension": head("/take", CHUNKED) + b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "chunk line with LF": head("/take", CHUNKED) + b"5\nhello\r\n0\r\n\r\n",
    "chunk end with LF": head("/take", CHUNKED) + b"5\r\nhello\n0\r\n\r\n",
    "last line with LF": head("/take", CHUNKED) + b"5\r\nhello\r\n0\n\n",
    "chunk too long": head("/take", CHUNKED) + b"3\r\nhello\r\n0\r\n\r\n",
    "chunk too short": head("/take", CHUNKED) + b"9\r\nhello\r\n0\r\n\r\n",
    "trailers without end": head("/take", CHUNKED) + b"0\r\n" + b"a: b\r\n" * 50_000,
}


@pytest.mark.parametrize("lie", LYING_REQUESTS)
def test_lies_about_the_length_are_refused_and_smuggle_nothing(ours: Address, lie: str) -> None:
    with Wire(ours) as wire:
        with contextlib.suppress(OSError):  # refused before all of it was sent
            wire.send(LYING_REQUESTS[lie] + SMUGGLED)
            wire.end()
        status, headers, _ = wire.answer()

        assert status == 400
        assert headers["connection"] == "close"
        assert wire.is_closed()
    with Wire(ours) as wire:
        wire.send(head("/canaries", method="GET"))
        assert json.loads(wire.answer()[2]) == {"canaries": 0}


def test_what_follows_an_understated_body_is_no_part_of_it(ours: Address) -> None:
    with Wire(ours) as wire:
        wire.send(head("/take", "Content-Length: 3") + b"hello\r\n\r\n")

        assert json.loads(wire.answer()[2]) == understood(b"hel")
        assert wire.answer()[0] == 400
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head("/ok?" + "x" * 9000, method="GET"), 414),
        (head("/ok", "X-Long: " + "x" * 9000, method="GET"), 431),
        (head("/ok", *[f"X-{n}: 1" for n in range(200)], method="GET"), 431),
        (head("/ok", *["X-Long: " + "x" * 8000] * 20, method="GET"), 431),
        (b"GET /ok HTTP/1.1\r\n" + b"x" * 200_000, 431),
        (head("/ok", "Expect: rain", method="GET"), 417),
        (b"\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (head("/ok", "SCRIPT_NAME: /elsewhere", method="GET"), 200),
    ],
)
def test_heads_that_are_too_much_or_not_HTTP_get_an_answer(  # noqa: N802 - a name of its own
    ours: Address, request_head: bytes, status: int
) -> None:
    with Wire(ours) as wire:
        with contextlib.suppress(OSError):
            wire.send(request_head)
        assert wire.answer()[0] == status
    assert is_alive(ours)


def test_who_is_refused_by_the_head_is_not_asked_for_the_body(ours: Address) -> None:
    with Wire(ours) as wire:
        wire.send(head("/refuse", "Content-Length: 2000000000", "Expect: 100-continue"))
        status, headers, _ = wire.answer()

        assert (status, headers["connection"]) == (401, "close")


def test_who_is_welcome_is_asked_for_the_body(ours: Address) -> None:
    with Wire(ours) as wire:
        wire.send(head("/take", "Content-Length: 5", "Expect: 100-continue"))
        assert wire.answer()[0] == 100
        wire.send(b"hello")

        assert json.loads(wire.answer()[2]) == understood(b"hello")


def test_clients_that_send_first_and_listen_later_see_an_early_refusal(ours: Address) -> None:
    for _ in range(5):
        answer = requests.put(
            f"http://127.0.0.1:{ours[1]}/refuse", data=bytes(32_000_000), timeout=10
        )
        assert answer.status_code == 401


@pytest.mark.parametrize("framing", ["Content-Length: 400000", CHUNKED])
def test_an_upload_that_trickles_is_given_up(ours: Address, framing: str) -> None:
    started = time.monotonic()
    with Wire(ours) as wire:
        wire.send(head("/take", framing) + (b"61a80\r\n" if framing == CHUNKED else b""))
        with contextlib.suppress(OSError):
            while time.monotonic() - started < 1.4:
                wire.send(b"x")
                time.sleep(0.05)
        status, _, answer = wire.answer()

    assert (status, json.loads(answer)) == (408, {"slug": "body-too-slow"})
    assert time.monotonic() - started < 5


def test_a_fast_beginning_buys_no_slow_end() -> None:
    pace = Pace(seconds=10, bytes_per_second=100)
    for _ in range(1000):
        pace.note(waited_seconds=0.1, brought_bytes=1000)
    assert pace.patience_seconds() == 10

    pace.note(waited_seconds=9.5, brought_bytes=10)
    assert pace.patience_seconds() == pytest.approx(0.5)
    pace.note(waited_seconds=0.5, brought_bytes=10)
    with pytest.raises(BodyRefusal, match="less than 100 bytes a second"):
        pace.patience_seconds()


@pytest.mark.parametrize("before", [b"", head("/ok", method="GET")])
def test_clients_that_are_slow_with_the_head_keep_nobody_waiting(
    ours: Address, before: bytes
) -> None:
    def seconds_beside_slow_clients() -> float:
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(Wire(ours)) for _ in range(4 * THREADS)]
            for wire in slow:
                wire.send(before + b"GET / HTTP/1.1\r\nX-Slow: ")
            started = time.monotonic()
            for _ in range(10):
                assert is_alive(ours)
            took = time.monotonic() - started
            for wire in slow:
                if before:
                    assert wire.answer()[0] == 200
                assert wire.is_closed()
            return took

    # Who waited for them would wait for a second each time; a busy machine is busy now and then.
    assert any(seconds_beside_slow_clients() < 0.8 for _ in range(4))


def test_a_head_that_comes_byte_by_byte_is_understood(ours: Address) -> None:
    with Wire(ours) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head("/take", "Content-Length: 2"):
            wire.send(bytes([byte]))
            time.sleep(0.001)
        wire.send(b"ab")

        assert json.loads(wire.answer()[2]) == understood(b"ab")


def test_clients_that_do_not_hang_up_keep_nobody_waiting(ours: Address) -> None:
    def seconds_beside_those_who_stay() -> float:
        with contextlib.ExitStack() as stack:
            for _ in range(THREADS - 1):
                wire = stack.enter_context(Wire(ours))
                wire.send(head("/ok", "Connection: close", method="GET"))
                assert wire.answer()[0] == 200
            started = time.monotonic()
            assert is_alive(ours)
            return time.monotonic() - started

    assert any(seconds_beside_those_who_stay() < 1 for _ in range(4))  # as above


def test_a_length_over_the_limit_is_refused_unread(server: Address) -> None:
    with Wire(server) as wire:
        wire.send(head("/take", "Content-Length: 1001", "X-Limit: 1000"))
        status, _, answer = wire.answer()

    assert (status, json.loads(answer)) == (413, {"slug": "body-too-large"})


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413), (900_000, 413)])
def test_a_chunked_body_is_measured_while_it_is_read(
    server: Address, size: int, status: int
) -> None:
    with Wire(server) as wire:
        wire.send(head("/take", CHUNKED, "X-Limit: 1000") + in_chunks(bytes(size), 300))

        assert wire.answer()[0] == status


class Unforgiving(io.BytesIO):
    """As servers for development are: reading beyond the length is a mistake."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= len(self.getbuffer()) - self.tell()
        return super().read(size)

    readinto = None  # type: ignore[assignment] # a plain WSGI input has only read()


def test_a_plain_WSGI_input_is_read_to_its_length_and_not_beyond() -> None:  # noqa: N802 - a name of its own
    body = open_body({"wsgi.input": Unforgiving(b"hello"), "CONTENT_LENGTH": "5"})

    assert body.read(3) == b"hel"
    assert body.read(1000) == b"lo"
    assert body.read(1000) == b""
    assert body.received_bytes == 5


@pytest.mark.parametrize(
    ("environ", "refusal"),
    [
        ({"CONTENT_LENGTH": "6"}, TruncatedBody),
        ({"CONTENT_LENGTH": "1_0"}, MalformedBody),
        ({"CONTENT_LENGTH": "²"}, MalformedBody),
        ({"CONTENT_LENGTH": "-1"}, MalformedBody),
        ({"CONTENT_LENGTH": "5", "HTTP_TRANSFER_ENCODING": "chunked"}, MalformedBody),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, LengthNeeded),
        ({"CONTENT_LENGTH": "51"}, BodyTooLarge),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}, None),
        ({"CONTENT_LENGTH": ""}, None),
        ({}, None),
    ],
)
def test_an_environment_is_judged_before_it_is_believed(
    environ: dict[str, Any], refusal: type[BodyRefusal] | None
) -> None:
    environ["wsgi.input"] = io.BytesIO(b"hello")
    with pytest.raises(refusal) if refusal else contextlib.nullcontext():
        content = open_body(environ, limit_bytes=50).read()
        assert content == (b"hello" if "wsgi.input_terminated" in environ else b"")


# --- Our reader of chunks and gunicorn's ---------------------------------------------------------


class GunicornRequest:
    limit_request_field_size = 8190
    max_buffer_headers = 8190

    def parse_headers(self, data: bytes, *, from_trailer: bool) -> list[bytes]:
        assert from_trailer
        return data.split(b"\r\n")


def as_gunicorn_reads(stream: bytes) -> tuple[bytes, bytes] | None:
    unreader = IterUnreader([stream])
    reader = ChunkedReader(GunicornRequest(), unreader)
    try:
        content = reader.read(10**6)
    except (NoMoreData, ParseException, LimitRequestHeaders):
        return None
    return content, unreader.read() or b""


def as_we_read(stream: bytes) -> tuple[bytes, bytes] | None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(stream)
        far.shutdown(socket.SHUT_WR)
        body = ChunkedBody(Inlet(near, read_ahead=b"", pace=Pace(), expects_continue=False))
        try:
            content = body.read(10**6)
            content += body.read(1)
        except BodyRefusal:
            return None
        assert body.finished
        return content, body.surplus()


extensions = st.sampled_from([b"", b"", b";a", b";a=b", b' ; a = "b;\\"c"', b";\ta=1;b"])
trailers = st.sampled_from([b"", b"", b"X-Sum: 1\r\n", b"X-A: 1\r\nX-B: 2\r\n"])
chunks = st.lists(st.tuples(st.binary(min_size=1, max_size=40), extensions), max_size=5)


@st.composite
def chunked_streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    parts = draw(chunks)
    stream = b"".join(
        b"%x%b\r\n%b\r\n" % (len(content), extension, content) for content, extension in parts
    )
    stream += b"0" + draw(extensions) + b"\r\n" + draw(trailers) + b"\r\n"
    return b"".join(content for content, _ in parts), stream


@given(chunked_streams(), st.binary(max_size=10))
def test_what_was_put_into_chunks_comes_out_of_them(
    made: tuple[bytes, bytes], follows: bytes
) -> None:
    content, stream = made

    assert as_we_read(stream + follows) == (content, follows)


@given(
    chunked_streams(),
    st.integers(0, 300),
    st.integers(0, 3),
    st.sampled_from(
        [b"", b"\n", b"\r", b"\r\n", b"0", b"f", b";", b" ", b":", b"\x00", b"_", b"\xff"]
    ),
)
@example((b"", b"0\r\n\r\n"), 3, 2, b"\n")
def test_no_broken_chunks_are_taken_that_gunicorn_refuses_or_reads_otherwise(
    made: tuple[bytes, bytes], place: int, removed: int, put: bytes
) -> None:
    _, stream = made
    place = min(place, len(stream))
    stream = stream[:place] + put + stream[place + removed :]

    ours = as_we_read(stream)

    assert ours is None or ours == as_gunicorn_reads(stream)
