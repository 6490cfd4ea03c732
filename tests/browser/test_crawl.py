"""Every page there is, visited in Chromium, and all that can be measured about it in one visit.

The routes are those of the URL map: a page that is added is visited without anybody thinking of
it. Numbers of findings are those of the checks in ``checks.md``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import REPORT_VIOLATIONS, Faults
from tests.browser.rich import CHANNEL, FILENAME, NAME, Rich, make_rich_world

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]

_MEASURES = (Path(__file__).parent / "measures.js").read_text(encoding="utf-8")
# Of WCAG 1.4.12; a constructed sheet is no inline style.
_SPACING = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important;
    word-spacing: .16em !important; } p { margin-bottom: 2em !important; }`);
  document.adoptedStyleSheets = [sheet];
}"""
_NO_SPACING = "() => { document.adoptedStyleSheets = []; }"
_AXE_ALL = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations", "incomplete"],
}
_AXE_CONTRAST = {"runOnly": ["color-contrast"], "resultTypes": ["violations", "incomplete"]}
_RUN_AXE = """rules => axe.run(rules).then(({violations, incomplete}) => [
  ...violations.map((one) => ["36", one]),
  ...incomplete.filter((one) => one.id === "color-contrast").map((one) => ["37", one]),
].flatMap(([check, one]) => one.nodes.filter((node) => check === "36" || !node.any.every((why) =>
  ["shortTextContent", "nonBmp", "elmPartiallyObscured", "elmPartiallyObscuring",
   "bgOverlap"].includes(
    why.data?.messageKey))).map((node) => `${check} ${one.id}: ${node.html.slice(0, 150)}`
  + ` ${node.any.map((why) => why.message).join(" ").slice(0, 200)}`)))"""

# What a route needs besides or instead of what the world gives.
_INSTEAD: dict[str, dict[str, Any]] = {
    "accounts:security": {"account": "olga"},
    "accounts:codes-saved": {"account": "olga"},
    "accounts:sessions-end": {"account": "olga"},
    "accounts:session-end": {"account": "olga"},
    "accounts:organizations": {"account": "olga"},
    "accounts:locale": {"account": "olga"},
    "accounts:organization-leave": {"account": "olga", "organization": "initech"},
    "registry:site-account-reset-factor": {"account": "olga"},
    "registry:long-page": {"rest": "files"},
    "registry:channel-copy": {"channel": "dev"},
}  # fmt: skip
# Routes whose pages need a state that no page can be found in at rest.
_ELSEWHERE = {
    "accounts:first-account": "before there is any account: tests/accounts/test_first_account.py",
    "account_reset_password_from_key": "a mailed link: tests/accounts/test_signing_up.py",
    "mfa_edit_webauthn": "a device has to make a key: tests/browser/test_security_walk.py",
    "mfa_remove_webauthn": "likewise",
    "registry:transfer": "an offer has to wait: tests/browser/test_transfer_walk.py",
    "accounts:client-login": "a program has to ask: tests/browser/test_client_login.py",
}
_MORE = {
    "account of a person": "/olga",
    "profile of a person": "/olga/settings/profile",
    "bare package": "/acme/bare",
    "removed package": "/acme/removed",
    "file of 1970": "/acme/dated/files/noarch/dated-1.0-0.conda",
    "channel with a long name": f"/acme/channels/{CHANNEL}",
    "compared versions": f"/acme/{NAME}/compare?from=0.9&to=0.1",
    "compared channels": "/acme/compare?from=main&to=dev",
    "search": "/search?q=a",
    "search without result": "/search?q=nothingofthekind",
    "filtered files": f"/acme/{NAME}/files?platform=osx-arm64",
    "filtered to nothing": f"/acme/{NAME}/files?version=99",
    "text in an archive": f"/acme/{NAME}/files/linux-64/{FILENAME}/contents"
    "?path=lib/python3.13/site-packages/xz/__init__.py",
    "missing": "/acme/unheard-of",
}


