"""The documentation as pages, and the texts for machines."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.test import Client
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from pytest_django import DjangoAssertNumQueries, Settings

from registry.views import documents
from tests.factories import make_user
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


def test_a_table_has_its_name_for_ears_alone(anonymous: Client) -> None:
    page = anonymous.get("/docs/tokens").content.decode()

    assert '<caption class="visually-hidden">Scopes</caption>' in page


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


def test_every_text_stands_in_the_menu_once(settings: Settings) -> None:
    texts = sorted(path.stem for path in (Path(settings.BASE_DIR) / "docs").glob("*.md"))

    assert sorted(slug for _, slugs in documents.SHELVES for slug in slugs) == texts


def test_commands_name_this_host_and_the_account_of_the_reader(
    anonymous: Client, settings: Settings
) -> None:
    signed_in = Client(HTTP_ACCEPT="text/html")
    signed_in.force_login(make_user("uma"))
    for client, name in ((anonymous, "acme"), (signed_in, "uma")):
        for page in ("/docs/publishing", "/docs/publishing.md"):
            words = client.get(page).content.decode()
            assert documents.HOST not in words
            assert f"{settings.BASE_URL}/conda/{name}/dev/" in words


def test_a_page_can_be_had_as_markdown(anonymous: Client) -> None:
    answer = anonymous.get("/docs/publishing.md")

    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer.content.decode().startswith("# Publishing\n")
    assert 'href="/docs/publishing.md"' in anonymous.get("/docs/publishing").content.decode()


def test_each_block_can_be_copied_and_each_heading_linked(anonymous: Client) -> None:
    page = anonymous.get("/docs/publishing").content.decode()
    content = page.partition('class="prose document"')[2].partition("docs-neighbours")[0]

    assert content.count("<pre") == content.count("data-copy hidden") > 3
    assert '<h2 id="with-curl"><a href="#with-curl" class="anchor"' in content
    assert '<a href="#with-curl">With curl</a>' in page


def test_pages_lead_to_those_before_and_after(anonymous: Client) -> None:
    order = [slug for _, slugs in documents.SHELVES for slug in slugs]
    first, second = (anonymous.get(f"/docs/{slug}").content.decode() for slug in order[:2])

    assert 'rel="prev"' not in first
    assert f'rel="next" href="/docs/{order[1]}"' in first
    assert f'rel="prev" href="/docs/{order[0]}"' in second


def test_the_search_finds_sections_by_all_words(anonymous: Client) -> None:
    found = anonymous.get("/docs", {"q": "quetz FORCE=true"}).content.decode()
    nothing = anonymous.get("/docs", {"q": "quetz submarine"}).content.decode()
    hostile = anonymous.get("/docs", {"q": "<script>\x00" + "x" * 5000})

    assert 'href="/docs/publishing#with-quetz-client"' in found
    assert "No section has all of these words" in nothing
    assert hostile.status_code == 200
    assert active_parts(hostile) == []


def test_the_documentation_asks_the_database_nothing(
    anonymous: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for path in ("/docs", "/docs?q=token", "/docs/tokens", "/docs/tokens.md"):
        with django_assert_max_num_queries(2):  # the switches and notices of the site
            anonymous.get(path)


def test_a_host_that_stands_alone_has_no_port() -> None:
    text = f"https://{documents.HOST}/x machine {documents.HOST} https://ada:t@{documents.HOST}/y"

    filled = documents.fill(text, base_url="http://packages:8080", account=None)

    assert filled == "http://packages:8080/x machine packages https://ada:t@packages:8080/y"
