"""One reader of credentials, for every face of the product.

A credential that is sent must be right: a wrong, expired or revoked one is refused on public
routes too, so that a mistyped secret never looks like a missing package.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from dataclasses import dataclass, replace

from allauth.account.models import EmailAddress
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.cache import cache
from django.http import HttpRequest

from accounts import recent_passwords, tokens
from accounts.identity import ANONYMOUS, Identity
from accounts.models import Account, Token, User
from accounts.standing import Standing
from portal.errors import InvalidCredential, TooManyRequests
from portal.sentences import gettext

PATH_TOKEN = "condarium.path_token"  # noqa: S105 - a key of request.META, not a secret
USED_TOKEN = "condarium.used_token"  # noqa: S105 - as above: the `Token` that was sent
_STANDING = "condarium.standing"
_WINDOW_SECONDS = 300
_FAILURES_PER_ADDRESS_AND_NAME = 10
_FAILURES_PER_ADDRESS = 100
# Names under which clients send a token as the password of Basic authentication.
_TOKEN_AS_NAME_PASSWORDS = {"", "x-oauth-basic", "x-token", "token"}
_NO_MATCH = "That name and password do not match, or the token is not known."


class UnknownToken(InvalidCredential):
    """No token reads so."""


class RevokedToken(InvalidCredential):
    pass


class ExpiredToken(InvalidCredential):
    pass


class WrongPassword(InvalidCredential):
    """No user has this name and password."""


class PasswordNotEnough(InvalidCredential):
    """The password is right, and alone it opens nothing all the same."""


@dataclass(frozen=True, slots=True)
class _Basic:
    name: str
    password: str


def client_address(request: HttpRequest) -> str | None:
    """The address the request comes from, through as many proxies as we trust."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        forwarded = [a.strip() for a in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(forwarded) >= settings.TRUSTED_PROXIES and forwarded[-settings.TRUSTED_PROXIES]:
            address = forwarded[-settings.TRUSTED_PROXIES]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def _read_basic(value: str) -> _Basic:
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidCredential(
            "The Authorization header is not Basic authentication as RFC 7617 has it: base64 of "
            "name:password."
        ) from None
    name, colon, password = text.partition(":")
    if not colon or "\0" in text:
        raise InvalidCredential("Basic authentication must be name:password or name:token.")
    return _Basic(name, password)


def _read_header(request: HttpRequest) -> str | _Basic | None:
    """The token or the name and password that the headers carry."""
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    if header:
        scheme, _, value = header.partition(" ")
        value = value.strip()
        if scheme.lower() in {"bearer", "token"} and value:
            return value
        if scheme.lower() == "basic" and value:
            return _read_basic(value)
        raise InvalidCredential(
            "The Authorization header is not understood. Send Bearer <token>, token <token>, or "
            "Basic with a token as the password."
        )
    return request.headers.get("X-API-Key") or None


def identify(request: HttpRequest, *, session: bool = False) -> Identity:
    """Who is asking: by token in the path or a header, name and password, or their session.

    ``session`` admits a signed-in browser; only for what is protected against forged requests,
    or reads. Raises `InvalidCredential` for a credential that opens nothing, and
    `TooManyRequests` when too many were tried.
    """
    address = client_address(request)
    agent = request.headers.get("User-Agent", "")[:200]
    secret = request.META[PATH_TOKEN] if PATH_TOKEN in request.META else _read_header(request)
    if secret == "":
        raise InvalidCredential(
            "The address has a place for a token, and none stands in it. Is its variable set?"
        )
    if secret is not None:
        identity = (
            _by_token(secret, address, agent)
            if isinstance(secret, str)
            else _by_basic(request, secret, address, agent)
        )
        if identity.token is not None:
            request.META[USED_TOKEN] = identity.token
        return identity
    if session and request.user.is_authenticated:
        return _by_user(request.user, address, agent)
    return Identity(ip_address=address, user_agent=agent) if address or agent else ANONYMOUS


def identify_session(request: HttpRequest) -> Identity:
    """Who is signed in, for pages: headers are not looked at. Who only looks is asked what they
    are in organizations once."""
    if request.user.is_authenticated:
        identity = identify_user(request, request.user)
        if request.method not in {"GET", "HEAD"}:
            return identity
        known: dict[int, Standing] = request.META.setdefault(_STANDING, {})
        standing = known.setdefault(request.user.pk, Standing(request.user))
        return replace(identity, standing=standing)
    agent = request.headers.get("User-Agent", "")[:200]
    return Identity(ip_address=client_address(request), user_agent=agent)


def identify_user(request: HttpRequest, user: User) -> Identity:
    """Who asks, when it was proven by other means that it is ``user``."""
    return _by_user(user, client_address(request), request.headers.get("User-Agent", "")[:200])


