"""What can't be taken back with an account: another name, and its end."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from accounts.forms import RenameForm, TypedNameForm, show_refusal
from accounts.identity import Identity
from accounts.models import Account, FormerName
from accounts.scopes import Ability
from accounts.views.frame import (
    administered,
    form_page,
    page,
    require_fresh_proof,
    settings_frame,
)
from portal.errors import Conflict, InvalidInput
from registry import endings


def _ended_by(request: HttpRequest, name: str) -> tuple[Identity, Account]:
    identity, found = administered(request, name, Ability.ADMINISTER)
    endings.require_ending(identity, found)
    return identity, found


@page
def admin(request: HttpRequest, account: str) -> HttpResponse:
    _, found = _ended_by(request, account)
    former = FormerName.objects.filter(account=found).values_list("name", flat=True)
    context = {**settings_frame(request, found, "admin"), "former_names": list(former)}
    return render(request, "registry/account_admin.html", context)


@form_page
def rename(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = _ended_by(request, account)
    require_fresh_proof(request)
    form = RenameForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        before = found.name
        try:
            renamed = endings.rename_account(
                by=identity, account=found, name=form.cleaned_data["name"]
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("%(before)s is now called %(name)s. Old addresses lead here.")
                % {"before": before, "name": renamed.name},
            )
            return redirect("registry:account-admin", renamed.name)
    further = gettext("Rename")
    context = {**settings_frame(request, found, "admin", further), "form": form}
    context["most"] = endings.MAX_FORMER_NAMES
    return render(
        request, "registry/account_rename.html", context, status=422 if form.errors else 200
    )


@form_page
def delete(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = _ended_by(request, account)
    require_fresh_proof(request)
    form = TypedNameForm(request.POST if request.method == "POST" else None, name=found.name)
    if form.is_valid():
        own = identity.account is not None and identity.account.pk == found.pk
        try:
            endings.delete_account(by=identity, account=found)
        except Conflict as refusal:
            show_refusal(form, refusal)
        else:
            if own:
                logout(request)
            said = gettext("%(name)s is deleted.") % {"name": account}
            messages.success(request, said)
            return redirect("registry:home" if own else "accounts:dashboard")
    context = {
        **settings_frame(request, found, "admin", gettext("Delete")),
        "form": form,
        "impact": endings.impact_of(found),
        "days": endings.NAME_KEPT.days,
    }
    return render(
        request, "registry/account_delete.html", context, status=422 if form.errors else 200
    )
