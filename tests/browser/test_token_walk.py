"""From signing up to a token that works, and back, by clicking."""

from __future__ import annotations

import re

import pytest
from django.core import mail
from django.utils import timezone
from playwright.sync_api import Error, Page, expect

from accounts import tokens
from accounts.models import Organization, Token
from tests.accounts.views.pages import days_from_now
from tests.browser.going import arrived_at, follow, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import (
    PASSWORD,
    add_member,
    make_group,
    make_invitation,
    make_organization,
    make_token,
    make_user,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def mailed_code() -> str:
    [message] = mail.outbox
    code = re.search(r"^\s*([A-Z0-9]+-?[A-Z0-9]+)\s*$", str(message.body), re.MULTILINE)
    assert code is not None, message.body
    return code[1]


def test_from_signing_up_to_a_token_and_its_end(page: Page) -> None:
    page.goto("/account/signup/")
    page.get_by_label("Username").fill("nina")
    page.get_by_label("E-mail").fill("nina@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    follow(page.get_by_role("button", name="Make the account"))
    page.get_by_label("Code").fill(mailed_code())
    follow(page.get_by_role("button", name="Confirm").first)

    page.goto("/dashboard")
    expect(page.get_by_text("Nothing needs you.").first).to_be_visible()
    look_at(page, "dashboard-first")
    page.get_by_role("link", name="Make an organization").click()
    arrived_at(page, "New organization")
    look_at(page, "organization-new")
    page.get_by_label("Name", exact=True).fill("acme")
    page.get_by_role("button", name="Create organization").click()
    expect(page.get_by_text("acme is yours.")).to_be_visible()

    page.get_by_role("link", name="Access tokens").click()
    arrived_at(page, "Access tokens")
    look_at(page, "access-empty")
    page.get_by_role("link", name="Upload from CI").click()
    arrived_at(page, "New token of acme")
    look_at(page, "token-new")
    page.get_by_label("Name", exact=True).fill("ci-xz")
    expect(page.get_by_label("Upload, move, remove and delete files")).to_be_checked()
    page.get_by_label("Only these channels").fill("dev")
    page.get_by_label("Only these packages").fill("xz, xz-*")
    expect(page.locator("#token-summary")).to_contain_text("xz and xz-* in dev of acme until")
    look_at(page, "token-new-filled")
    page.get_by_role("button", name="Create token").click()

    arrived_at(page, "Token “ci-xz” made")
    look_at(page, "token-made")
    shown = page.locator(".secret pre").inner_text()
    page.locator(".secret").get_by_role("button", name="Copy").click()
    expect(page.locator(".secret").get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == shown
    found = tokens.find(copied)
    assert found is not None
    assert (found.account.name, found.channels, found.packages) == ("acme", ["dev"], ["xz", "xz-*"])
    assert copied not in page.title()
    assert copied not in page.url
    page.get_by_label("Jenkins").check()
    expect(page.locator(".install-panel:visible").first).to_contain_text(
        "anaconda upload --user acme --label dev"
    )

    page.reload()
    arrived_at(page, "Token “ci-xz” was made already")
    assert copied not in page.content()
    assert Token.objects.count() == 1
    look_at(page, "token-made-again")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert copied not in kept

    follow(page.get_by_role("link", name="To the tokens"))
    # The browser kept nothing of it: going back could only send the form again.
    with pytest.raises(Error, match="ERR_CACHE_MISS"):
        page.go_back()
    page.wait_for_url("chrome-error://chromewebdata/")
    page.goto("/acme/settings/access")
    look_at(page, "access-one")
    page.get_by_role("link", name="Rotate ci-xz").click()
    arrived_at(page, "Rotate “ci-xz”")
    look_at(page, "token-rotate")
    page.get_by_role("button", name="Rotate token").click()
    arrived_at(page, "Token “ci-xz” made")
    look_at(page, "token-rotated")
    assert page.locator(".secret pre").inner_text() != copied
    page.get_by_role("link", name="I have copied it").click()
    arrived_at(page, "Access tokens")
    look_at(page, "access-rotated")
    page.get_by_role("link", name="ci-xz", exact=True).click()
    arrived_at(page, "ci-xz")
    look_at(page, "token")
    page.get_by_role("main").get_by_role("link", name="Revoke", exact=True).click()
    arrived_at(page, "Revoke “ci-xz”?")
    look_at(page, "token-revoke")
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_text("The token ci-xz is revoked")).to_be_visible()
    page.get_by_role("link", name="Revoke all made before a day").click()
    page.get_by_label("Made before").fill("2999-01-01")
    follow(page.get_by_role("button", name="Show them"))
    look_at(page, "revoke-before")
    page.get_by_role("button", name="Revoke 1 token").click()
    expect(page.get_by_text("1 token is revoked")).to_be_visible()
    page.get_by_text("Expired and revoked").first.click()
    look_at(page, "access-revoked")
    assert not Token.objects.filter(revoked_at=None).exists()


def test_the_walk_needs_no_script(page_without_script: Page, owner: Person) -> None:
    page = page_without_script
    make_organization("acme", owner=owner.user)
    sign_in(page, "olga", goal="/acme/settings/access")

    page.get_by_role("link", name="New token").click()
    page.get_by_role("link", name="Install private packages").click()
    page.get_by_label("Name", exact=True).fill("laptop")
    page.get_by_role("button", name="Create token").click()
    secret = page.locator(".secret pre").inner_text()
    assert tokens.find(secret) == Token.objects.get()
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="Revoke laptop").click()
    page.get_by_role("button", name="Revoke token").click()

    expect(page.get_by_text("The token laptop is revoked")).to_be_visible()


def test_groups_and_members_need_no_script(
    page_without_script: Page, acme: Organization, owner: Person, reader: Person
) -> None:
    page = page_without_script
    sign_in(page, "olga", goal="/acme/groups")

    page.get_by_role("link", name="New group").click()
    page.get_by_label("Name", exact=True).fill("builders")
    page.get_by_label("Write").check()
    page.get_by_role("button", name="Create group").click()
    page.get_by_label("Name of a member").fill("rita")
    page.get_by_role("button", name="Add to the group").click()
    expect(page.get_by_text("rita is now in builders.")).to_be_visible()
    expect(page.locator("#member-rita")).to_be_focused()
    page.get_by_role("button", name="Remove rita").click()
    page.get_by_role("link", name="Delete group").click()
    page.get_by_label("Type builders to go on").fill("builders")
    page.get_by_role("button", name="Delete group").click()
    expect(page.get_by_text("The group builders is deleted.")).to_be_visible()

    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Members").click()
    page.get_by_label("Role of rita").select_option("admin")
    page.get_by_role("button", name="Save the role of rita").click()
    expect(page.get_by_text("rita is now admin of acme.")).to_be_visible()
    page.get_by_role("link", name="Remove rita").click()
    page.get_by_role("button", name="Remove rita").click()
    expect(page.get_by_text("rita is no longer a member of acme.")).to_be_visible()


def test_a_double_click_makes_one_token(page: Page, acme: Organization, owner: Person) -> None:
    sign_in(page, "olga")
    page.goto("/acme/settings/access/new?template=upload")
    page.get_by_label("Name", exact=True).fill("ci")

    page.get_by_role("button", name="Create token").dblclick()

    arrived_at(page, "Token “ci” made")
    assert Token.objects.count() == 1


def test_a_wrong_form_takes_the_focus_to_what_is_wrong(
    page: Page, acme: Organization, owner: Person
) -> None:
    sign_in(page, "olga")
    page.goto("/acme/settings/access/new")
    page.get_by_label("Name", exact=True).fill("ci")

    page.get_by_role("button", name="Create token").click()

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    look_at(page, "token-wrong")
    summary.get_by_role("link", name="It may: Choose at least one.").press("Enter")
    expect(page.get_by_role("group", name="It may")).to_be_focused()


def test_every_page_reads_well_when_it_is_full(
    page: Page, acme: Organization, owner: Person, maintainer: Person, admin: Person, reader: Person
) -> None:
    long_name = "a-name-of-as-many-characters-as-there-may-be-at-all-in-a-name-x1"
    person = make_user(long_name)
    add_member(acme, person)
    make_group(acme, "g" * 64, members=[person, reader.user, owner.user])
    make_invitation(
        acme, f"{'long' * 20}@example.org", key="a", expires_at=days_from_now(6), invited_by=person
    )
    other = make_organization("globex", owner=person)
    make_invitation(
        other, "olga@example.org", key="k" * 43, expires_at=days_from_now(6), invited_by=person
    )
    make_token(
        acme.account,
        *("api:read", "api:write", "conda"),
        name="t" * 100,
        channels=["main", "a/channel:with/" + "x" * 100],
        packages=["xz", "xz-*", "p" * 100],
        expires_at=days_from_now(9),
        created_by=person,
    )
    make_token(acme.account, "all", name="never ends", created_by=owner.user)
    make_token(acme.account, "repos", name="over", expires_at=days_from_now(-3))
    Token.objects.filter(name="never ends").update(
        last_used_at=timezone.now(), last_used_ip="2001:db8:1234:5678:9abc:def0:1234:5678"
    )
    sign_in(page, "olga")
    page.goto("/acme/settings/profile")
    page.get_by_label("Display name").fill("Acme Incorporated")
    page.get_by_role("button", name="Save profile").click()
    expect(page.get_by_text("The profile of acme is saved.")).to_be_visible()
    look_at(page, "profile")

    group = f"/acme/groups/{'g' * 64}"
    for name, path in {
        "dashboard": "/dashboard",
        "access": "/acme/settings/access",
        "members": "/acme/settings/members",
        "member-remove": f"/acme/settings/members/{long_name}/remove",
        "groups": "/acme/groups",
        "owners": "/acme/groups/owners",
        "group": group,
        "group-new": "/acme/groups/new",
        "group-delete": f"{group}/delete",
        "log": "/acme/settings/log",
        "organizations": "/olga/settings/organizations",
        "invitation": f"/-/invitations/{'k' * 43}",
        "forbidden": f"/{long_name}/settings/access",
        "missing": "/unheard-of/settings/access",
    }.items():
        page.goto(path)
        look_at(page, name)
    page.goto("/acme/settings/log")
    page.get_by_text("Details").first.click()
    look_at(page, "log-open")


def test_an_invitation_is_accepted_after_signing_in(
    page: Page, acme: Organization, stranger: Person
) -> None:
    make_invitation(acme, "sven@example.org", key="k" * 43, expires_at=days_from_now(3))
    page.goto(f"/-/invitations/{'k' * 43}")
    look_at(page, "invitation-signed-out")

    page.get_by_role("link", name="Sign in to answer").click()
    page.locator("input[name=login]").fill("sven")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Accept").click()

    expect(page.get_by_text("You are now member of acme.")).to_be_visible()


def test_the_token_walk_goes_by_keyboard_alone(
    page: Page, acme: Organization, owner: Person
) -> None:
    sign_in(page, "olga")
    page.goto("/acme/settings/access/new?template=upload")

    def tab_to(name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            label = page.evaluate(
                "(document.activeElement.labels?.[0] || document.activeElement).innerText"
            )
            if (label or "").strip().startswith(name):
                return
        raise AssertionError(f"{name} is not reached by Tab")

    tab_to("Name")
    page.keyboard.type("ci")
    tab_to("Create token")
    page.keyboard.press("Enter")
    arrived_at(page, "Token “ci” made")
    tab_to("Copy")
    page.keyboard.press("Space")
    expect(page.locator(".secret").get_by_role("button", name="Copied")).to_be_visible()
    secret = page.evaluate("navigator.clipboard.readText()")

    assert tokens.find(secret) == Token.objects.get()
