"""The form that prefix.dev's clients upload with, read as a stream (RFC 7578)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from portal.errors import Refusal

FILE_FIELD = "file"
ATTESTATION_FIELD = "attestation"
MAX_PARTS = 16
MAX_HEADERS = 16
MAX_HEADER_BYTES = 4096
MAX_BOUNDARY_LENGTH = 200
# Of fields that aren't read here, all of them together.
MAX_OTHER_BYTES = 64 * 1024
_BLOCK_BYTES = 256 * 1024


class InvalidForm(Refusal):
    slug = "invalid-form"
    title = "The form can't be read"


class AttestationNotTaken(Refusal):
    slug = "attestation-not-taken"
    title = "Attestations are not taken yet"
    status = 422


class Body(Protocol):
    def readinto(self, buffer: bytearray, /) -> int: ...


class FilePart:
    """The part named ``file`` of a form, as a stream whose end is the end of the whole form.

    It ends only when the closing boundary was seen and nothing else was wrong with the form, so
    whoever reads it to its end has all of it. Making one reads as far as the part's headers.
    """

    def __init__(self, content_type: str, body: Body) -> None:
        self._events = _events(_boundary(content_type), body)
        self._rest: memoryview = memoryview(b"")
        self._other_bytes = 0
        self._inside = False
        segment = self._next_segment()
        if segment is None:
            raise InvalidForm(
                f"The form has no part named {FILE_FIELD!r}. Send the package file in one."
            )
        self.filename: str | None = segment.header("X-File-Name") or segment.filename
        self.sha256: str | None = segment.header("X-File-Sha256")
        self._inside = True

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._rest:
            if not self._inside:
                return 0
            event = next(self._events, None)
            if event is None:
                self._inside = False
                self._read_to_the_end()
            elif not isinstance(event, MultipartSegment):
                self._rest = memoryview(event)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _read_to_the_end(self) -> None:
        if self._next_segment() is not None:
            raise InvalidForm(
                f"The form has two parts named {FILE_FIELD!r}. Send one file in each request."
            )

    def _next_segment(self) -> MultipartSegment | None:
        """Skip to the next part that is a file; None at the end of the form."""
        for event in self._events:
            if isinstance(event, MultipartSegment):
                if event.name == FILE_FIELD:
                    return event
                if event.name == ATTESTATION_FIELD:
                    raise AttestationNotTaken(
                        "The upload comes with an attestation, and attestations are not verified "
                        "here yet. Nothing was stored. Send the file without one."
                    )
            elif event is not None:
                self._other_bytes += len(event)
                if self._other_bytes > MAX_OTHER_BYTES:
                    raise InvalidForm(
                        f"The form has more than {MAX_OTHER_BYTES} bytes in other parts than "
                        f"{FILE_FIELD!r}. Send the package file alone."
                    )
        return None


def _boundary(content_type: str) -> str:
    kind, options = parse_options_header(content_type)
    boundary: str = options.get("boundary", "")
    if kind != "multipart/form-data":
        raise InvalidForm(
            f"The body is sent as {content_type[:80]!r}. Send multipart/form-data with the package "
            f"file in a part named {FILE_FIELD!r}."
        )
    usable = 0 < len(boundary) <= MAX_BOUNDARY_LENGTH and boundary.isascii()
    if not usable or not boundary.isprintable():
        raise InvalidForm(
            "The Content-Type has no usable boundary. 1 to 70 printable characters are wanted."
        )
    return boundary


def _events(boundary: str, body: Body) -> Iterator[MultipartSegment | bytes | None]:
    """What the parser finds, until the body has ended; refuses a form that isn't whole then."""
    parser = PushMultipartParser(
        boundary,
        max_header_size=MAX_HEADER_BYTES,
        max_header_count=MAX_HEADERS,
        max_segment_count=MAX_PARTS,
    )
    block = bytearray(_BLOCK_BYTES)
    try:
        while count := body.readinto(block):
            yield from parser.parse(bytes(memoryview(block)[:count]))
        parser.close()
    except ParserLimitReached as error:
        raise InvalidForm(
            f"The form is too large: at most {MAX_PARTS} parts with {MAX_HEADERS} headers of "
            f"{MAX_HEADER_BYTES} bytes each. Nothing was stored."
        ) from error
    except MultipartError as error:
        raise InvalidForm(
            "The body is no whole form: a boundary or a part's header is broken or missing. "
            "Nothing was stored; send it again."
        ) from error
