"""Mails about tokens that end soon."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts import expiry
from accounts.models import Organization, Token
from tests.accounts.views.pages import days_from_now
from tests.cast import Person
from tests.factories import make_token


@pytest.fixture
def told(django_capture_on_commit_callbacks: Any) -> Any:
    def run() -> int:
        with django_capture_on_commit_callbacks(execute=True):
            return expiry.warn_of_ends()

    return run


def aged(token: Token, days: float = 80) -> Token:
    Token.objects.filter(pk=token.pk).update(created_at=days_from_now(-days))
    return token


def test_owners_are_told_once_of_a_token_that_ends_soon(
    acme: Organization, owner: Person, admin: Person, told: Any
) -> None:
    token = aged(make_token(acme.account, name="ci-xz", expires_at=days_from_now(9)).token)
    Token.objects.filter(pk=token.pk).update(last_used_at=timezone.now(), last_used_ip="192.0.2.7")

    assert (told(), told()) == (1, 0)

    [message] = mail.outbox
    assert message.to == ["olga@example.org"]
    assert message.subject == "Token “ci-xz” of acme expires soon"
    assert "It was used just now from 192.0.2.7." in str(message.body)
    assert f"/acme/settings/access/{token.pk}/rotate" in str(message.body)


def test_nobody_is_told_of_what_is_over_or_was_made_for_a_few_days(
    acme: Organization, owner: Person, told: Any
) -> None:
    aged(owner.token(expires_at=days_from_now(15)).token)
    aged(owner.token(expires_at=days_from_now(-1)).token)
    owner.token(expires_at=days_from_now(7))
    revoked = aged(owner.token(expires_at=days_from_now(7)).token)
    Token.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    aged(owner.token().token)

    assert told() == 0
    assert not mail.outbox
