from __future__ import annotations

import hashlib
import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from accounts import tokens
from accounts.models import Account, Event, Organization, Token
from accounts.tokens import NewToken, create_token, looks_like_token, make_secret, revoke_token
from portal.errors import Conflict, Forbidden, InvalidInput
from tests.cast import Person
from tests.factories import make_token, make_user


@pytest.mark.parametrize(("kind", "letter"), [("user", "u"), ("organization", "o")])
def test_a_token_has_a_form_that_conda_masks_and_scanners_know(kind: str, letter: str) -> None:
    secret = make_secret(kind)

    assert re.fullmatch(rf"cph-{letter}[A-Za-z0-9]{{49}}", secret)
    assert looks_like_token(secret)
    assert make_secret(kind) != secret


@given(st.integers(0, 53), st.sampled_from("0Aa-_ü\0"))
def test_a_token_with_one_wrong_character_is_told_apart_without_asking(
    position: int, character: str
) -> None:
    secret = make_secret(Account.Kind.USER)
    wrong = secret[:position] + character + secret[position + 1 :]

    assert looks_like_token(wrong) is (wrong == secret)


@pytest.mark.parametrize("text", ["", "cph-", "cph-u", "cph-u" + "0" * 49, "x" * 54])
def test_other_text_is_no_token(text: str) -> None:
    assert not looks_like_token(text)


def test_only_the_hash_of_a_token_is_kept(owner: Person) -> None:
    made = create_token(
        by=owner.identity, account=owner.user.account, name="ci-xz", scopes=["api:write"]
    )

    assert made.token.digest == hashlib.sha256(made.secret.encode()).hexdigest()
    with connection.cursor() as cursor:
        for model in (Token, Event):
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            assert made.secret not in repr(cursor.fetchall())


def test_a_token_expires_by_default(owner: Person) -> None:
    made = create_token(
        by=owner.identity, account=owner.user.account, name="ci", scopes=["api:read"]
    )

    assert made.token.expires_at is not None
    left = made.token.expires_at - timezone.now()
    assert abs(left - settings.TOKEN_DEFAULT_LIFETIME) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["api:read", "api:fly"]}, "scopes"),
        ({"expires_at": timedelta(seconds=-1)}, "expires_at"),
        ({"expires_at": timedelta(days=400)}, "expires_at"),
        ({"channels": ["x" * 129]}, "channels"),
        ({"packages": [f"p{number}" for number in range(101)]}, "packages"),
    ],
)
def test_an_unusable_token_is_refused_with_its_field(
    owner: Person, fields: dict[str, Any], field: str
) -> None:
    wanted: dict[str, Any] = {"name": "ci", "scopes": ["api:read"], **fields}
    if "expires_at" in wanted:
        wanted["expires_at"] += timezone.now()

    with pytest.raises(InvalidInput) as refused:
        create_token(by=owner.identity, account=owner.user.account, **wanted)

    assert list(refused.value.errors) == [field]
    assert not Token.objects.exists()


def test_limits_and_scopes_are_cleaned(owner: Person) -> None:
    made = create_token(
        by=owner.identity,
        account=owner.user.account,
        name="  ci  ",
        scopes=["api:write", "api:read", "api:write"],
        channels=["dev", " dev ", "", "main"],
        packages=["xz", "xz-*", "xz"],
    )

    assert made.token.name == "ci"
    assert made.token.scopes == ["api:read", "api:write"]
    assert made.token.channels == ["dev", "main"]
    assert made.token.packages == ["xz", "xz-*"]


def test_a_name_is_free_again_when_its_token_is_revoked(owner: Person) -> None:
    account = owner.user.account
    first = create_token(by=owner.identity, account=account, name="ci", scopes=["api:read"])
    with pytest.raises(Conflict, match="already has a token named ci"):
        create_token(by=owner.identity, account=account, name="ci", scopes=["api:read"])

    assert revoke_token(by=owner.identity, token=first.token)
    assert not revoke_token(by=owner.identity, token=first.token)

    create_token(by=owner.identity, account=account, name="ci", scopes=["api:read"])
    assert list(Token.objects.usable().values_list("name", flat=True)) == ["ci"]


@pytest.mark.parametrize(
    ("held", "wanted", "allowed"),
    [
        (["api"], ["api:read"], True),
        (["api"], ["api"], True),
        (["all"], ["all"], True),
        (["api"], ["all"], False),
        (["api:modify-group"], ["api:read"], False),
    ],
)
def test_a_token_makes_none_that_may_do_more(
    owner: Person, held: list[str], wanted: list[str], allowed: bool
) -> None:
    by = owner.identity_with(*held)
    if allowed:
        create_token(by=by, account=owner.user.account, name="child", scopes=wanted)
        return
    with pytest.raises(Forbidden, match="may not make one"):
        create_token(by=by, account=owner.user.account, name="child", scopes=wanted)


