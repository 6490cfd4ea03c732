from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.attention import expiring_tokens, further_needs, open_invitations
from accounts.authentication import identify_session
from accounts.models import Membership, Token
from accounts.parts import part
from accounts.views.frame import page

_MAX_SHOWN = 50


@page
def dashboard(request: HttpRequest) -> HttpResponse:
    """What needs them, then what is theirs."""
    identity = identify_session(request)
    invitations = open_invitations(identity).select_related("organization__account", "invited_by")
    expiring = expiring_tokens(identity).select_related("account").order_by("expires_at", "id")
    memberships = (
        Membership.objects.filter(user=identity.user)
        .select_related("organization__account")
        .order_by("organization__account__name")
    )
    # What is known to be nothing is not asked for.
    known = identity.standing
    organizations = list(memberships[:_MAX_SHOWN]) if known and known.organizations else []
    invited = list(invitations[:_MAX_SHOWN]) if known and known.invitations else []
    ending = list(expiring[:_MAX_SHOWN]) if known and known.ending_tokens else []
    further = further_needs(identity)
    offered = [need for need in further if need.waits]
    listed = len(invited) + len(ending) + len(offered)
    shown = part("dashboard", identity=identity)
    context = {
        **shown,
        "invitations": invited,
        "expiring": ending,
        "offers": offered,
        "not_listed": known.needs - listed if known else 0,
        # The header would ask for the same again.
        "header_organizations": [each.organization.account.name for each in organizations[:10]],
        "expiring_days": settings.TOKEN_WARNING.days,
        "worth_a_look": [need for need in further if not need.waits],
        "organizations": organizations,
        "is_first_visit": not organizations
        and not shown["packages"]
        and not ending
        and not Token.objects.filter(account=identity.account).exists(),
    }
    return render(request, "accounts/dashboard.html", context)
