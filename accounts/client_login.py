"""Signing a program in by its user's browser: a code with PKCE, exchanged for an access token.

OAuth 2.0 for native apps (RFC 6749 section 4.1, RFC 7636, RFC 8252), as far as ``anaconda login``
speaks it: one public client, one redirect on the loopback, S256 alone. The access token opens one
thing, once: making a token of our own. No ID token is made, since nobody would read one, and no
refresh token, since nothing is left to refresh.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts import tokens
from accounts.identity import Identity
from accounts.models import ClientLogin, User
from portal.errors import CredentialNeeded
from portal.sentences import gettext

# Both are fixed in the client.
CLIENT_ID = "b4ad7f1d-c784-46b5-a9fe-106e50441f5a"
REDIRECT_URI = "http://127.0.0.1:8000/auth/oidc"
REDIRECT_ORIGIN = "http://127.0.0.1:8000"

CODE_LIFETIME = timedelta(minutes=1)
ACCESS_LIFETIME = timedelta(minutes=5)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class InvalidGrant(Exception):
    """The code opens nothing, or not with this verifier."""


def is_challenge(text: str) -> bool:
    """Whether ``text`` can be a code challenge of the method S256."""
    return _CHALLENGE.fullmatch(text) is not None


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def allow(*, by: Identity, code_challenge: str) -> str:
    """Let a program sign in as ``by``: the code for whoever knows the challenge's verifier."""
    if by.user is None:
        raise CredentialNeeded(gettext("Sign in first."))
    now = timezone.now()
    ClientLogin.objects.filter(expires_at__lte=now).delete()
    code = tokens.secret_with("c")
    ClientLogin.objects.create(
        user=by.user,
        code_digest=tokens.digest(code),
        code_challenge=code_challenge,
        expires_at=now + CODE_LIFETIME,
    )
    return code


def exchange(*, code: str, verifier: str) -> str:
    """The access token for a code; raises `InvalidGrant`.

    A code is good for one attempt. One that comes again was stolen on one of both ways, so the
    access token that it was exchanged for opens nothing any more (RFC 6749 section 4.1.2).
    """
    access: str | None = None
    # The refusal is raised outside, or the transaction would bring the code back.
    with transaction.atomic():
        login = ClientLogin.objects.select_for_update().filter(code_digest=_digest(code)).first()
        if login is not None and _is_proven(login, verifier):
            access = tokens.secret_with("a")
            login.access_digest = tokens.digest(access)
            login.expires_at = timezone.now() + ACCESS_LIFETIME
            login.save(update_fields=["access_digest", "expires_at"])
        elif login is not None:
            login.delete()
    if access is None:
        raise InvalidGrant
    return access


def _is_proven(login: ClientLogin, verifier: str) -> bool:
    return (
        not login.access_digest
        and login.expires_at > timezone.now()
        and _VERIFIER.fullmatch(verifier) is not None
        and hmac.compare_digest(challenge_of(verifier), login.code_challenge)
    )


def redeem(access: str) -> User | None:
    """Who signed in, told once; None for what is no access token, used up or too old."""
    login = (
        ClientLogin.objects.select_related("user__account")
        .filter(access_digest=_digest(access), expires_at__gt=timezone.now())
        .first()
    )
    if login is None or not ClientLogin.objects.filter(pk=login.pk).delete()[0]:
        return None
    return login.user


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
