"""The blocks of code in the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.servers import PROJECT

DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
_SHELL_STEP = re.compile(r"\bsh (?:'''(.*?)'''|'([^'\n]+)')", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    place: str
    language: str
    text: str


def blocks_of(document: Path) -> Iterator[Block]:
    for token in MarkdownIt("commonmark").parse(document.read_text(encoding="utf-8")):
        if token.type in {"fence", "code_block"} and token.map:
            yield Block(f"{document.name}:{token.map[0] + 1}", token.info.strip(), token.content)


def commands_with(part: str) -> list[str]:
    """The commands of shells with these words, as the documents have them; a test that runs one
    somewhere else than the rest reads it here."""
    found = [
        line
        for document in DOCUMENTS
        for block in blocks_of(document)
        if block.language == "sh"
        for line in block.text.replace("\\\n", "").splitlines()
        if part in line
    ]
    assert found, f"no document has {part!r} any more"
    return found


def steps_of_jenkins(text: str) -> list[str]:
    return [long or short for long, short in _SHELL_STEP.findall(text)]
