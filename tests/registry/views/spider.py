"""Follows what pages offer to whoever looks at them, without a browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

from django.test import Client
from django.urls import Resolver404, resolve

from tests.registry.views.browsers import Answer

# Feeds and badges are fetched like pages.
_NOT_OURS = ("/static/", "/conda/", "/api/")
_ADDRESSES_OF_A_ROUTE = 2


@dataclass
class Form:
    """One that posts, with what it would send as it stands."""

    action: str
    fields: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Empty:
    """An empty list: its words, and how many acts it offers."""

    words: str = ""
    acts: int = 0


@dataclass
class Page:
    """What a page says where, as far as tests of every page need it."""

    path: str
    answer: Answer
    links: list[str]
    forms: list[Form]
    empties: list[Empty]


class _Reader(HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__(convert_charrefs=True)
        self._path = path
        self._depth = 0  # of the elements in an empty list
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.empties: list[Empty] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self._link(given["href"])
        if tag == "form" and given.get("method", "").lower() == "post":
            self.forms.append(Form(urljoin(self._path, given.get("action", ""))))
        self._empty(tag, given)

    def _empty(self, tag: str, given: dict[str, str]) -> None:
        if tag == "div" and "empty" in given.get("class", "").split():
            self.empties.append(Empty())
            self._depth = 1
        elif self._depth and tag == "div":
            self._depth += 1
        elif self._depth and tag in {"a", "button"}:
            self.empties[-1].acts += 1

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag == "div":
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._depth and not self.empties[-1].acts:
            self.empties[-1].words += data

    def _link(self, href: str) -> None:
        url = urldefrag(urljoin(self._path, href)).url
        if url.startswith("/") and not url.startswith(_NOT_OURS):
            self.links.append(url)


def take_apart(path: str, answer: Answer) -> Page:
    reader = _Reader(path)
    if not answer.streaming:
        reader.feed(answer.content.decode())
    reader.close()
    return Page(path, answer, reader.links, reader.forms, reader.empties)


def pages_for(client: Client, *starts: str) -> Iterator[tuple[str, Page]]:
    """Every page that is offered from here on, and the one that offers it.

    Of each route some addresses: what differs by name only looks alike.
    """
    waiting = [("", start) for start in starts]
    seen = set(starts)
    visited: Counter[str] = Counter()
    while waiting:
        from_path, url = waiting.pop(0)
        route = _route(url)
        if visited[route] >= _ADDRESSES_OF_A_ROUTE:
            continue
        visited[route] += 1
        page = take_apart(url.partition("?")[0], client.get(url))
        yield from_path, page
        for link in page.links:
            if link not in seen:
                seen.add(link)
                waiting.append((page.path, link))


def _route(url: str) -> str:
    path, _, query = url.partition("?")
    try:
        name = resolve(path).view_name
    except Resolver404:
        return url
    return f"{name}?" if query else name
