from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts import groups
from accounts.identity import ANONYMOUS, Identity
from accounts.models import Group, Organization
from portal.errors import Conflict, CredentialNeeded, Forbidden, InvalidInput, NotFound
from tests.cast import Person
from tests.factories import make_group, make_organization


def create(by: Person, organization: Organization, name: str) -> Group:
    return groups.create_group(by=by.identity, organization=organization, name=name)


def test_a_group_is_made_with_what_it_gives(owner: Person, acme: Organization) -> None:
    group = groups.create_group(
        by=owner.identity,
        organization=acme,
        name=" Release team ",
        permission="write",
        all_packages=True,
        description=" Those who publish. ",
    )

    assert (group.name, group.permission, group.all_packages, group.description) == (
        "Release team",
        "write",
        True,
        "Those who publish.",
    )


@pytest.mark.parametrize("name", ["a", "7", "Release team 2", "a.b_c-d", "x" * 64])
def test_a_group_may_be_called(owner: Person, acme: Organization, name: str) -> None:
    assert create(owner, acme, name).name == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "x" * 65, "-x", ".x", "a/b", "a\nb", "grüße", "owners", "OWNERS", " Owners ", "New"],
)
def test_a_group_may_not_be_called(owner: Person, acme: Organization, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(owner, acme, name)
    assert list(refused.value.errors) == ["name"]


def test_names_of_groups_differ_in_more_than_capital_letters(
    owner: Person, acme: Organization
) -> None:
    group = create(owner, acme, "Release")
    other = create(owner, acme, "other")

    with pytest.raises(Conflict, match="acme already has a group release"):
        create(owner, acme, "release")
    with pytest.raises(Conflict):
        groups.change_group(by=owner.identity, group=other, name="RELEASE")

    assert groups.change_group(by=owner.identity, group=group, name="release").name == "release"
    elsewhere = make_organization("elsewhere", owner=owner.user)
    assert create(owner, elsewhere, "release").name == "release"


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"permission": "all"}, "permission"), ({"description": "x" * 256}, "description")],
)
def test_what_a_group_can_not_have_is_refused(
    owner: Person, acme: Organization, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        groups.create_group(by=owner.identity, organization=acme, name="group", **fields)
    assert list(refused.value.errors) == [field]


def test_only_what_is_given_is_changed(owner: Person, acme: Organization) -> None:
    group = make_group(acme, "group", permission="read", all_packages=True)

    groups.change_group(by=owner.identity, group=group, permission="admin")

    group.refresh_from_db()
    assert (group.name, group.permission, group.all_packages) == ("group", "admin", True)


_ACTS: list[Callable[[Identity, Group, Person], object]] = [
    lambda by, group, _reader: groups.create_group(
        by=by, organization=group.organization, name="mine"
    ),
    lambda by, group, _reader: groups.change_group(by=by, group=group, permission="admin"),
    lambda by, group, _reader: groups.delete_group(by=by, group=group),
    lambda by, group, reader: groups.add_to_group(by=by, group=group, user=reader.user),
    lambda by, group, _reader: groups.remove_from_group(by=by, group=group, user=group.users.get()),
]


@pytest.mark.parametrize("act", _ACTS, ids=["create", "change", "delete", "add", "remove"])
def test_only_owners_and_admins_change_groups(
    act: Callable[[Identity, Group, Person], object],
    owner: Person,
    admin: Person,
    maintainer: Person,
    maintainers: Group,
    reader: Person,
    stranger: Person,
) -> None:
    for nobody in (maintainer.identity, reader.identity, stranger.identity):
        with pytest.raises(Forbidden, match="Only owners and admins of acme"):
            act(nobody, maintainers, reader)
    with pytest.raises(CredentialNeeded):
        act(ANONYMOUS, maintainers, reader)
    with pytest.raises(Forbidden, match="api:modify-group"):
        act(owner.identity_with("api:write"), maintainers, reader)

    act(admin.identity, maintainers, reader)


def test_only_members_are_put_into_groups(
    owner: Person, reader: Person, stranger: Person, acme: Organization
) -> None:
    group = create(owner, acme, "group")

    with pytest.raises(InvalidInput, match=r"sven is not a member of acme\. Invite them first"):
        groups.add_to_group(by=owner.identity, group=group, user=stranger.user)
    groups.add_to_group(by=owner.identity, group=group, user=reader.user)
    with pytest.raises(Conflict, match="rita is in the group group already"):
        groups.add_to_group(by=owner.identity, group=group, user=reader.user)

    assert group.users.get() == reader.user


def test_who_is_taken_out_of_a_group_stays_a_member(
    owner: Person, maintainer: Person, maintainers: Group, acme: Organization
) -> None:
    groups.remove_from_group(by=owner.identity, group=maintainers, user=maintainer.user)

    assert not maintainers.users.exists()
    assert maintainer.user in acme.members.all()
    with pytest.raises(NotFound):
        groups.remove_from_group(by=owner.identity, group=maintainers, user=maintainer.user)


def test_a_deleted_group_is_gone_and_its_members_stay(
    owner: Person, maintainer: Person, maintainers: Group, acme: Organization
) -> None:
    groups.delete_group(by=owner.identity, group=maintainers)

    assert not Group.objects.exists()
    assert maintainer.user in acme.members.all()
    with pytest.raises(NotFound):
        groups.delete_group(by=owner.identity, group=maintainers)
    with pytest.raises(NotFound):
        groups.add_to_group(by=owner.identity, group=maintainers, user=maintainer.user)
