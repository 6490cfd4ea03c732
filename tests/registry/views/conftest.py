from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import Organization
from registry import indexing
from tests.cast import Person
from tests.registry.api.world import World, make_world


@pytest.fixture
def anonymous(db: None) -> Client:
    """A browser that nobody is signed in with."""
    return Client(HTTP_ACCEPT="text/html")


@pytest.fixture
def world(acme: Organization, owner: Person) -> World:
    """acme: ``hello`` is public in main, ``hidden`` a private package in main, ``buried`` stands
    in the private channel secret only; there also is an empty public channel dev."""
    made = make_world("acme", owner, organization=acme)
    indexing.run_overdue()
    return made
