from __future__ import annotations

import pytest

from accounts.roles import (
    Permission,
    Role,
    permission_covers,
    permissions_covering,
    role_covers,
)
from accounts.scopes import Ability, Scope, abilities, scopes_giving


@pytest.mark.parametrize(
    ("held", "needed", "enough"),
    [
        (Role.OWNER, Role.ADMIN, True),
        (Role.ADMIN, Role.ADMIN, True),
        (Role.ADMIN, Role.OWNER, False),
        (Role.MEMBER, Role.ADMIN, False),
        (Role.MEMBER, Role.MEMBER, True),
    ],
)
def test_a_role_covers_what_is_below_it(held: Role, needed: Role, enough: bool) -> None:
    assert role_covers(held, needed) is enough


def test_a_permission_covers_what_is_below_it() -> None:
    assert permission_covers("admin", Permission.WRITE)
    assert not permission_covers("read", Permission.WRITE)
    assert permissions_covering(Permission.WRITE) == ["write", "admin"]


@pytest.mark.parametrize(
    ("scopes", "given"),
    [
        ([], set()),
        (["no:such"], set()),
        (["api:read"], {Ability.READ, Ability.DOWNLOAD}),
        (["api:write"], {Ability.WRITE, Ability.CHANNEL_UPLOAD}),
        (["api:modify-group"], {Ability.MODIFY_GROUPS}),
        (["conda:download"], {Ability.DOWNLOAD}),
        (["conda"], {Ability.DOWNLOAD, Ability.CHANNEL_UPLOAD}),
        (["repos"], {Ability.DOWNLOAD, Ability.CHANNEL_UPLOAD}),
        (["api"], set(Ability) - {Ability.ADMINISTER}),
        (["all"], set(Ability)),
        (["conda:download", "api:modify-group"], {Ability.DOWNLOAD, Ability.MODIFY_GROUPS}),
    ],
)
def test_scopes_give_abilities(scopes: list[str], given: set[Ability]) -> None:
    assert abilities(scopes) == given


@pytest.mark.parametrize("ability", list(Ability))
def test_the_scopes_said_to_be_enough_are(ability: Ability) -> None:
    assert scopes_giving(ability)
    for scope in scopes_giving(ability):
        assert ability in abilities([scope])


def test_only_all_allows_to_delete_and_transfer() -> None:
    assert scopes_giving(Ability.ADMINISTER) == [Scope.ALL]
