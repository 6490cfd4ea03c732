"""Who can already and why, what was removed a moment ago, and which tokens reach a package."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from django.core import signing
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization
from accounts.roles import Permission, Role
from registry.collaboration import set_collaborator, set_privacy
from registry.models import Collaborator, Package
from registry.views import collaborators as pages
from tests.accounts.views.pages import days_from_now, words
from tests.cast import Person
from tests.factories import add_member, make_group, make_invitation, make_token, make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import HELLO

PAGE = f"{HELLO}/settings/collaborators"


def hello() -> Package:
    return Package.objects.select_related("account").get(account__name="acme", name="hello")


def collaborate(world: World, person: Person, permission: Permission) -> Collaborator:
    held, _ = set_collaborator(
        by=world.owner.identity, package=hello(), user=person.user, permission=permission
    )
    return held


def test_it_says_who_can_already_why_and_who_has_a_second_factor(
    world: World, owner: Person, maintainer: Person, admin: Person
) -> None:
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={})
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.RECOVERY_CODES, data={})
    make_invitation(
        world.organization, "jo@example.org", key="j", expires_at=days_from_now(6), role=Role.ADMIN
    )

    text = words(owner.client.get(PAGE))

    for part in (
        "Owners and admins of acme Admin organization 1 of 2",
        "maintainers Write group for all packages, 1 person no",
        "Members of acme Read membership 1 of 3",
        "jo@example.org Invited Admin invited to acme as admin, expires in 6 days",
    ):
        assert part in text


def test_a_removal_can_be_taken_back_after_a_reload(
    world: World, owner: Person, stranger: Person
) -> None:
    held = collaborate(world, stranger, Permission.WRITE)
    removed = owner.client.post(f"{PAGE}/{held.pk}/remove").headers["Location"]
    page = owner.client.get(removed)
    assert "sven is no longer a collaborator of hello." in words(page)
    assert "Undo" in words(owner.client.get(removed))
    key = re.search(r'name="removed" value="([^"]+)"', page.content.decode())
    assert key is not None

    back = owner.client.post(f"{PAGE}/undo", {"removed": key[1]}, follow=True)

    assert "sven may now write hello." in words(back)
    given = Collaborator.objects.get(user=stranger.user)
    assert (given.permission, given.added_by) == (Permission.WRITE, owner.user)


def test_a_removal_can_not_be_taken_back_by_others_nor_later(
    world: World,
    owner: Person,
    admin: Person,
    stranger: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = collaborate(world, stranger, Permission.WRITE)
    removed = owner.client.post(f"{PAGE}/{held.pk}/remove").headers["Location"]
    key = removed.partition("removed=")[2]

    answers = [admin.client.post(f"{PAGE}/undo", {"removed": key}, follow=True)]
    monkeypatch.setattr(pages, "_UNDO_SECONDS", 0)
    forged = signing.dumps([stranger.user.pk, None, "admin", "sven"], salt="undo")
    answers += [
        owner.client.post(f"{PAGE}/undo", {"removed": wrong}, follow=True)
        for wrong in (key, forged, "")
    ]

    assert all("It is too late to undo." in words(answer) for answer in answers)
    assert "Undo" not in words(owner.client.get(removed))
    assert not Collaborator.objects.filter(user=stranger.user).exists()


def test_the_page_of_a_removal_counts_their_tokens(
    world: World, owner: Person, stranger: Person
) -> None:
    held = collaborate(world, stranger, Permission.WRITE)
    stranger.token("api:write")
    stranger.token("api:write", expires_at=days_from_now(-1))

    text = words(owner.client.get(f"{PAGE}/{held.pk}/remove"))

    assert "sven will no longer be able to publish hello." in text
    assert "Their 1 token loses this right at once." in text


# --- Tokens ------------------------------------------------------------------------------------


def names_on(person: Person, path: str = f"{HELLO}/settings/tokens") -> list[str]:
    rows = re.findall(
        r'<th scope="row">(?:<a[^>]*>)?([^<]+)', person.client.get(path).content.decode()
    )
    return sorted(rows)


def test_all_tokens_that_can_change_a_package_are_listed_of_whomever(
    world: World, owner: Person, reader: Person, maintainer: Person, stranger: Person
) -> None:
    collaborate(world, stranger, Permission.WRITE)
    make_token(world.organization.account, "api:write", name="of acme")
    owner.token("conda", name="of olga", channels=["dev"])
    maintainer.token("all", name="of maria", packages=["hel*"])
    stranger.token("api:write", name="of sven")
    owner.token("api:read", name="not this")
    owner.token("all", name="not this either", expires_at=days_from_now(-1))
    owner.token("all", name="nor this", packages=["xz"])
    reader.token("all", name="nor a reader's")
    stranger.token("conda:download", name="nor this one")

    assert names_on(owner) == sorted(["deploy", "of acme", "of maria", "of olga", "of sven"])

    page = owner.client.get(f"{HELLO}/settings/tokens").content.decode()
    assert page.count("/revoke") == 3  # of acme's two and their own, not of others'


def test_of_a_private_package_those_that_read_are_listed_too(
    world: World, owner: Person, reader: Person, stranger: Person
) -> None:
    set_privacy(by=owner.identity, package=hello(), is_private=True)
    reader.token("conda:download", name="of rita")
    stranger.token("conda:download", name="of sven")

    assert names_on(owner) == ["deploy", "of rita"]


def test_both_pages_ask_little(
    world: World, owner: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        person = Person(make_user())
        add_member(world.organization, person.user)
        person.token("all")
        group = make_group(world.organization, members=[person.user], all_packages=True)
        collaborate(world, Person(make_user()), Permission.WRITE)
        set_collaborator(
            by=owner.identity, package=hello(), group=group, permission=Permission.READ
        )
    for path in (PAGE, f"{HELLO}/settings/tokens"):
        owner.client.get(path)
        with django_assert_max_num_queries(12):
            owner.client.get(path)


def test_tokens_of_members_without_the_factor_that_is_asked_for_reach_nothing(
    world: World, owner: Person, maintainer: Person, stranger: Person
) -> None:
    collaborate(world, stranger, Permission.WRITE)
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={})
    Organization.objects.update(requires_second_factor=True)
    for person in (owner, maintainer, stranger):
        person.token("api:write", name=f"of {person.name}")

    assert names_on(owner) == ["deploy", "of olga", "of sven"]