@pytest.mark.parametrize(
    ("held", "wanted", "allowed"),
    [
        ({"channels": ["dev"]}, {"channels": ["dev"]}, True),
        ({"channels": ["dev"]}, {}, False),
        ({"channels": ["dev"]}, {"channels": ["dev", "main"]}, False),
        ({"packages": ["xz*"]}, {"packages": ["xz*"]}, True),
        ({"packages": ["xz*"]}, {"packages": ["xz-tools"]}, True),
        ({"packages": ["xz*"]}, {"packages": ["zlib"]}, False),
        ({"packages": ["xz*"]}, {"packages": ["*"]}, False),
        ({"packages": ["xz*"]}, {}, False),
    ],
)
def test_a_token_makes_none_that_reaches_further(
    owner: Person, held: dict[str, list[str]], wanted: dict[str, list[str]], allowed: bool
) -> None:
    by = owner.identity_with("api", **held)
    fields: dict[str, Any] = {"name": "child", "scopes": ["api:read"], **wanted}
    if allowed:
        create_token(by=by, account=owner.user.account, **fields)
        return
    with pytest.raises(Forbidden, match="limited to"):
        create_token(by=by, account=owner.user.account, **fields)


def test_a_token_makes_none_that_outlives_it(owner: Person) -> None:
    end = timezone.now() + timedelta(days=7)
    by = owner.identity_with("api", expires_at=end)

    child = create_token(by=by, account=owner.user.account, name="child", scopes=["api:read"])

    assert child.token.expires_at == end
    with pytest.raises(Forbidden, match="lives longer"):
        create_token(
            by=by,
            account=owner.user.account,
            name="other",
            scopes=["api:read"],
            expires_at=end + timedelta(days=1),
        )


def test_the_owners_are_told_of_a_new_token(
    owner: Person,
    admin: Person,
    acme: Organization,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = create_token(
            by=admin.identity, account=acme.account, name="ci-xz", scopes=["api:write"]
        )

    [message] = mail.outbox
    assert message.to == [owner.user.email]
    assert "ci-xz" in message.body
    assert "adam made a token for acme" in message.body
    assert made.secret not in str(message.message())


def test_a_token_is_made_even_if_no_mail_can_be_sent(
    owner: Person,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def refuse(*_: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)

    with django_capture_on_commit_callbacks(execute=True):
        create_token(by=owner.identity, account=owner.user.account, name="ci", scopes=["api:read"])

    assert Token.objects.filter(name="ci").exists()
    assert "mail was not sent" in caplog.text


def test_the_last_use_is_noted_once_a_minute(
    owner: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    token = make_token(owner.user.account).token

    with django_assert_num_queries(1):
        tokens.note_use(token, "192.0.2.7")
    token.refresh_from_db()
    assert token.last_used_ip == "192.0.2.7"
    with django_assert_num_queries(0):
        tokens.note_use(token, "192.0.2.8")

    token.last_used_at = timezone.now() - timedelta(seconds=61)
    tokens.note_use(token, "192.0.2.9")
    token.refresh_from_db()
    assert token.last_used_ip == "192.0.2.9"


@pytest.mark.django_db(transaction=True)
def test_of_many_who_replace_a_token_at_once_each_gets_one_and_the_last_is_left() -> None:
    who = Person(make_user("olga"))
    barrier = threading.Barrier(5)
    made: list[NewToken] = []

    def sign_in() -> None:
        barrier.wait()
        try:
            made.append(
                create_token(
                    by=who.identity,
                    account=who.user.account,
                    name="vm",
                    scopes=["all"],
                    replaces=True,
                )
            )
        finally:
            connection.close()

    threads = [threading.Thread(target=sign_in) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({new.secret for new in made}) == 5
    assert Token.objects.filter(name="vm", revoked_at=None).count() == 1


def test_an_expired_token_gives_its_name_back(owner: Person) -> None:
    expired = owner.token(name="ci", expires_at=timezone.now() - timedelta(seconds=1))

    made = create_token(
        by=owner.identity, account=owner.user.account, name="ci", scopes=["api:read"]
    )

    assert made.token.name == "ci"
    expired.token.refresh_from_db()
    assert expired.token.revoked_at is not None


def test_a_limited_token_replaces_none_that_reaches_further(owner: Person) -> None:
    by = owner.identity_with("all", channels=["dev"])
    owner.token(name="ci")

    with pytest.raises(Forbidden, match="limited to the channels dev"):
        create_token(
            by=by,
            account=owner.user.account,
            name="ci",
            scopes=["api:read"],
            channels=["dev"],
            replaces=True,
        )

    assert Token.objects.get(name="ci").revoked_at is None
