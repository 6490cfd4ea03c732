"""All that can be measured about a page in Chromium in one visit, and once more in German.

Numbers of findings are those of the checks in ``checks.md``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page

from accounts.models import Account, Group, Token
from portal.catalogues import catalogues, entries
from registry.models import Channel, Job, Package
from tests.browser.conftest import PATIENCE_MS, REPORT_VIOLATIONS, Faults
from tests.browser.rich import Rich

_MEASURES = (Path(__file__).parent / "measures.js").read_text(encoding="utf-8")
_MEASURE = "(state) => window.measure(state)"
# A constructed sheet is no inline style.
_STYLE = """(css) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [sheet];
}"""
# Of WCAG 1.4.12.
_SPACING = """* { line-height: 1.5 !important; letter-spacing: .12em !important;
  word-spacing: .16em !important; } p { margin-bottom: 2em !important; }"""
# Twice of what the page has: 93.75 %.
_LARGE_TEXT = ":root { font-size: 187.5% !important; }"
# Nothing that axe would fetch before it looks matters to these rules.
_AXE = {"resultTypes": ["violations", "incomplete"], "preload": False}
_AXE_ALL = _AXE | {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
}
_AXE_CONTRAST = _AXE | {"runOnly": ["color-contrast"]}
_RUN_AXE = """rules => axe.run(rules).then(({violations, incomplete}) => [
  ...violations.map((one) => ["36", one]),
  ...incomplete.filter((one) => one.id === "color-contrast").map((one) => ["37", one]),
].flatMap(([check, one]) => one.nodes.filter((node) => check === "36" || !node.any.every((why) =>
  ["shortTextContent", "nonBmp", "elmPartiallyObscured", "elmPartiallyObscuring",
   "bgOverlap"].includes(
    why.data?.messageKey))).map((node) => `${check} ${one.id}: ${node.html.slice(0, 150)}`
  + ` ${node.any.map((why) => why.message).join(" ").slice(0, 200)}`)))"""

_STOPS = "a[href], button, input:not([type=hidden]), select, textarea, summary"
# A stop of the page in the middle of its window, and the room that it takes with a ring.
_TO_STOP = """([selector, number]) => {
  document.activeElement.blur();
  const stops = Array.from(document.querySelectorAll(selector)).filter((stop) =>
    stop.checkVisibility() && !stop.disabled && !stop.closest(".visually-hidden, .skip-link, svg"));
  window.stop = stops[number % stops.length];
  window.stop.scrollIntoView({ block: "center" });
  const { x, y, width, height } = window.stop.getBoundingClientRect();
  return { x: Math.max(0, x - 6), y: Math.max(0, y - 6), width: width + 12, height: height + 12 };
}"""
_FOCUS_STOP = """() => {
  window.stop.focus({ focusVisible: true, preventScroll: true });
  return window.stop.outerHTML.slice(0, 120);
}"""
# The share of points that differ by 3:1 at least.
_DIFFERENCE = """async (pictures) => {
  const read = async (picture) => {
    const image = new Image();
    image.src = `data:image/png;base64,${picture}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, image.width, image.height).data;
  };
  const part = (value) => (value <= 10 ? value / 3294.6 : ((value / 255 + .055) / 1.055) ** 2.4);
  const light = (data, at) => .05 + .2126 * part(data[at]) + .7152 * part(data[at + 1])
    + .0722 * part(data[at + 2]);
  const [before, after] = await Promise.all(pictures.map(read));
  let differing = 0;
  for (let at = 0; at < before.length; at += 4) {
    const [one, other] = [light(before, at), light(after, at)];
    if (Math.max(one, other) / Math.min(one, other) >= 3) differing += 1;
  }
  return differing / (before.length / 4);
}"""
# What is the same in both languages, besides names and what the catalogue says.
_SAME = {
    *("Condarium", "Deutsch", "English", "Django", "PostgreSQL", "Python", "SQLite", "UTC"),
    *("conda", "condarc", "curl", "mamba", "pixi", "xz", "libgcc", "zst", "kB", "AND", "lib"),
    *("noarch", "generic", "owners", "Forgejo", "GitHub", "GitLab", "Jenkins"),
    *("Atom", "CSV", "HTML", "Markdown", "RST", "April", "August", "September", "November"),
}
# Longer ones are names that were made to be long.
_LETTERS = re.compile(r"[^\W\d_]{2,24}")


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


def same_words() -> set[str]:
    """What may stand in English and in German pages alike: names, and words of both languages."""
    names = [
        name
        for rows in (
            Account.objects.values_list("name"),
            Channel.objects.values_list("name"),
            Group.objects.values_list("name"),
            Job.objects.values_list("title"),
            Package.objects.values_list("name"),
            Token.objects.values_list("name"),
        )
        for (name,) in rows
    ]
    known = [e for path in catalogues() for e in entries(path.read_text(encoding="utf-8"))]
    # Also what is another word's German: several filters are "Filter".
    names += {e.msgid for e in known} & {text for e in known for text in e.msgstrs}
    return _SAME | {word for name in names for word in _words(name)}


def _words(text: str) -> set[str]:
    """Those of letters alone: what holds digits, slashes or dots is a name of something."""
    return {word for one in text.split() if _LETTERS.fullmatch(word := one.strip(",.:;()“”„?…·"))}


class Crawler:
    """Two windows per person; each page is loaded in both and then looked at in many ways."""

    def __init__(self, browser: Browser, url: str, rich: Rich) -> None:
        self.faults = Faults()
        self.strangers: list[str] = []
        self.findings = Findings()
        self._url = url
        self._contexts: list[BrowserContext] = []
        self._same_words = same_words()
        self._colors: set[str] = set()
        self._visited = 0
        people = {"olga": rich.olga.client, "root": rich.root.client, "nobody": Client()}
        self._pages = {
            (who, language): self._window(browser, client, language)
            for who, client in people.items()
            for language in ("en", "de")
        }

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _window(self, browser: Browser, client: Client, language: str) -> Page:
        context = browser.new_context(
            base_url=self._url, viewport={"width": 1024, "height": 900}, reduced_motion="reduce"
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        cookies = {settings.LANGUAGE_COOKIE_NAME: language}
        if settings.SESSION_COOKIE_NAME in client.cookies:
            name = settings.SESSION_COOKIE_NAME
            cookies[name] = client.cookies[name].value
        context.add_cookies(
            [{"name": name, "value": value, "url": self._url} for name, value in cookies.items()]
        )
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.add_init_script(f"window.measure = {_MEASURES}")
        page.on("request", self._note_stranger)
        self.faults.watch(page)
        return page

    def _note_stranger(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:")):
            self.strangers.append(request.url)

    def visit(self, visit: Visit) -> None:
        page, name = self._page(visit, "en"), visit.name
        self._resize(page, 1024)
        self._load(visit, "en")
        self._measure(page, name, "structure", "motion")
        texts, foreign = self._texts(page)
        self._judge_with_axe(page, name)
        self._measure(page, f"{name}, 1024 px", "layout", "focus")
        page.evaluate(_STYLE, _SPACING)
        self._measure(page, f"{name}, spaced", "layout")
        page.evaluate(_STYLE, "")
        self._change_media(page, name)
        self._resize(page, 2560)
        self._measure(page, f"{name}, 2560 px", "layout", "prose")
        self._look_at_phones(page, name)
        page.emulate_media(color_scheme="null")
        self._resize(page, 1280)
        page.evaluate(_STYLE, _LARGE_TEXT)
        self._measure(page, f"{name}, 200 %", "layout")
        page.evaluate(_STYLE, "")
        # The last, since nothing takes it back.
        self._measure(page, f"{name}, 40 % longer", "lengthen", "layout")
        self._resize(page, 360)
        self._measure(page, f"{name}, 40 % longer at 360 px", "layout")
        self._visit_in_german(visit, texts, foreign)
        self._visited += 1

    def _page(self, visit: Visit, language: Literal["en", "de"]) -> Page:
        return self._pages[visit.who, language]

    def _load(self, visit: Visit, language: Literal["en", "de"]) -> None:
        page = self._page(visit, language)
        answer = page.goto(visit.path)
        assert answer is not None
        assert "login" in visit.path or "/account/login" not in page.url, visit
        found = inline_parts(answer.text())
        said = answer.headers.get("content-language")
        if said != language:
            found.append(f"43 Content-Language is {said}")
        if not {"Accept-Language", "Cookie"} <= set(answer.headers["vary"].split(", ")):
            found.append(f"43 Vary is {answer.headers['vary']}")
        self.findings.add(f"{visit.name}, {language}", found)

    def _texts(self, page: Page) -> tuple[set[str], set[str]]:
        """What the page says, and what it marks as being of no or of another language."""
        ours, foreign = (
            set(page.evaluate(_MEASURE, {"measures": [which]})) for which in ("ours", "foreign")
        )
        return ours, foreign

    def _judge_with_axe(self, page: Page, name: str) -> None:
        page.evaluate(AXE_SCRIPT)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")  # past what sticks below
        self.findings.add(name, page.evaluate(_RUN_AXE, _AXE_ALL))

    def _change_media(self, page: Page, name: str) -> None:
        page.emulate_media(color_scheme="dark")
        # Where words stand over others is known of the light page; colors are judged once.
        colors = set(page.evaluate(_MEASURE, {"measures": ["colors"]}))
        if colors - self._colors:
            self._colors |= colors
            self.findings.add(f"{name}, dark", page.evaluate(_RUN_AXE, _AXE_CONTRAST))
        page.emulate_media(color_scheme="null", forced_colors="active")
        self._measure(page, name, "forcedColors")
        page.emulate_media(forced_colors="null", media="print")
        self._measure(page, name, "print")
        page.emulate_media(media="null")

    def _look_at_phones(self, page: Page, name: str) -> None:
        self._resize(page, 320)
        self._measure(page, f"{name}, 320 px", "layout")
        page.evaluate(_STYLE, _LARGE_TEXT)
        self._measure(page, f"{name}, 200 % at 320 px", "layout")
        page.evaluate(_STYLE, "")
        self._resize(page, 360)
        page.emulate_media(color_scheme="dark")
        self._measure(page, f"{name}, 360 px, dark", "layout", "targets", "focus")
        if self._visited % 8 == 0:
            self._see_a_ring(page, name)

    def _see_a_ring(self, page: Page, name: str) -> None:
        """Check 28 by pictures, of a sample: the computed colors could be painted over."""
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            room = page.evaluate(_TO_STOP, [_STOPS, 5 + self._visited])
            before = page.screenshot(clip=room)
            stop = page.evaluate(_FOCUS_STOP)
            pictures = [b64encode(one).decode() for one in (before, page.screenshot(clip=room))]
            points = page.evaluate(_DIFFERENCE, pictures) * room["width"] * room["height"]
            if points < room["width"] + room["height"]:
                self.findings.add(name, [f"28 {points:.0f} points of a ring in {theme}: {stop}"])

    def _visit_in_german(self, visit: Visit, english: set[str], foreign: set[str]) -> None:
        page = self._page(visit, "de")
        self._load(visit, "de")
        self._measure(page, f"{visit.name}, German", "languages", "layout", language="de")
        size = page.viewport_size
        self._resize(page, 360 if size and size["width"] > 360 else 1280)
        self._measure(page, f"{visit.name}, German", "layout")
        german, foreign_in_german = self._texts(page)
        for text in english & german:
            if _words(text) - self._same_words:
                self.findings.add(visit.name, [f"67 “{text}” is not German"])
        for text in foreign_in_german - foreign - english:
            self.findings.add(visit.name, [f"43 “{text}” is marked as foreign, and translated"])

    def _resize(self, page: Page, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 900})

    def _measure(self, page: Page, where: str, *measures: str, language: str = "en") -> None:
        state = {"measures": measures, "least": 44, "language": language}
        self.findings.add(where, page.evaluate(_MEASURE, state))

    def title(self, visit: Visit) -> str:
        return self._pages[visit.who, "en"].title()
