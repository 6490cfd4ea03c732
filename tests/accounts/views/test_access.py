from __future__ import annotations

import logging
import re
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import tokens
from accounts.models import Event, Organization, Token
from tests.accounts.views.conftest import Confirm
from tests.accounts.views.pages import Page, days_from_now, hidden_value, words
from tests.cast import Person
from tests.factories import PASSWORD, make_token

NEW = "/acme/settings/access/new"


def filled(person: Person, path: str = NEW, /, **changes: Any) -> dict[str, Any]:
    """The form of a new token as the person got it, filled in."""
    return {
        "form_key": hidden_value(person.client.get(path), "form_key"),
        "name": "ci-xz",
        "scopes": ["api:read", "api:write"],
        "lifetime": "90",
        **changes,
    }


def secrets_in(answer: Page) -> list[str]:
    return re.findall(r"cph-[A-Za-z0-9]{40,}", answer.content.decode())


@pytest.mark.parametrize("account", ["acme", "olga"])
def test_a_new_token_is_shown_once_on_top_of_its_page(
    acme: Organization, confirmed_owner: Person, account: str
) -> None:
    path = f"/{account}/settings/access/new"

    answer = confirmed_owner.client.post(path, filled(confirmed_owner, path))

    assert answer.status_code == 200
    [secret] = secrets_in(answer)
    token = tokens.find(secret)
    assert token is not None
    assert (token.account.name, token.name, token.scopes) == (
        account,
        "ci-xz",
        ["api:read", "api:write"],
    )
    assert token.created_by == confirmed_owner.user
    page = answer.content.decode()
    assert page.index(secret) < page.index("<table")
    assert "no-store" in answer.headers["Cache-Control"]
    assert secret not in answer.headers.values()
    assert "Token “ci-xz” made" in words(answer)
    assert 'aria-label="What was made"' in page


def test_the_secret_is_in_no_other_answer_nor_kept_anywhere(
    acme: Organization, confirmed_owner: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    form = filled(confirmed_owner)
    [secret] = secrets_in(confirmed_owner.client.post(NEW, form))

    later = [
        confirmed_owner.client.post(NEW, form),
        confirmed_owner.client.get(NEW),
        confirmed_owner.client.get("/acme/settings/access"),
        confirmed_owner.client.get("/acme/settings/log"),
        confirmed_owner.client.get("/dashboard"),
    ]

    assert not any(secret in answer.content.decode() for answer in later)
    kept = [str(session.get_decoded()) for session in Session.objects.all()]
    kept += [str(row) for row in Token.objects.values()] + [str(e) for e in Event.objects.values()]
    kept += [str(message.body) for message in mail.outbox] + [caplog.text]
    assert not any(secret in text for text in kept)
    assert not any(secret in str(m) for m in confirmed_owner.client.cookies.values())


def test_the_same_form_sent_again_shows_the_row_and_makes_no_second_token(
    acme: Organization, confirmed_owner: Person
) -> None:
    form = filled(confirmed_owner)
    confirmed_owner.client.post(NEW, form)

    again = confirmed_owner.client.post(NEW, form)

    assert again.status_code == 200
    assert "was made already" in words(again)
    assert "ci-xz" in words(again)
    assert not secrets_in(again)
    assert Token.objects.count() == 1


def test_the_same_form_makes_no_token_in_place_of_one_revoked_since(
    acme: Organization, confirmed_owner: Person
) -> None:
    form = filled(confirmed_owner)
    confirmed_owner.client.post(NEW, form)
    token = Token.objects.get()
    confirmed_owner.client.post(f"/acme/settings/access/{token.pk}/revoke")

    again = confirmed_owner.client.post(NEW, form)

    assert not secrets_in(again)
    assert Token.objects.count() == 1


def test_a_name_that_is_taken_is_said_in_the_form_which_keeps_what_was_typed(
    acme: Organization, confirmed_owner: Person
) -> None:
    make_token(acme.account, name="ci-xz", created_by=confirmed_owner.user)

    answer = confirmed_owner.client.post(NEW, filled(confirmed_owner, channels="dev, main"))

    assert answer.status_code == 422
    assert "acme already has a token named ci-xz." in words(answer)
    assert 'value="dev, main"' in answer.content.decode()
    assert Token.objects.count() == 1


def test_a_form_of_someone_else_makes_nothing(
    acme: Organization, admin: Person, confirmed_owner: Person, confirm: Confirm
) -> None:
    confirm(admin.client)
    form = filled(admin)

    answer = confirmed_owner.client.post(NEW, form)

    assert answer.status_code == 422
    assert "This form was not given to you" in words(answer)
    # And the page has one that is theirs, with all that was typed.
    form["form_key"] = hidden_value(answer, "form_key")
    assert secrets_in(confirmed_owner.client.post(NEW, form))


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": " "}, "name", "This field is required."),
        ({"scopes": []}, "scopes", "Choose at least one."),
        ({"scopes": ["api:fly"]}, "scopes", "api:fly is not one of the available choices."),
        ({"lifetime": "never"}, "lifetime", "never is not one of the available choices."),
        ({"lifetime": "date"}, "expires_at", "Say until which day."),
        (
            {"lifetime": "date", "expires_at": "2020-01-01"},
            "expires_at",
            "The date has passed already.",
        ),
        (
            {"lifetime": "date", "expires_at": "2999-01-01"},
            "expires_at",
            "A token of acme lives for at most 366 days.",
        ),
        ({"lifetime": "date", "expires_at": "soon"}, "expires_at", "Enter a valid date."),
        ({"expires_at": "2999-01-01"}, "lifetime", "A last day is given below"),
        ({"channels": "x" * 129}, "channels", "At most 100 entries of at most 128 characters."),
        ({"packages": "x," * 101 + "y"}, "packages", ""),
        ({"packages": " ".join(map(str, range(101)))}, "packages", "At most 100 entries"),
        ({"form_key": "forged"}, "form_key", "This form was not given to you"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    acme: Organization,
    confirmed_owner: Person,
    changes: dict[str, Any],
    field: str,
    sentence: str,
) -> None:
    answer = confirmed_owner.client.post(NEW, filled(confirmed_owner, **changes))

    if not sentence:  # the same name 101 times is one name
        assert answer.status_code == 200
        return
    assert answer.status_code == 422
    assert sentence in words(answer)
    if field != "form_key":
        assert f'id="id_{field}_error"' in answer.content.decode()
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    ("lifetime", "days"), [("7", 7), ("30", 30), ("90", 90), ("365", 365), ("date", None)]
)
def test_a_token_lives_as_long_as_was_chosen(
    acme: Organization, confirmed_owner: Person, lifetime: str, days: int | None
) -> None:
    day = timezone.now().date() + timedelta(days=10)
    last_day = {} if days else {"expires_at": day.isoformat()}

    confirmed_owner.client.post(NEW, filled(confirmed_owner, lifetime=lifetime, **last_day))

    expires_at = Token.objects.get().expires_at
    assert expires_at is not None
    if days:
        assert abs(expires_at - days_from_now(days)) < timedelta(minutes=1)
    else:
        assert (expires_at.date(), expires_at.hour) == (day, 23)


