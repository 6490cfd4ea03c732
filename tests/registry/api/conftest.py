from __future__ import annotations

import pytest

from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import Caller, World, by_session, make_callers, make_world


@pytest.fixture
def world(owner: Person) -> World:
    """acme, which olga owns."""
    return make_world("acme", owner)


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
