"""Text with its words marked by classes, and JSON as a tree: both made of escaped pieces only."""

from __future__ import annotations

import html
import json
import re
from functools import lru_cache

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

_STRINGS = r'"(?:\\.|[^"\\\n])*+"|' + r"'(?:\\.|[^'\\\n])*+'"
_NUMBER = r"(?<![\w.])\d[\w.]*+"
_HASH, _SLASH, _DASH = r"#[^\n]*+", r"//[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/)?", r"--[^\n]*+"
_WORDS = {
    "python": (
        "and as assert async await break case class continue def del elif else except False finally"
        " for from global if import in is lambda match None nonlocal not or pass raise return True"
        " try while with yield"
    ),
    "shell": (
        "case cd do done echo elif else esac exit export fi for function if in local return set"
        " then unset while"
    ),
    "c": (
        "auto break case char class const continue default do double else enum export extern false"
        " float fn for function if impl import include inline int let long mod namespace new null"
        " private public pub return short signed sizeof static struct switch template this true"
        " typedef typename union unsigned use using var virtual void volatile while"
    ),
    "data": "true false null yes no on off",
}
_COMMENTS = {"python": _HASH, "shell": _HASH, "data": _HASH, "c": _SLASH, "sql": _DASH}
_BY_EXTENSION = {
    **dict.fromkeys(("py", "pyi", "pyx", "pxd"), "python"),
    **dict.fromkeys(("sh", "bash", "zsh", "fish", "csh", "bat", "cmake", "mk"), "shell"),
    **dict.fromkeys(
        ("c", "h", "cc", "cpp", "cxx", "hpp", "hh", "js", "mjs", "ts", "rs", "go", "java", "css"),
        "c",
    ),
    **dict.fromkeys(
        ("json", "yaml", "yml", "toml", "cfg", "ini", "pc", "conf", "properties"), "data"
    ),
    "sql": "sql",
}
_LONGEST_LINE = 20_000


@lru_cache(maxsize=8)
def _pattern(language: str) -> re.Pattern[str]:
    words = "|".join(_WORDS.get(language, "").split()) or r"(?!)"
    return re.compile(
        rf"(?P<comment>{_COMMENTS[language]})|(?P<string>{_STRINGS})"
        rf"|(?P<number>{_NUMBER})|(?P<word>\b(?:{words})\b)"
    )


_CLASSES = {
    "comment": "muted",
    "string": "json-string",
    "number": "json-number",
    "word": "json-word",
}


def highlighted(text: str, filename: str) -> SafeString:
    """The text with comments, strings, numbers and words of its language in spans; as it is where
    the name tells no language."""
    language = _BY_EXTENSION.get(filename.rpartition(".")[2].lower(), "")
    if text.startswith("#!"):
        language = "python" if "python" in text[:60] else "shell"
    longest = max(map(len, text.split("\n")), default=0)
    if not language or longest > _LONGEST_LINE:
        return format_html("{}", text)
    # By hand: format_html would cost more than everything else here.
    pieces: list[str] = []
    position = 0
    for match in _pattern(language).finditer(text):
        pieces.append(html.escape(text[position : match.start()]))
        look = _CLASSES[match.lastgroup or "word"]
        pieces.append(f'<span class="{look}">{html.escape(match[0])}</span>')
        position = match.end()
    pieces.append(html.escape(text[position:]))
    return mark_safe("".join(pieces))  # noqa: S308 - each piece is escaped above


# --- JSON --------------------------------------------------------------------------------------

_MAX_NODES = 3_000
_MAX_DEPTH = 24
_OPEN_DEPTH = 2


def json_tree(data: bytes) -> SafeString | None:
    """JSON as nested lists that fold; None for what is no JSON."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list):
        return None
    return _Tree().branch(value, 0)


class _Tree:
    def __init__(self) -> None:
        self._left = _MAX_NODES

    def branch(self, value: dict[str, object] | list[object], depth: int) -> SafeString:
        items = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
        shown = items[: max(0, self._left)]
        self._left -= len(shown)
        rows = [self._row(key, item, depth) for key, item in shown]
        if len(shown) < len(items):
            rows.append(format_html('<li class="muted">{}</li>', gettext("and more")))
        return format_html(
            '<ul class="tree">{}</ul>', format_html_join("", "{}", ((r,) for r in rows))
        )

    def _row(self, key: str, value: object, depth: int) -> SafeString:
        name = format_html('<span class="json-key">{}</span>: ', key) if key else SafeString("")
        if isinstance(value, dict | list) and value and depth < _MAX_DEPTH:
            marks = "{%d}" if isinstance(value, dict) else "[%d]"
            return format_html(
                '<li><details{}><summary>{}<span class="muted">{}</span></summary>{}'
                "</details></li>",
                SafeString(" open") if depth < _OPEN_DEPTH and len(value) <= 100 else "",
                name,
                marks % len(value),
                self.branch(value, depth + 1),
            )
        return format_html("<li>{}{}</li>", name, _leaf(value))


def _leaf(value: object) -> SafeString:
    if isinstance(value, str):
        return format_html('<span class="json-string break">{}</span>', value)
    if isinstance(value, dict | list):
        return format_html(
            '<span class="muted">{}</span>',
            "{…}" if value else "[]" if isinstance(value, list) else "{}",
        )
    if isinstance(value, bool) or value is None:
        return format_html('<span class="json-word">{}</span>', json.dumps(value))
    return format_html('<span class="json-number">{}</span>', str(value))
