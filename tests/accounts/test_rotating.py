"""A token gives its rights to another one, and works on for a while."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import tokens
from accounts.models import Event, Organization, Token
from portal.errors import Conflict, Forbidden, InvalidInput
from tests.accounts.views.pages import days_from_now
from tests.cast import Person
from tests.factories import make_token


@pytest.fixture
def old(acme: Organization, owner: Person) -> Token:
    return make_token(
        acme.account,
        "api:read",
        "api:write",
        name="ci",
        channels=["dev"],
        packages=["xz", "xz-*"],
        expires_at=days_from_now(30),
        created_by=owner.user,
    ).token


def test_the_new_one_has_name_and_rights_and_the_old_one_works_for_a_week(
    old: Token, admin: Person
) -> None:
    made = tokens.rotate_token(by=admin.identity, token=old)

    new = tokens.find(made.secret)
    assert new is not None
    assert (new.name, new.scopes, new.channels, new.packages) == (
        "ci",
        old.scopes,
        ["dev"],
        ["xz", "xz-*"],
    )
    assert new.replaces == old
    assert new.created_by == admin.user
    assert new.expires_at is not None
    assert abs(new.expires_at - days_from_now(30)) < timedelta(minutes=1)
    kept = Token.objects.get(pk=old.pk)
    assert kept.digest == old.digest
    assert kept.revoked_at is None
    assert kept.expires_at is not None
    assert abs(kept.expires_at - days_from_now(7)) < timedelta(minutes=1)
    assert kept.name == f"ci until {kept.expires_at:%Y-%m-%d}"
    event = Event.objects.get(action="token.rotate")
    assert (event.target, event.actor) == ("ci", admin.user)
    assert made.secret not in str(event.detail)


def test_the_old_one_never_lives_longer_than_it_would_have(old: Token, owner: Person) -> None:
    soon = days_from_now(2)
    Token.objects.filter(pk=old.pk).update(expires_at=soon)

    tokens.rotate_token(by=owner.identity, token=old)

    assert Token.objects.get(pk=old.pk).expires_at == soon


def test_the_old_one_can_end_at_once(old: Token, owner: Person) -> None:
    tokens.rotate_token(by=owner.identity, token=old, keep_old=timedelta(0))

    kept = Token.objects.get(pk=old.pk)
    assert kept.revoked_at is not None
    assert kept.name == "ci"
    assert Token.objects.filter(name="ci", revoked_at=None).count() == 1


def test_a_token_is_rotated_once_and_its_heir_again_on_the_same_day(
    old: Token, owner: Person
) -> None:
    heir = tokens.rotate_token(by=owner.identity, token=old).token
    with pytest.raises(Conflict, match=r"ci until .* was rotated already"):
        tokens.rotate_token(by=owner.identity, token=old)

    tokens.rotate_token(by=owner.identity, token=heir)

    day = f"{days_from_now(7):%Y-%m-%d}"
    assert set(Token.objects.values_list("name", flat=True)) == {
        "ci",
        f"ci until {day}",
        f"ci until {day} (2)",
    }


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_what_opens_nothing_is_not_rotated(old: Token, owner: Person, field: str) -> None:
    Token.objects.filter(pk=old.pk).update(**{field: timezone.now()})

    with pytest.raises(Conflict, match="ci opens nothing any more"):
        tokens.rotate_token(by=owner.identity, token=old)


def test_the_old_one_can_not_be_kept_for_ever(old: Token, owner: Person) -> None:
    with pytest.raises(InvalidInput, match="0 to 90 days"):
        tokens.rotate_token(by=owner.identity, token=old, keep_old=timedelta(days=91))


def test_a_token_rotates_none_that_may_more_or_reaches_further(old: Token, owner: Person) -> None:
    narrow = owner.identity_with("api:read")
    elsewhere = owner.identity_with("all", channels=["main"])

    for identity in (narrow, elsewhere):
        with pytest.raises(Forbidden):
            tokens.rotate_token(by=identity, token=old)

    assert not Token.objects.filter(replaces=old).exists()
    assert Token.objects.get(pk=old.pk).name == "ci"


def test_a_token_that_rotates_makes_none_that_outlives_it(old: Token, owner: Person) -> None:
    end = days_from_now(3)
    identity = owner.identity_with("all", expires_at=end)

    made = tokens.rotate_token(by=identity, token=old)

    assert made.token.expires_at == end


def test_all_made_before_a_day_are_revoked_and_no_others(
    acme: Organization, old: Token, owner: Person, stranger: Person
) -> None:
    young = make_token(acme.account, name="young").token
    over = make_token(acme.account, name="over", expires_at=days_from_now(-1)).token
    theirs = stranger.token().token
    long_ago = days_from_now(-40)
    Token.objects.exclude(pk=young.pk).update(created_at=long_ago)

    revoked = tokens.revoke_made_before(
        by=owner.identity, account=acme.account, border=days_from_now(-1)
    )

    assert revoked == [old]
    live = Token.objects.filter(revoked_at=None)
    assert set(live) == {young, over, theirs}
    assert Event.objects.get(action="token.revoke").target == "ci"


def test_a_limited_token_revokes_none_that_reaches_further(
    acme: Organization, old: Token, owner: Person
) -> None:
    with pytest.raises(Forbidden):
        tokens.revoke_made_before(
            by=owner.identity_with("all", channels=["main"]),
            account=acme.account,
            border=days_from_now(1),
        )

    assert Token.objects.get(pk=old.pk).revoked_at is None
