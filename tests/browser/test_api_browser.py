"""The page of the REST API in a browser: Swagger UI, in the theme of the site."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import DESK, PHONE, Theme, look_at

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_WHITE, _DARK = "rgb(255, 255, 255)", "rgb(28, 32, 34)"
_SURFACE = "getComputedStyle(document.documentElement).backgroundColor"


def _load(page: Page) -> None:
    page.goto("/api/v1/docs")
    page.locator(".opblock-tag").first.wait_for()


@pytest.mark.parametrize(("theme", "width"), [("light", DESK), ("dark", PHONE)])
def test_it_is_read_in_both_themes(
    transactional_db: None, page: Page, theme: Theme, width: int
) -> None:
    page.emulate_media(color_scheme=theme)
    _load(page)
    # One operation of each method, which have colors of their own, and one that was tried.
    for method in ("get", "post", "put", "patch", "delete"):
        page.locator(f".opblock-{method} .opblock-summary-control").first.click()
        page.locator(f".opblock-{method} .responses-inner").first.wait_for()
    page.get_by_role("button", name="Try it out").first.click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text("results")
    look_at(page, "api", looks=[(width, theme)])

    for tag in page.locator(".opblock-tag button").all():  # the rest is as long as it is alike
        tag.click()
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("heading", name="Available authorizations")).to_be_visible()
    look_at(page, "api-authorize", looks=[(width, theme)])


def test_it_follows_the_theme_that_is_chosen_and_else_the_systems(
    transactional_db: None, page: Page
) -> None:
    page.emulate_media(color_scheme="dark")
    _load(page)
    assert page.evaluate(_SURFACE) == _DARK
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{_SURFACE} === '{_WHITE}'")
    for theme, system, surface in (("dark", "light", _DARK), ("light", "dark", _WHITE)):
        page.context.add_cookies([{"name": "theme", "value": theme, "url": page.url}])
        page.emulate_media(color_scheme="light" if system == "light" else "dark")
        _load(page)
        assert page.evaluate(_SURFACE) == surface
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme


def test_its_first_paint_has_the_theme(transactional_db: None, page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    for late in ("**/swagger-ui*.js", "**/api/v1/docs?script="):
        page.route(late, lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.goto("/api/v1/docs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate(_SURFACE) == _DARK
