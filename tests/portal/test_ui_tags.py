import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import timezone

from portal.templatetags import ui


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (589_000, "589 kB"),
        (999_600, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (3_000_000_000, "3.0 GB"),
        (5 * 10**18, "5,000 PB"),
    ],
)
def test_sizes_are_written_as_people_read_them(size_bytes: int | None, words: str) -> None:
    assert ui.filesize(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (312.2, "5 min 12 s"),
        (3599.7, "1 h 0 min"),
        (93_785, "26 h 3 min"),
    ],
)
def test_what_something_took_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    assert ui.duration(seconds) == words


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=4), "4 minutes ago"),
        (timedelta(minutes=59, seconds=50), "1 hour ago"),
        (timedelta(hours=23, minutes=50), "1 day ago"),
        (timedelta(days=3, hours=23), "3 days ago"),
        (timedelta(days=90), "3 months ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(days=365 * 56), "56 years ago"),
        (timedelta(days=-9), "in 9 days"),
        (timedelta(days=-9, seconds=1), "in 9 days"),
        (timedelta(minutes=-5), "in 5 minutes"),
    ],
)
def test_moments_are_told_as_distance_from_now(distance: timedelta, words: str) -> None:
    assert ui.ago(timezone.now() - distance) == words


def test_a_moment_has_its_exact_time_in_utc_behind_it() -> None:
    moment = datetime(2027, 2, 18, 14, 32, 7, tzinfo=UTC)

    html = render_to_string("components/time.html", {"when": moment, "exact": True})

    assert '<time datetime="2027-02-18T14:32:07Z" title="18 February 2027, 14:32 UTC">' in html
    assert "18 February 2027</time>" in html


def test_a_path_gives_the_words_to_search_for() -> None:
    assert ui.last_segment("/acme/nump%20y/") == "nump y"
    assert ui.last_segment("/") == ""


def test_every_icon_that_a_template_draws_is_in_the_sprite() -> None:
    sprite = (Path(settings.BASE_DIR) / "static/img/icons.svg").read_text()
    drawn = {
        name
        for template in (Path(settings.BASE_DIR) / "templates").rglob("*.html")
        for name in re.findall(r'{% icon "([^"]+)"', template.read_text())
    }

    assert drawn
    assert {name for name in drawn if f'<symbol id="{name}"' not in sprite} == set()


def test_no_template_has_inline_style_or_script() -> None:
    found = [
        f"{template.name}: {match}"
        for template in (Path(settings.BASE_DIR) / "templates").rglob("*.html")
        for match in re.findall(
            r"\sstyle=|\son\w+=|javascript:|<style|<script(?![^>]*\ssrc=)", template.read_text()
        )
    ]

    assert found == []


def test_what_a_message_says_is_escaped() -> None:
    html = render_to_string("components/callout.html", {"message": "<b>xz</b>", "kind": "danger"})

    assert "&lt;b&gt;xz&lt;/b&gt;" in html


@pytest.mark.parametrize("template", ["400.html", "403.html", "403_csrf.html", "404.html"])
def test_error_pages_need_no_database(template: str) -> None:
    request = RequestFactory().get("/acme/nothing")

    html = render_to_string(template, {}, request)

    assert "<h1>" in html


def test_the_page_of_last_resort_needs_not_even_a_request() -> None:
    assert "abc123" in render_to_string("500.html", {"request_id": "abc123"})


def test_addresses_of_this_host_are_links_and_all_else_is_words() -> None:
    address = f"{settings.BASE_URL}/acme/settings/storage"
    link = f'<a href="{address}">{address}</a>'
    elsewhere = "https://elsewhere.example.org/x"

    assert ui.linked(f"<b> ({address} tells). {address}.") == f"&lt;b&gt; ({link} tells). {link}."
    assert ui.linked(elsewhere) == elsewhere
    assert ui.linked(ui.linked("1 < 2")) == "1 &lt; 2"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "0 %"), (0, 9, "0 %"), (1, 1000, "< 1 %"), (1, 100, "1 %"), (2, 3, "67 %")],
)
def test_little_of_a_whole_is_not_nothing(part: int, whole: int, said: str) -> None:
    assert ui.percent(part, whole) == said
