"""Pages in German, whose words are longer, on the narrowest screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.going import follow
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import PASSWORD, make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_german_fits_on_a_narrow_screen(transactional_db: None, page: Page) -> None:
    owner = Person(make_user("olga"))
    make_organization("acme", owner=owner.user)
    publish(owner, "acme", "main", "xz", "5.6.3", subdir="linux-64")
    page.goto("/search?q=xz")
    page.get_by_role("button", name="Deutsch").click()

    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("button", name="English")).to_be_visible()
    expect(page.get_by_role("button", name="Deutsch")).to_have_attribute("aria-pressed", "true")
    look_at(page, "german-search", looks=[(360, "light"), (1280, "dark")])
    page.goto("/acme/xz")
    look_at(page, "german-package", looks=[(360, "light")])
    owner.user.language = "de"
    owner.user.save()
    page.goto("/account/login/?next=/olga/settings/access/new")
    page.get_by_label("Anmeldename").fill("olga")
    page.get_by_label("Passwort", exact=True).fill(PASSWORD)
    follow(page.get_by_role("main").get_by_role("button", name="Anmelden", exact=True))
    look_at(page, "german-token", looks=[(360, "light")])
    page.goto("/acme/settings/members")
    look_at(page, "german-members", looks=[(360, "light")])