def test_longer_lives_than_the_host_allows_are_not_offered(
    acme: Organization, confirmed_owner: Person, settings: Settings
) -> None:
    settings.TOKEN_MAX_LIFETIME = timedelta(days=45)

    page = confirmed_owner.client.get(NEW).content.decode()

    offered = re.findall(r'name="lifetime" value="([^"]+)"', page)
    assert offered == ["7", "30", "date"]


def test_limits_are_taken_with_commas_and_with_spaces(
    acme: Organization, confirmed_owner: Person
) -> None:
    answer = confirmed_owner.client.post(
        NEW, filled(confirmed_owner, channels="dev,  team/nightly", packages="xz xz-*,\tzlib")
    )

    token = Token.objects.get()
    assert (token.channels, token.packages) == (["dev", "team/nightly"], ["xz", "xz-*", "zlib"])
    assert "--channel acme/dev" in words(answer)


@pytest.mark.parametrize(
    ("start", "scopes", "lifetime"),
    [
        ("upload", ["api:read", "api:write"], "90"),
        ("install", ["conda:download"], "365"),
        ("read", ["api:read"], "90"),
        ("move", ["api:read", "api:write"], "7"),
        ("spoon", [], "90"),
    ],
)
def test_a_purpose_chooses_scopes_and_expiry(
    acme: Organization, confirmed_owner: Person, start: str, scopes: list[str], lifetime: str
) -> None:
    page = confirmed_owner.client.get(f"{NEW}?template={start}").content.decode()

    checked = re.findall(r'name="(scopes|lifetime)" value="([^"]+)"[^>]* checked', page)
    assert [value for name, value in checked if name == "scopes"] == scopes
    assert [value for name, value in checked if name == "lifetime"] == [lifetime]


def test_a_token_that_ends_can_be_replaced_by_one_like_it(
    acme: Organization, confirmed_owner: Person
) -> None:
    old = make_token(
        acme.account, "conda:download", name="laptop", channels=["dev"], expires_at=days_from_now(3)
    ).token

    page = confirmed_owner.client.get(f"{NEW}?like={old.pk}").content.decode()

    assert 'value="laptop-2"' in page
    assert 'value="dev"' in page
    assert re.findall(r'name="scopes" value="([^"]+)"[^>]* checked', page) == ["conda:download"]
    assert confirmed_owner.client.get(f"{NEW}?like=0").status_code == 404


# --- A fresh proof -----------------------------------------------------------------------------


