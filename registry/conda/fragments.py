"""JSON documents put together from members that were serialized long before.

A record is turned into JSON once in its life; an index of a hundred thousand records is then
only their bytes, one after the other. Nothing here parses a fragment or holds more of a
document than one block.
"""

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

BLOCK_BYTES = 256 * 1024


class UnsortedFragmentsError(ValueError):
    """Members came out of order or twice, so the document would not be the same again.

    The usual cause is a database that sorts text by a language's rules: ask it for the
    order of code points (collation "C" in PostgreSQL, "BINARY" in SQLite).
    """


class FragmentWriter:
    """Writes a JSON document piece by piece, in blocks, and counts its bytes."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._block = bytearray()
        self._written = 0

    @property
    def offset(self) -> int:
        return self._written + len(self._block)

    def raw(self, data: bytes) -> None:
        self._block += data
        if len(self._block) >= BLOCK_BYTES:
            self.flush()

    def value(self, value: object) -> None:
        self.raw(msgspec.json.encode(value))

    def members(self, fragments: Iterable[bytes]) -> None:
        """Write ``{…}`` around fragments ``"key":value`` that come in the order of their keys.

        Keys are file and package names: ASCII without quotes or escapes, so the key ends at
        the next quote.
        """
        previous = b""
        separator = b"{"
        for fragment in fragments:
            key = fragment[1 : fragment.index(b'"', 1)]
            if key <= previous:
                raise UnsortedFragmentsError(
                    f"{key.decode()!r} came after {previous.decode()!r}: members must come "
                    "once each, sorted by code point."
                )
            self.raw(separator + fragment)
            previous, separator = key, b","
        self.raw(b"}" if separator == b"," else b"{}")

    def flush(self) -> None:
        """Hand the last block on; to be called at the end of the document."""
        self._out.write(self._block)
        self._written += len(self._block)
        self._block = bytearray()
