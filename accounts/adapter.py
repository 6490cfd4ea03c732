"""Where allauth asks the house: whether sign-up is open, how a user comes into being, and in which
words something is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts import audit, switches
from accounts.authentication import client_address
from accounts.identity import Identity
from accounts.models import Account, User
from accounts.names import username_validators
from accounts.people import is_taken, name_taken
from accounts.proofs import has_fresh_proof
from portal.errors import Conflict, too_many_attempts

# One sentence whether the name or the password was wrong: else it would tell who has an account.
_NO_MATCH = _("That name and password do not match.")


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _NO_MATCH,
        "username_password_mismatch": _NO_MATCH,
        "invalid_login": _NO_MATCH,
        "incorrect_password": _("That password is not right."),
        "enter_current_password": _("That is not your current password."),
        "incorrect_code": _("That code is not right. Look whether a newer one was sent."),
    }

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        request = context.request
        if request is not None and has_fresh_proof(request):
            return False
        return bool(super().is_reauthentication_required(app=app, **kwargs))

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Say also when it opens again, where too many names or passwords were tried."""
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError as refusal:
            key = self._get_login_attempts_cache_key(request, **credentials)
            raise _locked(request, key) from refusal

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        request = context.request
        if code == "too_many_login_attempts" and request is not None:
            user = _who_proves(request)
            if user is not None:
                return _locked(request, f"mfa-auth-user-{user.pk}")
        refusal: ValidationError = super().validation_error(code, *args)
        return refusal

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Let nobody in to a suspended account, whatever they proved."""
        if user.account.suspended_at is not None:
            refused: HttpResponse = self.respond_user_inactive(request, user)
            return refused
        answer: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return answer

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        switches.require(switches.Name.SIGN_UP)
        return bool(settings.SIGNUP_OPEN)

    def clean_username(self, username: str, shallow: bool = False) -> str:
        """Refuse also the names of organizations: there is one namespace."""
        for validate in username_validators:
            validate(username)
        name = username.strip().lower()
        if not shallow and is_taken(name):
            raise ValidationError(name_taken(username), code="username_taken")
        return name

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Save the user together with the account of the same name, or neither."""
        super().save_user(request, user, form, commit=False)
        user.username = user.username.lower()
        try:
            with transaction.atomic():
                user.account = Account.objects.create(name=user.username, kind=Account.Kind.USER)
                if commit:
                    user.save()
                    self._record(request, user)
        except IntegrityError:
            # Someone else took the name since the form was looked at.
            raise Conflict(name_taken(user.username)) from None
        return user

    def post_login(
        self, request: HttpRequest, user: User, *, signup: bool, **kwargs: Any
    ) -> HttpResponse:
        """Count signing up as a proof of who they are, as signing in is: they chose the password
        and showed the mailed code in this very session."""
        if signup:
            record_authentication(request, user, method="signup")
        response: HttpResponse = super().post_login(request, user, signup=signup, **kwargs)
        return response

    def _record(self, request: HttpRequest, user: User) -> None:
        agent = request.headers.get("User-Agent", "")[:200]
        by = Identity(user=user, ip_address=client_address(request), user_agent=agent)
        audit.record(by=by, account=user.account, action="user.create", target=user.username)


def _who_proves(request: HttpRequest) -> User | None:
    """Whose second factor is asked for: of who signs in, or is signed in and proves it again."""
    stage = getattr(request, "_login_stage", None)
    user = stage.login.user if stage is not None else request.user
    return user if isinstance(user, User) else None


def _locked(request: HttpRequest, key: str) -> ValidationError:
    opens = _opens_at(request, key)
    return ValidationError(too_many_attempts(opens), code="too_many_login_attempts")


def _opens_at(request: HttpRequest, key: str) -> datetime:
    """When another attempt is let in: when the oldest of those that fill a limit has passed."""
    now = time.time()
    opens = [now + 60]
    for rate in ratelimit.get_rates(app="allauth.account", action="login_failed"):
        place = ratelimit.get_cache_key(
            request, app="allauth.account", action="login_failed", rate=rate, key=key
        )
        tried = [at for at in cache.get(place, []) if at > now - rate.duration]
        if len(tried) >= rate.amount:
            opens.append(min(tried) + rate.duration)
    return datetime.fromtimestamp(max(opens), tz=UTC)


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is untyped
    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _(
            "That code is not right. A code lasts 30 seconds: type the newest, and look whether "
            "the clock of your device is right."
        ),
        "unverified_email": _(
            "One of your e-mail addresses is not verified yet. Verify or remove it first, so that "
            "nobody is locked out of an address that is theirs."
        ),
        "cannot_generate_recovery_codes": _(
            "Recovery codes come with a second factor. Add an authenticator app or a passkey first."
        ),
    }

    def generate_authenticator_name(self, user: User, type: Any) -> str:  # noqa: A002 - allauth's
        return ""
