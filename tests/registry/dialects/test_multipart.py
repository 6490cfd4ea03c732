"""The one reader of forms: whatever is in the file and however it comes, all of it or a refusal."""

from __future__ import annotations

import io
import random
import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portal.errors import Refusal
from registry.dialects.multipart import (
    BLOCK_BYTES,
    BrokenForm,
    FormFile,
    FormTooLarge,
    NoFile,
    NotAForm,
    Part,
    Rules,
    SecondFile,
)
from registry.storage import Readable

BOUNDARY = "frontier"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
END = f"--{BOUNDARY}--\r\n".encode()


def part(disposition: str, data: bytes, *headers: str) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data + b"\r\n"


class Trickle:
    """A body that comes in pieces of any size."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._body, self._sizes = io.BytesIO(body), sizes

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._sizes.pop() if self._sizes else len(buffer)
        return self._body.readinto(buffer[: max(1, size)])


def read(form: Readable, *, by: int = 100_000) -> bytes:
    buffer, data = memoryview(bytearray(by)), b""
    while count := form.readinto(buffer):
        data += buffer[:count]
    return data


def opened(*parts: bytes, end: bytes = END, rules: Rules = Rules()) -> FormFile:  # noqa: B008 - frozen
    return FormFile(CONTENT_TYPE, io.BytesIO(b"".join(parts) + end), rules)


LIKE_THE_BOUNDARY = st.sampled_from(
    [b"\r\n--frontie", b"\r\n--", b"\r", b"\n", b"--frontier", b"x"]
)


@given(
    pieces=st.lists(LIKE_THE_BOUNDARY | st.binary(max_size=30), max_size=20),
    sizes=st.lists(st.integers(min_value=1, max_value=40), max_size=50),
    by=st.integers(min_value=1, max_value=50),
)
def test_any_bytes_come_out_as_they_went_in(pieces: list[bytes], sizes: list[int], by: int) -> None:
    data = b"".join(pieces)
    assume(b"\r\n--frontier" not in data)  # a form whose boundary stands in a file is another form
    body = part('name="key"', b"k") + part('name="file"', data) + END

    form = FormFile(CONTENT_TYPE, Trickle(body, sizes), Rules())

    assert form.fields == [("key", b"k")]
    assert read(form, by=by) == data


@pytest.mark.parametrize("shift", range(-60, 3))
def test_a_boundary_may_lie_across_the_blocks_that_are_read(shift: int) -> None:
    data = b"d" * (BLOCK_BYTES + shift) + b"\r\n--frontie"

    assert read(opened(part('name="file"', data))) == data


WHOLE = part('name="key"', b"k") + part('name="file"; filename="a/b"', b"data" * 9) + END


@pytest.mark.parametrize("stop", range(len(WHOLE) - len("\r\n")))
def test_a_form_that_is_cut_anywhere_is_refused(stop: int) -> None:
    with pytest.raises(BrokenForm):
        read(FormFile(CONTENT_TYPE, io.BytesIO(WHOLE[:stop]), Rules()))


def test_what_is_left_behind_the_form_is_read_and_passed_over() -> None:
    body = io.BytesIO(WHOLE + b"an epilogue")

    assert read(FormFile(CONTENT_TYPE, body, Rules())) == b"data" * 9
    assert body.read() == b""


def test_fields_are_there_before_the_file_is_read() -> None:
    sent = io.BytesIO(
        part('name="a"', b"1") + part('name="b"', b"") + part('name="file"', b"x" * 9)
    )

    form = FormFile(CONTENT_TYPE, sent, Rules())

    assert form.fields == [("a", b"1"), ("b", b"")]
    assert form.head.name == "file"
    assert form.head.filename is None
    with pytest.raises(BrokenForm):  # its end never came
        read(form)


def test_fields_behind_the_file_are_none() -> None:
    form = opened(part('name="file"', b"x"), part('name="late"', b"1"))

    assert read(form) == b"x"
    assert form.fields == []


def test_the_head_of_the_file_is_shown() -> None:
    form = opened(part('name="file"; filename="x.conda"', b"", "X-File-Sha256: abc"))

    assert form.head.filename == "x.conda"
    assert form.head.header("x-file-sha256") == "abc"
    assert form.head.header("x-other") is None


@pytest.mark.parametrize(
    ("parts", "refusal"),
    [
        ([], NoFile),
        ([part('name="package"; filename="x"', b"x")], NoFile),
        ([part('name="file"', b"x")] * 2, SecondFile),
        ([part('name="n"', b"x")] * 20, FormTooLarge),
        ([part('name="file"', b"x"), *[part('name="n"', b"x")] * 20], FormTooLarge),
        ([part('name="n"', b"x" * 65_537)], FormTooLarge),
        ([part('name="n"', b"x" * 40_000)] * 2, FormTooLarge),
        ([part('name="file"', b"x", "X: " + "y" * 5000)], FormTooLarge),
        ([part('name="file"', b"x", *[f"X{n}: y" for n in range(20)])], FormTooLarge),
        ([b"preamble", part('name="file"', b"x")], BrokenForm),
    ],
)
def test_a_form_that_is_not_what_it_must_be_is_refused(
    parts: list[bytes], refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        read(opened(*parts))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "multipart/mixed; boundary=frontier",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 201}",
        "multipart/form-data; boundary=é",
    ],
)
def test_a_body_without_a_boundary_is_no_form(content_type: str) -> None:
    with pytest.raises(NotAForm):
        FormFile(content_type, io.BytesIO(WHOLE), Rules())


def test_a_dialect_says_which_part_is_the_file() -> None:
    rules = Rules(
        is_file=lambda head: head.filename is not None, only_one=False, max_other_bytes=None
    )
    form = opened(
        part('name="note"', b"n" * 100_000),
        part('name="first"; filename="x"', b"file"),
        part('name="second"; filename="y"', b"s" * 100_000),
        rules=rules,
    )

    assert form.fields == [("note", b"")]
    assert read(form) == b"file"


def test_a_dialect_may_refuse_a_part() -> None:
    class NotThis(Refusal):
        pass

    def refuse(head: Part) -> None:
        if head.name == "attestation":
            raise NotThis("No attestation.")

    with pytest.raises(NotThis):
        read(
            opened(
                part('name="file"', b""),
                part('name="attestation"', b""),
                rules=Rules(refuse=refuse),
            )
        )


class Large:
    """A form with a file of many bytes, none of which are kept."""

    def __init__(self, size_bytes: int) -> None:
        self._head = io.BytesIO(part('name="file"', b"")[: -len("\r\n")])
        self._left = size_bytes
        self._end = io.BytesIO(b"\r\n" + END)

    def readinto(self, buffer: memoryview, /) -> int:
        if count := self._head.readinto(buffer):
            return count
        if not self._left:
            return self._end.readinto(buffer)
        piece = random.randbytes(min(self._left, len(buffer)))
        self._left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)


def test_a_large_file_takes_no_memory() -> None:
    form = FormFile(CONTENT_TYPE, Large(30_000_000), Rules())
    buffer, received = memoryview(bytearray(BLOCK_BYTES)), 0
    tracemalloc.start()
    try:
        while count := form.readinto(buffer):
            received += count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert received == 30_000_000
    assert peak < 4 * BLOCK_BYTES
