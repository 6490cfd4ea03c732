from __future__ import annotations

from django.utils import timezone

from accounts.models import Organization, Token
from accounts.roles import Role
from tests.accounts.views.pages import days_from_now, words
from tests.cast import Person
from tests.factories import add_member, make_invitation, make_organization, make_token, make_user


def test_who_has_nothing_yet_is_shown_the_first_steps(stranger: Person) -> None:
    answer = stranger.client.get("/dashboard")

    assert "Nothing needs you." in words(answer)
    assert "You belong to no organization." in words(answer)
    steps = answer.content.decode().partition("First steps")[2]
    assert 'href="/sven/settings/access/new?template=upload"' in steps
    assert 'href="/-/organizations/new"' in steps


def test_the_first_steps_are_gone_once_there_is_something(
    acme: Organization, owner: Person
) -> None:
    assert "First steps" not in words(owner.client.get("/dashboard"))


def test_open_invitations_can_be_answered_there(
    acme: Organization, owner: Person, stranger: Person
) -> None:
    invitation = make_invitation(
        acme,
        "sven@example.org",
        key="k",
        expires_at=days_from_now(3),
        role=Role.ADMIN,
        invited_by=owner.user,
    )
    make_invitation(acme, "sven@example.org", key="old", expires_at=days_from_now(-1))
    make_invitation(acme, "other@example.org", key="else", expires_at=days_from_now(3))

    answer = stranger.client.get("/dashboard")

    assert words(answer).count("olga invites you to acme as admin") == 1
    assert f'action="/-/invitations/own/{invitation.pk}/accept"' in answer.content.decode()
    assert '<span class="count accent">1</span>' in answer.content.decode()


def test_tokens_that_end_soon_are_named_to_who_can_replace_them(
    acme: Organization, owner: Person, admin: Person, reader: Person
) -> None:
    make_token(acme.account, name="soon", expires_at=days_from_now(9.5))
    make_token(acme.account, name="later", expires_at=days_from_now(15))
    make_token(acme.account, name="over", expires_at=days_from_now(-1))
    revoked = make_token(acme.account, name="revoked", expires_at=days_from_now(2)).token
    Token.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    owner.token(name="my own", expires_at=days_from_now(2.5))

    texts = {p.name: words(p.client.get("/dashboard")) for p in (owner, admin, reader)}

    assert "Token soon of acme expires in 9 days" in texts["olga"]
    assert "Token my own of olga expires in 2 days" in texts["olga"]
    assert "Token soon of acme" in texts["adam"]
    assert "my own" not in texts["adam"]
    assert "Nothing needs you." in texts["rita"]
    for text in texts.values():
        assert not {"later", "over", "revoked"} & set(text.split())


def test_organizations_stand_with_the_role(acme: Organization, owner: Person) -> None:
    globex = make_organization("globex", owner=make_user("omar"))
    add_member(globex, owner.user)

    answer = owner.client.get("/dashboard")

    assert "acme Owner" in words(answer)
    assert "globex Member" in words(answer)
    assert 'href="/acme/settings/access"' in answer.content.decode()
    assert 'href="/globex/settings"' not in answer.content.decode()
