"""Inviting people to a package by their e-mail address, and answering it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.views.frame import act_of
from portal.errors import Conflict, NotFound
from registry import access
from registry import package_invitations as acts
from registry.models import PackageInvitation
from registry.views.frame import home_of, to, viewer


@never_cache
@require_safe
def invitation(request: HttpRequest, key: str) -> HttpResponse:
    """Who invites, to what, with which permission; also for who is not signed in yet."""
    identity = viewer(request)
    found = acts.find_invitation(key)
    context = {"invitation": found, "is_theirs": acts.is_theirs(identity, found)}
    return render(request, "registry/package_invitation.html", context)


@act_of("registry:package-invitation")
def invitation_accept(request: HttpRequest, key: str) -> HttpResponse:
    found = acts.find_invitation(key)
    acts.accept(by=viewer(request), invitation=found)
    said = gettext("You may now work on %(package)s.")
    messages.success(request, said % {"package": found.package.name})
    return redirect(home_of(found.package))


@act_of("registry:package-invitation")
def invitation_decline(request: HttpRequest, key: str) -> HttpResponse:
    found = acts.find_invitation(key)
    acts.decline(by=viewer(request), invitation=found)
    said = gettext("You have declined the invitation to %(account)s.")
    messages.success(request, said % {"account": str(found.package)})
    return redirect("accounts:dashboard")


def _sent(request: HttpRequest, account: str, package: str, number: int) -> PackageInvitation:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_collaborators(identity, found)
    row = PackageInvitation.objects.filter(package=found, pk=number).first()
    if row is None:
        raise NotFound
    row.package = found
    return row


@act_of("registry:collaborators", "invitation")
def invitation_resend(
    request: HttpRequest, account: str, package: str, invitation: int
) -> HttpResponse:
    sent = _sent(request, account, package, invitation)
    try:
        acts.resend(by=viewer(request), invitation=sent)
    except Conflict as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request, gettext("A new invitation was sent to %(who)s.") % {"who": sent.email}
        )
    return to("collaborators", account, package)


@act_of("registry:collaborators", "invitation")
def invitation_withdraw(
    request: HttpRequest, account: str, package: str, invitation: int
) -> HttpResponse:
    sent = _sent(request, account, package, invitation)
    acts.withdraw(by=viewer(request), invitation=sent)
    said = gettext("The invitation of %(who)s is withdrawn.")
    messages.success(request, said % {"who": sent.email})
    return to("collaborators", account, package)
