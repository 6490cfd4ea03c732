"""Run as the browser that ``anaconda login`` opens: sign in, say yes, follow to the end.

Prints the address it ended at.
"""

from __future__ import annotations

import html
import os
import re
import sys
import time
from urllib.parse import urljoin

import requests

_ACTION = re.compile(r'action="(/-/login/authorize[^"]*)"')
_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]*)"')


def press(browser: requests.Session, page: requests.Response, action: str, **typed: str) -> str:
    """Send a form of the page; where that leads to."""
    found = _CSRF.search(page.text)
    assert found is not None, page.text
    answer = browser.post(
        urljoin(page.url, action),
        {"csrfmiddlewaretoken": found[1], **typed},
        headers={"Referer": page.url},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 302, answer.text
    return urljoin(page.url, answer.headers["Location"])


def follow(browser: requests.Session, address: str) -> requests.Response:
    """The client begins to listen a moment after it has opened the browser."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return browser.get(address, timeout=30)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main(address: str) -> None:
    with requests.Session() as browser:
        login = browser.get(address, timeout=30)
        typed = {"login": os.environ["LOGIN_NAME"], "password": os.environ["LOGIN_PASSWORD"]}
        consent = browser.get(press(browser, login, login.url, **typed), timeout=30)
        action = _ACTION.search(consent.text)
        assert action is not None, consent.text
        end = follow(browser, press(browser, consent, html.unescape(action[1])))
    # The client ends the line with the token only after this was written, or before.
    sys.stdout.write(f"\n{end.status_code} {end.url}\n")


if __name__ == "__main__":
    main(sys.argv[1])
