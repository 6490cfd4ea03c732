"""The texts of docs/: their order, their search, and whose addresses stand in their commands.

Every text writes commands for one host and one account, ``HOST`` and ``ACCOUNT``. A page puts the
reader's own in their place, in the Markdown itself, so what is copied from it works as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from registry.views.markdown import Section, sections_of

HOST = "condarium.example.com"
ACCOUNT = "acme"
MAX_RESULTS = 20
_FOLDER = "docs"
_TITLE = re.compile(r"# (.+)")
_ACCOUNT_WORD = re.compile(rf"(?<![\w.-]){ACCOUNT}(?![\w-])")
_SNIPPET_CHARACTERS = 160

# The menu, from what one does first to what few people do.
SHELVES: tuple[tuple[str | Promise, tuple[str, ...]], ...] = (
    (
        _("Publish"),
        (
            "publishing",
            "github-actions",
            "gitlab-ci",
            "forgejo-actions",
            "jenkins",
            "attestations",
        ),
    ),
    (_("Install"), ("installing", "searching")),
    (_("People and rights"), ("accounts", "second-factor", "tokens", "groups")),
    (_("Keep order"), ("channels", "deleting", "retention", "quotas")),
    (_("Move in"), ("moving-from-anaconda", "moving-from-forgejo", "importing")),
    (_("For programs"), ("api", "anaconda", "problems")),
    (_("Run a host"), ("deploying", "configuration", "operating")),
)


@dataclass(frozen=True, slots=True)
class Page:
    slug: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Shelf:
    title: str
    pages: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A section that has all the words that were looked for."""

    page: Page
    heading: str
    slug: str
    snippet: str


def shelves() -> tuple[Shelf, ...]:
    """The texts there are, as they are written: only these files are ever opened."""
    return tuple(
        Shelf(str(title), tuple(page for slug in slugs if (page := _page(slug)) is not None))
        for title, slugs in SHELVES
    )


def _page(slug: str) -> Page | None:
    path = Path(settings.BASE_DIR) / _FOLDER / f"{slug}.md"
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    title = _TITLE.match(text)
    return Page(slug, title[1] if title else slug, text)


def fill(text: str, *, base_url: str, account: str | None) -> str:
    """The text as it is for readers of this host; without an account the example's stays."""
    parts = urlsplit(base_url)
    filled = text.replace(f"https://{HOST}", base_url).replace(f"@{HOST}", f"@{parts.netloc}")
    # Alone it is the name of the host, as .netrc and `pixi auth` take it: without a port.
    filled = filled.replace(HOST, parts.hostname or HOST)
    return _ACCOUNT_WORD.sub(account, filled) if account else filled


def search(words: str, among: tuple[Shelf, ...]) -> list[Found]:
    """Sections with all the words: first those that have them in a heading."""
    wanted = words.casefold().split()
    if not wanted:
        return []
    ranked = sorted(_matches(wanted, among), key=lambda match: match[0])
    return [found for _rank, found in ranked[:MAX_RESULTS]]


def _matches(wanted: list[str], among: tuple[Shelf, ...]) -> Iterator[tuple[int, Found]]:
    for page in (page for shelf in among for page in shelf.pages):
        for section in _sections(page.text):
            heading = f"{page.title} {section.heading}".casefold()
            body = section.words.casefold()
            if all(word in heading or word in body for word in wanted):
                in_heading = sum(word in heading for word in wanted)
                yield (
                    -in_heading,
                    Found(page, section.heading, section.slug, _snippet(section, wanted)),
                )


@lru_cache(maxsize=64)
def _sections(text: str) -> tuple[Section, ...]:
    return sections_of(text)


def _snippet(section: Section, wanted: list[str]) -> str:
    """The words around the first one that was looked for."""
    places = [section.words.casefold().find(word) for word in wanted]
    first = min((place for place in places if place >= 0), default=0)
    start = section.words.rfind(" ", 0, max(first - 40, 0)) + 1
    cut = Truncator(section.words[start:]).chars(_SNIPPET_CHARACTERS)
    return f"… {cut}" if start else cut
