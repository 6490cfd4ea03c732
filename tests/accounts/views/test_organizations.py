from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Membership, Organization
from accounts.roles import Role
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.factories import add_member, make_organization, make_user


def test_whoever_founds_an_organization_owns_it(stranger: Person) -> None:
    answer = stranger.client.post(
        "/-/organizations/new", {"name": "Globex", "display_name": "Globex Ltd."}, follow=True
    )

    assert "globex is yours." in words(answer)
    assert answer.redirect_chain == [("/globex/settings/members", 302)]
    membership = Membership.objects.get()
    assert (membership.user, membership.role) == (stranger.user, Role.OWNER)
    assert membership.organization.account.display_name == "Globex Ltd."


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("acme", "The name acme is taken. Try acme-2."),
        ("Olga", "The name Olga is taken: capital letters don't make a difference."),
        ("api", "The name api is reserved."),
        ("a b", "Use small letters"),
        ("", "This field is required."),
    ],
)
def test_a_name_that_can_not_be_had_is_said_in_the_form(
    acme: Organization, owner: Person, name: str, sentence: str
) -> None:
    answer = owner.client.post("/-/organizations/new", {"name": name})

    assert answer.status_code == 422
    assert sentence in words(answer)
    assert Organization.objects.count() == 1


def test_who_can_not_be_reached_founds_nothing(db: None) -> None:
    unverified = Person(make_user("una", verified=False))

    answer = unverified.client.post("/-/organizations/new", {"name": "globex"})

    assert answer.status_code == 422
    assert "Verify your e-mail address first" in words(answer)
    assert not Organization.objects.exists()


def test_the_list_says_role_and_who_can_not_leave(acme: Organization, owner: Person) -> None:
    shared = make_organization("globex", owner=make_user("omar"))
    add_member(shared, owner.user, role=Role.OWNER)

    page = owner.client.get("/olga/settings/organizations").content.decode()

    assert "/olga/settings/organizations/globex/leave" in page
    assert "/olga/settings/organizations/acme/leave" not in page
    assert page.count("the only one") == 1


def test_a_member_leaves(acme: Organization, reader: Person) -> None:
    path = "/rita/settings/organizations/acme/leave"
    assert "Your role in acme is member." in words(reader.client.get(path))

    answer = reader.client.post(path, follow=True)

    assert "You have left acme." in words(answer)
    assert "You belong to no organization." in words(answer)
    assert not Membership.objects.filter(user=reader.user).exists()
    assert reader.client.get(path).status_code == 404


def test_the_last_owner_can_not_leave(acme: Organization, owner: Person) -> None:
    answer = owner.client.post("/olga/settings/organizations/acme/leave", follow=True)

    assert "You are the only owner. Make someone else an owner first, then leave." in words(answer)
    assert Membership.objects.get().user == owner.user


def test_nobody_leaves_for_someone_else(acme: Organization, owner: Person, reader: Person) -> None:
    answer = owner.client.post("/rita/settings/organizations/acme/leave")

    assert answer.status_code == 403
    assert Membership.objects.filter(user=reader.user).exists()


@pytest.mark.parametrize("count", [1, 30])
def test_the_list_asks_as_much_for_many_as_for_one(
    owner: Person, count: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(count):
        make_organization(owner=owner.user)
    owner.client.get("/dashboard")  # signs in

    for path in ("/olga/settings/organizations", "/dashboard"):
        with django_assert_max_num_queries(12):
            owner.client.get(path)
