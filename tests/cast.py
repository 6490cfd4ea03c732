"""The people that tests are about."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.identity import Identity
from accounts.models import User
from accounts.tokens import NewToken
from tests import conda_client
from tests.builders import BuiltPackage
from tests.conda_client import Answer, ChannelAddress
from tests.factories import make_token


@dataclass(frozen=True)
class Person:
    """Someone with an account, signed in with a browser of their own."""

    user: User

    @property
    def name(self) -> str:
        return self.user.username

    @cached_property
    def client(self) -> Client:
        client = Client(HTTP_ACCEPT="text/html")
        client.force_login(self.user)
        return client

    @property
    def identity(self) -> Identity:
        """Who they are to an act, as a page would say."""
        return Identity(user=self.user, ip_address="192.0.2.1", user_agent="a browser")

    def token(self, *scopes: str, **fields: Any) -> NewToken:
        """A token of theirs with these scopes, ``all`` if none are named."""
        return make_token(self.user.account, *scopes, created_by=self.user, **fields)

    def identity_with(self, *scopes: str, **fields: Any) -> Identity:
        """Who they are to an act when they come with such a token."""
        return Identity(user=self.user, token=self.token(*scopes, **fields).token)

    def upload(self, built: BuiltPackage, *, to: ChannelAddress, **how: Any) -> Answer:
        """Publish as CI does: PUT to the channel's address, with a token of theirs."""
        return conda_client.upload(self, built, to=to, **how)

    def repodata(self, channel: ChannelAddress, subdir: str) -> dict[str, Any]:
        """What their client is told of a subdir."""
        return conda_client.repodata(self, channel, subdir)


def proven(person: Person, *, method: str = "mfa", age: float = 0) -> Client:
    """Their browser, in which they proved it so long ago with their second factor, or otherwise."""
    if not Authenticator.objects.filter(user=person.user).exists():
        Authenticator.objects.create(user=person.user, type=Authenticator.Type.TOTP, data={})
    session = person.client.session
    session["account_authentication_methods"] = [{"method": method, "at": time.time() - age}]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()
    return person.client