def identify_again(identity: Identity) -> Identity:
    """Who started something that still goes on, as they are now; refused as if they asked now."""
    if identity.token is not None:
        rows = Token.objects.select_related("account__user")
        token = rows.filter(pk=identity.token.pk).first()
        if token is None:
            raise UnknownToken(gettext("The token it was started with is no longer there."))
        _refuse_unusable(token)
        user = token.account.user if token.account.kind == Account.Kind.USER else None
        return Identity(
            user=user, token=token, ip_address=identity.ip_address, user_agent=identity.user_agent
        )
    if identity.user is None:
        raise InvalidCredential(gettext("Whoever started it is no longer here."))
    found = User.objects.select_related("account").filter(pk=identity.user.pk).first()
    if found is None:
        raise InvalidCredential(gettext("Whoever started it is no longer here."))
    return _by_user(found, identity.ip_address, identity.user_agent)


def _by_user(user: User, address: str | None, agent: str) -> Identity:
    if not user.is_active or user.account.suspended_at is not None:
        raise InvalidCredential(gettext("This account is suspended."))
    return Identity(user=user, ip_address=address, user_agent=agent)


def _refuse_unusable(token: Token) -> None:
    if token.revoked_at is not None:
        raise RevokedToken(gettext("This token was revoked. Make a new one in Settings, Access."))
    if token.is_expired:
        raise ExpiredToken(gettext("This token has expired. Make a new one in Settings, Access."))
    account = token.account
    if account.suspended_at is not None or (
        account.kind == Account.Kind.USER and not account.user.is_active
    ):
        raise InvalidCredential(gettext("The account of this token is suspended."))


def _by_token(secret: str, address: str | None, agent: str) -> Identity:
    token = tokens.find(secret)
    if token is None:
        raise UnknownToken(
            gettext(
                "This token is not known here. Check that it was copied whole, or make a new "
                "one in Settings, Access."
            )
        )
    _refuse_unusable(token)
    tokens.note_use(token, address, agent)
    user = token.account.user if token.account.kind == Account.Kind.USER else None
    return Identity(user=user, token=token, ip_address=address, user_agent=agent)


def _by_basic(request: HttpRequest, basic: _Basic, address: str | None, agent: str) -> Identity:
    # The password is tried as a token first, and the name is not compared: conda, curl and netrc
    # each have their own idea of what to write there.
    if basic.password.startswith(tokens.PREFIX):
        return _by_token(basic.password, address, agent)
    if basic.name.startswith(tokens.PREFIX) and basic.password in _TOKEN_AS_NAME_PASSWORDS:
        return _by_token(basic.name, address, agent)
    return _by_password(request, basic, address, agent)


def _failure_keys(name: str, address: str | None) -> dict[str, int]:
    where = address or "unknown"
    digest = hashlib.sha256(name.lower().encode()).hexdigest()[:24]
    return {
        f"basic-failures:{where}:{digest}": _FAILURES_PER_ADDRESS_AND_NAME,
        f"basic-failures:{where}": _FAILURES_PER_ADDRESS,
    }


def _count(key: str) -> None:
    if cache.add(key, 1, _WINDOW_SECONDS):
        return
    try:
        cache.incr(key)
    except ValueError:  # it has expired since
        cache.set(key, 1, _WINDOW_SECONDS)


def _check_password(
    request: HttpRequest, basic: _Basic, attempt: str, address: str | None
) -> User | None:
    """Whose password it is, None for nobody's; within what one address may try."""
    counters = _failure_keys(basic.name, address)
    if any((cache.get(key) or 0) >= limit for key, limit in counters.items()):
        raise TooManyRequests(retry_after_seconds=_WINDOW_SECONDS)
    name = basic.name.strip().lower()
    user = authenticate(request, username=name, password=basic.password)
    if isinstance(user, User) and user.is_active:
        if user.username == name:  # else it was the e-mail address, which may become another's
            recent_passwords.remember(attempt, right=True)
        return user
    if recent_passwords.remember(attempt, right=False):
        for key in counters:
            _count(key)
    return None


def _by_password(request: HttpRequest, basic: _Basic, address: str | None, agent: str) -> Identity:
    name = basic.name.strip().lower()
    user = User.objects.select_related("account").filter(username=name).first()
    attempt = recent_passwords.fingerprint(name, basic.password, user)
    right = recent_passwords.recall(attempt)
    if right is None:
        user = _check_password(request, basic, attempt, address)
    elif not right:
        # The same password again is no further guess: it neither counts nor costs.
        raise WrongPassword(_NO_MATCH)
    if user is None or not user.is_active:
        raise WrongPassword(_NO_MATCH)
    if is_mfa_enabled(user):
        raise PasswordNotEnough(
            gettext(
                "This account has a second factor, so its password alone opens nothing here. Send "
                "a token as the password: Settings, Access."
            )
        )
    if not has_verified_email(user):
        raise PasswordNotEnough(gettext("The e-mail address of this account is not verified yet."))
    return _by_user(user, address, agent)


def has_verified_email(user: User) -> bool:
    return bool(EmailAddress.objects.filter(user=user, verified=True).exists())
