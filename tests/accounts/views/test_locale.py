"""In which time zone and language somebody reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from accounts.models import Event, Organization
from tests.accounts.views.pages import words
from tests.cast import Person

LOCALE = "/olga/settings/profile/locale"


def exact_times(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_pages_in_tokyo_and_in_utc_show_the_same_instant(owner: Person, acme: Organization) -> None:
    acme.account.__class__.objects.update(created_at=datetime(2026, 3, 1, 20, 30, tzinfo=UTC))
    stranger = Client(HTTP_ACCEPT="text/html")

    in_utc = exact_times(stranger, "/acme")
    stranger.cookies["timezone"] = "Asia%2FTokyo"
    in_tokyo = exact_times(stranger, "/acme")

    for page in (in_utc, in_tokyo):
        assert 'datetime="2026-03-01T20:30:00Z"' in page
    assert 'title="1 March 2026, 20:30 UTC"' in in_utc
    assert 'title="2 March 2026, 05:30 JST"' in in_tokyo


def test_what_the_profile_says_comes_before_the_browser(owner: Person) -> None:
    owner.user.account.__class__.objects.update(created_at=datetime(2026, 3, 1, 20, 30, tzinfo=UTC))
    owner.client.cookies["timezone"] = "Asia/Tokyo"

    answer = owner.client.post(LOCALE, {"time_zone": "Europe/Berlin", "language": ""})

    assert answer.status_code == 302
    assert "21:30 CET" in exact_times(owner.client, "/olga")
    assert Event.objects.get(action="user.locale").detail["time_zone"] == "Europe/Berlin"


def test_the_language_comes_from_the_profile_the_cookie_or_the_browser(owner: Person) -> None:
    def language(client: Client, **headers: str) -> str:
        answer = client.get("/olga", **headers)  # type: ignore[arg-type]  # headers are keywords
        assert "Accept-Language" in answer.headers["Vary"]
        return str(answer.headers["Content-Language"])

    somebody = Client(HTTP_ACCEPT="text/html")
    assert language(somebody) == "en"
    assert language(somebody, HTTP_ACCEPT_LANGUAGE="de-AT,de;q=0.9") == "de"
    somebody.cookies["language"] = "en"
    assert language(somebody, HTTP_ACCEPT_LANGUAGE="de") == "en"
    owner.client.post(LOCALE, {"time_zone": "", "language": "de"})
    assert language(owner.client) == "de"
    assert '<html lang="de"' in owner.client.get("/olga").content.decode()


@pytest.mark.parametrize(
    "posted", [{"time_zone": "Mars/Phobos"}, {"language": "xx"}, {"time_zone": "../etc/passwd"}]
)
def test_no_zone_or_language_that_is_none(owner: Person, posted: dict[str, str]) -> None:
    answer = owner.client.post(LOCALE, posted, follow=True)

    assert "Select a valid choice" in words(answer)
    owner.user.refresh_from_db()
    assert (owner.user.time_zone, owner.user.language) == ("", "")


@pytest.mark.parametrize("zone", ["", "nonsense", "../../etc/passwd", "%00", "Asia/Nowhere"])
def test_a_cookie_that_names_no_zone_does_no_harm(db: None, zone: str) -> None:
    client = Client(HTTP_ACCEPT="text/html")
    client.cookies["timezone"] = zone

    assert client.get("/").status_code == 200


def test_nobody_sets_the_zone_of_somebody_else(owner: Person, stranger: Person) -> None:
    assert stranger.client.post(LOCALE, {"time_zone": "UTC"}).status_code == 403


def test_a_profile_shows_links_and_a_verified_address(owner: Person) -> None:
    page = "/olga/settings/profile"
    posted = {
        "links": "https://example.org/a\nhttps://example.org/b",
        "public_email": owner.user.email,
    }
    assert owner.client.post(page, posted).status_code == 302
    shown = Client(HTTP_ACCEPT="text/html").get("/olga").content.decode()
    assert "https://example.org/b" in shown
    assert f"mailto:{owner.user.email}" in shown

    assert owner.client.post(page, {"public_email": "other@example.org"}).status_code == 422
    assert owner.client.post(page, {"links": "javascript:alert(1)"}).status_code == 422
    assert owner.client.post(page, {"links": "https://a.example\n" * 6}).status_code == 422
