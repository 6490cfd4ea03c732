"""All accounts, for those who run the site: suspending, second factors, quotas."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import suspension
from accounts.authentication import identify_session
from accounts.factors import has_second_factor
from accounts.forms import show_refusal
from accounts.models import Account
from accounts.views.site_gate import site_form, site_page
from portal.errors import NotFound, Refusal
from registry import access, quotas
from registry.site_forms import AccountsForm, QuotaForm, ResetFactorForm, SuspendForm
from registry.views.paging import links, position, slice_of
from registry.views.site_frame import frame


@site_page
def site_accounts(request: HttpRequest) -> HttpResponse:
    form = AccountsForm(request.GET)
    rows = Account.objects.select_related("user").filter(deleted_at=None)
    words, kind, state = form.value("q").lower(), form.value("kind"), form.value("state")
    if words:
        rows = rows.filter(name__startswith=words)
    if kind:
        rows = rows.filter(kind=kind)
    if state:
        rows = rows.exclude(suspended_at=None)
    after, before = form.value("after"), form.value("before")
    shown = slice_of(rows, ["name"], after=position(after), before=position(before))
    context = frame("site-accounts", _("Accounts"), _("Users and organizations, by name.")) | {
        "form": form,
        "accounts": shown.rows,
        "is_filtered": bool(words or kind or state),
        "only_suspended": state == "suspended" and not words,
        **links(request, shown, [account.name for account in shown.rows]),
    }
    return render(request, "registry/site_accounts.html", context)


@site_page
def site_account(request: HttpRequest, account: str) -> HttpResponse:
    return _page(request, access.find_account(account))


def _page(request: HttpRequest, account: Account, **forms: forms.Form) -> HttpResponse:
    limits = quotas.limits_of(account)
    shown: dict[str, Any] = {
        "suspend_form": SuspendForm(auto_id="suspend_%s"),
        "factor_form": ResetFactorForm(auto_id="factor_%s"),
        "quota_form": QuotaForm(
            auto_id="quota_%s",
            initial={"max_bytes": limits.max_bytes, "max_files": limits.max_files},
        ),
    }
    context = frame("site-accounts", account.name, "", account.name) | shown | forms
    context |= {
        "shown": account,
        "has_factor": not account.is_organization and has_second_factor(account.user),
        "used": quotas.usage_of(account),
        "limits": limits,
    }
    return render(request, "registry/site_account.html", context, status=422 if forms else 200)


def _done(request: HttpRequest, account: Account, words: str) -> HttpResponse:
    messages.success(request, words)
    return redirect(reverse("registry:site-account", args=[account.name]))


@site_form
def account_suspend(request: HttpRequest, account: str) -> HttpResponse:
    found = access.find_account(account)
    form = SuspendForm(request.POST or None, auto_id="suspend_%s")
    if request.method == "POST" and form.is_valid():
        try:
            suspension.suspend(by=identify_session(request), account=found, **form.cleaned_data)
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            return _done(request, found, _("%s is suspended.") % found.name)
    return _answer(request, found, suspend_form=form)


@site_form
def account_unsuspend(request: HttpRequest, account: str) -> HttpResponse:
    found = access.find_account(account)
    if request.method == "POST":
        suspension.lift(by=identify_session(request), account=found)
        return _done(request, found, _("%s is no longer suspended.") % found.name)
    return redirect(reverse("registry:site-account", args=[found.name]))


@site_form
def account_reset_factor(request: HttpRequest, account: str) -> HttpResponse:
    found = access.find_account(account)
    if found.is_organization:
        raise NotFound
    form = ResetFactorForm(request.POST or None, auto_id="factor_%s")
    if request.method == "POST" and form.is_valid():
        note = form.cleaned_data["note"]
        try:
            suspension.reset_second_factor(by=identify_session(request), user=found.user, note=note)
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            return _done(request, found, _("Their password opens the account now."))
    return _answer(request, found, factor_form=form)


@site_form
def account_quota(request: HttpRequest, account: str) -> HttpResponse:
    found = access.find_account(account)
    form = QuotaForm(request.POST or None, auto_id="quota_%s")
    if request.method == "POST" and form.is_valid():
        quotas.set_quota(by=identify_session(request), account=found, **form.cleaned_data)
        return _done(request, found, _("The limits are saved."))
    return _answer(request, found, quota_form=form)


def _answer(request: HttpRequest, account: Account, **forms: forms.Form) -> HttpResponse:
    """The page again with what was wrong; who comes by a link is led to it."""
    if request.method != "POST":
        return redirect(reverse("registry:site-account", args=[account.name]))
    return _page(request, account, **forms)
