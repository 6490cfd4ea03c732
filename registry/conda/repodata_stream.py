"""Reading a repodata.json that somebody else made, record by record (CEP 36, CEP 48).

That of a large channel takes gigabytes once it is parsed. Here no more than a block of its text
and one member of it are in memory.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_BLOCK_BYTES = 256 * 1024
# The longest value that is taken whole; records have some hundred characters, or thousands.
_MAX_MEMBER_LENGTH = 8 * 1024 * 1024
_SPACE = " \t\r\n"
_EXTENSIONS = {"conda": ".conda", "tar.bz2": ".tar.bz2"}


class NotRepodataError(ValueError):
    """The document is not what it was fetched as."""


def read_records(file: BinaryIO) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The records of a repodata.json by filename, in the order in which they stand there."""
    reader = _Reader(file)
    for key in reader.members():
        if key in {"packages", "packages.conda"}:
            yield from reader.records("")
        elif key == "v3":
            for kind in reader.members():
                if kind in _EXTENSIONS:
                    yield from reader.records(_EXTENSIONS[kind])
                else:
                    reader.skip()
        else:
            reader.skip()


def read_member(file: BinaryIO, wanted: str) -> object:
    """The value of one member of a JSON object that is too large to be parsed; None without."""
    reader = _Reader(file)
    for key in reader.members():
        if key == wanted:
            return reader.value()
        reader.skip()
    return None


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._parse = json.JSONDecoder().raw_decode
        self._text = ""
        self._position = 0
        self._ended = False

    def members(self) -> Iterator[str]:
        """The keys of an object; before the next is asked for, the value must be taken."""
        self._take("{")
        if self._next() == "}":
            self._position += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self._broken()
            self._take(":")
            yield key
            if self._next() == "}":
                self._position += 1
                return
            self._take(",")

    def records(self, extension: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        for key in self.members():
            record = self.value()
            if not isinstance(record, dict):
                raise self._broken()
            yield key + extension, record

    def value(self) -> object:
        self._next()
        while True:
            try:
                value, end = self._parse(self._text, self._position)
            except (json.JSONDecodeError, RecursionError) as error:
                if self._more():
                    continue
                raise self._broken() from error
            # A number may go on behind the block.
            if end < len(self._text) or not self._more():
                self._position = end
                return value

    def skip(self) -> None:
        """Take a value without keeping it; what objects hold is taken one by one."""
        if self._next() != "{":
            self.value()
            return
        for _ in self.members():
            self.value()

    def _next(self) -> str:
        """The next character that counts."""
        while True:
            while self._position < len(self._text):
                if self._text[self._position] not in _SPACE:
                    return self._text[self._position]
                self._position += 1
            if not self._more():
                raise self._broken()

    def _take(self, mark: str) -> None:
        if self._next() != mark:
            raise self._broken()
        self._position += 1

    def _more(self) -> bool:
        if self._ended:
            return False
        rest = self._text[self._position :]
        if len(rest) > _MAX_MEMBER_LENGTH:
            raise self._broken()
        block = self._file.read(_BLOCK_BYTES)
        self._ended = not block
        try:
            self._text, self._position = rest + self._decode(block, final=not block), 0
        except UnicodeDecodeError as error:
            raise self._broken() from error
        return not self._ended

    @staticmethod
    def _broken() -> NotRepodataError:
        return NotRepodataError("It is no valid JSON of the form that repodata has.")
