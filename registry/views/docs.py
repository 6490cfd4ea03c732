"""The documentation as pages, and the small texts that machines ask a site for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.errors import NotFound
from registry.views.markdown import Document, document

_FOLDER = "docs"
_SECURITY_TEXT_VALID = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class _Entry:
    slug: str
    title: str


def _files() -> dict[str, Path]:
    """The texts there are, by their name in the URL: only these are ever opened."""
    folder = Path(settings.BASE_DIR) / _FOLDER
    return {path.stem: path for path in sorted(folder.glob("*.md")) if path.is_file()}


def _read(path: Path) -> Document:
    return document(path.read_text(encoding="utf-8"))


def _entries() -> list[_Entry]:
    entries = [_Entry(slug, _read(path).title or slug) for slug, path in _files().items()]
    return sorted(entries, key=lambda entry: entry.title.casefold())


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    return render(request, "registry/docs.html", {"entries": _entries()})


@require_safe
def docs_page(request: HttpRequest, page: str) -> HttpResponse:
    path = _files().get(page)
    if path is None:
        raise NotFound
    entries = _entries()
    menu = [
        {"label": entry.title, "url": f"/docs/{entry.slug}", "current": entry.slug == page}
        for entry in entries
    ]
    context = {
        "document": _read(path),
        "slug": page,
        "menu_sections": [{"title": "", "entries": menu}],
    }
    return render(request, "registry/docs_page.html", context)


@require_safe
def docs_api(_request: HttpRequest) -> HttpResponse:
    return redirect("openapi-docs")


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
