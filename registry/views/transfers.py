"""Giving a package to another account: the offer, what it means, and the answer to it."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from accounts.forms import TypedNameForm, show_refusal
from accounts.identity import Identity
from accounts.models import Account
from accounts.views.frame import act_of, form_page, page, require_fresh_proof
from portal.errors import Conflict, InvalidInput
from registry import access, transfers
from registry.forms import TransferForm
from registry.models import Collaborator, Package, Transfer
from registry.models.transfer import LIFE
from registry.views.frame import home_of, package_settings_context, to, viewer


@form_page
def transfer_offer(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """First to whom, by GET; then what it means, and the name to type."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    transfers.require_offering(identity, found)
    require_fresh_proof(request)
    waiting = transfers.waiting_transfer(found)
    if waiting is not None:
        return to("transfer", waiting.key)
    said = request.POST if request.method == "POST" else request.GET
    form = TransferForm(said if "target" in said else None)
    target = _target(identity, found, form)
    typed = TypedNameForm(request.POST or None, name=found.name)
    if request.method == "POST" and target is not None and typed.is_valid():
        try:
            made = transfers.offer(
                by=identity,
                package=found,
                target_name=target.name,
                keeps_collaborators=form.cleaned_data["keeps_collaborators"],
            )
        except (Conflict, InvalidInput) as refusal:
            show_refusal(typed, refusal)
        else:
            said_words = gettext("%(package)s is offered to %(target)s.")
            messages.success(request, said_words % {"package": found.name, "target": target.name})
            return to("transfer", made.key)
    further = gettext("Transfer")
    context = {
        **package_settings_context(identity, found, "package-admin", further),
        "form": form,
        "typed": typed,
        "target": target,
        "totals": _totals(found),
        "collaborators": _collaborators(found, target) if target else None,
        "obstacles": transfers.source_obstacles(found),
        "days": LIFE.days,
    }
    wrong = bool(form.errors or typed.errors)
    return render(request, "registry/transfer_offer.html", context, status=422 if wrong else 200)


def _target(identity: Identity, package: Package, form: TransferForm) -> Account | None:
    if not form.is_valid():
        return None
    try:
        return transfers.target_of(identity, package, form.cleaned_data["target"])
    except InvalidInput as refusal:
        show_refusal(form, refusal)
        return None


def _totals(package: Package) -> dict[str, int]:
    there = Q(deleted_at=None)
    sums = package.files.aggregate(
        files=Count("pk", filter=there), size_bytes=Sum("size_bytes", filter=there)
    )
    return {"files": sums["files"], "size_bytes": sums["size_bytes"] or 0}


def _collaborators(package: Package, target: Account) -> list[str]:
    people = Collaborator.objects.filter(package=package, group=None).exclude(user__account=target)
    return list(people.order_by("user__username").values_list("user__username", flat=True))


@page
def transfer(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, is_recipient = transfers.find_transfer(identity, key)
    return _transfer(request, identity, found, is_recipient=is_recipient)


def _transfer(
    request: HttpRequest,
    identity: Identity,
    found: Transfer,
    *,
    is_recipient: bool,
    refusal: Conflict | None = None,
) -> HttpResponse:
    package = found.package
    waits = found.is_open
    is_taken = is_recipient and package.account_id == found.target_id
    plan = transfers.plan_of(identity, found) if waits and is_recipient else None
    context = {
        "transfer": found,
        "package_name": package.name,
        "is_recipient": is_recipient,
        "waits": waits,
        "plan": plan,
        "collaborators": transfers.kept_collaborators(found) if waits else [],
        "totals": (plan or _totals(package)) if waits else None,
        "refusal": refusal.detail if refusal else "",
        # Where it stands otherwise by now is for its new account to tell.
        "home_url": home_of(package) if waits or is_taken else "",
    }
    return render(request, "registry/transfer.html", context, status=409 if refusal else 200)


@act_of("registry:transfer")
def transfer_accept(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, is_recipient = transfers.find_transfer(identity, key)
    try:
        package = transfers.accept(by=identity, transfer=found)
    except Conflict as refusal:
        return _transfer(request, identity, found, is_recipient=is_recipient, refusal=refusal)
    said = gettext("%(package)s is a package of %(account)s now.")
    names = {"package": package.name, "account": package.account.name}
    messages.success(request, said % names)
    return redirect(home_of(package))


@act_of("registry:transfer")
def transfer_decline(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, _is_recipient = transfers.find_transfer(identity, key)
    transfers.decline(by=identity, transfer=found)
    messages.success(request, gettext("You declined it. Nothing changed."))
    return to("transfer", key)


@act_of("registry:transfer")
def transfer_withdraw(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, _is_recipient = transfers.find_transfer(identity, key)
    transfers.withdraw(by=identity, transfer=found)
    messages.success(request, gettext("The offer is withdrawn."))
    return to("package-admin", found.source.name, found.package.name)
