"""How somebody signs in, on one page; adding and changing are pages of allauth in our looks."""

from __future__ import annotations

from allauth.account import views as allauth_views
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.shortcuts import render as render_page
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache

from accounts import security as signing_in
from accounts.identity import Identity
from accounts.models import Account, User
from accounts.security_forms import AddEmailForm, CodesSavedForm
from accounts.views.frame import act_of, own_account, page, settings_frame
from portal.errors import NotFound


@never_cache
@login_required
def own_page(request: HttpRequest, part: str) -> HttpResponse:
    """Where allauth goes after its acts, and where old links lead: the part of the page."""
    return redirect(f"{_page_of(request)}#{part}")


@never_cache
@login_required
def emails(request: HttpRequest) -> HttpResponse:
    """allauth's acts on addresses; the list stands on our page."""
    if request.method != "POST":
        return redirect(f"{_page_of(request)}#emails")
    answer: HttpResponse = allauth_views.email(request)
    return answer


def _page_of(request: HttpRequest) -> str:
    return reverse("accounts:security", args=[request.user.get_username()])


def _own(request: HttpRequest, name: str) -> tuple[Identity, Account, User]:
    identity, account = own_account(request, name)
    if identity.user is None:
        raise NotFound
    return identity, account, identity.user


@page
def security(request: HttpRequest, account: str) -> HttpResponse:
    _, found, user = _own(request, account)
    context = {
        **settings_frame(request, found, "security"),
        "person": user,
        "has_password": user.has_usable_password(),
        "addresses": EmailAddress.objects.filter(user=user).order_by("-primary", "email"),
        "email_form": AddEmailForm(user=user),
        "factor": signing_in.second_factor(user),
        "sessions": signing_in.sessions(user, current_key=request.session.session_key),
        "connections_url": (
            reverse("socialaccount_connections")
            if apps.is_installed("allauth.socialaccount")
            else ""
        ),
    }
    return render_page(request, "accounts/security.html", context)


@act_of("accounts:security")
def codes_saved(request: HttpRequest, account: str) -> HttpResponse:
    identity, found, _ = _own(request, account)
    if CodesSavedForm(request.POST).is_valid():
        signing_in.confirm_codes_saved(by=identity)
        messages.success(request, gettext("Your recovery codes are noted as saved."))
        return redirect(f"{reverse('accounts:security', args=[found.name])}#codes")
    messages.error(request, gettext("Save the codes first, then say so with the box below them."))
    return redirect("mfa_view_recovery_codes")


@act_of("accounts:security", "session")
def session_end(request: HttpRequest, account: str, session: int) -> HttpResponse:
    identity, found, _ = _own(request, account)
    signing_in.end_session(by=identity, session_id=session)
    messages.success(request, gettext("Signed out there."))
    return redirect(f"{reverse('accounts:security', args=[found.name])}#sessions")


@act_of("accounts:security")
def sessions_end(request: HttpRequest, account: str) -> HttpResponse:
    identity, found, _ = _own(request, account)
    count = signing_in.end_other_sessions(by=identity, current_key=request.session.session_key)
    messages.success(
        request,
        ngettext(
            "Signed out in %(count)d other browser.",
            "Signed out in %(count)d other browsers.",
            count,
        )
        % {"count": count},
    )
    return redirect(f"{reverse('accounts:security', args=[found.name])}#sessions")
