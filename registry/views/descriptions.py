"""What describes a package: said by its uploads, or pinned by hand."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from accounts.forms import show_refusal
from accounts.identity import Identity
from accounts.roles import Permission
from accounts.views.frame import act_of, form_page
from portal.errors import InvalidInput, NotFound
from registry import access, packages
from registry.forms import DescriptionForm
from registry.models import Package
from registry.models.package import DESCRIPTION_FIELDS
from registry.views.frame import package_settings_context, to, viewer


def _written(request: HttpRequest, account: str, package: str) -> tuple[Identity, Package]:
    """Who asks, and the package that is theirs to describe."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_package(identity, found, Permission.WRITE)
    return identity, found


@form_page
def description(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _written(request, account, package)
    said = {field: getattr(found, field) for field in DESCRIPTION_FIELDS}
    form = DescriptionForm(request.POST or None, initial=said)
    if request.method == "POST" and form.is_valid():
        # What was left as it was goes on following the uploads.
        changed = {field: form.cleaned_data[field] for field in form.changed_data}
        try:
            packages.change_package(by=identity, package=found, fields=changed)
        except InvalidInput as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("The description is saved.") if changed else gettext("It is as it was."),
            )
            return to("description", found.account.name, found.name)
    context = {
        **package_settings_context(identity, found, "description"),
        "form": form,
        "pinned": [(name, form[name].label) for name in DESCRIPTION_FIELDS if name in found.pinned],
    }
    wrong = bool(form.errors)
    return render(request, "registry/description.html", context, status=422 if wrong else 200)


@act_of("registry:description", "field")
def description_follow(
    request: HttpRequest, account: str, package: str, field: str
) -> HttpResponse:
    identity, found = _written(request, account, package)
    if field not in DESCRIPTION_FIELDS:
        raise NotFound
    packages.unpin(by=identity, package=found, fields=[field])
    label = DescriptionForm()[field].label
    messages.success(request, gettext("%(label)s follows the uploads again.") % {"label": label})
    return to("description", found.account.name, found.name)
