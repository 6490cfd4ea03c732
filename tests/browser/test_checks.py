"""The list of checks names tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_HERE = Path(__file__).parent
_ROW = re.compile(r"\| (\d+) \| (.+?) \| (.+) \|")
_TEST = re.compile(r"([\w/]+\.py)::(test_\w+)")
_CRAWL = "test_crawl.py::test_every_page_holds_what_is_checked_of_every_page"


def test_each_check_is_listed_once_with_tests_that_exist() -> None:
    text = (_HERE / "checks.md").read_text(encoding="utf-8")
    rows = [match.groups() for match in map(_ROW.fullmatch, text.splitlines()) if match]

    assert [int(number) for number, _, _ in rows] == list(range(1, 69))
    for number, _, shown_by in rows:
        tests = _TEST.findall(re.sub(r"\bcrawl\b", _CRAWL, shown_by))
        assert tests or shown_by.startswith("open"), f"{number}: {shown_by}"
        for path, name in tests:
            assert name in _tests_of(path), f"{number}: there is no {path}::{name}"


def _tests_of(path: str) -> set[str]:
    file = _HERE.parent.parent / path if "/" in path else _HERE / path
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
