"""Every page there is, visited in Chromium, and all that can be measured about it in one visit.

The routes are those of the URL map: a page that is added is visited without anybody thinking of
it. Numbers of findings are those of the checks in ``checks.md``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from django.test import Client
from django.urls import URLPattern, reverse
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from tests.browser.crawling import Crawler, Visit
from tests.browser.rich import CHANNEL, FILENAME, NAME, Rich, make_rich_world
from tests.browser.routes import routes

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]

# What a route needs besides or instead of what the world gives.
_INSTEAD: dict[str, dict[str, Any]] = {
    "accounts:security": {"account": "olga"},
    "accounts:codes-saved": {"account": "olga"},
    "accounts:sessions-end": {"account": "olga"},
    "accounts:session-end": {"account": "olga"},
    "accounts:organizations": {"account": "olga"},
    "accounts:locale": {"account": "olga"},
    "accounts:organization-leave": {"account": "olga", "organization": "initech"},
    "registry:site-account-reset-factor": {"account": "olga"},
    "registry:long-page": {"rest": "files"},
    "registry:channel-copy": {"channel": "dev"},
}  # fmt: skip
# Routes whose pages need a state that no page can be found in at rest.
_ELSEWHERE = {
    "accounts:first-account": "before there is any account: tests/accounts/test_first_account.py",
    "account_reset_password_from_key": "a mailed link: tests/accounts/test_signing_up.py",
    "mfa_edit_webauthn": "a device has to make a key: tests/browser/test_security_walk.py",
    "mfa_remove_webauthn": "likewise",
    "registry:transfer": "an offer has to wait: tests/browser/test_transfer_walk.py",
    "accounts:client-login": "a program has to ask: tests/browser/test_client_login.py",
}
_MORE = {
    "account of a person": "/olga",
    "profile of a person": "/olga/settings/profile",
    "bare package": "/acme/bare",
    "removed package": "/acme/removed",
    "file of 1970": "/acme/dated/files/noarch/dated-1.0-0.conda",
    "channel with a long name": f"/acme/channels/{CHANNEL}",
    "compared versions": f"/acme/{NAME}/compare?from=0.9&to=0.1",
    "compared channels": "/acme/compare?from=main&to=dev",
    "search": "/search?q=a",
    "search without result": "/search?q=nothingofthekind",
    "filtered files": f"/acme/{NAME}/files?platform=osx-arm64",
    "filtered to nothing": f"/acme/{NAME}/files?version=99",
    "text in an archive": f"/acme/{NAME}/files/linux-64/{FILENAME}/contents"
    "?path=lib/python3.13/site-packages/xz/__init__.py",
    "missing": "/acme/unheard-of",
}


def _visits(rich: Rich) -> Iterator[Visit]:
    """Every route that answers its GET with a page; what answers otherwise is no page."""
    seen: set[str] = set()
    lost: list[str] = []
    clients = {"olga": rich.olga.client, "root": rich.root.client, "nobody": Client()}
    for name, pattern in routes():
        if name in seen or name in _ELSEWHERE:
            continue
        path = _address(name, pattern, rich.arguments)
        who: Literal["olga", "root", "nobody"] = "olga"
        if name.startswith("registry:site"):
            who = "root"
        elif name.startswith("account_"):
            who = "nobody"
        answer = clients[who].get(path)
        if who == "nobody" and answer.status_code == 302:
            who = "olga"
            answer = clients[who].get(path)
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        if answer.status_code in {405, 301, 302} or (answer.status_code == 200 and not is_page):
            continue
        seen.add(name)
        if answer.status_code != 200:
            lost.append(f"{name}: {path} is answered {answer.status_code}")
            continue
        yield Visit(name, path, who)
    assert not lost, "\n".join(lost)
    for name, path in _MORE.items():
        yield Visit(name, path, "olga")
    for name, path in {"visitor's package": f"/acme/{NAME}", "visitor's home": "/"}.items():
        yield Visit(name, path, "nobody")


def _address(name: str, pattern: URLPattern, arguments: dict[str, Any]) -> str:
    wanted = pattern.pattern.converters
    more = {"pk": arguments["session"], "user": arguments["user"]}
    if name.startswith("registry:bin"):
        more["file"] = arguments["binned"]
    if name.startswith("registry:site-index-"):
        more["channel"] = arguments["main"]
    if name.startswith(("registry:channel-transfer", "registry:package-invitation")):
        more["key"] = arguments["offer"]
    if name in {"registry:job", "registry:site-job"} or name.startswith(
        ("registry:job-", "registry:site-job-")
    ):
        more["key"] = arguments["job"]
    given = arguments | more | _INSTEAD.get(name, {})
    return reverse(name, kwargs={key: given[key] for key in wanted})


def test_every_page_holds_what_is_checked_of_every_page(
    transactional_db: None, browser: Browser, live_server: LiveServer
) -> None:
    rich = make_rich_world()
    crawler = Crawler(browser, live_server.url, rich)
    titles: dict[str, set[str]] = defaultdict(set)
    visits = list(_visits(rich))
    for visit in visits:
        crawler.visit(visit)
        titles[crawler.title(visit)].add(visit.path.partition("?")[0])
    crawler.close()
    for title, names in titles.items():
        if len(names) > 1 or not title.endswith(" · Condarium"):
            crawler.findings.add(title, [f"38 of {', '.join(names)}"])
    crawler.findings.add("console", [f"46 {fault}" for fault in crawler.faults.found])
    crawler.findings.add("requests", [f"55 {url}" for url in crawler.strangers])
    assert not crawler.findings.by_check, f"{len(visits)} pages\n{crawler.findings}"
