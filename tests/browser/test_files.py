"""Many files in a browser: chosen over several pages, moved and back, deleted and restored."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization
from registry import placement
from registry.channels import create_channel
from registry.models import Binned, Channel, ChannelFile, Package, PackageFile
from tests.browser.going import follow, sign_in
from tests.browser.looks import PHONE, look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish
from tests.registry.views.test_lists import make_files

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"
_FILES = "/acme/xz/files"
_BACKGROUND = "cell => getComputedStyle(cell).backgroundColor"


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """A private channel with 121 files of xz, and two of a package with long names."""
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    create_channel(
        by=owner.identity, account=acme.account, name="dev", visibility=Channel.Visibility.PRIVATE
    )
    for number in range(40):
        Channel.objects.create(account=acme.account, name=f"nightly/{2027 + number}")
    publish(owner, "acme", "main", "hello")
    first = publish(owner, "acme", "dev", "xz", "5.6.3", subdir="linux-64", build="hb9d3cd8_1")
    dev = Channel.objects.get(name="dev")
    xz = Package.objects.get(name="xz")
    make_files(acme.account, xz, [f"4.{number}" for number in range(60)], dev)
    for channel in Channel.objects.filter(name__startswith="nightly/").select_related("account"):
        placement.add_to_channel(by=owner.identity, file=first, channel=channel)
    for build in ("0123456789", "9876543210"):
        publish(owner, "acme", "dev", _LONG, "1.0." + ".".join("1" * 30), build="h" + build * 6)
    return acme


def _row(page: Page, name: str) -> str:
    return f"Select {name}"


def test_files_of_three_pages_are_moved_together_and_come_back(
    acme: Organization, page: Page
) -> None:
    sign_in(page, "olga")
    page.goto(_FILES)
    count = page.locator("[data-select-count]")
    look_at(page, "files")
    page.get_by_label(_row(page, "xz-5.6.3-hb9d3cd8_1.conda")).check()
    page.get_by_label(_row(page, "xz-4.59-0.conda")).first.check()
    expect(count).to_have_text("2")
    # The pointer is still over the second.
    chosen = page.locator("tr[aria-selected=true]")
    expect(chosen).to_have_count(2)
    assert chosen.nth(1).evaluate("row => row.matches(':hover')")
    colors = [row.locator("th").evaluate(_BACKGROUND) for row in chosen.all()]
    assert colors[0] == colors[1] != page.locator("tbody th").last.evaluate(_BACKGROUND)
    for expected in ("3", "4"):
        follow(page.get_by_role("link", name="Next"))
        page.locator("input[data-row]").first.check()
        expect(count).to_have_text(expected)
        page.wait_for_function("sessionStorage.length > 0")
    follow(page.get_by_role("link", name="Previous"))
    expect(page.locator("input[data-row]:checked")).to_have_count(1)
    expect(count).to_have_text("4")
    look_at(page, "files-chosen")

    page.get_by_role("button", name="Move…").click()
    expect(page.get_by_text("4 files are chosen.")).to_be_visible()
    page.get_by_label("From").select_option("dev")
    page.get_by_label("To", exact=True).select_option("main")
    page.get_by_role("button", name="See what would change").click()
    expect(page.get_by_text("3 files become public.")).to_be_visible()
    look_at(page, "files-move")
    page.get_by_role("button", name="Move 4 files").click()
    expect(page.get_by_text("4 files moved from dev to main.")).to_be_visible()
    expect(count).to_have_text("0")
    assert ChannelFile.objects.filter(channel__name="main", name="xz").count() == 4
    page.reload()
    look_at(page, "files-moved")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone for 4 files.")).to_be_visible()
    assert not ChannelFile.objects.filter(channel__name="main", name="xz").exists()

    page.goto(f"{_FILES}?version=4.7&sort=size")
    expect(page.get_by_role("columnheader", name="Size")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_label("Select all on this page").check()
    expect(count).to_have_text("2")
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("heading", name="Delete 2 files?")).to_be_visible()
    look_at(page, "files-delete")
    page.get_by_label("Why").fill("built with the wrong compiler")
    page.get_by_label("Type xz to go on").fill("xz")
    page.get_by_role("button", name="Delete 2 files").click()
    expect(page.get_by_text("2 files are deleted.")).to_be_visible()
    page.goto(f"/acme/{_LONG}/files")
    look_at(page, "files-long")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Copy…").click()
    expect(page.get_by_label("To the account")).to_be_visible()
    look_at(page, "files-copy")
    page.goto(f"/acme/{_LONG}/delete")
    look_at(page, "package-delete")
    page.get_by_label(f"Type {_LONG} to go on").fill(_LONG)
    page.get_by_role("button", name="Delete 2 files").click()
    expect(page.get_by_text(f"{_LONG} is deleted.")).to_be_visible()

    page.goto("/acme/settings/bin")
    look_at(page, "bin")
    page.get_by_role("button", name="Restore xz-4.7-0.conda").first.click()
    expect(page.get_by_text("xz-4.7-0.conda is restored, and stands in dev.")).to_be_visible()
    follow(page.get_by_role("link", name=re.compile("Delete now xz")))
    look_at(page, "bin-delete")
    page.goto("/acme/settings/bin")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Restore selected").click()
    expect(page.get_by_text("3 files are restored.")).to_be_visible()
    look_at(page, "bin-empty")
    assert not Binned.objects.exists()


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_act_on_chosen_files_is_seen_on_a_phone(
    acme: Organization, page: Page, language: str
) -> None:
    sign_in(page, "olga")
    page.context.add_cookies([{"name": "language", "value": language, "url": page.url}])
    page.set_viewport_size({"width": PHONE, "height": 640})
    page.goto(_FILES)
    expect(page.locator("html")).to_have_attribute("lang", language)

    bar = page.locator(".bulk-bar")
    acts = bar.get_by_role("button")
    expect(acts).to_have_count(4)
    for act in acts.all():
        # In no part that scrolls, so what is within the window is seen.
        expect(act).to_be_in_viewport(ratio=1)
        box = act.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    assert bar.evaluate("(bar) => bar.scrollWidth <= bar.clientWidth")
    size = bar.bounding_box()
    assert size is not None
    assert size["height"] <= 640 / 5


def test_files_are_moved_deleted_and_restored_without_script(
    acme: Organization, page_without_script: Page
) -> None:
    page = page_without_script
    sign_in(page, "olga")
    page.goto(f"{_FILES}?version=4.1")
    page.get_by_label(_row(page, "xz-4.1-0.conda")).first.check()
    page.get_by_role("button", name="Move…").click()
    page.get_by_label("To", exact=True).select_option("main")
    page.get_by_role("button", name="See what would change").click()
    page.get_by_role("button", name="Move 1 file").click()
    expect(page.get_by_text("1 file moved from dev to main.")).to_be_visible()
    page.goto(f"{_FILES}?channel=dev")
    page.get_by_label("Select all 120 that match").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_label("Type xz to go on").fill("xz")
    page.get_by_role("button", name="Delete 120 files").click()
    expect(page.get_by_text("120 files are deleted.")).to_be_visible()
    assert PackageFile.objects.staying().filter(name="xz").count() == 1
    page.goto("/acme/settings/bin")
    page.get_by_role("button", name=re.compile("^Restore xz")).first.click()
    expect(page.get_by_text("is restored, and stands in dev").first).to_be_visible()
