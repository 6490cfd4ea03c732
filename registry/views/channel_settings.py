"""The channels of an account, for those who manage them: make, change, lock, delete."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from accounts.forms import TypedNameForm, show_refusal
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from accounts.views.frame import (
    act_of,
    administered,
    form_page,
    page,
    page_of,
    settings_frame,
    to_row,
)
from portal.errors import Conflict, InvalidInput, NotFound
from registry import access, notices, publishing
from registry import channels as acts
from registry.forms import ChannelSettingsForm, LockForm, NewChannelForm, NoticeForm
from registry.models import Channel, ChannelFile, Notice
from registry.models.channel import MAIN
from registry.views.install import channel_url

_MAX_NOTICES = 50


def _managed(request: HttpRequest, name: str) -> tuple[Identity, Account]:
    """Who asks, and the account whose channels are theirs to manage."""
    return administered(request, name, Ability.WRITE)


def managed_channel(request: HttpRequest, account: str, name: str) -> tuple[Identity, Channel]:
    """Who asks, and the channel of that name, which is theirs to manage."""
    identity, found = _managed(request, account)
    return identity, access.find_channel(identity, found.name, name)


def _list_url(account: Account) -> str:
    return reverse("registry:channel-list", args=[account.name])


def _page_of(channel: Channel) -> HttpResponse:
    where = [channel.account.name, channel.name]
    return redirect(reverse("registry:channel-change", args=where))


@page
def channel_list(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = _managed(request, account)
    rows = (
        access.visible_channels(identity, found).annotate(files=Count("entries")).order_by("name")
    )
    context = {**settings_frame(request, found, "channels"), "page": page_of(request, rows)}
    return render(request, "registry/channel_list.html", context)


@form_page
def channel_new(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = _managed(request, account)
    form = NewChannelForm(
        request.POST or None, initial={"visibility": publishing.new_visibility(found)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = acts.create_channel(by=identity, account=found, **form.cleaned_data)
        except (Conflict, publishing.InvalidChannelName) as refusal:
            form.add_error("name", refusal.detail)
        else:
            messages.success(
                request,
                gettext("%(channel)s is there, and clients can use it.") % {"channel": made.name},
            )
            return redirect(reverse("registry:channel", args=[found.name, made.name]))
    context = {
        **settings_frame(request, found, "channels", gettext("New channel")),
        "form": form,
        "list_url": _list_url(found),
    }
    return render(request, "registry/channel_new.html", context, status=422 if form.errors else 200)


def _render(
    request: HttpRequest,
    channel: Channel,
    *,
    form: ChannelSettingsForm | None = None,
    lock_form: LockForm | None = None,
    notice_form: NoticeForm | None = None,
) -> HttpResponse:
    """The page of a channel's settings; with a form that was wrong, as the answer to it."""
    kept = {name: getattr(channel, name) for name in ChannelSettingsForm.base_fields}
    wrong = any(each is not None and each.errors for each in (form, lock_form, notice_form))
    context = channel_frame(request, channel) | {
        "form": form or ChannelSettingsForm(initial=kept),
        "lock_form": lock_form or LockForm(auto_id="lock_%s"),
        "notice_form": notice_form or NoticeForm(auto_id="notice_%s"),
        "notices": [
            (notice, notices.as_conda_prints(notice, channel_url(channel)))
            for notice in Notice.objects.filter(channel=channel).order_by("-pk")[:_MAX_NOTICES]
        ],
        "now": timezone.now(),
        "is_main": channel.name == MAIN,
    }
    return render(request, "registry/channel_change.html", context, status=422 if wrong else 200)


def channel_frame(request: HttpRequest, channel: Channel, *further: str) -> dict[str, Any]:
    """The context of a page of a channel's settings; ``further`` are the steps below it."""
    context = settings_frame(request, channel.account, "channels", channel.name, *further)
    context["crumbs"][2]["url"] = _list_url(channel.account)
    if further:
        where = [channel.account.name, channel.name]
        context["crumbs"][3]["url"] = reverse("registry:channel-change", args=where)
    return {**context, "channel": channel}


