from __future__ import annotations

from typing import cast

from allauth.account.forms import LoginForm
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.first_account import make_first_account, require_key
from accounts.forms import FirstAccountForm, show_refusal
from portal.errors import Conflict, InvalidInput


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def first_account(request: HttpRequest, key: str) -> HttpResponse:
    """Where the link that a new host prints leads: the site admin makes their account."""
    require_key(key)
    form = FirstAccountForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            user = make_first_account(key=key, **form.cleaned_data)
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            return _sign_in(request, user.username, form.cleaned_data["password"])
    status = 422 if form.errors else 200
    return render(request, "accounts/first_account.html", {"form": form}, status=status)


def _sign_in(request: HttpRequest, username: str, password: str) -> HttpResponse:
    """Through the same door as everybody, so that sessions and second factors know of it."""
    login = LoginForm({"login": username, "password": password}, request=request)
    if not login.is_valid():
        # Too many attempts from here: the account is made, the rest is signing in later.
        return redirect(settings.LOGIN_URL)
    return cast("HttpResponse", login.login(request, redirect_url=settings.LOGIN_REDIRECT_URL))
