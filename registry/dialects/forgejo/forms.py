"""Archives that come as a form: Forgejo takes the first file of one for the body."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from portal.body import open_body
from portal.errors import InvalidInput
from registry.storage import BLOCK_BYTES, Readable

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_MAX_PARTS = 100


def open_archive(request: HttpRequest, *, limit_bytes: int) -> Readable:
    """The archive that a PUT carries: its body, or the first file of its form."""
    content_type = request.META.get("CONTENT_TYPE", "")
    kind, options = parse_options_header(content_type)
    if kind.startswith(_URLENCODED):
        raise InvalidInput(
            f"The body came as {_URLENCODED}, which holds no file. Send the file as it is: "
            "curl --upload-file, or --data-binary with -H 'Content-Type: application/octet-stream'."
        )
    body = open_body(request.META, limit_bytes=limit_bytes)
    if not kind.startswith(_MULTIPART):
        return body
    boundary = options.get("boundary", "")
    if not boundary:
        raise InvalidInput(
            f"The body came as {_MULTIPART}, but the header names no boundary between its parts. "
            "Let the client write that header, or send the file as it is: curl --upload-file."
        )
    return FirstFile(body, boundary)


class FirstFile:
    """The first file of a multipart body, read in blocks.

    Its end is only reported when the whole form has arrived: one that was cut later on was cut.
    """

    def __init__(self, body: Readable, boundary: str) -> None:
        self._blocks = _first_file(body, boundary)
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _first_file(body: Readable, boundary: str) -> Iterator[bytes]:
    """The file's blocks, none of them empty."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    found = inside = False
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_PARTS) as parser:
            while count := body.readinto(buffer):
                for event in parser.parse(bytes(buffer[:count])):
                    if isinstance(event, MultipartSegment):
                        inside = not found and event.filename is not None
                        found = found or inside
                    elif event is None:
                        inside = False
                    elif inside:
                        yield bytes(event)
    except MultipartError as error:
        raise InvalidInput(
            f"The body came as {_MULTIPART}, but can't be read as such. Send it again, or send "
            "the file as it is: curl --upload-file."
        ) from error
    if not found:
        raise InvalidInput(
            f"The body came as {_MULTIPART} without a file in it. Send one as a part with a file "
            "name, or send the file as it is: curl --upload-file."
        )
