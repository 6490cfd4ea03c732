"""Giving a channel to another account: the offer, what it means, and the answer to it."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from accounts.forms import TypedNameForm, show_refusal
from accounts.identity import Identity
from accounts.models import Account
from accounts.views.frame import act_of, form_page, page, require_fresh_proof
from portal.errors import Conflict, InvalidInput
from registry import channel_transfers as acts
from registry.forms import RecipientForm
from registry.models import Channel, ChannelFile, ChannelTransfer, Job
from registry.models.transfer import LIFE
from registry.views.channel_settings import channel_frame, managed_channel
from registry.views.frame import to, viewer


@form_page
def transfer_offer(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    """First to whom, by GET; then what it means, and the name to type."""
    identity, found = managed_channel(request, account, channel)
    acts.require_offering(identity, found)
    require_fresh_proof(request)
    waiting = acts.waiting_transfer(found)
    if waiting is not None:
        return to("channel-transfer", waiting.key)
    said = request.POST if request.method == "POST" else request.GET
    form = RecipientForm(said if "target" in said else None)
    target = _target(identity, found, form)
    typed = TypedNameForm(request.POST or None, name=found.name)
    if request.method == "POST" and target is not None and typed.is_valid():
        try:
            made = acts.offer(by=identity, channel=found, target_name=target.name)
        except (Conflict, InvalidInput) as refusal:
            show_refusal(typed, refusal)
        else:
            said_words = gettext("%(channel)s is offered to %(target)s.")
            messages.success(request, said_words % {"channel": found.name, "target": target.name})
            return to("channel-transfer", made.key)
    context = {
        **channel_frame(request, found, gettext("Transfer")),
        "form": form,
        "typed": typed,
        "target": target,
        "totals": _totals(found),
        "obstacles": acts.source_obstacles(found),
        "days": LIFE.days,
    }
    status = 422 if form.errors or typed.errors else 200
    return render(request, "registry/channel_transfer_offer.html", context, status=status)


def _target(identity: Identity, channel: Channel, form: RecipientForm) -> Account | None:
    if not form.is_valid():
        return None
    try:
        return acts.target_of(identity, channel, form.cleaned_data["target"])
    except InvalidInput as refusal:
        show_refusal(form, refusal)
        return None


def _totals(channel: Channel) -> dict[str, int]:
    sums = ChannelFile.objects.filter(channel=channel).aggregate(
        files=Count("pk"), size_bytes=Sum("file__size_bytes")
    )
    return {"files": sums["files"], "size_bytes": sums["size_bytes"] or 0}


@page
def transfer(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, is_recipient = acts.find_transfer(identity, key)
    return _transfer(request, identity, found, is_recipient=is_recipient)


def _transfer(
    request: HttpRequest,
    identity: Identity,
    found: ChannelTransfer,
    *,
    is_recipient: bool,
    refusal: Conflict | None = None,
) -> HttpResponse:
    waits = found.is_open
    plan = acts.plan_of(identity, found) if waits and is_recipient else None
    context = {
        "transfer": found,
        "channel": found.channel,
        "is_recipient": is_recipient,
        "waits": waits,
        "plan": plan,
        "totals": (plan or _totals(found.channel)) if waits else None,
        "refusal": refusal.detail if refusal else "",
    }
    status = 409 if refusal else 200
    return render(request, "registry/channel_transfer.html", context, status=status)


@act_of("registry:channel-transfer")
def transfer_accept(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, is_recipient = acts.find_transfer(identity, key)
    try:
        made = acts.accept(by=identity, transfer=found)
    except Conflict as refusal:
        return _transfer(request, identity, found, is_recipient=is_recipient, refusal=refusal)
    if isinstance(made, Job):
        return to("job", made.key)
    said = gettext("%(channel)s is a channel of %(account)s now.")
    messages.success(request, said % {"channel": made.name, "account": made.account.name})
    return to("channel", made.account.name, made.name)


@act_of("registry:channel-transfer")
def transfer_decline(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, _is_recipient = acts.find_transfer(identity, key)
    acts.decline(by=identity, transfer=found)
    messages.success(request, gettext("You declined it. Nothing changed."))
    return to("channel-transfer", key)


@act_of("registry:channel-transfer")
def transfer_withdraw(request: HttpRequest, key: str) -> HttpResponse:
    identity = viewer(request)
    found, _is_recipient = acts.find_transfer(identity, key)
    acts.withdraw(by=identity, transfer=found)
    messages.success(request, gettext("The offer is withdrawn."))
    return to("channel-change", found.source.name, found.channel.name)
