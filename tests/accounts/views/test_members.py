from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from django.core import mail
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Invitation, Membership, Organization, User
from accounts.roles import Role
from tests.accounts.views.pages import days_from_now, words
from tests.cast import Person
from tests.factories import add_member, make_group, make_invitation, make_token, make_user

MEMBERS = "/acme/settings/members"


def role_of(name: str) -> str | None:
    return Membership.objects.filter(user__username=name).values_list("role", flat=True).first()


def test_the_page_says_who_belongs_and_as_what(
    acme: Organization, owner: Person, maintainer: Person, admin: Person
) -> None:
    make_invitation(acme, "new@example.org", key="k", expires_at=days_from_now(6.5))

    text = words(owner.client.get(MEMBERS))

    assert "olga You Owner the only one: make someone else an owner first" in text
    assert "maintainers" in text
    assert "new@example.org" in text
    assert "in 6 days" in text


def test_someone_is_added_by_name(acme: Organization, admin: Person, stranger: Person) -> None:
    answer = admin.client.post(f"{MEMBERS}/add", {"user": "Sven", "role": "member"}, follow=True)

    assert "sven is now member of acme." in words(answer)
    assert role_of("sven") == Role.MEMBER


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"user": "unheard-of", "role": "member"}, "There is no user 'unheard-of'."),
        ({"user": "rita", "role": "admin"}, "rita is member of acme already."),
        ({"user": "rita", "role": "king"}, "king is not one of the available choices."),
        ({"user": "", "role": "member"}, "This field is required."),
        ({"user": "x\0", "role": "member"}, "Null characters are not allowed."),
    ],
)
def test_who_can_not_be_added_is_said_in_the_form(
    acme: Organization, owner: Person, reader: Person, posted: dict[str, str], sentence: str
) -> None:
    answer = owner.client.post(f"{MEMBERS}/add", posted)

    assert answer.status_code == 422
    assert sentence in words(answer)
    assert role_of("rita") == Role.MEMBER


