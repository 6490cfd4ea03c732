"""The documentation as pages, and the small texts that machines ask a site for."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext
from django.views.decorators.http import require_safe

from portal.errors import NotFound
from registry.views import documents
from registry.views.markdown import Document, document

_SECURITY_TEXT_VALID = timedelta(days=180)
_MAX_WORDS = 200
_CODE_BLOCK = re.compile(r'<pre tabindex="0"><code>(.*?)</code></pre>', re.DOTALL)


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:_MAX_WORDS]
    shelves = documents.shelves()
    found = documents.search(words, shelves)
    context = {
        "shelves": shelves,
        "words": words,
        "found": [(one, _filled(request, one.snippet)) for one in found],
        "menu_sections": _menu(shelves, current=""),
    }
    return render(request, "registry/docs.html", context)


@require_safe
def docs_page(request: HttpRequest, page: str) -> HttpResponse:
    shelves = documents.shelves()
    pages = [one for shelf in shelves for one in shelf.pages]
    place = next((number for number, one in enumerate(pages) if one.slug == page), None)
    if place is None:
        raise NotFound
    shown = document(_filled(request, pages[place].text))
    context = {
        "document": shown,
        "body": _with_copy_buttons(shown),
        "page": pages[place],
        "before": pages[place - 1] if place else None,
        "after": pages[place + 1] if place + 1 < len(pages) else None,
        "account_name": _account_name(request),
        "crumbs": [
            {"label": gettext("Documentation"), "url": reverse("registry:docs")},
            {"label": pages[place].title, "lang": "en"},
        ],
        "menu_sections": _menu(shelves, current=page),
    }
    return render(request, "registry/docs_page.html", context)


@require_safe
def docs_text(request: HttpRequest, page: str) -> HttpResponse:
    """The same page for programs, and for people who would rather read the source."""
    for shelf in documents.shelves():
        for one in shelf.pages:
            if one.slug == page:
                text = _filled(request, one.text)
                return HttpResponse(text, content_type="text/markdown; charset=utf-8")
    raise NotFound


def _account_name(request: HttpRequest) -> str | None:
    return request.user.get_username() if request.user.is_authenticated else None


def _filled(request: HttpRequest, text: str) -> str:
    return documents.fill(text, base_url=settings.BASE_URL, account=_account_name(request))


def _menu(shelves: tuple[documents.Shelf, ...], *, current: str) -> list[dict[str, Any]]:
    return [
        {
            "title": shelf.title,
            "entries": [
                {
                    "label": page.title,
                    "lang": "en",
                    "url": reverse("registry:docs-page", args=[page.slug]),
                    "current": page.slug == current,
                }
                for page in shelf.pages
            ],
        }
        for shelf in shelves
    ]


def _with_copy_buttons(shown: Document) -> SafeString:
    def command(match: re.Match[str]) -> str:
        words = html.unescape(match[1]).rstrip("\n")
        return render_to_string(
            "components/command.html", {"command": words, "lang": get_language()}
        )

    # What goes in was sanitized, and the component escapes what it is given.
    return mark_safe(_CODE_BLOCK.sub(command, shown.html))  # noqa: S308


@require_safe
def security_txt(_request: HttpRequest) -> HttpResponse:
    """Where to report what is wrong with the safety of this host (RFC 9116)."""
    expires = (timezone.now() + _SECURITY_TEXT_VALID).strftime("%Y-%m-%dT00:00:00Z")
    lines = [
        f"Contact: mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}",
        f"Expires: {expires}",
        "Preferred-Languages: en",
        f"Canonical: {settings.BASE_URL}/.well-known/security.txt",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def robots_txt(_request: HttpRequest) -> HttpResponse:
    """Crawlers read pages; files and filtered lists are endless and of no use to them."""
    lines = [
        "User-agent: *",
        "Disallow: /conda/",
        "Disallow: /api/",
        "Disallow: /account/",
        "Disallow: /search",
        "Disallow: /*?",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
