"""Inviting people to a package by an address: the mail, the page, the answers."""

from __future__ import annotations

import re
from datetime import timedelta

from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as Commit

from accounts.models import Event
from registry.models import Collaborator, Package, PackageInvitation
from registry.package_invitations import MAX_OPEN
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

PAGE = "/acme/hello/settings/collaborators"


def invited(
    commit: Commit, owner: Person, email: str = "nora@example.org", permission: str = "write"
) -> str:
    mail.outbox.clear()
    form = {"user": email, "permission": permission}
    with commit(execute=True):
        answer = owner.client.post(f"{PAGE}/add-person", form, follow=True)
    assert f"An invitation was sent to {email.lower()}" in text_of(answer)
    [message] = mail.outbox
    assert message.to == [email.lower()]
    found = re.search(r"http\S+(/-/package-invitations/\S+)", str(message.body))
    assert found is not None
    return found[1]


def test_somebody_without_an_account_signs_up_and_accepts(
    world: World,
    owner: Person,
    anonymous: Client,
    stranger: Person,
    django_capture_on_commit_callbacks: Commit,
) -> None:
    address = invited(django_capture_on_commit_callbacks, owner, "Nora@Example.org")
    shown = text_of(owner.client.get(PAGE))
    assert "nora@example.org" in shown
    assert "Withdraw" in shown
    page = text_of(anonymous.get(address))
    assert "olga invites you to hello of acme" in page
    assert "Sign in to answer" in page
    assert "sent to someone else" in text_of(stranger.client.get(address))
    assert stranger.client.post(f"{address}/accept").status_code == 403
    unproven = Person(make_user("nobody", email="nora@example.org", verified=False))
    assert unproven.client.post(f"{address}/accept").status_code == 403

    nora = Person(make_user("nora", email="nora@example.org"))
    assert "olga invites you to hello of acme" in text_of(nora.client.get("/dashboard"))
    answer = nora.client.post(f"{address}/accept", follow=True)
    assert "You may now work on hello." in text_of(answer)
    held = Collaborator.objects.get(package__name="hello", user=nora.user)
    assert (held.permission, held.added_by) == ("write", owner.user)
    assert nora.client.get(address).status_code == 404
    acts = Event.objects.filter(action__startswith="collaborator.").values_list("action", flat=True)
    assert {"collaborator.invite", "collaborator.add"} <= set(acts)


def test_invitations_are_declined_withdrawn_sent_again_and_expire(
    world: World, owner: Person, django_capture_on_commit_callbacks: Commit
) -> None:
    nora = Person(make_user("nora", email="nora@example.org"))
    address = invited(django_capture_on_commit_callbacks, owner)
    nora.client.post(f"{address}/decline")
    assert not PackageInvitation.objects.exists()

    first = invited(django_capture_on_commit_callbacks, owner)
    number = PackageInvitation.objects.get().pk
    owner.client.post(f"{PAGE}/invitations/{number}/resend")
    assert nora.client.get(first).status_code == 404
    assert "A new invitation was sent to nora@example.org" in text_of(owner.client.get(PAGE))
    second = PackageInvitation.objects.get()
    PackageInvitation.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    expired = nora.client.post(f"/-/package-invitations/{second.key}/accept")
    assert "has expired. Ask olga" in text_of(expired)
    assert "nora@example.org" not in text_of(owner.client.get(PAGE))

    third = invited(django_capture_on_commit_callbacks, owner)
    number = PackageInvitation.objects.get().pk
    owner.client.post(f"{PAGE}/invitations/{number}/withdraw")
    assert nora.client.get(third).status_code == 404
    assert not Collaborator.objects.filter(user=nora.user).exists()


def test_only_who_decides_invites_and_what_they_sent_goes_with_their_right(
    world: World,
    owner: Person,
    admin: Person,
    maintainer: Person,
    reader: Person,
    django_capture_on_commit_callbacks: Commit,
) -> None:
    for person in (maintainer, reader):
        answer = person.client.post(
            f"{PAGE}/add-person", {"user": "x@example.org", "permission": "read"}
        )
        assert answer.status_code == 403
    wrong = owner.client.post(f"{PAGE}/add-person", {"user": "x@", "permission": "read"})
    assert wrong.status_code == 422
    assert "x@ is not an e-mail address" in text_of(wrong)

    address = invited(django_capture_on_commit_callbacks, admin, permission="admin")
    nora = Person(make_user("nora", email="nora@example.org"))
    admin.user.memberships.all().delete()
    assert nora.client.get(address).status_code == 404
    assert nora.client.post(f"{address}/accept").status_code == 404

    package = Package.objects.get(account__name="acme", name="hello")
    PackageInvitation.objects.bulk_create(
        PackageInvitation(package=package, email=f"{n}@example.org", invited_by=owner.user)
        for n in range(MAX_OPEN)
    )
    full = owner.client.post(
        f"{PAGE}/add-person", {"user": "more@example.org", "permission": "read"}
    )
    assert "wait already. Withdraw some first." in text_of(full)
