"""What the rarer settings of accounts look like, and errors; by clicking where it matters."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from accounts.models import Account, Organization
from tests.browser.going import arrived_at, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import add_member, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_policy_a_zone_another_name_and_an_end(
    page: Page, acme: Organization, owner: Person
) -> None:
    for number in range(12):
        add_member(acme, make_user(f"person-with-a-rather-long-name-{number}-{'x' * 20}"))
    sign_in(page, "olga")
    Authenticator.objects.create(user=owner.user, type="webauthn", data={"name": "key"})
    page.goto("/acme/settings/policy")
    arrived_at(page, "Policy")
    look_at(page, "policy")
    page.get_by_label("Ask members for a second factor").check()
    page.get_by_label("Longest life of a new token").fill("0")
    # Chromium itself refuses it, and stays.
    page.get_by_role("button", name="Save policy").click()
    page.get_by_label("Longest life of a new token").fill("30")
    page.get_by_role("button", name="Save policy").click()
    expect(page.get_by_text("The policy of acme is saved.")).to_be_visible()
    look_at(page, "policy-saved")

    page.goto("/olga/settings/profile")
    look_at(page, "profile-of-a-person")
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save zone and language").click()
    expect(page.get_by_text("Pages are shown to you like this from now on.")).to_be_visible()
    assert any(cookie["name"] == "timezone" for cookie in page.context.cookies())

    page.goto("/acme/settings/admin")
    look_at(page, "account-admin")
    page.get_by_role("link", name="Rename acme").click()
    arrived_at(page, "Rename acme")
    look_at(page, "account-rename")
    page.get_by_label("New name").fill("acme-labs")
    page.get_by_label("I change the address").check()
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_text("acme is now called acme-labs.")).to_be_visible()

    page.goto("/olga/settings/admin/delete")
    look_at(page, "account-delete-refused")
    page.goto("/acme-labs/settings/admin/delete")
    look_at(page, "account-delete")
    page.get_by_label("Type acme-labs to go on").fill("acme-labs")
    page.get_by_role("button", name="Delete acme-labs for good").click()
    expect(page.get_by_text("acme-labs is deleted.")).to_be_visible()
    assert Account.objects.exclude(deleted_at=None).count() == 1

    page.goto("/acme-labs")
    look_at(page, "error-404")
    stranger = make_user("petra")
    page.goto(f"/{stranger.username}/settings/profile")
    look_at(page, "error-403")
