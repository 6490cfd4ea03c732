"""A second factor from adding it to losing it, by clicking; and signing in with each kind."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from playwright.sync_api import Page, expect

from tests.browser.going import arrived_at, follow, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import PASSWORD
from tests.one_time_codes import code_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SECURITY = "/olga/settings/security"


def sign_out(page: Page) -> None:
    page.goto("/account/logout/")
    follow(page.get_by_role("main").get_by_role("button", name="Sign out"))


def first_step(page: Page) -> None:
    page.goto("/account/login/")
    page.get_by_label("Login name or e-mail").fill("olga")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    arrived_at(page, "Second factor")


def forget_used_codes() -> None:
    """A code is good once in half a minute, which a test does not wait for."""
    cache.clear()


def virtual_key(page: Page) -> Any:
    """A device that keeps passkeys, as Chromium has one for tests."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return tools


def test_a_second_factor_from_its_adding_to_its_end(page: Page, owner: Person) -> None:
    # A passkey belongs to a name, and to no address.
    page.goto("/")
    port = page.url.split(":")[2].rstrip("/")
    page.goto(f"http://localhost:{port}/account/login/")
    look_at(page, "login")

    host = f"http://localhost:{port}"
    page.get_by_label("Login name or e-mail").fill("olga")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("That name and password do not match.").first).to_be_visible()
    look_at(page, "login-wrong")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/dashboard")

    page.goto(f"{host}{SECURITY}")
    look_at(page, "security-first")
    follow(page.get_by_role("link", name="Add an authenticator app"))
    arrived_at(page, "Add an authenticator app")
    look_at(page, "totp-add")
    secret = page.locator(".command-box pre").inner_text()
    page.get_by_label("Code").fill("000000")
    follow(page.get_by_role("button", name="Turn on"))
    expect(page.get_by_text("That code is not right.").first).to_be_visible()
    assert page.locator(".command-box pre").inner_text() == secret
    page.get_by_label("Code").fill(code_of(secret))
    follow(page.get_by_role("button", name="Turn on"))

    arrived_at(page, "Recovery codes")
    look_at(page, "recovery-codes")
    codes = page.locator(".command-box pre").inner_text().split()
    assert len(codes) == 10
    page.get_by_label("I keep these codes").check()
    follow(page.get_by_role("button", name="Done"))
    expect(page.get_by_text("10 of 10 are left.")).to_be_visible()

    tools = virtual_key(page)
    page.get_by_role("link", name="Add a passkey").click()
    arrived_at(page, "Add a passkey")
    look_at(page, "passkey-add")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("The passkey is added.")).to_be_visible()
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    page.get_by_role("link", name="Rename laptop").click()
    arrived_at(page, "Rename a passkey")
    look_at(page, "passkey-rename")
    page.get_by_label("Name").fill("blue key")
    follow(page.get_by_role("button", name="Save"))
    page.goto(f"{host}{SECURITY}")
    look_at(page, "security-full")

    sign_out(page)
    page.goto(f"{host}/account/login/?next={SECURITY}")
    page.get_by_role("button", name="Sign in with a passkey").click()
    arrived_at(page, "Sign-in and security")

    sign_out(page)
    page.goto(f"{host}/account/login/")
    page.get_by_label("Login name or e-mail").fill("olga")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    arrived_at(page, "Second factor")
    look_at(page, "second-factor")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/dashboard")

    page.goto(f"{host}/account/reauthenticate/?next={SECURITY}")
    look_at(page, "confirm")
    page.goto(f"{host}/account/2fa/reauthenticate/?next={SECURITY}")
    look_at(page, "confirm-code")
    page.goto(f"{host}/account/2fa/webauthn/reauthenticate/?next={SECURITY}")
    look_at(page, "confirm-passkey")
    page.get_by_role("button", name="Use a passkey").click()
    arrived_at(page, "Sign-in and security")
    tools.send("WebAuthn.disable")

    for path, name in [
        ("/account/password/change/", "password-change"),
        ("/account/2fa/recovery-codes/generate/", "recovery-codes-new"),
        ("/account/2fa/totp/deactivate/", "totp-remove"),
    ]:
        page.goto(f"{host}{path}")
        look_at(page, name)
    page.goto(f"{host}{SECURITY}")
    follow(page.get_by_role("link", name="Remove blue key"))
    look_at(page, "passkey-remove")
    page.get_by_role("button", name="Remove passkey").click()
    expect(page.get_by_text("The passkey is removed.")).to_be_visible()
    assert Authenticator.objects.filter(type="webauthn").count() == 0
    assert Authenticator.objects.filter(type="totp").count() == 1


def test_codes_sign_in_without_a_script(page_without_script: Page, owner: Person) -> None:
    page = page_without_script
    sign_in(page, "olga", goal=SECURITY)
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
    follow(page.get_by_role("link", name="Add an authenticator app"))
    secret = page.locator(".command-box pre").inner_text()
    page.get_by_label("Code").fill(code_of(secret))
    follow(page.get_by_role("button", name="Turn on"))
    codes = page.locator(".command-box pre").inner_text().split()
    page.get_by_label("I keep these codes").check()
    follow(page.get_by_role("button", name="Done"))

    for code in (code_of(secret), codes[0]):
        forget_used_codes()
        sign_out(page)
        first_step(page)
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/dashboard")

    page.goto(SECURITY)
    expect(page.get_by_text("9 of 10 are left.")).to_be_visible()
