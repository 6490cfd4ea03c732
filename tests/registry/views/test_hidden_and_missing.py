"""Before there is anything hidden, its pages say what they say afterwards."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import Organization
from registry import indexing
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import make_world


@pytest.fixture
def owner(db: None) -> Person:
    return Person(make_user("olga"))


@pytest.fixture
def acme(owner: Person) -> Organization:
    return make_organization("acme", owner=owner.user)


def test_what_is_hidden_has_the_bytes_of_what_is_missing(
    acme: Organization, owner: Person, anonymous: Client
) -> None:
    paths = [
        "/acme/hidden",
        "/acme/hidden/files",
        "/acme/hidden/1.0",
        "/acme/hidden/channels",
        "/acme/hidden/versions/1.0",
        "/acme/hidden/files/noarch/hidden-1.0-0.conda",
        "/acme/buried",
        "/acme/channels/secret",
    ]
    missing = [anonymous.get(path, follow=True) for path in paths]
    make_world("acme", owner, organization=acme)
    indexing.run_overdue()

    hidden = [anonymous.get(path, follow=True) for path in paths]

    assert {answer.status_code for answer in [*missing, *hidden]} == {404}
    assert [answer.content for answer in missing] == [answer.content for answer in hidden]
