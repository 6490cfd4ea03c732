"""The pages of an account: who this is, what they publish, and what happened lately."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from registry import access
from registry import activity as activities
from registry.forms import ActivityForm, PackagesForm
from registry.models import Package, PackageFile
from registry.models.channel import MAIN
from registry.views.frame import account_context, viewer
from registry.views.happenings import rows_of
from registry.views.install import channel_variants
from registry.views.listing import package_rows
from registry.views.paging import links, position, slice_of


def packages_part(
    request: HttpRequest, packages: QuerySet[Package], files: QuerySet[PackageFile]
) -> dict[str, Any]:
    """The context of ``registry/packages_part.html``: a filtered page of packages."""
    form = PackagesForm(request.GET)
    words = form.value("q")
    if words:
        packages = packages.filter(name__contains=words)
    shown = slice_of(
        packages,
        ["name"],
        after=position(form.value("after")),
        before=position(form.value("before")),
    )
    names = [package.name for package in shown.rows]
    return {
        "form": form,
        "words": words,
        "rows": package_rows(shown.rows, files),
        **links(request, shown, names),
    }


@require_safe
def account(request: HttpRequest, account: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_account(account)
    main = access.visible_channels(identity, found).filter(name=MAIN).first()
    packages = access.visible_packages(identity, found)
    files = access.visible_files_of_account(identity, found)
    context = {
        **account_context(identity, found, "packages"),
        "main": main,
        "variants": channel_variants(identity, main) if main is not None else [],
        **packages_part(request, packages, files),
    }
    return render(request, "registry/account.html", context)


@require_safe
def activity(request: HttpRequest, account: str) -> HttpResponse:
    """What was published, moved and removed, as far as the viewer may know."""
    identity = viewer(request)
    found = access.find_account(account)
    before = ActivityForm(request.GET).cleaned_data.get("before")
    happened = activities.of_account(identity, found, before=before)
    context = {
        **account_context(identity, found, "activity"),
        "happenings": rows_of(found.name, happened.rows),
        "is_first": before is None,
        "older_url": f"?before={happened.older_than}" if happened.older_than else "",
    }
    return render(request, "registry/activity.html", context)
