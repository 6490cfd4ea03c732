from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import Organization
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import Caller, World, by_session, copy_of, make_callers, make_world


@pytest.fixture(scope="module")
def lasting_world(ground: Path) -> World:
    return make_world("acme", Person(make_user("olga")))


@pytest.fixture
def world(db: None, ground: Path, lasting_world: World) -> World:
    """acme, which olga owns."""
    return copy_of(lasting_world, ground)


@pytest.fixture
def owner(world: World) -> Person:
    return world.owner


@pytest.fixture
def acme(world: World) -> Organization:
    return world.organization


@pytest.fixture
def other_world(db: None) -> World:
    """globex, which gwen owns, and nobody of acme knows from within."""
    return make_world("globex", Person(make_user("gwen")))


@pytest.fixture
def callers(world: World) -> dict[str, Caller]:
    return make_callers(world)


@pytest.fixture
def olga(world: World) -> Caller:
    return by_session(world.owner)
