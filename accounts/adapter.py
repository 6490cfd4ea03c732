"""Where allauth asks the house: whether sign-up is open, and how a user comes into being."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse

from accounts import audit
from accounts.authentication import client_address
from accounts.identity import Identity
from accounts.models import Account, User
from accounts.names import username_validators
from accounts.people import name_taken
from portal.errors import Conflict


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)

    def clean_username(self, username: str, shallow: bool = False) -> str:
        """Refuse also the names of organizations: there is one namespace."""
        for validate in username_validators:
            validate(username)
        name = username.strip().lower()
        if not shallow and Account.objects.filter(name=name).exists():
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
