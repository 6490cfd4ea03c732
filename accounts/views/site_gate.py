"""Who may see the pages of those who run the site: site admins, with a fresh second factor.

For everybody else they are not there, and nothing tells that they could be.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.authentication import identify_session
from accounts.factors import has_second_factor
from accounts.rights import runs_the_site
from portal.errors import NotFound

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def has_fresh_factor(request: HttpRequest) -> bool:
    """Whether their second factor was asked for a short while ago; a password is no such proof."""
    oldest = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" and record["at"] > oldest for record in records)


def lead_to_proof(request: HttpRequest) -> HttpResponse | None:
    """None for a site admin who proved it; where they go first otherwise."""
    identity = identify_session(request)
    if identity.user is None or not runs_the_site(identity):
        raise NotFound
    if not has_second_factor(identity.user):
        messages.warning(
            request, _("Add a second factor first: these pages are for who can prove it is them.")
        )
        return redirect(reverse("mfa_index"))
    if has_fresh_factor(request):
        return None
    # A post is not repeated for them: they come to the overview.
    goal = request.get_full_path() if request.method == "GET" else reverse("registry:site")
    return redirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': goal})}")


def _guarded(view: View[P]) -> View[P]:
    @wraps(view)
    def proven(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return lead_to_proof(request) or view(request, *args, **kwargs)

    return never_cache(proven)


def site_page(view: View[P]) -> View[P]:
    return _guarded(require_safe(view))


def site_form(view: View[P]) -> View[P]:
    return _guarded(require_http_methods(["GET", "HEAD", "POST"])(view))


def site_act(page_name: str) -> Callable[[View[P]], View[P]]:
    """An act whose form stands on another page of the site."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def posted(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method != "POST":
                return redirect(reverse(page_name))
            return view(request, *args, **kwargs)

        return _guarded(posted)

    return decorate
