"""The page on which people let ``anaconda login`` in, by clicking."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from accounts.client_login import CLIENT_ID, REDIRECT_URI, challenge_of
from tests.browser.looks import look_at
from tests.factories import PASSWORD, make_user
from tests.registry.dialects.anaconda.stock_client import port_of_the_login
from tests.servers import LOOPBACK

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ADDRESS = "/-/login/authorize?" + urlencode(
    {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "scope": "openid email profile offline_access",
        "state": "s-1",
        "redirect_uri": REDIRECT_URI,
        "code_challenge": challenge_of("v" * 64),
        "code_challenge_method": "S256",
    }
)


@contextmanager
def program() -> Iterator[list[dict[str, list[str]]]]:
    """Listens as the client does; yields what it is told, request by request."""
    told: list[dict[str, list[str]]] = []

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(parse_qs(urlsplit(self.path).query))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><title>It</title><link rel=icon href=data:,>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it has it
            """Its lines would stand among those of the tests."""

    with port_of_the_login(), HTTPServer((LOOPBACK, 8000), Listening) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


def test_a_person_signs_in_and_lets_the_program_in_or_does_not(page: Page) -> None:
    make_user("olga")
    with program() as told:
        page.goto(ADDRESS)
        page.get_by_label("Login").or_(page.get_by_label("Username")).first.fill("olga")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
        heading = page.get_by_role("heading", name="Let anaconda sign in as olga?", level=1)
        expect(heading).to_be_visible()
        look_at(page, "client-login")

        page.get_by_role("button", name="Let it sign in").click()
        page.wait_for_url(f"{REDIRECT_URI}?**")
        page.goto(ADDRESS)
        page.get_by_role("link", name="Don’t").click()
        page.wait_for_url(f"{REDIRECT_URI}?**")

    yes, no = (answer for answer in told if answer)
    assert yes["state"] == no["state"] == ["s-1"]
    assert yes["code"]
    assert no["error"] == ["access_denied"]

    page.goto("/app/local-login-success")
    look_at(page, "client-login-succeeded")
