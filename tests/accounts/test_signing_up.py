from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Account, Event, Organization, User
from tests.factories import PASSWORD


def sign_up(name: str) -> tuple[int, str]:
    answer = Client(HTTP_ACCEPT="text/html").post(
        "/account/signup/",
        {"username": name, "email": "nina@example.org", "password1": PASSWORD},
    )
    return answer.status_code, answer.content.decode()


def test_who_signs_up_gets_an_account_of_the_same_name(db: None) -> None:
    status, _ = sign_up("Nina")

    assert status == 302
    user = User.objects.get()
    assert user.username == user.account.name == "nina"
    assert user.account.kind == Account.Kind.USER
    event = Event.objects.get()
    assert (event.action, event.actor, event.ip_address) == ("user.create", user, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("acme", "The name acme is taken."),
        ("ACME", "The name ACME is taken: capital letters don&#x27;t make a difference."),
        ("api", "The name api is reserved."),
        ("linux-64", "The name linux-64 is reserved."),
        ("a b", "Use small letters"),
        ("x" * 65, "at most 64"),
    ],
)
def test_a_name_that_can_not_be_had_is_answered_with_the_reason(
    acme: Organization, name: str, sentence: str
) -> None:
    status, page = sign_up(name)

    assert status == 200
    assert sentence in page
    assert User.objects.count() == 1


def test_sign_up_can_be_closed(db: None, settings: Settings) -> None:
    settings.SIGNUP_OPEN = False

    sign_up("nina")

    assert not User.objects.exists()
