"""What pages say in other languages: reads ``locale/*/LC_MESSAGES/*.po`` and compiles them.

gettext's own compiler is a program that few hosts have; so the compiled files lie in the tree, and
a test compares them with what is compiled here. ``make messages`` collects and compiles.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr)(?:\[\d\])? )?(".*")')
_MAGIC = 0x950412DE
_HEAD_BYTES = 28


@dataclass(frozen=True, slots=True)
class Entry:
    """One text and how it is translated: once, or once for each form of the plural."""

    msgid: str
    msgstrs: tuple[str, ...]
    plural: str = ""
    context: str = ""
    is_fuzzy: bool = False

    @property
    def is_translated(self) -> bool:
        return not self.is_fuzzy and all(self.msgstrs)


def entries(po: str) -> Iterator[Entry]:
    """All entries of a catalogue, the header first, whose ``msgid`` is empty."""
    for paragraph in re.split(r"\n\s*\n", po):
        texts: dict[str, list[str]] = {}
        current: list[str] = []
        for line in paragraph.splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                continue
            if match[1]:
                texts.setdefault(match[1], []).append("")
                current = texts[match[1]]
            current[-1] += ast.literal_eval(match[2])
        if "msgid" in texts:
            yield Entry(
                texts["msgid"][0],
                tuple(texts["msgstr"]),
                texts.get("msgid_plural", [""])[0],
                texts.get("msgctxt", [""])[0],
                re.search(r"^#,.*\bfuzzy\b", paragraph, re.MULTILINE) is not None,
            )


def compiled(found: Iterable[Entry]) -> bytes:
    """As gettext reads it: sorted texts, each with its length and place. Equal for equal texts."""
    pairs = sorted(_pair(entry) for entry in found if entry.is_translated)
    texts = [text for text, _ in pairs] + [text for _, text in pairs]
    places, body = [], b""
    start = _HEAD_BYTES + 8 * len(texts)
    for text in texts:
        places.append(struct.pack("<II", len(text), start + len(body)))
        body += text + b"\0"
    second_table = _HEAD_BYTES + 8 * len(pairs)
    # Without a table of hashes, which nobody needs to read it.
    head = struct.pack("<7I", _MAGIC, 0, len(pairs), _HEAD_BYTES, second_table, 0, start)
    return head + b"".join(places) + body


def _pair(entry: Entry) -> tuple[bytes, bytes]:
    key = f"{entry.context}\4{entry.msgid}" if entry.context else entry.msgid
    if entry.plural:
        key += f"\0{entry.plural}"
    return key.encode(), "\0".join(entry.msgstrs).encode()


def catalogues() -> list[Path]:
    """Those of the project, in all languages."""
    return sorted((Path(__file__).parent.parent / "locale").glob("*/LC_MESSAGES/*.po"))


if __name__ == "__main__":
    for path in catalogues():
        found = entries(path.read_text(encoding="utf-8"))
        path.with_suffix(".mo").write_bytes(compiled(found))
