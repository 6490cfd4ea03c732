"""Collaborators and groups, as ``anaconda package`` and ``anaconda groups`` ask for them."""

from __future__ import annotations

import pytest

from accounts.models import Group, GroupMember, Membership, Organization
from accounts.roles import Permission, Role
from registry.models import Collaborator, Package
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.factories import make_group, make_organization, make_token, make_user
from tests.registry.dialects.anaconda.calls import call, error, said

HELLO = build_conda("hello", "1.0", about={"summary": "Says hello"})


@pytest.fixture
def hello(owner: Person, channel: ChannelAddress) -> Package:
    assert owner.upload(HELLO, to=channel).status_code == 201
    return Package.objects.get(name="hello")


# --- Collaborators -----------------------------------------------------------------------------

COLLABORATORS = "/packages/acme/hello/collaborators"


def test_a_collaborator_is_added_listed_and_removed(
    owner: Person, stranger: Person, hello: Package
) -> None:
    assert said(call("GET", COLLABORATORS, owner)) == []

    added = call("PUT", f"{COLLABORATORS}/sven", owner)

    assert said(added, 201) is None
    assert said(call("GET", COLLABORATORS, owner)) == [
        {"login": "sven", "name": "sven", "user_type": "user", "permission": "write"}
    ]
    newer = build_conda("hello", "1.1")
    assert stranger.upload(newer, to=ChannelAddress("acme")).status_code == 201
    assert said(call("DELETE", f"{COLLABORATORS}/sven", owner), 201) is None
    assert said(call("GET", COLLABORATORS, owner)) == []
    assert "sven" in error(call("DELETE", f"{COLLABORATORS}/sven", owner), 404)


@pytest.mark.parametrize(("held", "then"), [("read", "write"), ("admin", "admin")])
def test_adding_a_collaborator_takes_nothing_from_them(
    held: str, then: str, owner: Person, stranger: Person, hello: Package
) -> None:
    Collaborator.objects.create(package=hello, user=stranger.user, permission=held)

    for _ in range(2):
        assert said(call("PUT", f"{COLLABORATORS}/sven", owner), 201) is None

    assert Collaborator.objects.get().permission == then


def test_groups_are_listed_among_the_collaborators_by_their_full_names(
    owner: Person, acme: Organization, hello: Package
) -> None:
    group = make_group(acme, "release")
    Collaborator.objects.create(package=hello, group=group, permission=Permission.READ)

    [listed] = said(call("GET", COLLABORATORS, owner))

    assert (listed["login"], listed["user_type"]) == ("acme/release", "group")


def test_a_package_named_conda_has_collaborators_too(
    owner: Person, stranger: Person, channel: ChannelAddress
) -> None:
    owner.upload(build_conda("conda", "1.0"), to=channel)
    address = "/packages/acme/conda/collaborators"

    assert said(call("PUT", f"{address}/sven", owner), 201) is None
    assert [each["login"] for each in said(call("GET", address, owner))] == ["sven"]


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/packages/acme/missing/collaborators", 404, '"acme/missing"'),
        ("PUT", "/packages/acme/missing/collaborators/sven", 404, '"acme/missing"'),
        ("PUT", "/packages/nobody/hello/collaborators/sven", 404, '"nobody/hello"'),
        ("PUT", f"{COLLABORATORS}/whoever", 404, '"whoever"'),
        ("DELETE", f"{COLLABORATORS}/whoever", 404, '"whoever"'),
        ("POST", f"{COLLABORATORS}/sven", 405, "POST"),
    ],
)
def test_what_is_wrong_about_collaborators_is_named(
    method: str, path: str, status: int, reason: str, owner: Person, hello: Package
) -> None:
    assert reason in error(call(method, path, owner), status)


def test_who_is_no_admin_of_the_package_changes_no_collaborator(
    maintainer: Person, stranger: Person, hello: Package
) -> None:
    writing = maintainer.token("api:read", "api:write").secret

    error(call("PUT", f"{COLLABORATORS}/sven"), 401)
    error(call("PUT", f"{COLLABORATORS}/sven", stranger), 403)
    error(call("PUT", f"{COLLABORATORS}/sven", maintainer), 403)
    assert call("PUT", f"{COLLABORATORS}/sven", writing).status_code in {401, 403}
    error(call("GET", COLLABORATORS, stranger), 403)
    assert not Collaborator.objects.exists()