@form_page
def channel_change(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity, found = managed_channel(request, account, channel)
    if request.method != "POST":
        return _render(request, found)
    form = ChannelSettingsForm(request.POST)
    if not form.is_valid():
        return _render(request, found, form=form)
    try:
        acts.change_channel(by=identity, channel=found, **form.cleaned_data)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        _, unchanged = managed_channel(request, account, channel)
        return _render(request, unchanged, form=form)
    messages.success(request, gettext("%(channel)s is saved.") % {"channel": found.name})
    return _page_of(found)


@act_of("registry:channel-change")
def notice_add(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity, found = managed_channel(request, account, channel)
    form = NoticeForm(request.POST, auto_id="notice_%s")
    if form.is_valid():
        try:
            added = notices.add_notice(
                by=identity,
                channel=found,
                message=form.cleaned_data["message"],
                level=form.cleaned_data["level"],
                expires_at=form.expiry(),
                status=form.status(),
            )
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("The draft is kept. Nobody is shown it until it is published.")
                if form.cleaned_data["is_draft"]
                else gettext("conda shows it to those who use %(channel)s.")
                % {"channel": found.name},
            )
            where = [found.account.name, found.name]
            return to_row(f"notice-{added.pk}", "registry:channel-change", *where)
    return _render(request, found, notice_form=form)


@act_of("registry:channel-change", "notice")
def notice_publish(request: HttpRequest, account: str, channel: str, notice: int) -> HttpResponse:
    identity, row = _notice(request, account, channel, notice)
    try:
        notices.change_notice(by=identity, notice=row, status=Notice.Status.PUBLISHED)
    except (Conflict, InvalidInput) as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request, gettext("conda shows it to those who use %(channel)s.") % {"channel": channel}
        )
    return _page_of(row.channel)


@act_of("registry:channel-change", "notice")
def notice_archive(request: HttpRequest, account: str, channel: str, notice: int) -> HttpResponse:
    identity, row = _notice(request, account, channel, notice)
    notices.change_notice(by=identity, notice=row, status=Notice.Status.ARCHIVED)
    messages.success(request, gettext("The notice is archived. Who was shown it already was."))
    return _page_of(row.channel)


@act_of("registry:channel-change", "notice")
def notice_withdraw(request: HttpRequest, account: str, channel: str, notice: int) -> HttpResponse:
    identity, row = _notice(request, account, channel, notice)
    notices.withdraw_notice(by=identity, notice=row)
    messages.success(request, gettext("The notice is withdrawn. Who was shown it already was."))
    return _page_of(row.channel)


def _notice(
    request: HttpRequest, account: str, channel: str, notice: int
) -> tuple[Identity, Notice]:
    identity, found = managed_channel(request, account, channel)
    row = Notice.objects.select_related("channel__account").filter(channel=found, pk=notice).first()
    if row is None:
        raise NotFound
    return identity, row


@act_of("registry:channel-change")
def channel_lock(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity, found = managed_channel(request, account, channel)
    form = LockForm(request.POST, auto_id="lock_%s")
    if not form.is_valid():
        return _render(request, found, lock_form=form)
    acts.change_channel(
        by=identity, channel=found, is_locked=True, lock_note=form.cleaned_data["lock_note"]
    )
    messages.success(
        request,
        gettext("%(channel)s is locked: nothing is put in or taken out.") % {"channel": found.name},
    )
    return _page_of(found)


@act_of("registry:channel-change")
def channel_unlock(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity, found = managed_channel(request, account, channel)
    acts.change_channel(by=identity, channel=found, is_locked=False, lock_note="")
    messages.success(request, gettext("%(channel)s takes files again.") % {"channel": found.name})
    return _page_of(found)


@form_page
def channel_delete(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity, found = managed_channel(request, account, channel)
    form = TypedNameForm(request.POST or None, name=found.name)
    if request.method == "POST" and form.is_valid():
        try:
            acts.delete_channel(by=identity, channel=found)
        except Conflict as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("%(channel)s is deleted. Its files are kept.") % {"channel": channel},
            )
            return redirect(_list_url(found.account))
    context = channel_frame(request, found, gettext("Delete")) | {
        "form": form,
        "files": ChannelFile.objects.filter(channel=found).count(),
        "is_main": found.name == MAIN,
        "change_url": reverse("registry:channel-change", args=[found.account.name, found.name]),
    }
    wrong = bool(form.errors)
    return render(request, "registry/channel_delete.html", context, status=422 if wrong else 200)
