"""Tokens over the API, and what they may be limited to.

anaconda.org calls a token an authentication, and its name the application.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Literal

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts import client_login, rights, tokens
from accounts.authentication import UnknownToken, identify, identify_user
from accounts.identity import Identity
from accounts.models import Account, Token
from accounts.scopes import Ability, Scope
from accounts.tokens import TokenExists
from portal.errors import CredentialNeeded, InvalidInput, NotFound
from registry import access
from registry.dialects.anaconda.endpoint import endpoint, read_json, reply

_DEFAULT_LIFETIME = timedelta(days=365)
_MAX_AGE_SECONDS = 10**10  # beyond any maximum, and yet a date
_ACCESS_PREFIX = f"{tokens.PREFIX}a"

# Scopes that scripts ask for since anaconda.org has them, for what this host doesn't have.
_WITHOUT_MEANING = {
    "pypi": "Use Python repositories",
    "pypi:upload": "Upload to Python repositories",
    "pypi:download": "Download private Python packages",
    "npm:download": "Download private npm packages",
    "file:download": "Download private files of no package kind",
    "kapsel:upload": "Upload kapsels",
    "api:build": "Use the build service",
    "api:build-results": "Send results of builds",
    "api:build-worker": "Work for the build service",
    "api:modify-collection": "Change collections",
}
_COLLECTION = re.compile(r"repos:collection:[A-Za-z0-9._-]{1,64}", re.ASCII)
_NOT_HERE = "gives nothing here, since this host has conda packages only"


class _Wanted(msgspec.Struct, rename="kebab"):
    """What a client sends for a token; null is the same as left out."""

    note: str | None = None
    note_url: str | None = msgspec.field(default=None, name="note_url")
    hostname: str | None = None
    user: str | None = None
    scopes: list[str] | None = None
    max_age: int | None = None
    # Tokens here are all as strong.
    strength: Literal["strong", "weak"] | None = None
    fail_if_exists: bool = True


# --- Making ------------------------------------------------------------------------------------


def _identify(request: HttpRequest) -> Identity:
    """Who asks; to make a token, also who has just signed in with the browser."""
    scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    secret = secret.strip()
    if request.method != "POST" or scheme.lower() != "bearer":
        return identify(request)
    if not secret.startswith(_ACCESS_PREFIX):
        return identify(request)
    user = client_login.redeem(secret)
    if user is None:
        raise UnknownToken(
            "This sign-in by the browser is over, or its token was made already. Run anaconda "
            "login again."
        )
    return identify_user(request, user)


@sensitive_variables("made")
def _create(request: HttpRequest, by: Identity) -> HttpResponse:
    rights.require_ability(by, Ability.MANAGE_TOKENS)
    wanted = read_json(request, _Wanted)
    account = _account(by, wanted.user)
    rights.require_admin(by, account, Ability.MANAGE_TOKENS)
    scopes, without_meaning = _scopes(wanted.scopes or [])
    own = by.token
    try:
        made = tokens.create_token(
            by=by,
            account=account,
            name=wanted.note or "",
            # What is left open is as with the one who asks: everything, or what their token has.
            scopes=scopes or (own.scopes if own else [Scope.ALL]),
            channels=own.channels if own else (),
            packages=own.packages if own else (),
            expires_at=_expiry(own, wanted.max_age),
            hostname=wanted.hostname or "",
            note_url=wanted.note_url or "",
            replaces=not wanted.fail_if_exists,
        )
    except TokenExists as refusal:
        # The client asks whether the old one may be replaced, at this status alone.
        raise InvalidInput(refusal.detail) from refusal
    answer = {"token": made.secret, **_shown(made.token)}
    if not without_meaning:
        return reply(answer)
    warning = f"What was asked for {_NOT_HERE}: {', '.join(without_meaning)}."
    return reply(
        {**answer, "scopes_without_meaning": without_meaning},
        # Their client shows it beside the token.
        headers={"Conda-Token-Warning": warning},
    )


def _account(by: Identity, name: str | None) -> Account:
    if name:
        if not name.isprintable():
            raise NotFound  # nobody is called so, and PostgreSQL takes no such text
        return access.find_account(name)
    if by.account is None:
        raise CredentialNeeded
    return by.account


def _scopes(wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """The scopes that the act may judge, and those that are taken and mean nothing here."""
    meant: list[str] = []
    without_meaning: list[str] = []
    for scope in dict.fromkeys(word for item in wanted for word in item.split()):
        is_theirs = scope in _WITHOUT_MEANING or _COLLECTION.fullmatch(scope)
        (without_meaning if is_theirs else meant).append(scope)
    if wanted and not meant:
        # With no scope at all it would be a token for everything.
        named = ", ".join(without_meaning[:10]) or "A scope without a name"
        raise InvalidInput(
            f"{named} {_NOT_HERE}, so the token would open nothing. "
            f"The scopes are: {', '.join(Scope.values)}."
        )
    return meant, without_meaning[:20]


def _expiry(own: Token | None, max_age_seconds: int | None) -> datetime:
    if max_age_seconds is None:
        lifetime = min(_DEFAULT_LIFETIME, settings.TOKEN_MAX_LIFETIME)
        last = timezone.now() + lifetime
        return min(last, own.expires_at) if own and own.expires_at else last
    if max_age_seconds <= 0:
        raise InvalidInput(
            f"max-age is {max_age_seconds}; a number of seconds above 0 is wanted, or none for a "
            "year."
        )
    return timezone.now() + timedelta(seconds=min(max_age_seconds, _MAX_AGE_SECONDS))


# --- Looking -----------------------------------------------------------------------------------


def _shown(token: Token) -> dict[str, object]:
    return {
        "id": str(token.pk),
        "application": token.name,
        "note_url": token.note_url,
        "remote_addr": token.last_used_ip or "",
        "hostname": token.hostname,
        # With its zone: the client compares it with its own clock.
        "expires": token.expires_at.astimezone(UTC).isoformat() if token.expires_at else None,
        "scopes": token.scopes,
    }


def _list(_request: HttpRequest, by: Identity) -> HttpResponse:
    account = _account(by, None)
    rights.require_admin(by, account, Ability.READ)
    live = Token.objects.filter(account=account, revoked_at=None).order_by("-created_at", "-id")
    return reply([_shown(token) for token in live])


def _current(_request: HttpRequest, by: Identity) -> HttpResponse:
    """The token that asks; any may look at itself."""
    if by.is_anonymous:
        raise CredentialNeeded
    if by.token is None:
        raise InvalidInput("You came with a password, and this is about the token you come with.")
    return reply(_shown(by.token))


def _type(_request: HttpRequest, _by: Identity) -> HttpResponse:
    return reply({"authentication_type": "password"})


def _list_scopes(_request: HttpRequest, _by: Identity) -> HttpResponse:
    of_no_use = {scope: f"{sentence}: {_NOT_HERE}" for scope, sentence in _WITHOUT_MEANING.items()}
    meanings = {scope: str(sentence) for scope, sentence in Scope.choices}
    return reply({**meanings, **of_no_use})


# --- Revoking ----------------------------------------------------------------------------------


def _log_out(_request: HttpRequest, by: Identity) -> HttpResponse:
    """Revoke the token that asks: that harms nobody else, so no scope is needed for it."""
    if by.is_anonymous:
        raise CredentialNeeded
    if by.token is None:
        raise InvalidInput("You came with a password, so there is no token to revoke.")
    tokens.revoke_token(by=by, token=by.token)
    return reply({"ok": 1}, HTTPStatus.CREATED)


def _remove(
    _request: HttpRequest, by: Identity, name: str, organization: str | None = None
) -> HttpResponse:
    account = _account(by, organization)
    rights.require_admin(by, account, Ability.MANAGE_TOKENS)
    token = Token.objects.filter(account=account, name=name, revoked_at=None).first()
    if token is None:
        raise NotFound
    token.account = account
    tokens.revoke_token(by=by, token=token)
    return reply({"ok": 1}, HTTPStatus.CREATED)


_authentications = r"^api/authentications"

urlpatterns: list[URLPattern] = [
    re_path(r"^api/authentication-type\Z", endpoint(GET=_type)),
    re_path(r"^api/authentication\Z", endpoint(GET=_current)),
    re_path(r"^api/scopes\Z", endpoint(GET=_list_scopes)),
    re_path(
        rf"{_authentications}\Z",
        endpoint(_identify, GET=_list, POST=_create, DELETE=_log_out),
    ),
    re_path(rf"{_authentications}/name/(?P<name>.+)\Z", endpoint(DELETE=_remove)),
    re_path(
        rf"{_authentications}/org/(?P<organization>[^/]+)/name/(?P<name>.+)\Z",
        endpoint(DELETE=_remove),
    ),
]