def test_a_private_package_is_as_missing_to_strangers(
    owner: Person, stranger: Person, hello: Package
) -> None:
    Package.objects.update(is_private=True)

    hidden = error(call("GET", COLLABORATORS, stranger), 404)

    missing = error(call("GET", "/packages/acme/missing/collaborators", stranger), 404)
    assert hidden.replace("hello", "missing") == missing


# --- Groups ------------------------------------------------------------------------------------


def test_a_group_is_made_and_shown(owner: Person, acme: Organization) -> None:
    assert said(call("POST", "/group/acme/release", owner, {"perms": "write"}), 204) is None

    shown = said(call("GET", "/group/acme/release", owner))

    assert shown == {
        "name": "release",
        "owner": "acme",
        "description": "",
        "permission": "write",
        "members_count": 0,
        "repos_count": 0,
    }
    assert said(call("POST", "/group/acme/readers", owner), 204) is None
    assert said(call("GET", "/group/acme/readers", owner))["permission"] == "read"


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/group/acme/release", {"perms": "everything"}, 400, "read, write, admin"),
        ("/group/acme/release", {"perms": 3}, 400, "perms"),
        ("/group/acme/release", ["perms"], 400, "JSON"),
        ("/group/acme/owners", {"perms": "admin"}, 400, "reserved"),
        ("/group/acme/a%3Bb", {"perms": "read"}, 400, "name"),
        ("/group/acme/known", {"perms": "read"}, 409, "known"),
        ("/group/olga/release", {"perms": "read"}, 404, '"olga"'),
        ("/group/missing/release", {"perms": "read"}, 404, '"missing"'),
    ],
)
def test_a_group_that_can_not_be_made_is_refused(
    path: str, body: object, status: int, reason: str, owner: Person, acme: Organization
) -> None:
    make_group(acme, "known")

    assert reason in error(call("POST", path, owner, body), status)
    assert Group.objects.count() == 1


def test_members_of_a_group_come_and_go(owner: Person, reader: Person, acme: Organization) -> None:
    group = make_group(acme, "release")
    rita = "/group/acme/release/members/rita"
    error(call("GET", rita, owner), 404)

    for _ in range(2):
        assert said(call("PUT", rita, owner), 204) is None

    assert said(call("GET", rita, owner), 204) is None
    assert said(call("GET", "/group/acme/release/members", owner)) == [
        {"login": "rita", "name": "rita"}
    ]
    assert said(call("GET", "/group/acme/release", owner))["members_count"] == 1
    assert said(call("DELETE", rita, owner), 204) is None
    assert not GroupMember.objects.filter(group=group).exists()
    assert '"rita"' in error(call("DELETE", rita, owner), 404)


