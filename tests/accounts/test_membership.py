from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import membership
from accounts.identity import ANONYMOUS, OPERATOR, Identity
from accounts.models import Group, Invitation, Membership, Organization, User
from accounts.rights import may_administer, role_in
from accounts.roles import Role
from portal.errors import Conflict, CredentialNeeded, Forbidden, InvalidInput, NotFound, Refusal
from tests.cast import Person
from tests.factories import add_member, make_group, make_organization, make_token, make_user


def roles(organization: Organization) -> dict[str, str]:
    return dict(
        Membership.objects.filter(organization=organization).values_list("user__username", "role")
    )


# --- Founding ----------------------------------------------------------------------------------


def test_who_founds_an_organization_owns_it(stranger: Person) -> None:
    organization = membership.create_organization(
        by=stranger.identity, name="Neutrons", display_name="Neutron people"
    )

    assert organization.account.name == "neutrons"
    assert organization.account.title == "Neutron people"
    assert roles(organization) == {"sven": "owner"}
    assert role_in(stranger.identity, organization.account) == Role.OWNER


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("acme", "The name acme is taken. Try acme-2."),
        ("ACME", "The name ACME is taken: capital letters don't make a difference. Try acme-2."),
        ("Olga", "The name Olga is taken: capital letters don't make a difference. Try olga-2."),
    ],
)
def test_users_and_organizations_share_one_namespace(
    owner: Person, acme: Organization, name: str, sentence: str
) -> None:
    with pytest.raises(Conflict) as refused:
        membership.create_organization(by=owner.identity, name=name)

    assert refused.value.detail == sentence


def test_a_taken_name_is_answered_with_one_that_is_free(owner: Person, acme: Organization) -> None:
    make_organization("acme-2")

    with pytest.raises(Conflict, match=r"Try acme-3\."):
        membership.create_organization(by=owner.identity, name="acme")


