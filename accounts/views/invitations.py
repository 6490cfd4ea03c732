"""Answering an invitation: by the link in its mail, or signed in as the one it is for."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import membership
from accounts.authentication import identify_session
from accounts.identity import Identity
from accounts.models import Invitation
from accounts.views.frame import act_of
from portal.errors import Conflict, InvalidInput, NotFound
from portal.templatetags.ui import within_a_sentence


@never_cache
@require_safe
def invitation(request: HttpRequest, key: str) -> HttpResponse:
    """Who invites, to what, with which role; also for who is not signed in yet."""
    identity = identify_session(request)
    found = membership.find_invitation(key=key)
    membership.refuse_closed(found)
    is_theirs = (
        identity.user is not None
        and Invitation.objects.for_user(identity.user).filter(pk=found.pk).exists()
    )
    context = {"invitation": found, "key": key, "is_theirs": is_theirs}
    return render(request, "accounts/invitation.html", context)


@act_of("accounts:invitation")
def invitation_accept(request: HttpRequest, key: str) -> HttpResponse:
    return _accept(request, identify_session(request), membership.find_invitation(key=key))


@act_of("accounts:invitation")
def invitation_decline(request: HttpRequest, key: str) -> HttpResponse:
    return _decline(request, identify_session(request), membership.find_invitation(key=key))


def _own_invitation(identity: Identity, invitation_id: int) -> Invitation:
    """An invitation of theirs, by its id: to who is signed in, the key proves nothing more."""
    if identity.user is None:
        raise NotFound
    theirs = Invitation.objects.for_user(identity.user).select_related("organization__account")
    found = theirs.filter(pk=invitation_id).first()
    if found is None:
        raise NotFound
    return found


@act_of("accounts:dashboard", "invitation")
def own_invitation_accept(request: HttpRequest, invitation: int) -> HttpResponse:
    identity = identify_session(request)
    return _accept(request, identity, _own_invitation(identity, invitation))


@act_of("accounts:dashboard", "invitation")
def own_invitation_decline(request: HttpRequest, invitation: int) -> HttpResponse:
    identity = identify_session(request)
    return _decline(request, identity, _own_invitation(identity, invitation))


def _accept(request: HttpRequest, identity: Identity, found: Invitation) -> HttpResponse:
    try:
        joined = membership.accept_invitation(by=identity, invitation=found)
    except (Conflict, InvalidInput) as refusal:
        messages.error(request, refusal.detail)
    else:
        role = within_a_sentence(joined.get_role_display())
        messages.success(
            request,
            gettext("You are now %(role)s of %(account)s.")
            % {"role": role, "account": found.organization.account.name},
        )
    return redirect("accounts:dashboard")


def _decline(request: HttpRequest, identity: Identity, found: Invitation) -> HttpResponse:
    try:
        membership.decline_invitation(by=identity, invitation=found)
    except Conflict as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request,
            gettext("You have declined the invitation to %(account)s.")
            % {"account": found.organization.account.name},
        )
    return redirect("accounts:dashboard")
