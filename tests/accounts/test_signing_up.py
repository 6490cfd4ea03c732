from __future__ import annotations

import re

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.models import Account, Event, Organization, User
from tests.cast import Person
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


@pytest.mark.parametrize("path", ["login", "signup", "password/reset"])
def test_a_field_has_one_name_on_its_label_and_in_what_is_wrong(path: str, db: None) -> None:
    main = Client().post(f"/account/{path}/", {}).content.decode().partition("<main")[2]

    labels = re.findall(r'<label for="(id_\w+)">([^<]+?)\s*<', main)
    assert labels
    for field, label in labels:
        assert f'<a href="#{field}">{label}: This field is required.</a>' in main
    assert "placeholder" not in main


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


def sign_in(password: str) -> int:
    answer = Client().post("/account/login/", {"login": "olga", "password": password})
    return int(answer.status_code)


def test_a_forgotten_password_is_replaced_by_a_mailed_link_that_works_once(owner: Person) -> None:
    visitor = Client()
    answer = visitor.post("/account/password/reset/", {"email": owner.user.email})
    assert answer.status_code == 302
    [message] = mail.outbox
    [path] = re.findall(r"http://[^/]+(/account/password/reset/key/\S+)", str(message.body))

    form = visitor.get(path, follow=True)
    new = {"password1": "another long phrase 5", "password2": "another long phrase 5"}
    assert visitor.post(form.request["PATH_INFO"], new).status_code == 302

    assert sign_in(PASSWORD) == 200
    assert sign_in("another long phrase 5") == 302
    assert "It was used already" in Client().get(path, follow=True).content.decode()


def test_a_reset_says_nothing_of_who_is_known_here(owner: Person) -> None:
    known = Client().post("/account/password/reset/", {"email": owner.user.email})
    unknown = Client().post("/account/password/reset/", {"email": "nobody@example.org"})

    assert (known.status_code, known.headers["Location"]) == (
        unknown.status_code,
        unknown.headers["Location"],
    )
