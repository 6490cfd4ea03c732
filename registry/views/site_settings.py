"""What the host was started with, and who changed what."""

from __future__ import annotations

import os
import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.log_words import told
from accounts.models import Event
from accounts.views.site_gate import site_page
from portal import env
from registry.site_forms import SiteLogForm
from registry.views.paging import links, position, slice_of
from registry.views.site_frame import frame


@site_page
def site_settings(request: HttpRequest) -> HttpResponse:
    """Every variable of the environment; of a secret only whether it is set."""
    lead = _("The variables of the environment as this process read them at its start.")
    context = frame("site-settings", _("Settings"), lead) | {
        "readings": sorted(env.readings.values(), key=lambda reading: reading.name),
        "process": os.getpid(),
        "executable": sys.executable,
    }
    return render(request, "registry/site_settings.html", context)


@site_page
def site_log(request: HttpRequest) -> HttpResponse:
    """The audit log of all accounts and of the site itself."""
    form = SiteLogForm(request.GET)
    events = Event.objects.select_related("account")
    account, who = form.value("account").lower(), form.value("who").lower()
    if account:
        events = events.filter(account__name=account)
    if who:
        events = events.filter(actor__username=who)
    after, before = form.value("after"), form.value("before")
    shown = slice_of(events, ["-pk"], after=position(after), before=position(before))
    lead = _("Who changed what, in all accounts and of the site itself.")
    context = frame("site-log", _("Log"), lead) | {
        "form": form,
        "lines": [told(event) for event in shown.rows],
        "is_filtered": bool(account or who),
        **links(request, shown, [event.pk for event in shown.rows]),
    }
    return render(request, "registry/site_log.html", context)