@dataclass
class Findings:
    """What was found, by the number of the check."""

    by_check: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, where: str, found: list[str]) -> None:
        for words in found:
            check, _, what = words.partition(" ")
            self.by_check[check].append(f"{where}: {what}")

    def __str__(self) -> str:
        return "\n".join(
            f"--- check {check}: {len(found)} times\n" + "\n".join(found[:40])
            for check, found in sorted(self.by_check.items(), key=lambda item: int(item[0]))
        )


@dataclass(frozen=True)
class Visit:
    """A page and who looks at it."""

    name: str
    path: str
    who: Literal["olga", "root", "nobody"]


def _routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else prefix
            yield from _routes(pattern.url_patterns, inner)
        elif pattern.name and _is_of_pages(pattern):
            yield f"{prefix}{pattern.name}", pattern


def _is_of_pages(pattern: URLPattern) -> bool:
    module = getattr(pattern.callback, "__module__", "")
    return module.startswith(("accounts.views", "registry.views", "allauth."))


def _visits(rich: Rich) -> Iterator[Visit]:
    """Every route that answers its GET with a page; what answers otherwise is no page."""
    seen: set[str] = set()
    lost: list[str] = []
    clients = {"olga": rich.olga.client, "root": rich.root.client, "nobody": Client()}
    for name, pattern in _routes(get_resolver().url_patterns):
        if name in seen or name in _ELSEWHERE:
            continue
        path = _address(name, pattern, rich.arguments)
        who: Literal["olga", "root", "nobody"] = "olga"
        if name.startswith("registry:site"):
            who = "root"
        elif name.startswith("account_"):
            who = "nobody"
        answer = clients[who].get(path)
        if who == "nobody" and answer.status_code == 302:
            who = "olga"
            answer = clients[who].get(path)
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        if answer.status_code in {405, 301, 302} or (answer.status_code == 200 and not is_page):
            continue
        seen.add(name)
        if answer.status_code != 200:
            lost.append(f"{name}: {path} is answered {answer.status_code}")
            continue
        yield Visit(name, path, who)
    assert not lost, "\n".join(lost)
    for name, path in _MORE.items():
        yield Visit(name, path, "olga")
    for name, path in {"visitor's package": f"/acme/{NAME}", "visitor's home": "/"}.items():
        yield Visit(name, path, "nobody")


def _address(name: str, pattern: URLPattern, arguments: dict[str, Any]) -> str:
    wanted = pattern.pattern.converters
    more = {"pk": arguments["session"], "user": arguments["user"]}
    if name.startswith("registry:bin"):
        more["file"] = arguments["binned"]
    if name.startswith("registry:site-index-"):
        more["channel"] = arguments["main"]
    if name.startswith(("registry:channel-transfer", "registry:package-invitation")):
        more["key"] = arguments["offer"]
    if name in {"registry:job", "registry:site-job"} or name.startswith(
        ("registry:job-", "registry:site-job-")
    ):
        more["key"] = arguments["job"]
    given = arguments | more | _INSTEAD.get(name, {})
    return reverse(name, kwargs={key: given[key] for key in wanted})


