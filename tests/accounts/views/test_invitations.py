from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Invitation, Membership, Organization
from accounts.roles import Role
from tests.accounts.views.pages import days_from_now, words
from tests.cast import Person
from tests.factories import PASSWORD, make_invitation, make_user

KEY = "k" * 43
URL = f"/-/invitations/{KEY}"


@pytest.fixture
def invitation(acme: Organization, owner: Person) -> Invitation:
    return make_invitation(
        acme,
        "sven@example.org",
        key=KEY,
        expires_at=days_from_now(3),
        role=Role.ADMIN,
        invited_by=owner.user,
    )


def is_admin(person: Person) -> bool:
    return Membership.objects.filter(user=person.user, role=Role.ADMIN).exists()


def test_the_link_says_who_invites_to_what_with_which_role(
    invitation: Invitation, stranger: Person
) -> None:
    text = words(stranger.client.get(URL))

    assert "olga invites you to acme as admin. Admins manage people, groups, tokens" in text


@pytest.mark.parametrize("url", [f"{URL}/accept", "/-/invitations/own/<id>/accept"])
def test_the_addressee_joins(invitation: Invitation, stranger: Person, url: str) -> None:
    answer = stranger.client.post(url.replace("<id>", str(invitation.pk)), follow=True)

    assert "You are now admin of acme." in words(answer)
    assert is_admin(stranger)


@pytest.mark.parametrize("url", [f"{URL}/decline", "/-/invitations/own/<id>/decline"])
def test_the_addressee_declines(invitation: Invitation, stranger: Person, url: str) -> None:
    answer = stranger.client.post(url.replace("<id>", str(invitation.pk)), follow=True)

    assert "You have declined the invitation to acme." in words(answer)
    assert not is_admin(stranger)
    invitation.refresh_from_db()
    assert invitation.declined_at is not None
    again = stranger.client.post(url.replace("<id>", str(invitation.pk)), follow=True)
    assert "This invitation was answered already." in words(again)


def test_who_is_signed_out_signs_in_and_comes_back(
    invitation: Invitation, stranger: Person, nobody: Client
) -> None:
    page = nobody.get(URL).content.decode()
    sign_in = f"/account/login/?next={URL}"
    assert f'href="{sign_in}"' in page
    assert f"{URL}/accept" not in page

    answer = nobody.post(sign_in, {"login": "sven", "password": PASSWORD, "next": URL})

    assert answer.headers["Location"] == URL
    assert f"{URL}/accept" in nobody.get(URL).content.decode()


@pytest.mark.parametrize("act", ["accept", "decline"])
def test_an_act_by_get_does_nothing(invitation: Invitation, stranger: Person, act: str) -> None:
    answer = stranger.client.get(f"{URL}/{act}")

    assert answer.headers["Location"] == URL
    assert Invitation.objects.open().exists()


def test_an_invitation_of_someone_else_is_shown_and_not_accepted(
    invitation: Invitation, stranger: Person
) -> None:
    other = Person(make_user("oscar"))

    page = other.client.get(URL)
    assert "You are signed in as oscar." in words(page)
    assert f"{URL}/accept" not in page.content.decode()
    answers = [
        other.client.post(f"{URL}/accept"),
        other.client.post(f"/-/invitations/own/{invitation.pk}/accept"),
        other.client.post(f"/-/invitations/own/{invitation.pk}/decline"),
    ]

    assert [answer.status_code for answer in answers] == [403, 404, 404]
    assert Invitation.objects.open().exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("accepted_at", "This invitation was answered already."),
        ("withdrawn_at", "This invitation was withdrawn. Ask olga for a new one."),
        ("expires_at", "This invitation has expired. Ask olga for a new one."),
    ],
)
def test_a_used_or_old_link_says_so(
    invitation: Invitation, stranger: Person, change: str, sentence: str
) -> None:
    Invitation.objects.update(**{change: timezone.now()})

    answer = stranger.client.get(URL)

    assert answer.status_code == 409
    assert sentence in words(answer)
