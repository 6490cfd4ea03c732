"""The forms of the pages for those who run the site."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.suspension import MAX_REASON
from accounts.switches import MAX_MESSAGE
from registry.filter_forms import FilterForm
from registry.models import Job
from registry.quotas import MAX_LIMIT

_ANY = ("", _("Any"))


def _position() -> forms.IntegerField:
    return forms.IntegerField(
        required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput
    )


class AccountsForm(FilterForm):
    q = forms.CharField(label=_("Name"), required=False, max_length=64)
    kind = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        choices=[_ANY, ("user", _("User")), ("organization", _("Organization"))],
    )
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[_ANY, ("suspended", _("Suspended"))]
    )
    after = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    before = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)


class SiteJobsForm(FilterForm):
    state = forms.ChoiceField(label=_("State"), required=False, choices=[_ANY, *Job.State.choices])
    after = _position()
    before = _position()


class SiteLogForm(FilterForm):
    account = forms.CharField(label=_("Account"), required=False, max_length=64)
    who = forms.CharField(label=_("Who"), required=False, max_length=64)
    after = _position()
    before = _position()


class IndexForm(FilterForm):
    account = forms.CharField(label=_("Account"), required=False, max_length=64)
    after = _position()
    before = _position()


class SwitchForm(forms.Form):
    message = forms.CharField(
        label=_("What people are told besides"), required=False, max_length=MAX_MESSAGE
    )


class NoticeForm(forms.Form):
    message = forms.CharField(label=_("Text"), max_length=MAX_MESSAGE)
    is_warning = forms.BooleanField(label=_("It is a warning"), required=False)
    ends_at = forms.DateTimeField(
        label=_("Shown until (UTC)"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


class SuspendForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=MAX_REASON)
    until = forms.DateTimeField(
        label=_("Until (UTC)"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=_("Empty: for good."),
    )


class ResetFactorForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        max_length=MAX_REASON,
        help_text=_("Who asked, and how you made sure that it was them. It stands in the log."),
    )


class QuotaForm(forms.Form):
    max_bytes = forms.IntegerField(
        label=_("Bytes"), required=False, min_value=0, max_value=MAX_LIMIT
    )
    max_files = forms.IntegerField(
        label=_("Package files"), required=False, min_value=0, max_value=MAX_LIMIT
    )