def test_an_admin_makes_no_owners(acme: Organization, admin: Person, reader: Person) -> None:
    page = admin.client.get(MEMBERS).content.decode()
    assert 'value="owner"' not in page

    answers = [
        admin.client.post(f"{MEMBERS}/rita/role", {"role": "owner"}),
        admin.client.post(f"{MEMBERS}/olga/role", {"role": "member"}),
        admin.client.post(f"{MEMBERS}/olga/remove"),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert (role_of("rita"), role_of("olga")) == (Role.MEMBER, Role.OWNER)


def test_a_role_is_saved_by_its_own_form(acme: Organization, owner: Person, reader: Person) -> None:
    answer = owner.client.post(f"{MEMBERS}/rita/role", {"role": "owner"}, follow=True)

    assert "rita is now owner of acme." in words(answer)
    assert role_of("rita") == Role.OWNER


def test_the_last_owner_stays_one(acme: Organization, owner: Person, reader: Person) -> None:
    answers = [
        owner.client.post(f"{MEMBERS}/olga/role", {"role": "member"}, follow=True),
        owner.client.post(f"{MEMBERS}/olga/remove", follow=True),
    ]

    assert all("Make someone else an owner first." in words(answer) for answer in answers)
    assert role_of("olga") == Role.OWNER


def test_an_unknown_role_changes_nothing(acme: Organization, owner: Person, reader: Person) -> None:
    answer = owner.client.post(f"{MEMBERS}/rita/role", {"role": "king"}, follow=True)

    assert "Choose one of the roles." in words(answer)
    assert role_of("rita") == Role.MEMBER


def test_who_is_removed_is_named_with_what_they_lose_first(
    acme: Organization, owner: Person, maintainer: Person
) -> None:
    make_token(acme.account, created_by=maintainer.user)
    path = f"{MEMBERS}/maria/remove"

    text = words(owner.client.get(path))
    assert "They leave the group maintainers." in text
    assert "One token of acme that they made goes on working." in text
    answer = owner.client.post(path, follow=True)

    assert "maria is no longer a member of acme." in words(answer)
    assert role_of("maria") is None


@pytest.mark.parametrize("addressee", ["new@example.org", "sven"])
def test_someone_is_invited_by_mail_and_the_invitation_is_withdrawn(
    acme: Organization, admin: Person, stranger: Person, addressee: str
) -> None:
    with_mail = admin.client.post(
        f"{MEMBERS}/invite", {"email_or_name": addressee, "role": "member"}, follow=True
    )
    assert f"{addressee} is invited." in words(with_mail)
    assert addressee in words(with_mail).partition("Pending invitations")[2]
    assert "sven@example.org" not in with_mail.content.decode()
    invitation = Invitation.objects.get()

    answer = admin.client.post(f"{MEMBERS}/invitations/{invitation.pk}/withdraw", follow=True)

    assert f"The invitation to {addressee} is withdrawn." in words(answer)
    assert not Invitation.objects.open().exists()
    again = admin.client.post(f"{MEMBERS}/invitations/{invitation.pk}/withdraw", follow=True)
    assert "This invitation was withdrawn." in words(again)


@pytest.mark.django_db(transaction=True)
def test_the_invitation_is_in_the_mail(acme: Organization, owner: Person) -> None:
    owner.client.post(f"{MEMBERS}/invite", {"email_or_name": "new@example.org", "role": "admin"})

    [message] = mail.outbox
    assert message.to == ["new@example.org"]
    assert "/-/invitations/" in message.body


def test_who_can_not_be_invited_is_said_in_the_form(acme: Organization, owner: Person) -> None:
    answer = owner.client.post(f"{MEMBERS}/invite", {"email_or_name": "olga", "role": "member"})

    assert answer.status_code == 422
    assert "olga is a member of acme already." in words(answer)


def test_an_invitation_of_another_organization_is_not_withdrawn_here(
    acme: Organization, owner: Person
) -> None:
    other = make_user("omar")
    globex = Organization.objects.create(account=other.account)
    invitation = make_invitation(globex, "a@example.org", key="k", expires_at=days_from_now(1))

    answer = owner.client.post(f"{MEMBERS}/invitations/{invitation.pk}/withdraw")

    assert answer.status_code == 404
    assert Invitation.objects.open().count() == 1


@pytest.mark.parametrize("count", [1, 30])
def test_the_page_asks_as_much_for_many_members_as_for_one(
    acme: Organization,
    owner: Person,
    count: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    people = [make_user() for _ in range(count)]
    for person in people:
        add_member(acme, person)
        make_invitation(acme, person.email, key=person.username, expires_at=days_from_now(1))
    make_group(acme, members=people)

    owner.client.get("/dashboard")  # signs in

    with django_assert_max_num_queries(12):
        owner.client.get(MEMBERS)


def test_members_say_when_they_were_active_and_who_added_them(
    acme: Organization, owner: Person, reader: Person
) -> None:
    User.objects.filter(pk=reader.user.pk).update(last_login=days_from_now(-5.1))
    Membership.objects.filter(user=reader.user).update(added_by=owner.user)

    text = words(owner.client.get("/acme/settings/members"))

    assert "no 5 days ago by olga, just now" in text


def test_an_invitation_is_sent_again_with_another_link(
    acme: Organization, owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any
) -> None:
    invited = make_invitation(acme, "sven@example.org", key="k" * 43, expires_at=days_from_now(1))

    with django_capture_on_commit_callbacks(execute=True):
        answer = owner.client.post(
            f"/acme/settings/members/invitations/{invited.pk}/resend", follow=True
        )

    assert "The invitation to sven@example.org is sent again." in words(answer)
    [message] = mail.outbox
    assert message.to == ["sven@example.org"]
    assert "k" * 43 not in str(message.body)
    assert stranger.client.get(f"/-/invitations/{'k' * 43}").status_code == 404
    key = re.search(r"/-/invitations/(\S+)", str(message.body))
    assert key is not None
    assert stranger.client.get(f"/-/invitations/{key[1]}").status_code == 200
    invited.refresh_from_db()
    assert invited.expires_at > days_from_now(6)


def test_an_admin_sends_no_invitation_of_an_owner_again(acme: Organization, admin: Person) -> None:
    invited = make_invitation(
        acme, "o@example.org", key="k", expires_at=days_from_now(1), role=Role.OWNER
    )

    answer = admin.client.post(f"/acme/settings/members/invitations/{invited.pk}/resend")

    assert answer.status_code == 403


def test_members_are_taken_away_as_a_spreadsheet(
    acme: Organization, owner: Person, reader: Person
) -> None:
    make_group(acme, "builders", members=[reader.user])
    Account.objects.filter(name="rita").update(display_name="=1+1")

    answer = owner.client.get("/acme/settings/members.csv")

    rows = list(csv.reader(io.StringIO(answer.getvalue().decode())))
    assert [row[:5] for row in rows] == [
        ["name", "display_name", "role", "groups", "second_factor"],
        ["olga", "", "owner", "", "no"],
        ["rita", "'=1+1", "member", "builders", "no"],
    ]
    assert reader.client.get("/acme/settings/members.csv").status_code == 403
