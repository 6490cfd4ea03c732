"""Each act that pages offer, in Chromium, as each of the cast: done, or not to be had.

The acts are those of ``tests.browser.acts``, and who may is read from the tables of requests. A
test is one of the cast: who may do an act does it by its controls, and sees its effect; who may
not is shown the page, or less, without anything that leads to it, and posts in vain.
"""

from __future__ import annotations

import os
import re
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.acts import ACTS
from tests.browser.acts.exceptions import NO_ACTS
from tests.browser.acts.frame import Act, Doing, name_of, offers
from tests.browser.acts.realm import Realm, make_realm, sign_in
from tests.browser.acts.rights import CAST, SIGNED_IN, Names
from tests.browser.conftest import PATIENCE_MS, REPORT_VIOLATIONS, Faults
from tests.browser.routes import routes, takes_posts
from tests.cast import Person

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]

_HERE = Path(__file__).parent
Rows = dict[str, list[tuple[object, ...]]]

# What merely looking changes, and where refusals are noted.
_PASSING = {"registry.RefusedUpload", "sessions.Session", "usersessions.UserSession"}


@pytest.fixture
def realm(transactional_db: None) -> Realm:
    return make_realm()


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, faults: Faults) -> Iterator[Page]:
    """On a host with a name: a passkey belongs to a name, and to no address."""
    port = urlsplit(live_server.url).port
    context = browser.new_context(base_url=f"http://localhost:{port}", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.add_init_script(REPORT_VIOLATIONS)
    faults.watch(page)
    yield page
    context.close()


@pytest.mark.parametrize("who", CAST)
def test_what_is_theirs_to_do_they_do_and_nothing_else(who: str, realm: Realm, page: Page) -> None:
    person = realm.people.get(who)
    if person is not None:
        _let_in(page, person)
    theirs = [act for number, act in enumerate(ACTS) if who in _doers(act, number)]
    # What is their own to do is not theirs where it is somebody else's.
    others = [act for act in ACTS if who not in act.may or (act.is_own and act in theirs)]
    wrong = _Wrong(who, realm, [act for act in others if who not in act.may])

    before = _everything()
    for path, acts in _by_page(others, realm).items():
        page.goto(path, wait_until="domcontentloaded")
        wrong.look(page, acts)
    for act in others:
        if who in act.elsewhere:
            continue
        wrong.post(act, person.client if person else Client())
    wrong.compare(before, _everything())

    for act in sorted(theirs, key=lambda act: act.is_last):
        assert person is not None, f"{act.name}: nobody may act without signing in"
        wrong.do(act, Doing(realm, person, page, act, wrong.look))
    assert not wrong.found, "\n".join(wrong.found)


def _doers(act: Act, number: int) -> Names:
    """Who is to do an act of all who may: all, but where each does it to what is their own.

    There no role makes a difference, and who may are all that are signed in. Two of them do it,
    two others the next; with CONDARIUM_EVERY_ROLE=1 each of them does.
    """
    if act.may != SIGNED_IN or os.environ.get("CONDARIUM_EVERY_ROLE") == "1":
        return act.may
    names = [name for name in CAST if name in act.may]
    return frozenset(names[(2 * number + more) % len(names)] for more in range(2))


def _let_in(page: Page, person: Person) -> None:
    name, key = settings.SESSION_COOKIE_NAME, sign_in(person)
    page.context.add_cookies([{"name": name, "value": key, "domain": "localhost", "path": "/"}])


def _by_page(acts: list[Act], realm: Realm) -> dict[str, list[Act]]:
    pages = defaultdict(list)
    for act in acts:
        pages[act.page_for(realm)].append(act)
    return pages


def _everything() -> Rows:
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model._meta.label not in _PASSING
    }


class _Wrong:
    """What was found to be wrong, all of it: one fault shall not hide the others."""

    def __init__(self, who: str, realm: Realm, refused: Sequence[Act]) -> None:
        self.found: list[str] = []
        self._who = who
        self._realm = realm
        self._urls = {act: act.url(realm) for act in ACTS}
        # By name and account: what else of the kind a page leads or posts to is as little theirs.
        never = [act for act in refused if not act.is_own]
        self._posted = {name_of(self._urls[act]): act for act in never}
        self._led = {name_of(self._urls[act]): act for act in never if not act.is_shown}

    def look(self, page: Page, refused: Sequence[Act] = ()) -> None:
        """Note what the page offers and the person may not; ``refused`` is not for them here."""
        links, posts = offers(page)
        for path in links | posts:
            name = name_of(path)
            found = (self._posted if path in posts else self._led).get(name)
            if found is not None:
                self._note(page, found, path)
        for act in refused:
            if self._urls[act] in (posts if act.is_shown else links | posts):
                self._note(page, act, self._urls[act])

    def _note(self, page: Page, act: Act, path: str) -> None:
        words = f"{page.url} offers {path} to {self._who}: {act.name}"
        if words not in self.found:
            self.found.append(words)

    def post(self, act: Act, client: Client) -> None:
        status = act.try_by(client, self._realm)
        if status not in {401, 404, act.refused_with}:
            self.found.append(f"{act.name}: {self._who} posts it, and is answered {status}")

    def compare(self, before: Rows, after: Rows) -> None:
        self.found += [
            f"{table} is changed by who may not"
            for table in before
            if before[table] != after[table]
        ]

    def do(self, act: Act, doing: Doing) -> None:
        try:
            act.do(doing)
        except Exception as fault:  # noqa: BLE001 - whatever it was, it is told below
            where = f"{act.name} as {self._who}, at {doing.page.url}"
            lines = traceback.format_exception(fault, limit=-3)
            self.found.append(f"{where}\n{''.join(lines)[-1500:]}")


def test_no_act_of_the_url_map_is_forgotten() -> None:
    posted = {name for name, pattern in routes() if takes_posts(pattern)}
    named = {act.view for act in ACTS if not act.is_a_look}

    assert named | set(NO_ACTS) == posted
    assert not named & set(NO_ACTS)
    for said in NO_ACTS.values():
        for path in re.findall(r"[\w/]+\.py", said):
            assert (_HERE.parent.parent / path if "/" in path else _HERE / path).exists(), said
