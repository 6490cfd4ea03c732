"""Retention rules of a channel, for those who manage it: look first, then switch on."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.forms import show_refusal
from accounts.identity import Identity
from accounts.views.frame import act_of, form_page
from portal.errors import Conflict, InvalidInput, NotFound
from portal.templatetags.ui import filesize, thousands
from registry import retention as acts
from registry.forms import RuleForm
from registry.models import Channel, RetentionRule
from registry.retention import Run
from registry.views.channel_settings import channel_frame, managed_channel

_SHOWN = 200
# More take several presses, or the night: one request should not keep everybody else waiting.
_AT_ONCE = 1000


def _rules_url(channel: Channel) -> str:
    return reverse("registry:retention", args=[channel.account.name, channel.name])


def _page_of(rule: RetentionRule) -> HttpResponse:
    where = [rule.channel.account.name, rule.pk, rule.channel.name]
    return redirect(reverse("registry:retention-rule", args=where))


def _rule(
    request: HttpRequest, account: str, rule: int, channel: str
) -> tuple[Identity, RetentionRule]:
    identity, found = managed_channel(request, account, channel)
    row = RetentionRule.objects.filter(channel=found, pk=rule).first()
    if row is None:
        raise NotFound
    row.channel = found
    return identity, row


@form_page
def retention(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    """The rules of a channel, and a form for one more, which leads to what it would do."""
    identity, found = managed_channel(request, account, channel)
    form = RuleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            rule = acts.add_rule(by=identity, channel=found, terms=form.terms())
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("The rule is there, and does nothing until it is on."))
            return _page_of(rule)
    context = channel_frame(request, found, _("Retention")) | {
        "rules": RetentionRule.objects.filter(channel=found).order_by("pk"),
        "form": form,
        "left_alone": acts.left_alone(found),
    }
    wrong = bool(form.errors)
    return render(request, "registry/retention.html", context, status=422 if wrong else 200)


@form_page
def rule(request: HttpRequest, account: str, rule: int, channel: str) -> HttpResponse:
    """What a rule says and what it would do now; the form changes it."""
    identity, row = _rule(request, account, rule, channel)
    kept = {name: getattr(row, name) for name in RuleForm.base_fields}
    form = RuleForm(request.POST or None, initial=kept)
    if request.method == "POST" and form.is_valid():
        try:
            changed = acts.change_rule(by=identity, rule=row, terms=form.terms())
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("The rule is saved."))
            return _page_of(changed)
    preview = acts.preview(row, limit=_SHOWN)
    context = channel_frame(request, row.channel, _("Retention"), _("Rule")) | {
        "rule": row,
        "form": form,
        "preview": preview,
        "more": preview.totals.files - len(preview.files),
    }
    context["crumbs"][4]["url"] = _rules_url(row.channel)
    wrong = bool(form.errors)
    return render(request, "registry/retention_rule.html", context, status=422 if wrong else 200)


@act_of("registry:retention-rule")
def rule_switch_on(request: HttpRequest, account: str, rule: int, channel: str) -> HttpResponse:
    identity, row = _rule(request, account, rule, channel)
    acts.change_rule(by=identity, rule=row, is_enabled=True)
    messages.success(request, _("The rule is on. It runs in an hour, and then once a day."))
    return _page_of(row)


@act_of("registry:retention-rule")
def rule_switch_off(request: HttpRequest, account: str, rule: int, channel: str) -> HttpResponse:
    identity, row = _rule(request, account, rule, channel)
    acts.change_rule(by=identity, rule=row, is_enabled=False)
    messages.success(request, _("The rule is off. What it took out is not brought back."))
    return _page_of(row)


@act_of("registry:retention-rule")
def rule_run(request: HttpRequest, account: str, rule: int, channel: str) -> HttpResponse:
    identity, row = _rule(request, account, rule, channel)
    done = acts.run_rule(by=identity, rule=row, at_most=_AT_ONCE)
    if done.note:
        messages.error(request, done.note)
    else:
        messages.success(request, _words(done, row))
    return _page_of(row)


def _words(done: Run, rule: RetentionRule) -> str:
    count = done.removed + done.deleted
    words = ngettext("%(count)s file went", "%(count)s files went", count) % {
        "count": thousands(count)
    }
    words = _("%(went)s, %(size)s are free.") % {"went": words, "size": filesize(done.freed_bytes)}
    if done.is_complete:
        return words
    more = (
        _("The others follow by themselves.")
        if rule.is_enabled
        else _("There are more: run it again.")
    )
    return f"{words} {more}"


@act_of("registry:retention-rule")
def rule_delete(request: HttpRequest, account: str, rule: int, channel: str) -> HttpResponse:
    identity, row = _rule(request, account, rule, channel)
    acts.delete_rule(by=identity, rule=row)
    messages.success(request, _("The rule is deleted. What it took out is not brought back."))
    return redirect(_rules_url(row.channel))
