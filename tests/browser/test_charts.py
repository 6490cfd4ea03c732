"""Charts in a browser: they draw, in both themes, move nothing and stand without a script."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Organization
from registry.models import ChannelFile, Download, PackageFile
from tests.browser.going import follow, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"
_LONG_VERSION = "1.0." + ".".join("1" * 30)
_SHIFTS = """() => new Promise((done) => {
  let moved = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) moved += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(moved), 200);
})"""
_INKED = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let inked = 0;
  for (let at = 3; at < data.length; at += 4) if (data[at]) inked += 1;
  return inked / (data.length / 4);
}"""


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """xz of several versions and platforms, fetched on most days of half a year."""
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    for subdir in ("linux-64", "noarch", "osx-arm64", "win-64"):
        for version in ("5.6.2", "5.6.3"):
            publish(owner, "acme", "main", "xz", version, subdir=subdir)
    publish(owner, "acme", "main", _LONG, _LONG_VERSION, subdir="linux-aarch64")
    today = timezone.now().date()
    Download.objects.bulk_create(
        Download(
            file=file,
            day=today - timedelta(days=back),
            count=(back * 7 + place * 11) % 40 * (9 - place),
        )
        for place, file in enumerate(PackageFile.objects.order_by("subdir", "version"))
        for back in range(180)
    )
    return acme


def _moved(page: Page) -> float:
    return float(page.evaluate(_SHIFTS))


def test_downloads_are_drawn_and_move_nothing(acme: Organization, page: Page) -> None:
    page.goto("/acme/xz/downloads")
    canvas = page.locator(".chart-drawing canvas")
    expect(canvas).to_be_visible()
    expect(page.locator(".chart-drawing > svg")).to_have_count(0)
    assert _moved(page) <= 0.02
    assert float(canvas.evaluate(_INKED)) > 0.1
    look_at(page, "downloads")
    legend = page.locator("ul.legend")
    before = legend.inner_text()
    page.locator(".chart-drawing .u-over").hover()
    expect(legend).not_to_have_text(before)
    page.get_by_text("Show the numbers").click()
    look_at(page, "downloads-numbers")
    follow(page.get_by_role("link", name="By version"))
    follow(page.get_by_role("link", name="365 days"))
    expect(canvas).to_be_visible()
    look_at(page, "downloads-by-version-in-a-year")
    page.goto(f"/acme/{_LONG}/downloads?by=version")
    look_at(page, "downloads-long-names")
    page.goto("/acme/xz")
    look_at(page, "package-with-downloads")


def test_growth_uploads_and_storage_are_drawn(acme: Organization, page: Page) -> None:
    ChannelFile.objects.filter(name="xz").update(added_at=timezone.now() - timedelta(days=200))
    PackageFile.objects.filter(version="5.6.2").update(
        uploaded_at=timezone.now() - timedelta(days=50)
    )
    page.goto("/acme/activity/growth/main")
    expect(page.locator(".chart-drawing canvas")).to_be_visible()
    look_at(page, "channel-growth")
    page.goto("/acme/activity")
    look_at(page, "uploads-calendar")
    page.goto("/")
    look_at(page, "home-popular")
    sign_in(page, "olga")
    page.goto("/acme/settings/storage")
    tile = page.locator("svg.treemap a").first
    expect(tile).to_be_visible()
    assert _moved(page) <= 0.02
    look_at(page, "storage-treemap")
    tile.click()
    expect(page).to_have_url(re.compile("/acme/.*/files"))


def test_without_a_script_the_drawing_of_the_server_stands(
    acme: Organization, page_without_script: Page
) -> None:
    page = page_without_script
    page.goto("/acme/xz/downloads?by=version&days=30")
    expect(page.locator(".chart-drawing > svg")).to_be_visible()
    page.get_by_text("Show the numbers").click()
    expect(page.get_by_role("row", name="In all")).to_be_visible()
