"""What ``info/about.json`` says of a package, made fit to be shown (CEP 34)."""

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

MAX_LINE_LENGTH = 1000
MAX_DESCRIPTION_LENGTH = 64 * 1024
MAX_URL_LENGTH = 500
# Marks that stack up on one letter reach far over the lines around it.
_MAX_MARKS = 6

_LINES = ("summary", "license")
_URLS = ("home", "dev_url", "doc_url", "source_url", "license_url")
_BREAKS = re.compile(r"[\s\u2028\u2029]+")
_URL = re.compile(r"https?://[^\s<>\"'`\\{}|^]+", re.IGNORECASE)
_URL_SEPARATORS = re.compile(r"[\s,]+")


def description_fields(about: Mapping[str, object]) -> dict[str, str]:
    """Summary, description, license and links; a field that is missing or unfit is empty.

    Control characters, and those that are invisible or change the direction of what follows,
    are left out. Links are http or https. The text is still anybody's: escape it.
    """
    fields = {key: _one_line(_text(about.get(key), ", ")) for key in _LINES}
    fields["description"] = _visible(
        _text(about.get("description"), "\n")[: 2 * MAX_DESCRIPTION_LENGTH]
    )[:MAX_DESCRIPTION_LENGTH].strip()
    return fields | {key: _url(about.get(key)) for key in _URLS}


def _text(value: object, separator: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return separator.join(item for item in value if isinstance(item, str))
    return ""


def _one_line(text: str) -> str:
    line = _visible(_BREAKS.sub(" ", text[: 2 * MAX_LINE_LENGTH])).strip()
    return line if len(line) <= MAX_LINE_LENGTH else line[: MAX_LINE_LENGTH - 1] + "…"


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept = []
    marks = 0
    for character in text.replace("\r\n", "\n"):
        category = unicodedata.category(character)
        if category in {"Cc", "Cf", "Cs"} and character not in "\n\t":
            continue
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _url(value: object) -> str:
    """The first address in ``value``: old packages have several, in a list or with commas."""
    candidates = value if isinstance(value, list) else [value]
    for candidate in candidates[:10]:
        if not isinstance(candidate, str):
            continue
        url = _URL_SEPARATORS.split(candidate.strip()[: MAX_URL_LENGTH + 1])[0]
        if len(url) <= MAX_URL_LENGTH and _is_web_address(url):
            return url
    return ""


def _is_web_address(url: str) -> bool:
    if _URL.fullmatch(url) is None or _visible(url) != url:
        return False
    try:
        parts = urlsplit(url)
        # Reading the port raises for one that is none.
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