def test_who_is_put_into_a_group_becomes_a_member(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    make_group(acme, "release")

    assert said(call("PUT", "/group/acme/release/members/sven", owner), 204) is None

    assert Membership.objects.get(user=stranger.user).role == Role.MEMBER
    assert GroupMember.objects.get().user == stranger.user


def test_the_owners_are_a_group(owner: Person, reader: Person, acme: Organization) -> None:
    assert said(call("GET", "/group/acme/owners", owner))["permission"] == "admin"
    assert [each["login"] for each in said(call("GET", "/group/acme/owners/members", owner))] == [
        "olga"
    ]
    assert "only owner" in error(call("DELETE", "/group/acme/owners/members/olga", owner), 409)

    said(call("PUT", "/group/acme/owners/members/rita", owner), 204)

    assert Membership.objects.get(user=reader.user).role == Role.OWNER
    said(call("DELETE", "/group/acme/owners/members/rita", owner), 204)
    assert Membership.objects.get(user=reader.user).role == Role.MEMBER
    assert "all packages" in error(call("PUT", "/group/acme/owners/packages/hello", owner), 409)


def test_only_owners_make_owners(admin: Person, acme: Organization) -> None:
    make_user("otto")

    assert "owner" in error(call("PUT", "/group/acme/owners/members/otto", admin), 403)
    assert not Membership.objects.filter(user__username="otto").exists()


def test_a_group_is_given_packages(
    owner: Person, reader: Person, acme: Organization, hello: Package
) -> None:
    make_group(acme, "release", permission=Permission.WRITE, members=[reader.user])
    address = "/group/acme/release/packages"

    assert said(call("PUT", f"{address}/hello", owner), 204) is None

    assert said(call("GET", address, owner)) == [
        {"full_name": "acme/hello", "name": "hello", "summary": "Says hello"}
    ]
    assert said(call("GET", "/group/acme/release", owner))["repos_count"] == 1
    newer = build_conda("hello", "1.1")
    assert reader.upload(newer, to=ChannelAddress("acme")).status_code == 201
    assert said(call("DELETE", f"{address}/hello", owner), 204) is None
    assert said(call("GET", address, owner)) == []
    assert '"hello"' in error(call("DELETE", f"{address}/hello", owner), 404)
    assert '"acme/missing"' in error(call("PUT", f"{address}/missing", owner), 404)


def test_a_group_over_all_packages_lists_them_and_takes_no_single_one(
    owner: Person, maintainers: Group, hello: Package
) -> None:
    address = "/group/acme/maintainers/packages"

    assert [each["name"] for each in said(call("GET", address, owner))] == ["hello"]
    assert said(call("GET", "/group/acme/maintainers", owner))["repos_count"] == 1
    assert "all packages of acme" in error(call("PUT", f"{address}/hello", owner), 409)
    assert "all packages of acme" in error(call("DELETE", f"{address}/hello", owner), 409)


def test_each_is_told_of_the_groups_through_which_they_hold_something(
    owner: Person,
    maintainer: Person,
    reader: Person,
    acme: Organization,
    hello: Package,
) -> None:
    make_group(acme, "release", permission=Permission.ADMIN)

    def held(by: Person | str) -> list[tuple[str, str]]:
        groups = said(call("GET", "/groups/acme", by))["groups"]
        return [(group["name"], group["permission"]) for group in groups]

    everything = [("owners", "admin"), ("maintainers", "write"), ("release", "admin")]
    assert held(owner) == everything
    assert held(make_token(acme.account, "all").secret) == everything
    assert held(maintainer) == [("maintainers", "write")]
    assert held(reader) == []
    [own] = said(call("GET", "/groups", maintainer))["groups"]
    assert (own["owner"], own["name"]) == ("acme", "maintainers")
    assert said(call("GET", "/groups", owner)) == {"groups": []}
    make_group(make_organization("globex"), "nobody in it")
    own = said(call("GET", "/groups", make_token(acme.account, "all").secret))["groups"]
    assert [group["name"] for group in own] == ["maintainers", "release"]
    error(call("GET", "/groups"), 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/groups/acme"),
        ("GET", "/group/acme/release"),
        ("GET", "/group/acme/release/members"),
        ("GET", "/group/acme/release/members/olga"),
        ("GET", "/group/acme/release/packages"),
    ],
)
def test_groups_are_the_business_of_members(
    method: str, path: str, acme: Organization, reader: Person, stranger: Person
) -> None:
    make_group(acme, "release")

    error(call(method, path), 401)
    error(call(method, path, stranger), 403)
    assert call(method, path, reader).status_code in {200, 404}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/group/acme/other"),
        ("PUT", "/group/acme/release/members/rita"),
        ("DELETE", "/group/acme/release/members/rita"),
        ("PUT", "/group/acme/release/packages/hello"),
        ("DELETE", "/group/acme/release/packages/hello"),
    ],
)
def test_groups_are_changed_by_admins(
    method: str, path: str, acme: Organization, owner: Person, reader: Person, stranger: Person
) -> None:
    make_group(acme, "release", members=[reader.user])
    before = list(GroupMember.objects.values())

    error(call(method, path), 401)
    error(call(method, path, stranger), 403)
    error(call(method, path, reader), 403)
    assert call(method, path, owner.token("api:read").secret).status_code in {401, 403}
    assert list(GroupMember.objects.values()) == before
    assert Group.objects.count() == 1


def test_what_is_missing_in_a_group_is_named(owner: Person, acme: Organization) -> None:
    make_group(acme, "release")

    assert '"nightly" of acme' in error(call("GET", "/group/acme/nightly", owner), 404)
    assert '"whoever"' in error(call("PUT", "/group/acme/release/members/whoever", owner), 404)
    assert '"olga"' in error(call("GET", "/group/acme/release/members/olga", owner), 404)


def test_the_groups_of_a_large_organization_are_counted_at_once(
    owner: Person,
    acme: Organization,
    hello: Package,
    django_assert_max_num_queries: object,
) -> None:
    for number in range(20):
        make_group(acme, f"group {number}", members=[owner.user])
    token = owner.token().secret

    with django_assert_max_num_queries(12):  # type: ignore[operator]  # a fixture of pytest-django
        assert len(said(call("GET", "/groups/acme", token))["groups"]) == 21
