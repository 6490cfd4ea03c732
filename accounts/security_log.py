"""The lines of the audit log for what allauth does: it tells by signals, which end here."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account_signals
from allauth.account.models import EmailAddress
from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from django.dispatch import Signal
from django.http import HttpRequest

from accounts import audit
from accounts.authentication import client_address
from accounts.identity import Identity
from accounts.models import User


def _record(request: HttpRequest | None, user: User, action: str, target: str = "") -> None:
    by = Identity(user=user)
    if request is not None:
        agent = request.headers.get("User-Agent", "")[:200]
        by = Identity(user=user, ip_address=client_address(request), user_agent=agent)
    audit.record(by=by, account=user.account, action=action, target=target)


def _password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    _record(request, user, "security.password-change")


def _password_reset(request: HttpRequest, user: User, **_: Any) -> None:
    _record(request, user, "security.password-reset")


def _email_added(request: HttpRequest, user: User, email_address: EmailAddress, **_: Any) -> None:
    _record(request, user, "security.email-add", email_address.email)


def _email_removed(request: HttpRequest, user: User, email_address: EmailAddress, **_: Any) -> None:
    _record(request, user, "security.email-remove", email_address.email)


def _email_confirmed(request: HttpRequest, email_address: EmailAddress, **_: Any) -> None:
    _record(request, email_address.user, "security.email-confirm", email_address.email)


def _email_changed(
    request: HttpRequest | None, user: User, to_email_address: EmailAddress, **_: Any
) -> None:
    _record(request, user, "security.email-primary", to_email_address.email)


_KINDS = {
    Authenticator.Type.TOTP: "authenticator app",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}


def _kind(authenticator: Authenticator) -> str:
    kind = _KINDS[Authenticator.Type(authenticator.type)]
    kept = authenticator.data
    name = kept.get("name", "") if isinstance(kept, dict) else ""  # as in readable_factors
    return f"{kind} {name}".strip()


def _factor_added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    _record(request, user, "security.factor-add", _kind(authenticator))


def _factor_removed(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: Any
) -> None:
    _record(request, user, "security.factor-remove", _kind(authenticator))


def _codes_made_anew(request: HttpRequest, user: User, **_: Any) -> None:
    _record(request, user, "security.codes-new")


def _factor_used(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        _record(request, user, "security.code-used")


_LISTENERS: list[tuple[Signal, Any]] = [
    (account_signals.password_changed, _password_changed),
    (account_signals.password_set, _password_changed),
    (account_signals.password_reset, _password_reset),
    (account_signals.email_added, _email_added),
    (account_signals.email_removed, _email_removed),
    (account_signals.email_confirmed, _email_confirmed),
    (account_signals.email_changed, _email_changed),
    (mfa_signals.authenticator_added, _factor_added),
    (mfa_signals.authenticator_removed, _factor_removed),
    (mfa_signals.authenticator_reset, _codes_made_anew),
    (mfa_signals.authenticator_used, _factor_used),
]


def listen() -> None:
    for signal, listener in _LISTENERS:
        signal.connect(listener, dispatch_uid=f"accounts.security_log.{listener.__name__}")
