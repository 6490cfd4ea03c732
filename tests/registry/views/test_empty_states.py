"""Where there is nothing yet: a sentence that says so, at most one act, and no blank boxes."""

from __future__ import annotations

import re
from collections import defaultdict
from html.parser import HTMLParser

import pytest

from accounts.models import Organization
from tests.cast import Person, proven
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish
from tests.registry.views.spider import Page, pages_for

# What has to say that it is empty, of an organization and of a package; others may.
_EMPTY = {
    "/", "/search", "/acme", "/acme/channels", "/acme/activity", "/acme/members",
    "/acme/settings/access", "/acme/settings/bin", "/acme/settings/channels", "/acme/settings/log",
    "/acme/settings/storage", "/-/site/jobs", "/-/site/notices", "/-/site/index",
}  # fmt: skip
_EMPTY_OF_A_PACKAGE = {
    "/acme/bare/files",
    "/acme/bare/downloads",
    "/acme/bare/dependents",
    "/acme/bare/dependencies",
    "/acme/bare/settings/tokens",
    "/acme/bare/settings/collaborators",
}
_BOXES = {"section", "article", "p", "ul", "ol", "dl", "dd", "li", "td", "figure", "pre", "form"}
_THINGS = {"svg", "img", "input", "select", "textarea", "button", "canvas", "progress", "meter"}
_VOID = {"input", "img", "br", "hr", "meta", "link", "wbr", "use", "col", "source"}
_HEADINGS = {"h1", "h2", "h3", "h4", "summary", "legend", "caption"}


class _Blanks(HTMLParser):
    """Boxes of a page's main part in which there is nothing, or nothing but a heading."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._is_bare = False  # nothing came since the last tag began, not even a space
        self._open: list[tuple[str, bool]] = []  # tags, and whether anything was in them

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_bare = True
        if tag in _THINGS:
            self._fill()
        if tag not in _VOID:
            # What a script fills, or what heads a column of buttons, is meant to be empty.
            meant = any(name in {"id", "aria-live", "hidden"} for name, _ in attrs)
            self._open.append((tag, meant or (tag == "td" and ("class", "acts") in attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        opened, filled = self._open.pop()
        assert opened == tag, (opened, tag, self.getpos())
        # A cell with nothing at all in it is left out where rows are blocks: td:empty.
        is_left_out = tag == "td" and self._is_bare
        if (
            tag in _BOXES
            and not (filled or is_left_out)
            and any(name == "main" for name, _ in self._open)
        ):
            self.found.append(f"<{tag}> in line {self.getpos()[0]}")

    def handle_data(self, data: str) -> None:
        self._is_bare = False
        if data.strip() and not any(tag in _HEADINGS for tag, _ in self._open):
            self._fill()

    def _fill(self) -> None:
        self._open = [(tag, True) for tag, _ in self._open]


@pytest.fixture
def empty_acme(db: None) -> tuple[Organization, Person]:
    """Just made: no package, no channel, no token."""
    olga = Person(make_user("olga"))
    return make_organization("acme", owner=olga.user), olga


def _judge(page: Page) -> list[str]:
    wrong = []
    for empty in page.empties:
        words = " ".join(empty.words.split())
        if not re.search(r"[.?][”’]?$", words):
            wrong.append(f"{page.path}: no sentence: {words!r}")
        if empty.acts > 1:
            wrong.append(f"{page.path}: {empty.acts} acts beside {words!r}")
    if page.answer.status_code == 200 and b"<main" in getattr(page.answer, "content", b""):
        blanks = _Blanks()
        blanks.feed(page.answer.content.decode())
        wrong += [f"{page.path}: nothing in {blank}" for blank in blanks.found]
    return wrong


def test_where_nothing_is_a_sentence_says_so(empty_acme: tuple[Organization, Person]) -> None:
    _, olga = empty_acme
    root = Person(make_user("root", is_superuser=True))
    starts = ["/", "/dashboard", "/acme", "/acme/settings", "/search?q=nothing"]
    told: dict[str, int] = defaultdict(int)
    wrong: list[str] = []
    for browser, begin in ((olga.client, starts), (proven(root), ["/-/site/"])):
        for _, page in pages_for(browser, *begin):
            told[page.path] += len(page.empties)
            wrong += _judge(page)
    assert not wrong, "\n".join(wrong)
    assert {path for path in _EMPTY if not told[path]} == set()


def test_a_package_that_says_nothing_of_itself_leaves_no_box_blank(
    empty_acme: tuple[Organization, Person],
) -> None:
    _, olga = empty_acme
    publish(olga, "acme", "main", "bare")
    told: dict[str, int] = defaultdict(int)
    wrong: list[str] = []
    starts = ["/acme/bare", "/acme/bare/files?q=nothing", "/acme/bare/settings/tokens"]
    for _, page in pages_for(olga.client, *starts):
        told[page.path] += len(page.empties)
        wrong += _judge(page)
    assert not wrong, "\n".join(wrong)
    assert {path for path in _EMPTY_OF_A_PACKAGE if not told[path]} == set()


@pytest.mark.parametrize(
    "path",
    [
        "/-/site/index?account=nobody",
        "/-/site/jobs?state=failed",
        "/-/jobs?state=failed",
        "/acme/settings/bin?q=nothing",
        "/acme/settings/log?who=nobody",
        "/acme/bare/files?q=nothing",
        "/acme/bare/versions?stable=on",
    ],
)
def test_a_filter_that_leaves_nothing_is_cleared_in_one_place(
    empty_acme: tuple[Organization, Person], path: str
) -> None:
    _, olga = empty_acme
    publish(olga, "acme", "main", "bare", "1.0rc1")
    root = Person(make_user("root", is_superuser=True))
    browser = proven(root) if path.startswith("/-/site") else olga.client

    page = browser.get(path).content.decode()

    assert len(re.findall(r">\s*Clear\s*<", page)) == 1
