"""What is closed for everybody, and the notice on all pages."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts import switches
from accounts.authentication import identify_session
from accounts.forms import show_refusal
from accounts.models import Switch
from accounts.views.site_gate import site_act, site_form, site_page
from portal.errors import NotFound, Refusal
from registry.site_forms import NoticeForm, SwitchForm
from registry.views.site_frame import frame


@site_page
def site_switches(request: HttpRequest) -> HttpResponse:
    return render(request, "registry/site_switches.html", _switches_context())


def _switches_context(wrong: str = "", form: SwitchForm | None = None) -> dict[str, Any]:
    rows = {row.name: row for row in Switch.objects.all()}
    lead = _("What is closed for everybody. It takes effect within two seconds, without a restart.")
    return frame("site-switches", _("Switches"), lead) | {
        "switches": [
            {
                "name": name,
                "label": Switch.Name(name).label,
                "words": switches.words(name),
                "row": rows.get(name),
                "is_thrown": name in rows and rows[name].is_thrown,
                "form": form if name == wrong and form else SwitchForm(auto_id=f"{name}_%s"),
            }
            for name in Switch.Name.values
            if name != Switch.Name.NOTICE
        ]
    }


@site_act("registry:site-switches")
def switch_throw(request: HttpRequest, name: str) -> HttpResponse:
    _require_switch(name)
    form = SwitchForm(request.POST, auto_id=f"{name}_%s")
    if not form.is_valid():
        context = _switches_context(name, form)
        return render(request, "registry/site_switches.html", context, status=422)
    said = form.cleaned_data["message"]
    switches.set_switch(by=identify_session(request), name=name, is_thrown=True, message=said)
    messages.success(request, switches.words(name))
    return redirect("registry:site-switches")


@site_act("registry:site-switches")
def switch_reset(request: HttpRequest, name: str) -> HttpResponse:
    _require_switch(name)
    switches.set_switch(by=identify_session(request), name=name, is_thrown=False)
    messages.success(request, _("All is as usual again: %s.") % Switch.Name(name).label)
    is_notice = name == Switch.Name.NOTICE
    return redirect("registry:site-notices" if is_notice else "registry:site-switches")


def _require_switch(name: str) -> None:
    if name not in Switch.Name.values:
        raise NotFound


@site_form
def notices(request: HttpRequest) -> HttpResponse:
    """The banner of all pages."""
    row = Switch.objects.filter(name=Switch.Name.NOTICE, is_thrown=True).first()
    form = NoticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            switches.set_switch(
                by=identify_session(request),
                name=Switch.Name.NOTICE,
                is_thrown=True,
                **form.cleaned_data,
            )
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("The notice is shown on all pages."))
            return redirect("registry:site-notices")
    lead = _("One sentence or two that all pages show to everybody.")
    context = frame("site-notices", _("Notices"), lead) | {"notice": row, "form": form}
    status = 422 if form.errors else 200
    return render(request, "registry/site_notices.html", context, status=status)