@pytest.mark.parametrize("name", ["", "api", "linux-64", "-x", "x" * 65, "a b"])
def test_an_unusable_name_is_refused(owner: Person, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        membership.create_organization(by=owner.identity, name=name)
    assert list(refused.value.errors) == ["name"]


def test_founding_needs_a_verified_address(db: None) -> None:
    user = make_user("uma", verified=False)

    with pytest.raises(Forbidden, match="Verify your e-mail address"):
        membership.create_organization(by=Identity(user=user), name="umas")


def test_founding_needs_a_person_and_the_scope(owner: Person, acme: Organization) -> None:
    of_organization = Identity(token=make_token(acme.account, "all").token)

    with pytest.raises(CredentialNeeded):
        membership.create_organization(by=ANONYMOUS, name="neutrons")
    with pytest.raises(Forbidden, match="only a person"):
        membership.create_organization(by=of_organization, name="neutrons")
    with pytest.raises(Forbidden, match="api:modify-group"):
        membership.create_organization(by=owner.identity_with("api:read"), name="neutrons")


def test_nobody_from_outside_passes_for_the_operator(owner: Person) -> None:
    look_alike = Identity(user_agent=OPERATOR.user_agent)
    assert look_alike == OPERATOR

    with pytest.raises(CredentialNeeded):
        membership.create_organization(by=look_alike, name="neutrons", owner=owner.user)
    with pytest.raises(CredentialNeeded):
        membership.create_organization(by=ANONYMOUS, name="neutrons", owner=owner.user)


# --- Who may -----------------------------------------------------------------------------------

_ACTS: list[Callable[[Identity, Organization, User], object]] = [
    lambda by, acme, _user: membership.add_member(
        by=by, organization=acme, user=make_user(), role="member"
    ),
    lambda by, acme, user: membership.change_role(
        by=by, organization=acme, user=user, role="admin"
    ),
    lambda by, acme, user: membership.remove_member(by=by, organization=acme, user=user),
    lambda by, acme, _user: membership.invite(
        by=by, organization=acme, email_or_name="new@example.org", role="member"
    ),
]


@pytest.mark.parametrize("act", _ACTS, ids=["add", "change", "remove", "invite"])
def test_only_owners_and_admins_decide_who_belongs(
    act: Callable[[Identity, Organization, User], object],
    owner: Person,
    admin: Person,
    reader: Person,
    maintainer: Person,
    stranger: Person,
    acme: Organization,
) -> None:
    for nobody in (reader.identity, maintainer.identity, stranger.identity):
        with pytest.raises(Forbidden, match="Only owners and admins of acme"):
            act(nobody, acme, reader.user)
    with pytest.raises(CredentialNeeded):
        act(ANONYMOUS, acme, reader.user)
    with pytest.raises(Forbidden, match="it has conda:download"):
        act(owner.identity_with("conda:download"), acme, reader.user)
    with pytest.raises(Forbidden, match="limited to xz"):
        act(owner.identity_with("all", packages=["xz"]), acme, reader.user)
    before = roles(acme)

    act(admin.identity_with("api:modify-group"), acme, reader.user)

    assert Invitation.objects.exists() or roles(acme) != before


def test_an_organizations_own_token_acts_as_an_admin(acme: Organization, stranger: Person) -> None:
    by = Identity(token=make_token(acme.account, "api:modify-group").token)

    membership.add_member(by=by, organization=acme, user=stranger.user, role="member")

    with pytest.raises(Forbidden, match="Only owners"):
        membership.change_role(by=by, organization=acme, user=stranger.user, role="owner")
    assert roles(acme)["sven"] == "member"


def test_an_admin_makes_no_owners_and_touches_none(
    admin: Person, owner: Person, reader: Person, acme: Organization
) -> None:
    add_member(acme, make_user("other"), role=Role.OWNER)
    refused: list[Callable[[], object]] = [
        lambda: membership.add_member(
            by=admin.identity, organization=acme, user=make_user(), role="owner"
        ),
        lambda: membership.change_role(
            by=admin.identity, organization=acme, user=reader.user, role="owner"
        ),
        lambda: membership.change_role(
            by=admin.identity, organization=acme, user=admin.user, role="owner"
        ),
        lambda: membership.change_role(
            by=admin.identity, organization=acme, user=owner.user, role="member"
        ),
        lambda: membership.remove_member(by=admin.identity, organization=acme, user=owner.user),
        lambda: membership.invite(
            by=admin.identity, organization=acme, email_or_name="a@example.org", role="owner"
        ),
    ]
    before = roles(acme)

    for act in refused:
        with pytest.raises(Forbidden, match=r"[Oo]nly owners"):
            act()

    assert roles(acme) == before


def test_an_owner_makes_and_unmakes_owners(
    owner: Person, reader: Person, acme: Organization
) -> None:
    membership.change_role(by=owner.identity, organization=acme, user=reader.user, role=Role.OWNER)
    membership.change_role(by=reader.identity, organization=acme, user=owner.user, role=Role.MEMBER)

    assert roles(acme) == {"olga": "member", "rita": "owner"}


# --- Adding, changing, leaving -----------------------------------------------------------------


def test_a_member_is_added_once(owner: Person, stranger: Person, acme: Organization) -> None:
    membership.add_member(by=owner.identity, organization=acme, user=stranger.user, role="admin")

    assert may_administer(stranger.identity, acme.account)
    with pytest.raises(Conflict, match="sven is admin of acme already"):
        membership.add_member(
            by=owner.identity, organization=acme, user=stranger.user, role="member"
        )


def test_an_unknown_role_is_refused(owner: Person, stranger: Person, acme: Organization) -> None:
    with pytest.raises(InvalidInput, match="There is no role 'king'") as refused:
        membership.add_member(by=owner.identity, organization=acme, user=stranger.user, role="king")
    assert list(refused.value.errors) == ["role"]


def test_a_suspended_user_is_not_added(owner: Person, acme: Organization) -> None:
    user = make_user("sid")
    user.account.suspended_at = timezone.now()
    user.account.save()

    with pytest.raises(InvalidInput, match="sid is suspended"):
        membership.add_member(by=owner.identity, organization=acme, user=user, role="member")


def test_a_changed_role_is_mailed_to_whom_it_concerns(
    owner: Person,
    reader: Person,
    acme: Organization,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        membership.change_role(by=owner.identity, organization=acme, user=reader.user, role="admin")

    [message] = mail.outbox
    assert message.to == ["rita@example.org"]
    assert message.subject == "You are now admin of acme"
    assert "olga made you admin of acme" in message.body


def test_acts_on_who_is_no_member_find_nothing(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    with pytest.raises(NotFound):
        membership.change_role(
            by=owner.identity, organization=acme, user=stranger.user, role="admin"
        )
    with pytest.raises(NotFound):
        membership.remove_member(by=owner.identity, organization=acme, user=stranger.user)
    with pytest.raises(NotFound):
        membership.leave(by=stranger.identity, organization=acme)


def test_a_removed_member_has_no_right_at_the_next_request(
    owner: Person, maintainer: Person, maintainers: Group, acme: Organization
) -> None:
    other = make_organization("other")
    elsewhere = make_group(other, "maintainers", members=[maintainer.user])
    assert role_in(maintainer.identity, acme.account) == Role.MEMBER

    membership.remove_member(by=owner.identity, organization=acme, user=maintainer.user)

    assert role_in(maintainer.identity, acme.account) is None
    assert not maintainers.users.exists()
    assert elsewhere.users.get() == maintainer.user


def test_a_member_leaves_with_their_groups(
    maintainer: Person, maintainers: Group, acme: Organization
) -> None:
    membership.leave(by=maintainer.identity, organization=acme)

    assert roles(acme) == {"olga": "owner"}
    assert not maintainers.users.exists()


def test_the_last_owner_stays(
    owner: Person, admin: Person, reader: Person, acme: Organization
) -> None:
    with pytest.raises(Conflict) as refused:
        membership.leave(by=owner.identity, organization=acme)
    assert refused.value.detail == (
        "You are the only owner. Make someone else an owner first, then leave."
    )
    with pytest.raises(Conflict, match="olga is the only owner of acme"):
        membership.change_role(by=owner.identity, organization=acme, user=owner.user, role="admin")
    with pytest.raises(Conflict, match="olga is the only owner of acme"):
        membership.remove_member(by=owner.identity, organization=acme, user=owner.user)
    with pytest.raises(Conflict, match="olga is the only owner of acme"):
        membership.remove_member(by=OPERATOR, organization=acme, user=owner.user)
    assert roles(acme)["olga"] == "owner"


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one_behind() -> None:
    first, second = make_user("first"), make_user("second")
    organization = make_organization("both", owner=first)
    add_member(organization, second, role=Role.OWNER)
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def go(user: User) -> None:
        start.wait(timeout=10)
        try:
            membership.leave(by=Identity(user=user), organization=organization)
            outcomes.append("left")
        except Conflict:
            outcomes.append("stayed")
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(user,)) for user in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(outcomes) == ["left", "stayed"]
    assert list(roles(organization).values()) == ["owner"]


# --- Invitations -------------------------------------------------------------------------------


def invite(by: Person, to: str, *, role: str = "member", into: Organization) -> str:
    _, key = membership.invite(by=by.identity, organization=into, email_or_name=to, role=role)
    return key


def test_an_invitation_is_mailed_and_accepted(
    owner: Person,
    stranger: Person,
    acme: Organization,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        key = invite(owner, "Sven@Example.org", role="admin", into=acme)
    [message] = mail.outbox
    assert message.to == ["sven@example.org"]
    assert f"http://127.0.0.1:8080/-/invitations/{key}\n" in message.body
    assert "olga invites you to the organization acme" in message.body

    membership.accept_invitation(by=stranger.identity, key=key)

    assert roles(acme) == {"olga": "owner", "sven": "admin"}


def test_only_a_hash_of_the_key_is_kept(owner: Person, acme: Organization) -> None:
    key = invite(owner, "new@example.org", into=acme)

    assert key not in repr(Invitation.objects.values_list())
    assert membership.find_invitation(key=key).email == "new@example.org"


@pytest.mark.parametrize("key", ["", "wrong", "\0", "\udc80"])
def test_a_wrong_key_finds_nothing(stranger: Person, key: str) -> None:
    with pytest.raises(NotFound):
        membership.accept_invitation(by=stranger.identity, key=key)


def test_an_invitation_is_for_the_address_it_was_sent_to(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    key = invite(owner, "new@example.org", into=acme)
    unproven = make_user("uma", email="new@example.org", verified=False)

    for person in (stranger, Person(unproven)):
        with pytest.raises(Forbidden, match="sent to someone else"):
            membership.accept_invitation(by=person.identity, key=key)
        with pytest.raises(Forbidden, match="sent to someone else"):
            membership.decline_invitation(by=person.identity, key=key)

    assert roles(acme) == {"olga": "owner"}


def test_an_invitation_by_name_is_theirs_and_shows_no_address(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    invitation, key = membership.invite(
        by=owner.identity, organization=acme, email_or_name=" Sven ", role="member"
    )
    assert invitation.addressee == "sven"

    membership.accept_invitation(by=stranger.identity, key=key)

    assert "sven" in roles(acme)


@pytest.mark.parametrize("to", ["nobody-here", "uma", "no@address@here", "@", ""])
def test_who_can_not_be_reached_is_not_invited(owner: Person, acme: Organization, to: str) -> None:
    make_user("uma", verified=False)

    with pytest.raises(InvalidInput) as refused:
        invite(owner, to, into=acme)

    assert list(refused.value.errors) == ["email_or_name"]


@pytest.mark.parametrize("to", ["rita", "rita@example.org"])
def test_a_member_is_not_invited_again(
    owner: Person, reader: Person, acme: Organization, to: str
) -> None:
    with pytest.raises(Conflict, match="is a member of acme already"):
        invite(owner, to, into=acme)


def test_an_invitation_works_once(owner: Person, stranger: Person, acme: Organization) -> None:
    key = invite(owner, "sven", into=acme)
    membership.accept_invitation(by=stranger.identity, key=key)
    membership.leave(by=stranger.identity, organization=acme)

    with pytest.raises(Conflict, match="answered already"):
        membership.accept_invitation(by=stranger.identity, key=key)

    assert "sven" not in roles(acme)


def _withdraw(key: str, owner: Person, stranger: Person) -> None:
    membership.withdraw_invitation(
        by=owner.identity, invitation=membership.find_invitation(key=key)
    )


def _decline(key: str, owner: Person, stranger: Person) -> None:
    membership.decline_invitation(by=stranger.identity, key=key)


def _let_expire(key: str, owner: Person, stranger: Person) -> None:
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def _invite_again(key: str, owner: Person, stranger: Person) -> None:
    invite(owner, "sven", role="admin", into=Organization.objects.get())


def _add_and_remove(key: str, owner: Person, stranger: Person) -> None:
    acme = Organization.objects.get()
    membership.add_member(by=owner.identity, organization=acme, user=stranger.user, role="member")
    membership.remove_member(by=owner.identity, organization=acme, user=stranger.user)


@pytest.mark.parametrize(
    ("happening", "sentence"),
    [
        (_withdraw, "This invitation was withdrawn. Ask olga for a new one."),
        (_decline, "This invitation was answered already."),
        (_let_expire, "This invitation has expired. Ask olga for a new one."),
        (_invite_again, "This invitation was withdrawn. Ask olga for a new one."),
        (_add_and_remove, "This invitation was withdrawn. Ask olga for a new one."),
    ],
)
def test_a_closed_invitation_says_why(
    happening: Callable[[str, Person, Person], None],
    sentence: str,
    owner: Person,
    stranger: Person,
    acme: Organization,
) -> None:
    key = invite(owner, "sven", into=acme)

    happening(key, owner, stranger)

    with pytest.raises(Conflict) as refused:
        membership.accept_invitation(by=stranger.identity, key=key)
    assert refused.value.detail == sentence
    assert "sven" not in roles(acme)


def _remove_admin(owner: Person, admin: Person, acme: Organization) -> None:
    membership.remove_member(by=owner.identity, organization=acme, user=admin.user)


def _demote_admin(owner: Person, admin: Person, acme: Organization) -> None:
    membership.change_role(by=owner.identity, organization=acme, user=admin.user, role="member")


def _admin_leaves(owner: Person, admin: Person, acme: Organization) -> None:
    membership.leave(by=admin.identity, organization=acme)


@pytest.mark.parametrize("happening", [_remove_admin, _demote_admin, _admin_leaves])
def test_invitations_go_with_the_right_to_send_them(
    happening: Callable[[Person, Person, Organization], None],
    owner: Person,
    admin: Person,
    stranger: Person,
    acme: Organization,
) -> None:
    key = invite(admin, "sven", role="admin", into=acme)

    happening(owner, admin, acme)

    with pytest.raises(Conflict, match="withdrawn"):
        membership.accept_invitation(by=stranger.identity, key=key)


def test_an_owner_made_admin_keeps_what_admins_may_send(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    add_member(acme, make_user("other"), role=Role.OWNER)
    to_member = invite(owner, "sven", into=acme)
    to_owner = invite(owner, "new@example.org", role="owner", into=acme)

    membership.change_role(by=owner.identity, organization=acme, user=owner.user, role="admin")

    with pytest.raises(Conflict, match="withdrawn"):
        membership.refuse_closed(membership.find_invitation(key=to_owner))
    membership.accept_invitation(by=stranger.identity, key=to_member)


def test_only_an_admin_withdraws_and_only_once(
    owner: Person, reader: Person, stranger: Person, acme: Organization
) -> None:
    invitation, _ = membership.invite(
        by=owner.identity, organization=acme, email_or_name="sven", role="member"
    )
    for person in (reader, stranger):
        with pytest.raises(Forbidden):
            membership.withdraw_invitation(by=person.identity, invitation=invitation)

    membership.withdraw_invitation(by=owner.identity, invitation=invitation)

    with pytest.raises(Refusal, match="withdrawn"):
        membership.withdraw_invitation(by=owner.identity, invitation=invitation)


def test_nobody_joins_a_suspended_organization(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    key = invite(owner, "sven", into=acme)
    acme.account.suspended_at = timezone.now()
    acme.account.save()

    with pytest.raises(Conflict, match="acme is suspended"):
        membership.accept_invitation(by=stranger.identity, key=key)
    with pytest.raises(Forbidden):
        invite(owner, "new@example.org", into=acme)
