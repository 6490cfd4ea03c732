from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Event, Group, GroupMember, Organization
from accounts.roles import Permission
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.factories import add_member, make_group, make_user


@pytest.fixture
def builders(acme: Organization, reader: Person) -> Group:
    return make_group(acme, "night builders", members=[reader.user])


URL = "/acme/groups/night%20builders"


def test_owners_stand_first_and_are_fixed(builders: Group, owner: Person, reader: Person) -> None:
    page = reader.client.get("/acme/groups").content.decode()

    assert page.index("/acme/groups/owners") < page.index(URL)
    assert "olga" in words(reader.client.get("/acme/groups/owners"))
    assert owner.client.get("/acme/groups/owners/delete").status_code == 404


def test_a_member_sees_groups_without_what_they_may_not_do(builders: Group, reader: Person) -> None:
    answers = [reader.client.get("/acme/groups"), reader.client.get(URL)]

    for answer in answers:
        page = answer.content.decode()
        assert "/acme/groups/new" not in page
        assert "/delete" not in page
        assert "/remove" not in page
        assert "Owners and admins of acme change groups." in words(answer)


def test_an_admin_makes_a_group(acme: Organization, admin: Person) -> None:
    answer = admin.client.post(
        "/acme/groups/new",
        {"name": "builders", "permission": "write", "reach": "all", "description": "CI"},
        follow=True,
    )

    assert "The group builders is there." in words(answer)
    group = Group.objects.get()
    assert (group.permission, group.all_packages, group.description) == ("write", True, "CI")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("owners", "The name owners is reserved."),
        ("New", "The name New is reserved."),
        ("Night Builders", "acme already has a group Night Builders."),
        ("a/b", "Use at most 64 letters"),
        ("", "This field is required."),
    ],
)
def test_a_name_that_can_not_be_had_is_said_in_the_form(
    builders: Group, owner: Person, name: str, sentence: str
) -> None:
    posted = {"name": name, "permission": "read", "reach": "chosen"}

    answer = owner.client.post("/acme/groups/new", posted)

    assert answer.status_code == 422
    assert sentence in words(answer)
    assert Group.objects.count() == 1


def test_a_group_is_changed_and_found_under_its_new_name(builders: Group, owner: Person) -> None:
    posted = {"name": "builders", "permission": "admin", "reach": "all", "description": ""}

    answer = owner.client.post(f"{URL}/change", posted)

    assert answer.headers["Location"] == "/acme/groups/builders"
    builders.refresh_from_db()
    assert (builders.permission, builders.all_packages) == (Permission.ADMIN, True)


def test_a_wrong_change_is_said_on_the_page_of_the_group(builders: Group, owner: Person) -> None:
    answer = owner.client.post(
        f"{URL}/change", {"name": "owners", "permission": "read", "reach": "all"}
    )

    assert answer.status_code == 422
    assert "The name owners is reserved." in words(answer)
    assert "rita" in words(answer)


def test_people_are_added_and_removed(builders: Group, admin: Person, reader: Person) -> None:
    added = admin.client.post(f"{URL}/members/add", {"user": "Adam"}, follow=True)
    assert "adam is now in night builders." in words(added)
    assert GroupMember.objects.get(user=admin.user).added_by == admin.user

    removed = admin.client.post(f"{URL}/members/rita/remove", follow=True)
    assert "rita is no longer in night builders." in words(removed)
    again = admin.client.post(f"{URL}/members/rita/remove", follow=True)
    assert "rita was not in night builders any more." in words(again)

    assert [member.user for member in GroupMember.objects.all()] == [admin.user]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sven", "sven is not a member of acme."),
        ("rita", "rita is in the group night builders already."),
        ("unheard-of", "There is no user 'unheard-of'."),
    ],
)
def test_who_can_not_be_in_a_group_is_said_in_the_form(
    builders: Group, owner: Person, stranger: Person, name: str, sentence: str
) -> None:
    answer = owner.client.post(f"{URL}/members/add", {"user": name})

    assert answer.status_code == 422
    assert sentence in words(answer)
    assert GroupMember.objects.count() == 1


@pytest.mark.parametrize("typed", ["", "builders", "NIGHT BUILDERS"])
def test_a_group_is_not_deleted_before_its_name_is_typed(
    builders: Group, owner: Person, typed: str
) -> None:
    answer = owner.client.post(f"{URL}/delete", {"typed": typed})

    assert answer.status_code == 422
    assert "Error: nothing was done." in words(answer)
    assert Group.objects.exists()


def test_a_group_is_deleted(builders: Group, owner: Person) -> None:
    assert "One person loses what the group gives" in words(owner.client.get(f"{URL}/delete"))

    answer = owner.client.post(f"{URL}/delete", {"typed": "night builders"}, follow=True)

    assert "The group night builders is deleted." in words(answer)
    assert not Group.objects.exists()
    assert Event.objects.filter(action="group.delete").exists()


def test_a_group_of_another_organization_is_not_found_here(
    builders: Group, stranger: Person
) -> None:
    globex = Organization.objects.create(account=make_user("globex").account)
    globex.account.kind = "organization"
    globex.account.save()
    add_member(globex, stranger.user, role="owner")

    answer = stranger.client.post(
        "/globex/groups/night builders/delete", {"typed": "night builders"}
    )

    assert answer.status_code == 404
    assert Group.objects.exists()


@pytest.mark.parametrize("count", [1, 30])
def test_lists_ask_as_much_for_many_as_for_one(
    acme: Organization,
    owner: Person,
    count: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    people = [make_user() for _ in range(count)]
    for person in people:
        add_member(acme, person)
        make_group(acme, members=people)
    group = Group.objects.first()
    assert group is not None
    owner.client.get("/dashboard")  # signs in

    for path in ("/acme/groups", f"/acme/groups/{group.name}", "/acme/groups/owners"):
        with django_assert_max_num_queries(12):
            assert owner.client.get(path).status_code == 200
