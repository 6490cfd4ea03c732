"""Small pictures that tell of a package, for READMEs elsewhere.

They are what anybody may see, whoever asks: pictures are fetched by somebody else's proxy and kept
there. So a private package has none, whether its owner looks or not.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.identity import ANONYMOUS
from portal.errors import NotFound
from portal.templatetags.ui import ago, short_date
from registry import access, statistics
from registry.models import Channel, Package, PackageFile
from registry.views import listing
from registry.views.frame import package_context, viewer

_KEPT_SECONDS = 300
_MAX_CHARACTERS = 60

# Advance widths of Verdana in 1/2048 of its size, from the space to the tilde. A reader's picture
# is drawn without it where it is missing: then ``textLength`` squeezes what is there.
_WIDTHS = (
    720, 806, 940, 1676, 1302, 2204, 1488, 550, 930, 930, 1302, 1676, 745, 930, 745, 930,
    1302, 1302, 1302, 1302, 1302, 1302, 1302, 1302, 1302, 1302, 930, 930, 1676, 1676, 1676, 1117,
    2048, 1400, 1404, 1430, 1578, 1295, 1177, 1588, 1539, 862, 931, 1419, 1140, 1726, 1532, 1612,
    1235, 1612, 1424, 1400, 1262, 1499, 1400, 2025, 1403, 1260, 1403, 930, 930, 930, 1676, 1302,
    1302, 1230, 1276, 1067, 1276, 1220, 720, 1276, 1296, 562, 705, 1212, 562, 1992, 1296, 1243,
    1276, 1276, 874, 1067, 807, 1296, 1212, 1676, 1212, 1212, 1076, 1300, 930, 1300, 1676,
)  # fmt: skip
_UNITS_PER_EM = 2048
_FONT_SIZE = 11
_PADDING = 6


def _width(text: str) -> int:
    """How wide the text is in pixels; of a letter that is not in the table, as a wide one."""
    units = 0
    for character in text:
        index = ord(character) - 32
        units += _WIDTHS[index] if 0 <= index < len(_WIDTHS) else _UNITS_PER_EM
    return -(-units * _FONT_SIZE // _UNITS_PER_EM)


@dataclass(frozen=True, slots=True)
class _Side:
    """Half of a badge: a text, and where it stands."""

    text: str
    left: int

    @property
    def text_width(self) -> int:
        return _width(self.text)

    @property
    def width(self) -> int:
        return self.text_width + 2 * _PADDING

    @property
    def text_left(self) -> int:
        return self.left + _PADDING


def _fit(text: str) -> str:
    """One short line of characters that a picture can show and XML can hold."""
    shown = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text))
    line = " ".join(shown.split())
    return line if len(line) <= _MAX_CHARACTERS else line[: _MAX_CHARACTERS - 1] + "…"


# --- What they tell ----------------------------------------------------------------------------

_MAX_PLATFORMS = 4


@dataclass(frozen=True, slots=True)
class _Facts:
    package: Package
    files: QuerySet[PackageFile]
    latest: statistics.Latest


def _platforms(facts: _Facts) -> str:
    subdirs = listing.in_order(statistics.platforms(facts.files))
    more = len(subdirs) - _MAX_PLATFORMS
    shown = ", ".join(subdirs[:_MAX_PLATFORMS])
    return f"{shown} +{more}" if more > 0 else shown


def _license(facts: _Facts) -> str:
    newest = listing.newest_first(facts.files).first()
    return listing.about(facts.package, newest).license or "not said"


def _short(number: int) -> str:
    """``999``, ``12.4k``, ``3M``: as many digits as fit."""
    if number < 1000:
        return str(number)
    size = float(number)
    for unit in ("k", "M", "G"):
        size /= 1000
        # 999.95k would be written as 1000k.
        if size < 999.5 or unit == "G":
            break
    return f"{size:.1f}".removesuffix(".0") + unit if size < 10 else f"{size:.0f}{unit}"


# By the name in the address: what stands on the left, and how to find out what stands on the right.
_BADGES: dict[str, tuple[str, Callable[[_Facts], str]]] = {
    "version": ("conda", lambda facts: facts.latest.version),
    "latest_release_date": ("released", lambda facts: short_date(facts.latest.uploaded_at)),
    "latest_release_relative_date": ("released", lambda facts: ago(facts.latest.uploaded_at)),
    "platforms": ("platforms", _platforms),
    "license": ("license", _license),
    "downloads": (
        "downloads",
        lambda facts: f"{_short(statistics.total_downloads(facts.files))} total",
    ),
}


@require_safe
def badge(request: HttpRequest, account: str, package: str, badge: str) -> HttpResponseBase:
    found = access.find_package(ANONYMOUS, account, package)
    files = access.visible_files(ANONYMOUS, found)
    latest = statistics.latest(files)
    if badge not in _BADGES or latest is None:
        raise NotFound
    label, tell = _BADGES[badge]
    picture = _drawn(label, tell(_Facts(found, files, latest)))
    etag = f'"{hashlib.sha256(picture).hexdigest()[:40]}"'
    response = HttpResponse(
        picture,
        content_type="image/svg+xml",
        headers={
            "Cache-Control": f"public, max-age={_KEPT_SECONDS}",
            "ETag": etag,
            "X-Content-Type-Options": "nosniff",
        },
    )
    return get_conditional_response(request, etag=etag, response=response) or response


def _drawn(label: str, value: str) -> bytes:
    left = _Side(_fit(label), 0)
    right = _Side(_fit(value), left.width)
    context = {"left": left, "right": right, "width": left.width + right.width}
    return render_to_string("registry/badge.svg", context).encode()


# --- Where they are ----------------------------------------------------------------------------


def has_badges(package: Package, channels: Sequence[Channel]) -> bool:
    """Whether pictures tell of it, which anybody may see; ``channels`` are those it stands in."""
    return not package.is_private and any(not channel.is_private for channel in channels)


@require_safe
def badges(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """All of them, with what to write into a README."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    public = access.visible_packages(ANONYMOUS, found.account).filter(pk=found.pk)
    has_any = (
        public.exists() and statistics.latest(access.visible_files(ANONYMOUS, found)) is not None
    )
    context = {
        **package_context(identity, found, "overview", _("Badges")),
        "badges": _to_copy(found) if has_any else [],
    }
    return render(request, "registry/badges.html", context)


def _to_copy(package: Package) -> list[dict[str, Any]]:
    where = [package.account.name, package.name]
    page = settings.BASE_URL + reverse("registry:package", args=where)
    labels = {
        "version": _("Version"),
        "latest_release_date": _("Date"),
        "latest_release_relative_date": _("Age"),
        "platforms": _("Platforms"),
        "license": _("License"),
        "downloads": _("Downloads"),
    }
    shown = []
    for name, label in labels.items():
        picture = f"{page}/badges/{name}.svg"
        shown.append(
            {
                "name": name,
                "label": label,
                "picture": reverse("registry:badge", args=[*where, name]),
                "variants": [
                    {"label": "Markdown", "command": f"[![{label}]({picture})]({page})"},
                    {
                        "label": gettext("RST"),
                        "command": (f".. image:: {picture}\n   :target: {page}\n   :alt: {label}"),
                    },
                    {
                        "label": "HTML",
                        "command": f'<a href="{page}"><img src="{picture}" alt="{label}"></a>',
                    },
                ],
            }
        )
    return shown
