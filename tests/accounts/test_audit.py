from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from accounts import audit, groups, membership, people, tokens
from accounts.identity import OPERATOR
from accounts.models import Event, Group, Organization
from tests.cast import Person
from tests.factories import PASSWORD, make_token


@dataclass(frozen=True)
class Scene:
    acme: Organization
    owner: Person
    maintainer: Person
    maintainers: Group
    reader: Person
    stranger: Person

    def invite(self) -> str:
        """An invitation of the stranger, sent before the act that is looked at."""
        _, key = membership.invite(
            by=self.owner.identity, organization=self.acme, email_or_name="sven", role="member"
        )
        Event.objects.all().delete()
        return key


@pytest.fixture
def scene(
    acme: Organization,
    owner: Person,
    maintainer: Person,
    maintainers: Group,
    reader: Person,
    stranger: Person,
) -> Scene:
    return Scene(acme, owner, maintainer, maintainers, reader, stranger)


Act = Callable[[Scene], object]
_ACTS: dict[str, tuple[Act, str]] = {
    "user.create": (
        lambda s: people.create_user(
            by=s.owner.identity, username="nina", email="nina@example.org", password=PASSWORD
        ),
        "nina",
    ),
    "organization.create": (
        lambda s: membership.create_organization(by=s.owner.identity, name="Neutrons"),
        "neutrons",
    ),
    "member.add": (
        lambda s: membership.add_member(
            by=s.owner.identity, organization=s.acme, user=s.stranger.user, role="member"
        ),
        "sven",
    ),
    "member.change-role": (
        lambda s: membership.change_role(
            by=s.owner.identity, organization=s.acme, user=s.reader.user, role="admin"
        ),
        "rita",
    ),
    "member.remove": (
        lambda s: membership.remove_member(
            by=s.owner.identity, organization=s.acme, user=s.maintainer.user
        ),
        "maria",
    ),
    "member.leave": (
        lambda s: membership.leave(by=s.maintainer.identity, organization=s.acme),
        "maria",
    ),
    "invitation.send": (
        lambda s: membership.invite(
            by=s.owner.identity, organization=s.acme, email_or_name="a@example.org", role="admin"
        ),
        "a@example.org",
    ),
    "invitation.accept": (
        lambda s: membership.accept_invitation(by=s.stranger.identity, key=s.invite()),
        "sven",
    ),
    "invitation.decline": (
        lambda s: membership.decline_invitation(by=s.stranger.identity, key=s.invite()),
        "sven",
    ),
    "invitation.withdraw": (
        lambda s: membership.withdraw_invitation(
            by=s.owner.identity, invitation=membership.find_invitation(key=s.invite())
        ),
        "sven",
    ),
    "group.create": (
        lambda s: groups.create_group(by=s.owner.identity, organization=s.acme, name="testers"),
        "testers",
    ),
    "group.change": (
        lambda s: groups.change_group(by=s.owner.identity, group=s.maintainers, name="renamed"),
        "renamed",
    ),
    "group.delete": (
        lambda s: groups.delete_group(by=s.owner.identity, group=s.maintainers),
        "maintainers",
    ),
    "group.add-member": (
        lambda s: groups.add_to_group(by=s.owner.identity, group=s.maintainers, user=s.reader.user),
        "maintainers: rita",
    ),
    "group.remove-member": (
        lambda s: groups.remove_from_group(
            by=s.owner.identity, group=s.maintainers, user=s.maintainer.user
        ),
        "maintainers: maria",
    ),
    "token.create": (
        lambda s: tokens.create_token(
            by=s.owner.identity, account=s.acme.account, name="ci", scopes=["all"]
        ),
        "ci",
    ),
    "token.revoke": (
        lambda s: tokens.revoke_token(
            by=s.owner.identity, token=make_token(s.acme.account, name="old").token
        ),
        "old",
    ),
}


@pytest.mark.parametrize("action", _ACTS)
def test_each_act_writes_one_event(action: str, scene: Scene) -> None:
    act, target = _ACTS[action]

    act(scene)

    [event] = Event.objects.all()
    assert (event.action, event.target) == (action, target)
    assert event.account is not None
    assert event.actor is not None
    assert event.actor_name == event.actor.username
    assert (event.ip_address, event.user_agent) == ("192.0.2.1", "a browser")


_WITHOUT_EFFECT: list[Act] = [
    lambda s: membership.change_role(
        by=s.owner.identity, organization=s.acme, user=s.reader.user, role="member"
    ),
    lambda s: groups.change_group(by=s.owner.identity, group=s.maintainers, name="maintainers"),
]


@pytest.mark.parametrize("act", _WITHOUT_EFFECT)
def test_what_changes_nothing_writes_no_event(act: Act, scene: Scene) -> None:
    act(scene)

    assert not Event.objects.exists()


def test_an_event_names_the_token_and_outlives_it(owner: Person, acme: Organization) -> None:
    by = owner.identity_with("api:modify-group", name="from CI")

    groups.create_group(by=by, organization=acme, name="testers")
    assert by.token is not None
    by.token.delete()

    event = Event.objects.get()
    assert (event.token, event.token_name, event.actor_name) == (None, "from CI", "olga")


def test_what_the_operator_does_has_no_actor(owner: Person) -> None:
    membership.create_organization(by=OPERATOR, name="neutrons", owner=owner.user)

    event = Event.objects.get()
    assert (event.actor, event.actor_name) == (None, "")
    assert event.user_agent == "condarium command"


def test_an_endless_target_and_browser_name_are_cut(owner: Person) -> None:
    event = audit.record(by=owner.identity, account=None, action="thing.do", target="x" * 1000)

    event.refresh_from_db()
    assert len(event.target) == 400
