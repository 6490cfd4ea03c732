"""info/paths.json, read entry by entry while it streams by (CEP 34).

It can hold hundreds of thousands of entries, so it is never whole in memory. Clients
put each entry's path behind the environment's folder, so an entry may lead outside no
more than a member of the archive.
"""

import re

import msgspec

from registry.conda.errors import InvalidMetadataError, UnsafePathError, gettext_noop, quote
from registry.conda.limits import Limits
from registry.conda.paths import check_path

NAME = "info/paths.json"

_SPACE = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"'
_SCALAR = rb"(?:" + _STRING + rb"|[-+.\w]++)"
_OPEN = re.compile(_SPACE + rb"\{" + _SPACE)
_KEY = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE)
_VALUE = re.compile(_SCALAR + _SPACE + rb"([,}])" + _SPACE)
_LIST_OPEN = re.compile(rb"\[" + _SPACE + rb"(\]" + _SPACE + rb"([,}])" + _SPACE + rb")?")
# Entries are flat: a brace inside one can only stand in a string.
_ENTRY = re.compile(
    rb"(\{[^{}\[\]\"]*+(?:" + _STRING + rb"[^{}\[\]\"]*+)*+\})" + _SPACE + rb"([,\]])" + _SPACE
)
_LIST_CLOSE = re.compile(rb"([,}])" + _SPACE)
# The longest thing that must be seen whole.
LONGEST_BYTES = 64 * 1024


class Entry(msgspec.Struct):
    path: str = msgspec.field(name="_path")
    file_mode: str | None = None
    prefix_placeholder: str | None = None


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """The file as nearly all packages have it."""

    paths: list[Entry]
    paths_version: int | None = None


_DECODER = msgspec.json.Decoder(Entry)
_PLAIN_DECODER = msgspec.json.Decoder(_Plain)


class PathsJsonScanner:
    """Takes the file block by block; ``finish`` says whether it was whole."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._text = b""
        self._state = self._open
        self._last = False
        self._lists = 0
        self.binary_prefix = False
        self.text_prefix = False

    def read(self, text: bytes) -> None:
        """Take a whole file of no more than ``LONGEST_BYTES``."""
        entries = _plain_entries(text)
        if entries is None:
            self.feed(text)
            self.finish()
            return
        for entry in entries:
            self._check(entry)

    def feed(self, block: bytes) -> None:
        self._text += block
        position = 0
        while (after := self._state(position)) is not None:
            position = after
        self._text = self._text[position:]
        if len(self._text) > LONGEST_BYTES + len(block):
            raise self._invalid()

    def finish(self) -> None:
        self._last = True
        self.feed(b"")
        if self._state != self._behind or self._text:
            raise self._invalid()
        if self._lists != 1:
            raise InvalidMetadataError(
                gettext_noop("%(file)s must have one list 'paths': rebuild the package."), file=NAME
            )

    # Each state reads one thing from a position and returns where it ends, or None if there
    # is not enough text yet.

    def _open(self, position: int) -> int | None:
        match = _OPEN.match(self._text, position)
        if match is None:
            self._wait(position)
            return None
        self._state = self._member
        return match.end()

    def _member(self, position: int) -> int | None:
        match = _KEY.match(self._text, position)
        if match is None:
            self._wait(position)
            return None
        if match.end() == len(self._text):
            return None
        try:
            is_paths = msgspec.json.decode(match[1], type=str) == "paths"
        except (msgspec.DecodeError, UnicodeError) as error:
            raise self._invalid() from error
        self._state = self._list if is_paths else self._value
        return match.end()

    def _value(self, position: int) -> int | None:
        match = _VALUE.match(self._text, position)
        if match is None:
            self._wait(position)
            return None
        return self._after_value(match[1], match.end())

    def _list(self, position: int) -> int | None:
        match = _LIST_OPEN.match(self._text, position)
        if match is None or (match.end() == len(self._text) and not match[1]):
            self._wait(position)
            return None
        self._lists += 1
        if match[1]:
            return self._after_value(match[2], match.end())
        if self._text.startswith(b"]", match.end()):
            return None
        self._state = self._entry
        return match.end()

    def _entry(self, position: int) -> int | None:
        match = _ENTRY.match(self._text, position)
        if match is None:
            self._wait(position)
            return None
        try:
            entry = self._decode(match[1])
        except (msgspec.DecodeError, UnicodeError) as error:
            raise self._invalid() from error
        self._check(entry)
        if match[2] == b"]":
            self._state = self._list_end
        return match.end()

    def _list_end(self, position: int) -> int | None:
        match = _LIST_CLOSE.match(self._text, position)
        if match is None:
            self._wait(position)
            return None
        return self._after_value(match[1], match.end())

    def _behind(self, position: int) -> int | None:
        if len(self._text) > position:
            raise self._invalid()
        return None

    def _after_value(self, mark: bytes, end: int) -> int:
        self._state = self._member if mark == b"," else self._behind
        return end

    def _wait(self, position: int) -> None:
        if self._last or len(self._text) - position > LONGEST_BYTES:
            raise self._invalid()

    def _decode(self, text: bytes) -> Entry:
        return _DECODER.decode(text)

    def _check(self, entry: Entry) -> None:
        try:
            check_path(entry.path, limits=self._limits)
        except UnsafePathError as error:
            raise UnsafePathError(
                gettext_noop(
                    "%(file)s lists the path %(path)s, which does not stay inside the environment: "
                    "rebuild the package."
                ),
                file=NAME,
                path=quote(entry.path),
            ) from error
        if entry.prefix_placeholder is not None:
            if entry.file_mode == "binary":
                self.binary_prefix = True
            else:
                self.text_prefix = True

    @staticmethod
    def _invalid() -> InvalidMetadataError:
        return InvalidMetadataError(
            gettext_noop(
                "%(file)s is not valid. It must be a JSON object with a list 'paths' of flat "
                "objects, each with a '_path': rebuild the package."
            ),
            file=NAME,
        )


def _plain_entries(text: bytes) -> list[Entry] | None:
    """The entries of a file in which nothing stands but flat ones, and once; None for one that
    must be read piece by piece."""
    if b"\\u" in text or text.count(b'"paths"') != 1 or text.count(b"[") != 1:
        return None
    try:
        entries = _PLAIN_DECODER.decode(text).paths
    except (msgspec.DecodeError, UnicodeError):
        return None
    return entries if text.count(b"{") == len(entries) + 1 else None
