from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.cast import Person
from tests.factories import PASSWORD

Confirm = Callable[[Client], None]


@pytest.fixture
def nobody() -> Client:
    """A browser in which nobody is signed in."""
    return Client(HTTP_ACCEPT="text/html")


@pytest.fixture
def confirm() -> Confirm:
    """Tells the host once more that it is them: for some pages being signed in is not enough."""

    def by_password(client: Client) -> None:
        answer = client.post("/account/reauthenticate/?next=/dashboard", {"password": PASSWORD})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/dashboard")

    return by_password


@pytest.fixture
def confirmed_owner(owner: Person, confirm: Confirm) -> Person:
    confirm(owner.client)
    return owner