class _Inline(HTMLParser):
    """Check 47, on what is sent: as a browser takes it apart."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "style" or (tag == "script" and not given.get("src", "").startswith("/static/")):
            kind = given.get("type", "")
            if not kind.endswith("json"):
                self.found.append(f"47 <{tag}> in the page")
        for name, value in given.items():
            if name == "style" or name.startswith("on"):
                self.found.append(f"47 {name}={value!r} of <{tag}>")
            address = re.sub(r"[\s\x00-\x1f]", "", value).lower()
            if name in {"href", "src", "action", "formaction"} and address.startswith("javascript"):
                self.found.append(f"47 {name}={value!r} of <{tag}>")


def inline_parts(html: str) -> list[str]:
    reader = _Inline()
    reader.feed(html)
    reader.close()
    return reader.found


class Crawler:
    """One window per person; each page is loaded once and then looked at in many ways."""

    def __init__(self, browser: Browser, url: str, rich: Rich) -> None:
        self.faults = Faults()
        self.strangers: list[str] = []
        self.findings = Findings()
        self._url = url
        self._contexts: list[BrowserContext] = []
        self._pages = {
            "olga": self._window(browser, rich.olga.client),
            "root": self._window(browser, rich.root.client),
            "nobody": self._window(browser, Client()),
        }

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _window(self, browser: Browser, client: Client) -> Page:
        context = browser.new_context(
            base_url=self._url, viewport={"width": 1024, "height": 900}, reduced_motion="reduce"
        )
        self._contexts.append(context)
        context.set_default_timeout(20_000)
        name = settings.SESSION_COOKIE_NAME
        if name in client.cookies:
            cookie = client.cookies[name].value
            context.add_cookies([{"name": name, "value": cookie, "url": self._url}])
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("request", self._note_stranger)
        self.faults.watch(page)
        return page

    def _note_stranger(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:")):
            self.strangers.append(request.url)

    def visit(self, visit: Visit) -> None:
        page, add = self._pages[visit.who], self.findings.add
        answer = page.goto(visit.path)
        assert answer is not None
        assert "login" in visit.path or "/account/login" not in page.url, visit
        add(visit.name, inline_parts(answer.text()))
        self._measure(page, visit.name, "structure", "motion")
        page.evaluate(AXE_SCRIPT)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")  # past what sticks below
        add(visit.name, page.evaluate(_RUN_AXE, _AXE_ALL))
        self._measure(page, f"{visit.name}, 1024 px", "layout")
        page.evaluate(_SPACING)
        self._measure(page, f"{visit.name}, spaced", "layout")
        page.evaluate(_NO_SPACING)
        page.set_viewport_size({"width": 2560, "height": 900})
        self._measure(page, f"{visit.name}, 2560 px", "layout", "prose")
        page.set_viewport_size({"width": 320, "height": 900})
        self._measure(page, f"{visit.name}, 320 px", "layout")
        page.set_viewport_size({"width": 360, "height": 900})
        page.emulate_media(color_scheme="dark")
        self._measure(page, f"{visit.name}, 360 px", "layout", "targets")
        page.set_viewport_size({"width": 1024, "height": 900})
        add(f"{visit.name}, dark", page.evaluate(_RUN_AXE, _AXE_CONTRAST))
        page.emulate_media(color_scheme="null", forced_colors="active")
        self._measure(page, visit.name, "forcedColors")
        page.emulate_media(forced_colors="null", media="print")
        self._measure(page, visit.name, "print")
        page.emulate_media(media="null")

    def _measure(self, page: Page, where: str, *measures: str) -> None:
        state = {"measures": measures, "least": 44}
        self.findings.add(where, page.evaluate(_MEASURES, state))

    def title(self, visit: Visit) -> str:
        return self._pages[visit.who].title()


def test_every_page_holds_what_is_checked_of_every_page(
    transactional_db: None, browser: Browser, live_server: LiveServer
) -> None:
    rich = make_rich_world()
    crawler = Crawler(browser, live_server.url, rich)
    titles: dict[str, set[str]] = defaultdict(set)
    visits = list(_visits(rich))
    for visit in visits:
        crawler.visit(visit)
        titles[crawler.title(visit)].add(visit.path.partition("?")[0])
    crawler.close()
    for title, names in titles.items():
        if len(names) > 1 or not title.endswith(" · Condarium"):
            crawler.findings.add(title, [f"38 of {', '.join(names)}"])
    crawler.findings.add("console", [f"46 {fault}" for fault in crawler.faults.found])
    crawler.findings.add("requests", [f"55 {url}" for url in crawler.strangers])
    assert not crawler.findings.by_check, f"{len(visits)} pages\n{crawler.findings}"
