"""The pages of one token: what it is, another secret for it, and the end of many."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import audit, tokens
from accounts.identity import Identity
from accounts.models import Organization, Token
from tests.accounts.views.pages import days_from_now, hidden_value, words
from tests.accounts.views.test_access import NEW, filled, secrets_in
from tests.cast import Person
from tests.factories import make_token

ACCESS = "/acme/settings/access"


@pytest.fixture
def old(acme: Organization, confirmed_owner: Person) -> Token:
    return make_token(
        acme.account,
        "api:write",
        name="ci",
        channels=["dev"],
        expires_at=days_from_now(30),
        created_by=confirmed_owner.user,
    ).token


def rotation(person: Person, path: str, **changes: Any) -> dict[str, Any]:
    key = hidden_value(person.client.get(path), "form_key")
    return {"form_key": key, "lifetime": "90", "keep_old": "7", **changes}


def test_a_rotated_token_is_shown_once_beside_the_old_one(
    old: Token, confirmed_owner: Person
) -> None:
    path = f"{ACCESS}/{old.pk}/rotate"
    form = rotation(confirmed_owner, path)

    answer = confirmed_owner.client.post(path, form)

    [secret] = secrets_in(answer)
    new = tokens.find(secret)
    assert new is not None
    assert new.replaces == old
    assert "no-store" in answer.headers["Cache-Control"]
    assert "The old one is now called “ci until" in words(answer)
    again = confirmed_owner.client.post(path, form)
    assert not secrets_in(again)
    assert "was made already" in words(again)
    assert Token.objects.count() == 2
    assert f"{ACCESS}/{new.pk}" in confirmed_owner.client.get(f"{ACCESS}/{old.pk}").content.decode()
    assert f"{ACCESS}/{old.pk}" in confirmed_owner.client.get(f"{ACCESS}/{new.pk}").content.decode()
    # What was rotated needs nobody any more, and can't be rotated again.
    assert "Nothing needs you." in words(confirmed_owner.client.get("/dashboard"))
    assert confirmed_owner.client.get(ACCESS).content.decode().count("/rotate") == 1
    # A form that was given out since is told what has happened.
    assert "It was rotated already" in words(confirmed_owner.client.get(path))


def test_a_rotation_of_what_is_over_is_refused_in_words(
    old: Token, confirmed_owner: Person
) -> None:
    path = f"{ACCESS}/{old.pk}/rotate"
    form = rotation(confirmed_owner, path)
    Token.objects.update(expires_at=days_from_now(-1))

    answer = confirmed_owner.client.post(path, form)

    assert answer.status_code == 422
    assert "opens nothing any more" in words(answer)


def test_the_rotation_asks_who_it_is_first(acme: Organization, owner: Person) -> None:
    token = make_token(acme.account).token

    answer = owner.client.post(f"{ACCESS}/{token.pk}/rotate", {"lifetime": "90", "keep_old": "7"})

    assert answer.headers["Location"].startswith("/account/reauthenticate/")
    assert Token.objects.count() == 1


def test_a_tokens_page_says_what_it_may_and_what_was_done_with_it(
    acme: Organization, old: Token, confirmed_owner: Person
) -> None:
    old.account = acme.account
    by = Identity(token=old, ip_address="192.0.2.9", user_agent="conda/26.1")
    audit.record(by=by, account=acme.account, action="file.delete", target="noarch/xz-1-0.conda")
    tokens.note_use(old, "192.0.2.9", "conda/26.1")

    text = words(confirmed_owner.client.get(f"{ACCESS}/{old.pk}"))

    for part in (
        "May upload, move and delete all packages in dev of acme until",
        "by olga",
        "from 192.0.2.9 with conda/26.1",
        "acme deleted noarch/xz-1-0.conda",
    ):
        assert part in text


def test_what_would_be_revoked_is_named_before(
    acme: Organization, old: Token, confirmed_owner: Person
) -> None:
    Token.objects.update(created_at=days_from_now(-10))
    make_token(acme.account, name="young")
    day = f"{days_from_now(-1):%Y-%m-%d}"

    asked = confirmed_owner.client.get(f"{ACCESS}/revoke-before?before={day}")

    assert "Revoke 1 token" in words(asked)
    assert "young" not in words(asked)
    assert not Token.objects.exclude(revoked_at=None).exists()
    answer = confirmed_owner.client.post(f"{ACCESS}/revoke-before", {"before": day}, follow=True)
    assert "1 token is revoked" in words(answer)
    assert Token.objects.get(name="young").revoked_at is None
    assert Token.objects.get(name="ci").revoked_at is not None


# --- Limits by ticking, and the sentence -------------------------------------------------------


def test_what_is_ticked_and_what_is_written_limit_the_token(
    acme: Organization, confirmed_owner: Person
) -> None:
    confirmed_owner.client.post(
        NEW,
        filled(
            confirmed_owner,
            ticked_channels=["dev"],
            channels="main dev",
            ticked_packages=["xz"],
            packages="xz-*",
        ),
    )

    token = Token.objects.get()
    assert (token.channels, token.packages) == (["dev", "main"], ["xz", "xz-*"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"scopes": ["api:write"], "ticked_packages": ["xz"], "packages": "xz-*",
             "channels": "dev"},
            "May upload, move and delete xz and xz-* in dev of acme until",
        ),
        ({"scopes": ["conda:download"]}, "May download everything of acme until"),
        ({"scopes": ["api:read"], "channels": "dev main"},
         "May read all packages in dev and main of acme"),
        ({"scopes": ["api:modify-group"]}, "May touch no files of acme until"),
        ({"scopes": ["all"]}, "also delete and transfer"),
        ({"scopes": []}, "Choose what it may"),
    ],
)  # fmt: skip
def test_the_preview_says_what_the_token_would_be_and_makes_none(
    acme: Organization, confirmed_owner: Person, changes: dict[str, Any], sentence: str
) -> None:
    form = filled(confirmed_owner, **{"channels": "", "packages": "", **changes})

    answer = confirmed_owner.client.post(f"{NEW}/preview", form)

    assert answer.status_code == 200
    assert sentence in words(answer)
    assert hidden_value(answer, "form_key") == form["form_key"]
    assert not Token.objects.exists()


def test_a_template_says_its_sentence_at_once(acme: Organization, confirmed_owner: Person) -> None:
    answer = confirmed_owner.client.get(f"{NEW}?template=install")

    assert "May download everything of acme until" in words(answer)


def test_pages_of_tokens_ask_little(
    acme: Organization,
    old: Token,
    confirmed_owner: Person,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(30):
        make_token(acme.account, created_by=confirmed_owner.user)
        audit.record(
            by=Identity(token=old), account=acme.account, action="file.delete", target=str(number)
        )
    for path in (NEW, f"{ACCESS}/{old.pk}", f"{ACCESS}/{old.pk}/rotate",
                 f"{ACCESS}/revoke-before?before=2999-01-01"):  # fmt: skip
        with django_assert_max_num_queries(12):
            assert confirmed_owner.client.get(path).status_code == 200


def test_no_longer_lives_are_offered_than_the_policy_allows(
    acme: Organization, old: Token, confirmed_owner: Person
) -> None:
    Organization.objects.filter(pk=acme.pk).update(token_max_days=30)

    for path, offered in ((NEW, ["7", "30", "date"]), (f"{ACCESS}/{old.pk}/rotate", ["7", "30"])):
        page = confirmed_owner.client.get(path).content.decode()
        assert re.findall(r'name="lifetime" value="([^"]+)"', page) == offered
        assert re.findall(r'name="lifetime" value="([^"]+)"[^>]* checked', page) == ["30"]
