from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from accounts import policies
from accounts.forms import PolicyForm, show_refusal
from accounts.models import Token
from accounts.roles import Role
from accounts.views.frame import administered_organization, form_page, settings_frame
from portal.errors import Conflict, InvalidInput

_MAX_SHOWN = 50


@form_page
def policy(request: HttpRequest, account: str) -> HttpResponse:
    """What the organization asks of its people: owners change it, admins see it."""
    identity, organization = administered_organization(request, account)
    found = organization.account
    kept = policies.Policy.of(organization)
    form = PolicyForm(
        request.POST if request.method == "POST" else None,
        initial={name: getattr(kept, name) for name in kept.__slots__},
    )
    if form.is_valid():
        try:
            policies.change_policy(
                by=identity, organization=organization, policy=policies.Policy(**form.cleaned_data)
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request, gettext("The policy of %(name)s is saved.") % {"name": found.name}
            )
            return redirect("accounts:policy", found.name)
    frame = settings_frame(request, found, "policy")
    out = list(policies.shut_out(organization)[: _MAX_SHOWN + 1])
    context = {
        **frame,
        "form": form,
        "policy": kept,
        "may_change": frame["role"] == Role.OWNER,
        "shut_out": out[:_MAX_SHOWN],
        "more_shut_out": len(out) > _MAX_SHOWN,
        "longer_tokens": _longer_tokens(organization.account_id, kept.token_max_days),
    }
    return render(request, "accounts/policy.html", context, status=422 if form.errors else 200)


def _longer_tokens(account_id: int, max_days: int | None) -> list[Token]:
    """Live tokens that were made to live longer than new ones may."""
    if max_days is None:
        return []
    last = timezone.now() + timedelta(days=max_days)
    live = Token.objects.filter(account=account_id, revoked_at=None, expires_at__gt=last)
    return list(live.order_by("-expires_at")[:_MAX_SHOWN])
