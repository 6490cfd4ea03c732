"""Forms that carry a file, read as streams (RFC 7578): one reader for all dialects that take them.

Which part is the file, and how much else a form may hold, a dialect says in its `Rules`. Django's
own reader keeps a file without a name in memory, as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from portal.errors import Refusal
from registry.storage import Readable

FORM_DATA = "multipart/form-data"
FILE_FIELD = "file"
BLOCK_BYTES = 256 * 1024
MAX_HEADERS = 16
MAX_HEADER_BYTES = 4096
MAX_BOUNDARY_LENGTH = 200


class InvalidForm(Refusal):
    slug = "invalid-form"
    title = "The form can't be read"


class NotAForm(InvalidForm):
    """Something else was sent, or nothing says where its parts end."""


class BrokenForm(InvalidForm):
    """It was cut, or written as no writer of forms would."""


class FormTooLarge(InvalidForm):
    """It holds more than the file and a little beside it."""


class NoFile(InvalidForm):
    """It is whole, and no part of it is the file."""


class SecondFile(InvalidForm):
    """Two of its parts are the file."""


@dataclass(frozen=True, slots=True)
class Part:
    """The head of one part of a form."""

    name: str
    filename: str | None
    _segment: MultipartSegment

    def header(self, name: str) -> str | None:
        value: str | None = self._segment.header(name)
        return value


def _is_named_file(part: Part) -> bool:
    return part.name == FILE_FIELD


def _nothing_against(part: Part) -> None:
    pass


@dataclass(frozen=True, slots=True)
class KeptPart:
    """A part that is kept, wherever it stands; there may be one of its name."""

    name: str
    max_bytes: int
    refuse: Callable[[str], Refusal]
    """What is raised with a reason, over a part that is too large or a second one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a dialect takes for the file of a form, and what else it lets through."""

    is_file: Callable[[Part], bool] = _is_named_file
    refuse: Callable[[Part], None] = _nothing_against
    """Raises over parts that the dialect won't have."""
    only_one: bool = True
    """Whether a second file is refused, or passed over like any other part."""
    max_parts: int = 16
    max_other_bytes: int | None = 64 * 1024
    """Of all other parts together; None passes them over, whatever they hold."""
    keeps: KeptPart | None = None


class FormFile:
    """The file of a form, as a stream whose end is the end of the whole form.

    It ends only when the closing boundary was seen and nothing else was wrong with the form, so
    whoever reads it to its end has all of it. Making one reads as far as the head of the file:
    ``fields`` are those that came before it.
    """

    def __init__(self, content_type: str, body: Readable, rules: Rules) -> None:
        self._rules = rules
        self._events = _events(_boundary(content_type), body, rules.max_parts)
        self._rest = memoryview(b"")
        self._other_bytes = 0
        self._inside = False
        self.kept: bytes | None = None
        """What the part holds that the rules keep, once the form was read to its end."""
        self.fields: list[tuple[str, bytes]] = []
        head = self._next_file(self.fields)
        if head is None:
            raise NoFile(
                f"The form has no part named {FILE_FIELD!r}. Send the package file in one."
            )
        self.head: Part = head
        self._inside = True

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._rest:
            if not self._inside:
                return 0
            event = next(self._events, None)
            if event is None:
                self._inside = False
                self._read_to_the_end()
            elif not isinstance(event, Part):
                self._rest = memoryview(event)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _read_to_the_end(self) -> None:
        while self._next_file(None) is not None:
            if self._rules.only_one:
                raise SecondFile(
                    f"The form has two parts named {FILE_FIELD!r}. Send one file in each request."
                )

    def _next_file(self, fields: list[tuple[str, bytes]] | None) -> Part | None:
        """Go on to the next part that is a file, with the parts before it in ``fields``; None at
        the end of the form."""
        name, value = "", bytearray()
        keeps = self._rules.keeps
        is_kept = False
        for event in self._events:
            if isinstance(event, Part):
                self._rules.refuse(event)
                if self._rules.is_file(event):
                    return event
                name, value = event.name, bytearray()
                is_kept = keeps is not None and name == keeps.name
                if is_kept:
                    self._begin_kept()
            elif is_kept:
                self._keep(event)
            elif event is not None:
                if self._count(event) and fields is not None:
                    value += event
            elif fields is not None:
                fields.append((name, bytes(value)))
        return None

    def _begin_kept(self) -> None:
        keeps = self._rules.keeps
        if keeps is not None and self.kept is not None:
            raise keeps.refuse(f"The form has two parts named {keeps.name!r}. Send one.")
        self.kept = b""

    def _keep(self, data: bytes | None) -> None:
        keeps = self._rules.keeps
        if keeps is None or data is None:
            return
        self.kept = (self.kept or b"") + data
        if len(self.kept) > keeps.max_bytes:
            raise keeps.refuse(
                f"The part {keeps.name!r} has more than {keeps.max_bytes} bytes, the most that it "
                "may have."
            )

    def _count(self, data: bytes) -> bool:
        """Whether what is in other parts is bounded, and may be kept."""
        limit_bytes = self._rules.max_other_bytes
        if limit_bytes is None:
            return False
        self._other_bytes += len(data)
        if self._other_bytes > limit_bytes:
            raise FormTooLarge(
                f"The form has more than {limit_bytes} bytes in other parts than {FILE_FIELD!r}. "
                "Send the package file alone."
            )
        return True


def _boundary(content_type: str) -> str:
    kind, options = parse_options_header(content_type)
    boundary: str = options.get("boundary", "")
    if kind != FORM_DATA:
        raise NotAForm(
            f"The body is sent as {content_type[:80]!r}. Send {FORM_DATA} with the package "
            f"file in a part named {FILE_FIELD!r}."
        )
    usable = 0 < len(boundary) <= MAX_BOUNDARY_LENGTH and boundary.isascii()
    if not usable or not boundary.isprintable():
        raise NotAForm(
            "The Content-Type has no usable boundary. 1 to 70 printable characters are wanted."
        )
    return boundary


def _events(boundary: str, body: Readable, max_parts: int) -> Iterator[Part | bytes | None]:
    """Heads of parts, their bytes, and None at the end of each, until the body has ended; refuses
    a form that isn't whole then."""
    parser = PushMultipartParser(
        boundary,
        max_header_size=MAX_HEADER_BYTES,
        max_header_count=MAX_HEADERS,
        max_segment_count=max_parts,
    )
    block = memoryview(bytearray(BLOCK_BYTES))
    try:
        while count := body.readinto(block):
            for event in parser.parse(bytes(block[:count])):
                yield (
                    Part(event.name, event.filename, event)
                    if isinstance(event, MultipartSegment)
                    else event
                )
        parser.close()
    except ParserLimitReached as error:
        raise FormTooLarge(
            f"The form is too large: at most {max_parts} parts with {MAX_HEADERS} headers of "
            f"{MAX_HEADER_BYTES} bytes each. Nothing was stored."
        ) from error
    except MultipartError as error:
        raise BrokenForm(
            "The body is no whole form: a boundary or a part's header is broken or missing. "
            "Nothing was stored; send it again."
        ) from error