def test_who_signed_in_long_ago_confirms_first_and_comes_back_to_the_form(
    acme: Organization, owner: Person
) -> None:
    path = f"{NEW}?template=upload"

    sent = owner.client.get(path)

    where = urlsplit(sent.headers["Location"])
    assert (sent.status_code, where.path) == (302, "/account/reauthenticate/")
    back = owner.client.post(sent.headers["Location"], {"password": PASSWORD})
    assert back.headers["Location"] == path
    assert owner.client.get(path).status_code == 200


def test_a_proof_that_has_aged_while_the_form_was_open_loses_nothing_of_it(
    acme: Organization, confirmed_owner: Person, settings: Settings
) -> None:
    client = confirmed_owner.client
    form = filled(confirmed_owner, channels="dev")
    session = client.session
    for method in session["account_authentication_methods"]:
        method["at"] = time.time() - 901
    session.save()

    sent = client.post(NEW, form)
    assert sent.headers["Location"].startswith("/account/reauthenticate/")
    assert not Token.objects.exists()
    answer = client.post(sent.headers["Location"], {"password": PASSWORD, "next": NEW})

    [secret] = secrets_in(answer)
    assert "no-store" in answer.headers["Cache-Control"]
    assert Token.objects.get().channels == ["dev"]
    assert tokens.find(secret) == Token.objects.get()


def test_a_wrong_password_is_no_proof(acme: Organization, owner: Person) -> None:
    sent = owner.client.get(NEW)

    owner.client.post(sent.headers["Location"], {"password": "a guess"})

    assert owner.client.get(NEW).status_code == 302


# --- The list ----------------------------------------------------------------------------------


def test_the_list_says_what_each_token_may_and_when_it_was_used(
    acme: Organization, owner: Person
) -> None:
    token = make_token(
        acme.account,
        "api:write",
        "conda:download",
        name="ci",
        channels=["dev"],
        packages=["xz-*"],
        expires_at=days_from_now(9.5),
        created_by=owner.user,
    ).token
    Token.objects.filter(pk=token.pk).update(
        last_used_at=timezone.now() - timedelta(hours=2), last_used_ip="192.0.2.7"
    )

    text = words(owner.client.get("/acme/settings/access"))

    for part in (
        "Upload, move, remove and delete files; edit packages and channels api:write",
        "Download private packages (conda, mamba, pixi) conda:download",
        "Only in the channels dev",
        "Only the packages xz-*",
        "2 hours ago from 192.0.2.7",
        "in 9 days",
        "made by olga, just now",
        f"…{token.hint}",
    ):
        assert part in text


def test_expired_and_revoked_tokens_stand_below_and_can_not_be_revoked(
    acme: Organization, owner: Person
) -> None:
    make_token(acme.account, name="live", expires_at=days_from_now(90))
    make_token(acme.account, name="old", expires_at=days_from_now(-1))
    revoked = make_token(acme.account, name="lost").token
    Token.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())

    page = owner.client.get("/acme/settings/access").content.decode()

    live, spent = page.split("<summary>Expired and revoked")
    assert "live" in live
    assert "old" in spent
    assert "lost" in spent
    assert "/revoke" in live
    assert "/revoke" not in spent


def test_an_account_without_tokens_says_what_one_is_for(acme: Organization, owner: Person) -> None:
    answer = owner.client.get("/acme/settings/access")

    assert "No tokens. CI needs one to publish." in words(answer)
    assert 'href="/acme/settings/access/new?template=upload"' in answer.content.decode()


@pytest.mark.parametrize("count", [1, 30])
def test_the_list_asks_as_much_for_many_tokens_as_for_one(
    acme: Organization,
    owner: Person,
    count: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(count):
        make_token(acme.account, created_by=owner.user)
    owner.client.get("/acme/settings/access")

    with django_assert_max_num_queries(12):
        owner.client.get("/acme/settings/access")


# --- Revoking ----------------------------------------------------------------------------------


def test_a_token_is_revoked_after_a_page_that_says_what_it_costs(
    acme: Organization, admin: Person
) -> None:
    made = make_token(acme.account, name="ci")
    path = f"/acme/settings/access/{made.token.pk}/revoke"

    assert "It was never used." in words(admin.client.get(path))
    assert Token.objects.get().revoked_at is None
    answer = admin.client.post(path, follow=True)

    assert "The token ci is revoked" in words(answer)
    assert Token.objects.get().revoked_at is not None
    event = Event.objects.get(action="token.revoke")
    assert (event.actor, event.target) == (admin.user, "ci")
    again = admin.client.post(path, follow=True)
    assert "was revoked already" in words(again)


def test_a_token_of_another_account_is_not_revoked_here(
    acme: Organization, owner: Person, stranger: Person
) -> None:
    token = stranger.token().token

    answer = owner.client.post(f"/acme/settings/access/{token.pk}/revoke")

    assert answer.status_code == 404
    assert Token.objects.get().revoked_at is None
