"""What the documents name exists, and what exists is in the documents."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands

from portal.errors import Refusal
from portal.problems import TYPE_PREFIX
from registry.conda.errors import PackageError
from tests.servers import PROJECT

DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
IDS = [str(path.relative_to(PROJECT)) for path in DOCUMENTS]
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def code_of(path: Path) -> str:
    """Everything in code blocks and spans; what is prose may use words as it likes."""
    return "\n".join(_CODE.findall(path.read_text(encoding="utf-8")))


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def slugs() -> frozenset[str]:
    """Of every refusal and package error, wherever it is written, and those of the API itself."""
    for room in ("portal", "accounts", "registry"):
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if ".migrations" not in module.name and module.name != "portal.bootstrap":
                importlib.import_module(module.name)
    titles = importlib.import_module("portal.problems")._TITLES.values()
    kinds = [*descendants(Refusal), *descendants(PackageError)]
    return frozenset({kind.slug for kind in kinds} | {slug for slug, _ in titles})


def descendants(kind: type[Refusal | PackageError]) -> Iterator[type[Refusal | PackageError]]:
    # Tests have refusals of their own.
    if kind.__module__.partition(".")[0] != "tests":
        yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


def test_every_setting_is_documented_and_nothing_else() -> None:
    settings = set(re.findall(r'"(CONDARIUM_[A-Z0-9_]+)"', read("portal/settings.py")))
    documented = re.findall(r"^\| `(CONDARIUM_\w+)`", read("docs/configuration.md"), re.MULTILINE)

    assert sorted(documented) == sorted(settings)


def test_secrets_are_those_that_can_be_files() -> None:
    secrets = set(re.findall(r'env\.secret\(\s*"(\w+)"', read("portal/settings.py")))
    lines = read("docs/configuration.md").splitlines()
    marked = {line.split("`")[1] for line in lines if line.startswith("|") and "*secret*" in line}

    assert marked == secrets


def test_every_problem_has_its_paragraph_and_none_is_left_over() -> None:
    sections = re.findall(
        r"^### ([a-z-]+)\n\n(\S.+?)(?=\n\n|\Z)", read("docs/problems.md"), re.DOTALL | re.MULTILINE
    )

    assert sorted(slug for slug, _ in sections) == sorted(slugs())
    assert all(len(text) > 40 for _, text in sections)


def test_the_type_of_a_problem_leads_to_its_paragraph() -> None:
    path, _, fragment = TYPE_PREFIX.partition("#")

    assert (PROJECT / f"{path.strip('/')}.md").is_file()
    assert fragment == ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in _LINK.findall(text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        place = (document.parent / path).resolve() if path else document
        assert place.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors_of(place), f"{target} has no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_command_exists(document: Path) -> None:
    code = code_of(document)
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    commands = set(get_commands())

    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) <= targets
    assert set(re.findall(r"(?<![-/\w])condarium ([a-z]+)", code)) - {"condarium"} <= commands


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_path_that_is_named_exists(document: Path) -> None:
    named = re.findall(
        r"`((?:portal|accounts|registry|tests|deploy|docs|\.ci)/[\w./-]+)`",
        document.read_text(encoding="utf-8"),
    )

    assert [path for path in named if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_variable_that_is_named_is_read(document: Path) -> None:
    readers = read("portal/settings.py") + read("tests/browser/test_every_role.py")
    settings = set(re.findall(r'"(CONDARIUM_[A-Z0-9_]+)"', readers))
    # The secret of a CI, and what the Caddyfile reads.
    others = {"CONDARIUM_TOKEN", "CONDARIUM_SITE", "CONDARIUM_TREE"}
    named = set(re.findall(r"CONDARIUM_[A-Z0-9_]+", document.read_text(encoding="utf-8")))

    assert named <= settings | others


def test_the_commands_for_operators_are_all_told_of() -> None:
    own = {
        name for name, app in get_commands().items() if app in {"portal", "accounts", "registry"}
    }
    table = read("README.md").partition("## Operator's commands")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| `condarium ([a-z]+)", table, re.MULTILINE)) == own
