"""Storage and retention in a browser: how the pages look, and the way from a rule to free room."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.identity import OPERATOR
from accounts.models import Organization
from registry import notices, placement, quotas
from registry.models import Channel, ChannelFile, PackageFile
from tests.browser.going import follow, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """Nearly full: four versions of xz, a package with a long name, a file in no channel."""
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    for version in ("5.6.1", "5.6.2", "5.6.3", "5.6.4"):
        publish(owner, "acme", "main", "xz", version, subdir="linux-64")
    publish(owner, "acme", "main", _LONG, "1.0." + ".".join("1" * 30), build="h" + "0" * 60)
    lost = publish(owner, "acme", "nightly/2027", "lost", "1.0")
    nightly = Channel.objects.select_related("account").get(name="nightly/2027")
    placement.remove_from_channel(by=owner.identity, file=lost, channel=nightly)
    newest = PackageFile.objects.select_related("account", "package").get(version="5.6.2")
    placement.add_to_channel(by=owner.identity, file=newest, channel=nightly)
    ChannelFile.objects.update(added_at=timezone.now() - timedelta(days=40))
    quotas.set_quota(by=OPERATOR, account=acme.account, max_bytes=10**6, max_files=6)
    notices.add_notice(
        by=owner.identity,
        channel=nightly,
        message="Moves on Monday",
        expires_at=timezone.now() + timedelta(days=3),
        status="draft",
    )
    return acme


def test_from_a_full_account_to_a_rule_that_makes_room(acme: Organization, page: Page) -> None:
    sign_in(page, "olga")
    page.goto("/dashboard")
    expect(page.get_by_text("acme has little room left").first).to_be_visible()
    look_at(page, "dashboard-full")
    page.get_by_role("link", name="Look").click()
    expect(page.get_by_role("heading", name="Storage")).to_be_visible()
    expect(page.get_by_text("The account is full")).to_be_visible()
    look_at(page, "storage")
    follow(page.get_by_role("link", name="In no channel"))
    look_at(page, "storage-unlisted")
    page.goto("/acme/settings/storage")
    follow(page.get_by_role("link", name="Retention main"))
    look_at(page, "retention")
    page.get_by_label("Keep the newest versions").fill("2")
    page.get_by_role("button", name="Make it, and look").click()
    expect(page.get_by_text("1 of them: it stands in no other channel")).to_be_visible()
    expect(page.get_by_role("link", name="linux-64/xz-5.6.1-0.conda")).to_be_visible()
    expect(page.get_by_text("stays in other channels")).to_be_visible()
    look_at(page, "retention-rule")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("The rule is on.")).to_be_visible()
    page.get_by_role("button", name="Run it now").click()
    expect(page.get_by_text("2 files went")).to_be_visible()
    expect(page.get_by_text("the rule keeps all that stands in the channel")).to_be_visible()
    look_at(page, "retention-rule-ran")
    page.goto("/acme/settings/channels/retention/main")
    look_at(page, "retention-rules")
    page.goto("/acme/settings/storage")
    expect(page.get_by_text("The account is full")).not_to_be_visible()
    page.goto("/acme/settings/channels/general/nightly/2027")
    expect(page.get_by_text("Draft", exact=True)).to_be_visible()
    look_at(page, "channel-settings-with-a-draft")


def test_a_rule_is_made_and_run_without_script(
    acme: Organization, page_without_script: Page
) -> None:
    page = page_without_script
    sign_in(page, "olga")
    page.goto("/acme/settings/channels/retention/main")
    page.get_by_role("button", name="Make it, and look").click()
    expect(page.get_by_text("would take out everything").first).to_be_visible()
    page.get_by_label("Remove only what matches").fill("xz/5.6.1")
    page.get_by_role("button", name="Make it, and look").click()
    page.get_by_role("button", name="Run it now").click()
    expect(page.get_by_text("1 file went")).to_be_visible()
