"""From who may publish a package, through a group, to a token and its end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from accounts import audit, tokens
from accounts.models import Organization, Token
from registry.models import Channel, Collaborator, Package
from tests.browser.going import arrived_at, follow, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_group, make_token

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def packages(acme: Organization) -> None:
    account = acme.account
    Channel.objects.bulk_create(Channel(account=account, name=name) for name in ("main", "dev"))
    long_name = "a-package-with-as-many-characters-in-its-name-as-there-may-be-at"
    names = ["xz", "zlib", long_name, *(f"package-{number:03}" for number in range(120))]
    Package.objects.bulk_create(Package(account=account, name=name) for name in names)


def test_the_walk_of_an_admin_goes_by_keyboard_alone(
    page: Page, acme: Organization, packages: None, owner: Person, maintainer: Person
) -> None:
    make_group(acme, "builders", members=[maintainer.user])
    sign_in(page, "olga", goal="/acme/xz/settings/collaborators")

    def tab_to(name: str, kind: str = "") -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            found = page.evaluate(
                "[(document.activeElement.labels?.[0] || document.activeElement).innerText.trim(),"
                " document.activeElement.localName]"
            )
            if found[0].startswith(name) and kind in ("", found[1]):
                return
        raise AssertionError(f"{name} is not reached by Tab")

    look_at(page, "collaborators")
    tab_to("Group", "select")
    page.keyboard.type("builders")
    tab_to("Add group")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The group builders may now write xz.")).to_be_visible()
    expect(page.locator(f"#collaborator-{Collaborator.objects.get().pk}")).to_be_focused()
    look_at(page, "collaborators-group")
    tab_to("builders", "a")
    page.keyboard.press("Enter")
    arrived_at(page, "builders")
    look_at(page, "group-packages")
    tab_to("Filter by name")
    page.keyboard.type("zl")
    page.keyboard.press("Enter")
    page.wait_for_url("**?q=zl")
    tab_to("zlib")
    page.keyboard.press("Space")
    tab_to("Save packages")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 package added.")).to_be_visible()
    assert Collaborator.objects.count() == 2

    tab_to("Access tokens", "a")
    page.keyboard.press("Enter")
    arrived_at(page, "Access tokens")
    tab_to("New token", "a")
    page.keyboard.press("Enter")
    arrived_at(page, "New token of acme")
    tab_to("Upload from CI", "a")
    page.keyboard.press("Enter")
    page.wait_for_url("**?template=upload")
    tab_to("Name")
    page.keyboard.type("ci")
    tab_to("dev")
    page.keyboard.press("Space")
    tab_to("Filter the list")
    page.keyboard.type("xz")
    expect(page.locator("#package-choices label")).to_have_count(1)
    tab_to("xz")
    page.keyboard.press("Space")
    expect(page.locator("#token-summary")).to_contain_text("xz in dev of acme until")
    look_at(page, "token-new-ticked")
    tab_to("Create token")
    page.keyboard.press("Enter")
    arrived_at(page, "Token “ci” made")
    found = tokens.find(page.locator(".secret pre").inner_text())
    assert found is not None
    assert (found.channels, found.packages) == (["dev"], ["xz"])
    tab_to("I have copied it")
    page.keyboard.press("Enter")
    arrived_at(page, "Access tokens")
    expect(page.locator(f"#token-{found.pk}")).to_be_focused()
    tab_to("Revoke", "a")
    page.keyboard.press("Enter")
    arrived_at(page, "Revoke “ci”?")
    tab_to("Revoke token")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The token ci is revoked")).to_be_visible()
    assert Token.objects.get().revoked_at is not None


def test_the_same_without_a_script(
    page_without_script: Page, acme: Organization, packages: None, owner: Person, stranger: Person
) -> None:
    page = page_without_script
    sign_in(page, "olga", goal="/acme/xz/settings/collaborators")
    page.get_by_label("Name or e-mail").fill("sven")
    page.get_by_role("button", name="Add person").click()
    page.get_by_role("link", name="Remove sven").click()
    page.get_by_role("button", name="Remove sven").click()
    expect(page.get_by_text("sven is no longer a collaborator of xz.")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("sven may now write xz.")).to_be_visible()

    page.goto("/acme/settings/access/new?template=upload")
    page.get_by_label("Name", exact=True).fill("ci")
    page.get_by_label("Filter the list").fill("xz")
    follow(page.get_by_role("button", name="Filter"))
    page.get_by_label("xz", exact=True).check()
    page.get_by_label("dev", exact=True).check()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("xz in dev of acme until")).to_be_visible()
    page.get_by_role("button", name="Create token").click()
    found = tokens.find(page.locator(".secret pre").inner_text())
    assert found is not None
    assert (found.channels, found.packages) == (["dev"], ["xz"])

    page.goto("/acme/settings/log")
    page.get_by_label("About").select_option("token")
    follow(page.get_by_role("button", name="Filter"))
    expect(page.get_by_role("rowheader")).to_have_text(["made the token ci"])


def test_pages_about_people_read_well_when_they_are_full(
    page: Page, acme: Organization, packages: None, owner: Person, stranger: Person
) -> None:
    xz = Package.objects.get(name="xz")
    Collaborator.objects.create(package=xz, user=stranger.user, added_by=owner.user)
    made = make_token(acme.account, "api:write", name="t" * 100, created_by=owner.user).token
    make_token(stranger.user.account, "api:write", name="of someone else")
    for number in range(60):
        audit.record(
            by=owner.identity_with("all", name=f"token {number}"),
            account=acme.account,
            action="file.publish",
            target=f"linux-64/{'a-long-name-of-a-package-' * 6}-{number}.0-0.conda",
            detail={"sha256": "0" * 64, "channels": ["main", "dev"]},
        )
    sign_in(page, "olga")
    for name, path in {
        "dashboard-full": "/dashboard",
        "package-tokens": "/acme/xz/settings/tokens",
        "log-full": "/acme/settings/log?who=olga&thing=file",
        "token-long": f"/acme/settings/access/{made.pk}",
    }.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        look_at(page, name)
