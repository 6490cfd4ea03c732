"""What tests of the registry's pages share."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.test import Client

Browsers = dict[str, Client]
# A response of Django's with what its test client adds to it, which has no public name.
Answer = Any

WHO = ("anonymous", "stranger", "reader", "maintainer", "admin", "owner")
HELLO = "/acme/hello"
HELLO_FILE = f"{HELLO}/files/noarch/hello-1.0-0.conda"


class _Reader(HTMLParser):
    """Takes a page apart as a browser would, and notes what could run or load."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.active: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"script", "iframe", "object", "embed", "base", "style"} and not given.get(
            "src", ""
        ).startswith("/static/"):
            self.active.append(f"<{tag}>")
        for name, value in given.items():
            if name.startswith("on") or name == "style":
                self.active.append(f"{name}={value}")
            if name in {"href", "src", "action", "formaction", "xlink:href"}:
                address = re.sub(r"[\s\x00-\x1f]", "", value).lower()
                scheme = re.match(r"[a-z][a-z0-9+.-]*:", address)
                if scheme and scheme[0] not in {"http:", "https:", "mailto:"}:
                    self.active.append(f"{name}={value}")
                if name == "src" and not value.startswith("/static/"):
                    self.active.append(f"loads {value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def active_parts(answer: Answer) -> list[str]:
    """Everything in the page that would run, or load anything from elsewhere."""
    reader = _Reader()
    reader.feed(answer.content.decode())
    reader.close()
    return reader.active


def text_of(answer: Answer) -> str:
    reader = _Reader()
    reader.feed(answer.content.decode())
    reader.close()
    return " ".join(" ".join(reader.text).split())
