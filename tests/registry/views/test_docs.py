"""The documentation as pages, and the texts for machines."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.test import Client
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from pytest_django import Settings

from tests.registry.views.browsers import active_parts, text_of


def test_every_text_is_a_page_with_one_heading_and_nothing_active(
    anonymous: Client, settings: Settings
) -> None:
    start = anonymous.get("/docs").content.decode()
    texts = sorted((Path(settings.BASE_DIR) / "docs").glob("*.md"))

    assert texts
    for text in texts:
        answer = anonymous.get(f"/docs/{text.stem}")
        assert answer.status_code == 200
        assert answer.content.decode().count("<h1") == 1
        assert active_parts(answer) == []
        assert f'href="/docs/{text.stem}"' in start


def test_only_the_texts_of_the_folder_are_shown(anonymous: Client) -> None:
    for path in ("/docs/missing", "/docs/..%2fREADME", "/docs/%2e%2e/portal", "/docs/a.md"):
        assert anonymous.get(path).status_code == 404


def test_security_txt_expires_within_a_year(anonymous: Client) -> None:
    lines = text_of(anonymous.get("/.well-known/security.txt"))
    fields = dict(
        line.split(": ", 1)
        for line in anonymous.get("/.well-known/security.txt").content.decode().splitlines()
    )

    expires = parse_datetime(fields["Expires"])
    assert expires is not None
    assert timedelta(days=30) < expires - timezone.now() < timedelta(days=365)
    assert fields["Contact"].startswith("mailto:condarium@")
    assert "Canonical" in lines


def test_crawlers_are_kept_from_what_has_no_end(anonymous: Client) -> None:
    lines = anonymous.get("/robots.txt").content.decode().splitlines()

    assert "Disallow: /conda/" in lines


def test_the_types_of_problems_lead_to_their_sections(anonymous: Client) -> None:
    page = anonymous.get("/docs/problems").content.decode()

    for slug in ("not-found", "forbidden", "file-exists", "channel-locked", "digest-mismatch"):
        assert f'id="{slug}"' in page
