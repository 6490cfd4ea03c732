"""Acts on a whole channel that take their time: each begins a job."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.forms import show_refusal
from accounts.views.frame import act_of, form_page
from portal.errors import NotFound, Refusal
from registry import access, channel_work
from registry.forms import CopyForm
from registry.models import Channel
from registry.models.channel import MAIN
from registry.views.frame import account_context, viewer


@act_of("registry:channel")
def channel_rebuild(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_channel(identity, account, channel)
    job = channel_work.start_reindex(by=identity, channel=found)
    return redirect(reverse("registry:job", args=[job.key]))


@form_page
def channel_copy(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    """Copy all files to another channel that is there already."""
    identity = viewer(request)
    found = access.find_channel(identity, account, channel)
    names = access.publishable_accounts(identity).order_by("name").values_list("name", flat=True)
    initial = {"account": account}
    if found.name == MAIN:
        initial["channel"] = ""  # in place of main, which it would be copied into itself by
    form = CopyForm(request.POST or None, accounts=names, auto_id="copy_%s", initial=initial)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            target = _target(request, wanted["account"], wanted["channel"])
            job = channel_work.start_copy_all(by=identity, source=found, target=target)
        except NotFound:
            form.add_error(
                "channel",
                _("%(account)s has no channel “%(channel)s”. Make it first, in its settings.")
                % wanted,
            )
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            return redirect(reverse("registry:job", args=[job.key]))
    name = found.account.name
    context = {
        **account_context(identity, found.account, "channels"),
        "channel": found,
        "form": form,
        # Not what the index lists: it may be behind, and job and page say the same.
        "file_count": channel_work.files_to_copy(by=identity, source=found).count(),
        "crumbs": [
            {"label": name, "url": reverse("registry:account", args=[name])},
            {"label": _("Channels"), "url": reverse("registry:channels", args=[name])},
            {"label": found.name, "url": reverse("registry:channel", args=[name, found.name])},
            {"label": _("Copy all")},
        ],
    }
    wrong = bool(form.errors)
    return render(request, "registry/channel_copy.html", context, status=422 if wrong else 200)


def _target(request: HttpRequest, account: str, channel: str) -> Channel:
    return access.find_channel(viewer(request), account, channel)
