"""What a page offers to somebody, they may do: every link and form, followed as each of them."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.urls import reverse

from accounts.roles import Permission
from registry.collaboration import set_collaborator
from registry.models import Package
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import HELLO, Browsers
from tests.registry.views.spider import pages_for


@pytest.mark.parametrize("who", ["stranger", "reader", "collaborator"])
def test_nobody_is_offered_what_is_refused(world: World, browsers: Browsers, who: str) -> None:
    browser = _collaborator(world).client if who == "collaborator" else browsers[who]
    refused: list[str] = []
    visited: list[str] = []
    posted: set[str] = set()
    for from_path, page in pages_for(browser, "/", "/acme", HELLO):
        visited.append(page.path)
        if page.answer.status_code >= 400:
            refused.append(f"{from_path} leads to {page.path}: {page.answer.status_code}")
        if who != "reader" and not page.answer.streaming:
            assert b"/acme/hidden" not in page.answer.content, page.path
            assert b"buried" not in page.answer.content, page.path
        for action in {form.action for form in page.forms} - posted:
            posted.add(action)
            if action == reverse("account_logout"):
                continue  # it would be nobody who looks at the rest
            with transaction.atomic():
                status = browser.post(action).status_code
                transaction.set_rollback(True)
            if status in {403, 404, 405} or status >= 500:
                refused.append(f"{page.path} posts to {action}: {status}")
    assert not refused, "\n".join(refused)
    assert len(visited) > 50
    assert (f"{HELLO}/settings/description" in posted) is (who == "collaborator")


def _collaborator(world: World) -> Person:
    """Someone who may write hello, and is no member."""
    person = Person(make_user("cleo"))
    hello = Package.objects.select_related("account").get(name="hello")
    set_collaborator(
        by=world.owner.identity, package=hello, permission=Permission.WRITE, user=person.user
    )
    return person
