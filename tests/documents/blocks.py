"""The code in the documents: blocks, and what stands in running text."""

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


def spans_of(document: Path) -> Iterator[Block]:
    """The code in running text, in tables and headings, too; by its document and its words."""
    tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))
    for token in tokens:
        for child in token.children or ():
            if child.type == "code_inline":
                yield Block(document.stem, "", child.content)


def in_text(words: str) -> str:
    """A command in running text, for the test that runs it elsewhere than the rest."""
    found = {span.text for document in DOCUMENTS for span in spans_of(document)}
    assert words in found, f"no document has {words!r} any more"
    return words


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
