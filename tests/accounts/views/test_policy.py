"""What an organization asks of its members and tokens, and that it is kept."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator

from accounts import tokens
from accounts.identity import OPERATOR
from accounts.models import Event, Organization, Token
from accounts.roles import Role
from portal.errors import InvalidInput
from registry import access
from tests.accounts.views.pages import days_from_now, words
from tests.cast import Person
from tests.factories import add_member, make_group, make_token, make_user

POLICY = "/acme/settings/policy"
PLAIN = {"channel_creators": "admins", "token_max_days": ""}


def give_factor(person: Person) -> None:
    Authenticator.objects.create(user=person.user, type="totp", data={"secret": "x"})


def test_a_second_factor_is_asked_for_by_who_has_one_and_takes_rights_from_who_has_none(
    acme: Organization, owner: Person, admin: Person, reader: Person
) -> None:
    posted = {**PLAIN, "requires_second_factor": "on"}
    refused = owner.client.post(POLICY, posted)
    assert refused.status_code == 422
    assert "you would shut yourself out" in words(refused)

    give_factor(owner)
    page = owner.client.get(POLICY)
    assert "would have no rights here until they add one" in words(page)
    assert "rita" in words(page)
    assert "olga" not in words(page).split("would have no rights", 1)[1]
    assert owner.client.post(POLICY, posted).status_code == 302

    assert owner.client.get("/acme/settings/members").status_code == 200
    shut = admin.client.get("/acme/settings/members")
    assert shut.status_code == 403
    assert "acme asks its members for a second factor, and you have none." in words(shut)
    assert "Add a second factor" in words(shut)
    assert reader.client.get("/acme/groups").status_code == 403
    give_factor(admin)
    assert admin.client.get("/acme/settings/members").status_code == 200
    event = Event.objects.get(action="organization.policy")
    assert event.detail == {"requires_second_factor": [False, True]}


def test_recovery_codes_alone_are_no_second_factor(acme: Organization, admin: Person) -> None:
    Organization.objects.update(requires_second_factor=True)
    Authenticator.objects.create(user=admin.user, type="recovery_codes", data={})

    assert admin.client.get("/acme/settings/members").status_code == 403


def test_a_group_gives_nothing_without_the_second_factor(
    acme: Organization, reader: Person
) -> None:
    make_group(acme, "builders", all_packages=True, members=[reader.user])
    by_token = reader.identity_with("all")

    Organization.objects.update(requires_second_factor=True)
    for by in (reader.identity, by_token):
        assert access.permission_on(by, acme.account, "xz") is None
        assert not access.publishable_names(by, acme.account, {"xz"})
        assert not access.publishable_accounts(by).filter(name="acme").exists()
    give_factor(reader)
    for by in (reader.identity, by_token):
        assert access.permission_on(by, acme.account, "xz") == "write"
        assert access.publishable_names(by, acme.account, {"xz"}) == {"xz"}
        assert access.publishable_accounts(by).filter(name="acme").exists()


def test_admins_see_the_policy_and_only_owners_change_it(
    acme: Organization, admin: Person, reader: Person, stranger: Person
) -> None:
    page = admin.client.get(POLICY)
    assert page.status_code == 200
    assert "Save policy" not in words(page)
    for person in (admin, reader, stranger):
        answer = person.client.post(POLICY, {**PLAIN, "channel_creators": "members"})
        assert answer.status_code == 403, person.name
    assert Organization.objects.get().channel_creators == "admins"


def test_new_tokens_live_no_longer_than_the_policy_says(acme: Organization, owner: Person) -> None:
    old = make_token(acme.account, name="old one")
    Token.objects.filter(pk=old.token.pk).update(expires_at="2099-01-01T00:00:00Z")
    assert owner.client.post(POLICY, {**PLAIN, "token_max_days": "7"}).status_code == 302

    assert "old one" in words(owner.client.get(POLICY))
    with pytest.raises(InvalidInput, match="at most 7 days"):
        tokens.create_token(
            by=OPERATOR,
            account=acme.account,
            name="long",
            scopes=["all"],
            expires_at=days_from_now(30),
        )
    made = tokens.create_token(by=OPERATOR, account=acme.account, name="short", scopes=["all"])
    assert made.token.expires_at is not None
    assert made.token.expires_at <= days_from_now(7)


@pytest.mark.parametrize(
    ("who_may", "role", "status"),
    [
        ("owners", Role.ADMIN, 403),
        ("owners", Role.OWNER, 201),
        ("admins", Role.ADMIN, 201),
        ("admins", Role.MEMBER, 403),
        ("members", Role.MEMBER, 201),
    ],
)
def test_who_may_create_channels_does(
    acme: Organization, who_may: str, role: str, status: int
) -> None:
    person = Person(make_user())
    add_member(acme, person.user, role=role)
    Organization.objects.update(channel_creators=who_may, starts_private=True)
    token = person.token("api")

    answer = person.client.post(
        "/api/v1/accounts/acme/channels",
        {"name": "dev"},
        content_type="application/json",
        HTTP_ACCEPT="application/json",
        HTTP_AUTHORIZATION=f"Bearer {token.secret}",
    )

    assert answer.status_code == status, answer.content
    if status == 201:
        assert answer.json()["visibility"] == "private"


def test_a_policy_that_can_not_be_is_refused(acme: Organization, owner: Person) -> None:
    for wrong in ({"token_max_days": "0"}, {"token_max_days": "4000"}, {"channel_creators": "x"}):
        assert owner.client.post(POLICY, {**PLAIN, **wrong}).status_code == 422
