"""Markdown to HTML that runs nothing, loads nothing from elsewhere and breaks no page.

Raw HTML in the source stays text. What comes out is sanitized all the same: two bugs would have
to meet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.utils.translation import gettext
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token

MAX_CHARACTERS = 256 * 1024
_TAGS = {
    "a", "blockquote", "br", "caption", "code", "dd", "dl", "dt", "em", "h2", "h3", "h4", "h5",
    "h6", "hr", "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr",
    "ul", "wbr",
}  # fmt: skip
_HEADINGS = {f"h{level}" for level in range(1, 7)}
_ALIGNMENTS = {"text-align:center": "align-center", "text-align:right": "align-right"}
_LONG = "long"
_ALIGNED = {"align-center", "align-right"}
# Where a path, its query or the name of a variable may go on in the next line.
_WITHIN_CODE = re.compile(r"(?<=[^\s(][/_])(?<!&lt;[/_])(?=[^/_\s])|(?<=\S)(?=\?|&amp;)")
# What is longer is given more than one line also where there is room: else it takes that of others.
_LONG_CODE = re.compile(r"\S{30}")
_DOCS_LINK = re.compile(r"(?:\./|docs/)?([a-z0-9-]+)\.md(#[A-Za-z0-9_-]*)?")


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str
    slug: str


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, as plain words; before the first heading ``slug`` is empty."""

    heading: str
    slug: str
    words: str


@dataclass(frozen=True, slots=True)
class Document:
    html: SafeString
    title: str
    headings: tuple[Heading, ...]


def _parser() -> MarkdownIt:
    # Deep nesting costs time and stack, and nobody writes it.
    return MarkdownIt("js-default", {"maxNesting": 20})


def description_html(text: str) -> SafeString:
    """What a package says of itself. Its headings stand below the page's own; its images are
    links, its links lead to https addresses only."""
    return _description_html(text, gettext("Table"))


@lru_cache(maxsize=64)
def _description_html(text: str, table: str) -> SafeString:
    tokens = _parser().parse(text[:MAX_CHARACTERS])
    for token in tokens:
        _tame(token)
        if token.tag in _HEADINGS:
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        if token.children:
            token.children = _images_as_links(token.children)
    html = _render(_with_captions(tokens, table))
    return _clean(html, schemes={"https"}, link_rel="nofollow noopener ugc")


@lru_cache(maxsize=64)
def document(text: str) -> Document:
    """A page of our own documentation: its first heading is its title, the others are anchors."""
    tokens = _parser().parse(text)
    headings: list[Heading] = []
    slugs: set[str] = set()
    for token, inline in zip(tokens, [*tokens[1:], None], strict=True):
        _tame(token)
        for child in token.children or ():
            _point_into_docs(child)
        if token.type == "heading_open" and inline is not None:
            heading = _heading(int(token.tag[1]), inline, slugs)
            headings.append(heading)
            token.attrSet("id", heading.slug)
            inline.children = _as_anchor(heading, inline.children or [])
    title = next((heading.text for heading in headings if heading.level == 1), "")
    body = _without_title(tokens)
    html = _render(_with_captions(body, title))
    html = _clean(html, schemes={"https", "http", "mailto"}, link_rel="noopener", own=True)
    return Document(html, title, tuple(heading for heading in headings if heading.level == 2))


def sections_of(text: str) -> tuple[Section, ...]:
    """The words of a page of our documentation, cut where ``document`` has anchors."""
    tokens = _parser().parse(text)
    slugs: set[str] = set()
    sections: list[tuple[str, str, list[str]]] = [("", "", [])]
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before is not None and before.type == "heading_open":
            heading = _heading(int(before.tag[1]), token, slugs)
            is_title = heading.level == 1
            sections.append(
                ("" if is_title else heading.text, "" if is_title else heading.slug, [])
            )
        elif token.type == "inline":
            parts = (
                child.content or " " * child.type.endswith("break")
                for child in token.children or ()
            )
            sections[-1][2].append("".join(parts))
        elif token.type in {"fence", "code_block"}:
            sections[-1][2].append(token.content)
    return tuple(
        Section(heading, slug, " ".join(" ".join(words).split()))
        for heading, slug, words in sections
        if words
    )


