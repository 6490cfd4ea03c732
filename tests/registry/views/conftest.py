from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from accounts.models import Organization
from registry import indexing
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import World, copy_of, make_world
from tests.registry.views.browsers import Browsers


@pytest.fixture
def anonymous(db: None) -> Client:
    """A browser that nobody is signed in with."""
    return Client(HTTP_ACCEPT="text/html")


@pytest.fixture(scope="module")
def lasting_world(ground: Path) -> World:
    made = make_world("acme", Person(make_user("olga")))
    indexing.run_overdue()
    return made


@pytest.fixture
def world(db: None, ground: Path, lasting_world: World) -> World:
    """acme: ``hello`` is public in main, ``hidden`` a private package in main, ``buried`` stands
    in the private channel secret only; there also is an empty public channel dev."""
    return copy_of(lasting_world, ground)


@pytest.fixture
def owner(world: World) -> Person:
    return world.owner


@pytest.fixture
def acme(world: World) -> Organization:
    return world.organization


@pytest.fixture
def browsers(
    anonymous: Client,
    stranger: Person,
    reader: Person,
    maintainer: Person,
    admin: Person,
    owner: Person,
) -> Browsers:
    """Everybody's browser, from who may least to who may most."""
    people = {
        "stranger": stranger,
        "reader": reader,
        "maintainer": maintainer,
        "admin": admin,
        "owner": owner,
    }
    return {"anonymous": anonymous} | {name: person.client for name, person in people.items()}
