"""What acts are done to: acme with something of everything, and all of the cast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction

from accounts.models import Account, Organization
from accounts.roles import Permission, Role
from registry import (
    channel_transfers,
    channel_work,
    indexing,
    jobs,
    package_invitations,
    placement,
    transfers,
)
from registry.channels import create_channel
from registry.collaboration import set_collaborator
from registry.models import Channel, Package, PackageFile
from tests.accounts.views.pages import days_from_now
from tests.browser.acts.rights import COLLABORATORS
from tests.cast import Person
from tests.factories import add_member, make_group, make_invitation, make_user
from tests.registry.api.world import make_world, publish

KEY = "k" * 43


@dataclass(frozen=True)
class Realm:
    """acme, and gus, a bystander to whom it offers and who has invitations to answer.

    ``parts`` are one of each that a URL may name; nothing is done to them, since those who may
    not are tried on them.
    """

    acme: Organization
    people: dict[str, Person]
    gus: Person
    parts: dict[str, object]

    @property
    def olga(self) -> Person:
        return self.people["olga"]

    @property
    def account(self) -> Account:
        return self.acme.account

    def package(self, name: str, *, channel: str = "main", **built: Any) -> PackageFile:
        """A file of a new package of acme's, of which each collaborator has what theirs is."""
        file = publish(self.olga, "acme", channel, name, **built)
        for who, permission in COLLABORATORS.items():
            set_collaborator(
                by=self.olga.identity,
                package=file.package,
                permission=permission,
                user=self.people[who].user,
            )
        return file

    def index(self, channel: str = "main") -> None:
        """Bring up to date what clients are given of a channel, and of no other."""
        found = Channel.objects.get(account=self.account, name=channel)
        for subdir in ("noarch", ""):  # the second is what is said of all of the channel
            assert indexing.bring_up_to_date(found.pk, subdir)

    def channel(self, name: str, **values: Any) -> Channel:
        return create_channel(by=self.olga.identity, account=self.account, name=name, **values)


def sign_in(person: Person) -> str:
    """The key of a session in which they have just proved that it is them, with all they have."""
    session = person.client.session
    session["account_authentication_methods"] = [
        {"method": method, "at": time.time()} for method in ("password", "mfa")
    ]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()
    assert session.session_key is not None
    return session.session_key


@transaction.atomic
def make_realm() -> Realm:
    olga = Person(make_user("olga"))
    world = make_world("acme", olga)
    acme = world.organization
    people = {"olga": olga, "rosa": Person(make_user("rosa", is_superuser=True))}
    for name in ("sven", "rita", "maria", "adam", *COLLABORATORS):
        people[name] = Person(make_user(name))
    Authenticator.objects.create(user=people["rosa"].user, type=Authenticator.Type.TOTP, data={})
    for name, role in {"rita": Role.MEMBER, "maria": Role.MEMBER, "adam": Role.ADMIN}.items():
        add_member(acme, people[name].user, role=role)
    make_group(
        acme, "maintainers", permission=Permission.WRITE, all_packages=True,
        members=[people["maria"].user],
    )  # fmt: skip
    hello = Package.objects.select_related("account").get(account=acme.account, name="hello")
    for name, permission in COLLABORATORS.items():
        set_collaborator(
            by=olga.identity, package=hello, permission=permission, user=people[name].user
        )
    gus = Person(make_user("gus"))
    realm = Realm(acme, people, gus, {})
    realm.parts.update(world.ids)
    realm.parts.update(_parts(realm, hello))
    return realm


def _parts(realm: Realm, hello: Package) -> dict[str, object]:
    by, acme, gus = realm.olga.identity, realm.acme, realm.gus
    main = Channel.objects.select_related("account").get(account=realm.account, name="main")
    dev = Channel.objects.select_related("account").get(account=realm.account, name="dev")
    given = realm.package("given").package
    spare = realm.channel("spare")
    gone = publish(realm.olga, "acme", "main", "gone")
    placement.delete_file(by=by, file=gone)
    lost = publish(realm.olga, "acme", "main", "lost")
    placement.remove_from_channel(by=by, file=lost, channel=main)
    own_invitation = make_invitation(
        acme, "gus@example.org", key=KEY, expires_at=days_from_now(3), user=gus.user,
        invited_by=realm.olga.user,
    )  # fmt: skip
    invited = package_invitations.invite(
        by=by, package=hello, email="gus@example.org", permission=Permission.READ
    )
    passkey = Authenticator.objects.create(
        user=gus.user, type=Authenticator.Type.WEBAUTHN, data={"name": "key", "credential": {}}
    )
    session = UserSession.objects.create(
        user=gus.user, session_key=sign_in(gus), ip="192.0.2.9", user_agent="a browser"
    )
    file = hello.files.get()
    publish(gus, "gus", "main", "seed")
    of_gus = Channel.objects.select_related("account").get(account__name="gus", name="main")
    job = channel_work.start_copy_all(by=gus.identity, source=main, target=of_gus)
    jobs.stop(by=gus.identity, job=job)
    return {
        "account": "acme", "me": gus.name, "package": "hello", "version": "1.0",
        "subdir": "noarch", "filename": file.filename, "channel": "main", "group": "helpers",
        "user": "rita", "organization": "acme", "hello": file.pk, "key": KEY, "binned": gone.pk,
        "file": gone.pk, "main": main.pk,
        "collaborator": hello.collaborators.get(user__username="cora").pk,
        "transfer": transfers.offer(
            by=by, package=given, target_name="gus", keeps_collaborators=False
        ).key,
        "channel_transfer": channel_transfers.offer(
            by=by, channel=spare, target_name="gus"
        ).key,
        "package_invitation": invited.pk, "package_invitation_key": invited.key,
        "job": channel_work.start_copy_all(by=by, source=main, target=dev).key,
        "job_of_gus": job.key, "own_invitation": own_invitation.pk,
        "session": session.pk, "passkey": passkey.pk, "field": "summary", "name": "uploads",
    }  # fmt: skip