def _as_anchor(heading: Heading, children: list[Token]) -> list[Token]:
    """The heading as a link to itself, unless it has a link in it."""
    if heading.level == 1 or any(child.type == "link_open" for child in children):
        return children
    link = Token("link_open", "a", 1, attrs={"href": f"#{heading.slug}", "class": "anchor"})
    return [link, *children, Token("link_close", "a", -1)]


def _heading(level: int, inline: Token, slugs: set[str]) -> Heading:
    words = "".join(
        child.content for child in inline.children or () if child.type in {"text", "code_inline"}
    )
    slug = slugify(words) or "section"
    unique, number = slug, 2
    while unique in slugs:
        unique, number = f"{slug}-{number}", number + 1
    slugs.add(unique)
    return Heading(level, words, unique)


def _without_title(tokens: Sequence[Token]) -> list[Token]:
    if len(tokens) > 2 and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        return list(tokens[3:])
    return list(tokens)


def _with_captions(tokens: Sequence[Token], otherwise: str) -> list[Token]:
    """Tables have the heading before them as their name, for those who hear the page."""
    shown: list[Token] = []
    name = otherwise
    for token, before in zip(tokens, [None, *tokens], strict=False):
        shown.append(token)
        if before is not None and before.type == "heading_open" and token.content:
            name = token.content
        if token.type == "table_open":
            shown += [
                Token("caption_open", "caption", 1, attrs={"class": "visually-hidden"}),
                Token("text", "", 0, content=name),
                Token("caption_close", "caption", -1),
            ]
    return shown


def _render(tokens: Sequence[Token]) -> str:
    parser = _parser()
    parser.add_render_rule("code_inline", _code)
    return str(parser.renderer.render(tokens, parser.options, {}))


def _code(
    renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: object, env: object
) -> str:
    """Code with places to end a line in: without, a table of paths is wider than any phone."""
    text = tokens[index].content
    kind = f' class="{_LONG}"' if _LONG_CODE.search(text) else ""
    return f"<code{kind}>{_WITHIN_CODE.sub('<wbr>', escapeHtml(text))}</code>"


def _tame(token: Token) -> None:
    """The policy of our pages refuses style attributes: alignment becomes a class. The language of
    a block would become one, too, and nothing goes by it."""
    if token.type == "fence":
        token.info = ""
    style = str(token.attrs.pop("style", ""))
    if style in _ALIGNMENTS:
        token.attrSet("class", _ALIGNMENTS[style])


def _images_as_links(children: Sequence[Token]) -> list[Token]:
    """Images come from other hosts, which would learn who reads what."""
    shown: list[Token] = []
    depth = 0
    for token in children:
        if token.type in {"link_open", "link_close"}:
            depth += token.nesting
        if token.type != "image":
            shown.append(token)
            continue
        words = Token("text", "", 0, content=token.content or "image")
        if depth:
            shown.append(words)
            continue
        address = {"href": str(token.attrs.get("src", ""))}
        shown += [
            Token("link_open", "a", 1, attrs={**address}),
            words,
            Token("link_close", "a", -1),
        ]
    return shown


def _point_into_docs(token: Token) -> None:
    if token.type != "link_open":
        return
    match = _DOCS_LINK.fullmatch(str(token.attrs.get("href", "")))
    if match is not None:
        token.attrSet("href", f"/docs/{match[1]}{match[2] or ''}")


def _clean(html: str, *, schemes: set[str], link_rel: str, own: bool = False) -> SafeString:
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes={
            "a": {"href", "title"},
            "ol": {"start"},
            **({tag: {"id"} for tag in _HEADINGS} if own else {}),
        },
        allowed_classes={
            "code": {_LONG},
            "td": _ALIGNED,
            "th": _ALIGNED,
            "caption": {"visually-hidden"},
            **({"a": {"anchor"}} if own else {}),
        },
        # What scrolls sideways must be reached by keyboard.
        set_tag_attribute_values={
            "pre": {"tabindex": "0"},
            "table": {"tabindex": "0"},
            "th": {"scope": "col"},
        },
        url_schemes=schemes,
        url_relative="pass_through" if own else "deny",
        link_rel=link_rel,
    )
    return mark_safe(clean)  # noqa: S308 - sanitized in the line above
