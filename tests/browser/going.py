"""From one page to the next: a click returns before the page it leads to is there."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.factories import PASSWORD


def follow(control: Locator) -> None:
    """Click what leads to another page, and wait for that page."""
    with control.page.expect_navigation():
        control.click()


def arrived_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()


def sign_in(page: Page, name: str, *, goal: str = "/dashboard") -> None:
    page.goto(f"/account/login/?next={goal}")
    page.get_by_label("Login").or_(page.get_by_label("Username")).first.fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    follow(page.get_by_role("main").get_by_role("button", name="Sign in", exact=True))
    there = urlsplit(page.url)
    assert there._replace(scheme="", netloc="").geturl() == goal
