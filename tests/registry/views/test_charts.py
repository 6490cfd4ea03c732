"""Pictures of numbers: the same numbers as a table and as CSV, of what the viewer may see."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models import Sum
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account
from portal.charts import Calendar, Chart, Point, Series, Tile, Treemap
from registry.models import Channel, ChannelFile, Download, Package, PackageFile
from registry.views.site import _newest_uploads, _uploads_chart
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, Answer, Browsers, active_parts, text_of
from tests.registry.views.test_lists import make_files

PAGES = ("storage", "storage.csv")
DOWNLOADS = f"{HELLO}/downloads"


def _today() -> date:
    return timezone.now().date()


def _count(file: PackageFile, *counts: int) -> None:
    """Downloads of today, of yesterday, and so on."""
    Download.objects.bulk_create(
        Download(file=file, day=_today() - timedelta(days=back), count=count)
        for back, count in enumerate(counts)
        if count
    )


def _table_sum(page: Answer) -> int:
    return sum(map(int, re.findall(r'data-number="(\d+)"', page.content.decode())))


def _foot(page: Answer) -> list[str]:
    found = re.search(r"<tfoot>(.*?)</tfoot>", page.content.decode(), re.DOTALL)
    return re.findall(r'<td class="number">([\d,]+)<', found[1]) if found else []


def _csv(answer: Answer) -> list[list[str]]:
    return list(csv.reader(b"".join(answer.streaming_content).decode().splitlines()))


@pytest.fixture
def fetched_world(world: World) -> World:
    """hello 1.0 is fetched from main, 1.1 for linux-64 too, and 2.0 from the private channel."""
    owner = world.owner
    publish(owner, "acme", "main", "hello", "1.1", subdir="linux-64")
    publish(owner, "acme", "secret", "hello", "2.0")
    for version, counts in {"1.0": (3, 0, 5), "1.1": (10, 20), "2.0": (0, 1000)}.items():
        _count(PackageFile.objects.get(name="hello", version=version), *counts)
    _count(PackageFile.objects.get(name="hidden"), 77)
    return world


def test_downloads_are_counted_as_far_as_the_viewer_may_see_the_files(
    fetched_world: World, browsers: Browsers
) -> None:
    for who, browser in browsers.items():
        page = browser.get(DOWNLOADS)
        knows = who not in {"anonymous", "stranger"}
        seen = PackageFile.objects.filter(name="hello")
        files = seen if knows else seen.exclude(version="2.0")
        real = Download.objects.filter(file__in=files).aggregate(total=Sum("count"))["total"]
        assert real == (1038 if knows else 38)
        assert f"{real:,} downloads in 90 days" in text_of(page), who
        assert _table_sum(page) == real, who
        by_version = browser.get(f"{DOWNLOADS}?by=version&days=30")
        assert ("2.0" in text_of(by_version)) == knows, who
        assert _table_sum(by_version) == real, who
        rows = _csv(browser.get(f"{DOWNLOADS}?format=csv&by=version"))
        assert rows[0] == ["day", "version", "downloads"]
        assert sum(int(row[2]) for row in rows[1:]) == real, who
        assert browser.get("/acme/hidden/downloads").status_code == (200 if knows else 404)


def test_the_drawing_the_table_and_the_file_say_the_same(
    fetched_world: World, anonymous: Client
) -> None:
    page = anonymous.get(f"{DOWNLOADS}?by=platform&days=30")
    words = text_of(page)
    assert "38 downloads in 30 days, 79 % linux-64" in words
    assert "Day linux-64 noarch" in words
    german = anonymous.get(f"{DOWNLOADS}?by=platform&days=30", headers={"Accept-Language": "de"})
    assert "38 Downloads in 30 Tagen, 79 % linux-64" in text_of(german)
    assert _foot(page) == ["30", "8"]
    assert active_parts(page) == []
    assert page.content.decode().count("<polygon") == 2
    today = f"{_today():%-d %B %Y}"
    assert f"{today} 10 3" in words
    rows = _csv(anonymous.get(f"{DOWNLOADS}?by=platform&days=30&format=csv"))
    assert [str(_today()), "linux-64", "10"] in rows
    assert [str(_today() - timedelta(days=2)), "noarch", "5"] in rows


def test_a_year_is_shown_in_weeks_and_loses_nothing(
    fetched_world: World, anonymous: Client
) -> None:
    file = PackageFile.objects.get(name="hello", version="1.0")
    for back in (200, 364, 365):
        Download.objects.create(file=file, day=_today() - timedelta(days=back), count=100)
    page = anonymous.get(f"{DOWNLOADS}?days=365")
    assert page.content.decode().count("data-at=") == 53
    assert _table_sum(page) == 238
    assert "Week up to" in text_of(page)


def test_the_largest_groups_are_named_and_the_rest_are_others(
    fetched_world: World, anonymous: Client
) -> None:
    account = Account.objects.get(name="acme")
    main = Channel.objects.get(account=account, name="main")
    hello = Package.objects.get(account=account, name="hello")
    versions = [f"3.{number}" for number in range(50)]
    make_files(account, hello, versions, main)
    for number, version in enumerate(versions):
        _count(PackageFile.objects.get(version=version, subdir="noarch"), 100 + number)
    with CaptureQueriesContext(connection) as queries:
        page = anonymous.get(f"{DOWNLOADS}?by=version")
    assert len(queries) <= 12
    assert "Day 3.49 3.48 3.47 3.46 3.45 others" in text_of(page)
    assert _table_sum(page) == 38 + sum(range(100, 150))
    assert len(_csv(anonymous.get(f"{DOWNLOADS}?by=version&format=csv"))) == 1 + 50 + 4


def test_where_nothing_was_downloaded_the_page_says_so(world: World, anonymous: Client) -> None:
    page = anonymous.get(DOWNLOADS)
    assert "No downloads in these 90 days." in text_of(page)
    assert "uPlot" not in page.content.decode()
    assert _csv(anonymous.get(f"{DOWNLOADS}?format=csv")) == [["day", "platform", "downloads"]]
    for nonsense in ("by=%00", "days=-1", "days=31", "format=exe", "by=__class__"):
        assert "No downloads in these 90 days." in text_of(anonymous.get(f"{DOWNLOADS}?{nonsense}"))


def test_the_package_leads_to_its_downloads(fetched_world: World, owner: Person) -> None:
    page = owner.client.get(HELLO).content.decode()
    assert page.count(f'href="{DOWNLOADS}"') == 3
    assert "1,038" in page


# --- Channels and accounts ---------------------------------------------------------------------


def test_a_channel_grows_by_what_the_viewer_may_know_of(
    fetched_world: World, browsers: Browsers
) -> None:
    hidden = ChannelFile.objects.filter(name="hidden")
    ChannelFile.objects.filter(file__version="1.0").update(
        added_at=timezone.now() - timedelta(days=100)
    )
    hidden.update(added_at=timezone.now() - timedelta(days=40))
    for who, browser in browsers.items():
        cache.clear()
        page = browser.get("/acme/activity/growth/main")
        whole = who not in {"anonymous", "stranger"}
        standing = ChannelFile.objects.filter(channel__name="main")
        count = standing.count() if whole else standing.exclude(name="hidden").count()
        assert f"{count} files stand in main, 1 of them" in text_of(page), who
        shown = re.findall(r'data-number="(\d+)"', page.content.decode())
        assert (shown[0], shown[-1]) == ("1", str(count)), who
        rows = _csv(browser.get("/acme/activity/growth/main?format=csv"))
        assert sum(int(row[1]) for row in rows[1:]) == count, who
        secret = browser.get("/acme/activity/growth/secret").status_code
        assert secret == (200 if whole else 404), who
    assert "dev is empty" in text_of(browsers["anonymous"].get("/acme/activity/growth/dev"))


def test_uploads_of_a_year_are_counted_by_day(fetched_world: World, browsers: Browsers) -> None:
    lately = timezone.now() - timedelta(days=3)
    PackageFile.objects.filter(name="hello", version="1.1").update(uploaded_at=lately)
    PackageFile.objects.filter(name="hidden").update(uploaded_at=timezone.now() - timedelta(400))
    for who, browser in browsers.items():
        knows = who not in {"anonymous", "stranger"}
        files = PackageFile.objects.exclude(name="hidden")
        count = files.count() if knows else 2
        page = browser.get("/acme/activity")
        assert f"{count} files uploaded in 52 weeks" in text_of(page), who
        assert _table_sum(page) == count, who
        assert page.content.decode().count('rx="2"') == 364
        rows = _csv(browser.get("/acme/activity/uploads.csv"))
        assert [str(lately.date()), "1"] in rows
        assert sum(int(row[1]) for row in rows[1:]) == count, who


def test_storage_is_drawn_by_package(fetched_world: World, browsers: Browsers) -> None:
    owner = browsers["owner"]
    used = PackageFile.objects.aggregate(total=Sum("size_bytes"))["total"]
    page = owner.get("/acme/settings/storage")
    drawn = page.content.decode().partition("data-treemap")[2].partition("</figure>")[0]
    assert sum(map(int, re.findall(r'data-number="(\d+)"', drawn))) == used
    assert 'href="/acme/hello/files">hello</a>' in drawn
    assert "Largest files" in text_of(page)
    assert active_parts(page) == []
    rows = _csv(owner.get("/acme/settings/storage.csv"))
    assert {row[0] for row in rows[1:]} == {"hello", "hidden", "buried"}
    assert sum(int(row[2]) for row in rows[1:]) == used
    for who in ("stranger", "reader"):
        answers = {browsers[who].get(f"/acme/settings/{p}").status_code for p in PAGES}
        assert answers <= {403, 404}, who
    assert browsers["anonymous"].get("/acme/settings/storage.csv").status_code == 302


# --- The host ----------------------------------------------------------------------------------


def test_the_first_page_names_what_everybody_downloads_most_this_week(
    fetched_world: World, browsers: Browsers
) -> None:
    publish(fetched_world.owner, "acme", "main", "quiet")
    old = PackageFile.objects.get(name="quiet")
    Download.objects.create(file=old, day=_today() - timedelta(days=7), count=5000)
    for who, browser in browsers.items():
        words = text_of(browser.get("/"))
        assert "Most downloaded this week acme/hello 38 downloads" in words, who
        assert "acme/hidden 77" not in words
        assert "5,000" not in words


def test_whoever_runs_the_site_sees_uploads_by_hour(fetched_world: World, owner: Person) -> None:
    count = PackageFile.objects.count()
    three_hours_ago = timezone.now() - timedelta(hours=3)
    PackageFile.objects.filter(name="hidden").update(uploaded_at=three_hours_ago)
    PackageFile.objects.filter(name="buried").update(uploaded_at=timezone.now() - timedelta(2))
    chart = _uploads_chart(_newest_uploads())
    assert chart is not None
    assert chart.total == count - 1
    assert chart.series[0].numbers[-4] == 1
    assert chart.points[-4].label == f"{three_hours_ago:%H}:00"


HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'


@pytest.mark.parametrize(
    ("component", "shown"),
    [
        (
            "chart",
            Chart(
                sentence=HOSTILE,
                span=HOSTILE,
                corner=HOSTILE,
                points=[Point(HOSTILE, datetime(2026, 11, 21, tzinfo=UTC))],
                series=[Series(HOSTILE, [3])],
                csv_url=f"?by={HOSTILE}",
            ),
        ),
        ("calendar", Calendar(HOSTILE, date(2026, 11, 21), [3, 4], csv_url=HOSTILE)),
        ("treemap", Treemap(HOSTILE, HOSTILE, HOSTILE, [Tile(HOSTILE, 3, f"/{HOSTILE}")])),
    ],
)
def test_names_in_charts_are_never_more_than_names(component: str, shown: object) -> None:
    html = render_to_string(f"components/{component}.html", {component: shown})
    answer = HttpResponse(html)
    assert active_parts(answer) == []
    assert "<img" not in html
    assert "<img src=x" in text_of(answer)
