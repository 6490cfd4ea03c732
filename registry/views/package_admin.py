"""What changes a package as a whole: archiving it, giving it to another account, deleting it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from accounts.identity import Identity
from accounts.roles import Permission
from accounts.views.frame import act_of, page
from registry import access, packages, transfers
from registry.forms import ArchiveForm, LockForm
from registry.models import Package
from registry.views.frame import package_settings_context, to, viewer


def _administered(request: HttpRequest, account: str, package: str) -> tuple[Identity, Package]:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_whole_package(identity, found, Permission.ADMIN)
    return identity, found


def _admin(
    request: HttpRequest, identity: Identity, package: Package, form: ArchiveForm | None = None
) -> HttpResponse:
    context = {
        **package_settings_context(identity, package, "package-admin"),
        "waiting": transfers.waiting_transfer(package),
        "form": form or ArchiveForm(initial={"note": package.archive_note}),
    }
    wrong = form is not None
    return render(request, "registry/package_admin.html", context, status=422 if wrong else 200)


@page
def package_admin(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _administered(request, account, package)
    return _admin(request, identity, found)


@page
def package_lock_page(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _administered(request, account, package)
    return _lock(request, identity, found)


def _lock(
    request: HttpRequest, identity: Identity, package: Package, form: LockForm | None = None
) -> HttpResponse:
    context = {
        **package_settings_context(identity, package, "package-lock"),
        "form": form or LockForm(initial={"lock_note": package.lock_note}),
    }
    wrong = form is not None
    return render(request, "registry/package_lock.html", context, status=422 if wrong else 200)


@act_of("registry:package-lock")
def package_lock(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _administered(request, account, package)
    form = LockForm(request.POST)
    if not form.is_valid():
        return _lock(request, identity, found, form)
    packages.lock_package(by=identity, package=found, note=form.cleaned_data["lock_note"])
    messages.success(request, gettext("%(name)s is locked.") % {"name": found.name})
    return to("package-lock", found.account.name, found.name)


@act_of("registry:package-lock")
def package_unlock(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _administered(request, account, package)
    packages.unlock_package(by=identity, package=found)
    messages.success(request, gettext("%(name)s can be changed again.") % {"name": found.name})
    return to("package-lock", found.account.name, found.name)


@act_of("registry:package-admin")
def package_archive(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _administered(request, account, package)
    form = ArchiveForm(request.POST)
    if not form.is_valid():
        return _admin(request, identity, found, form)
    packages.archive_package(by=identity, package=found, note=form.cleaned_data["note"])
    messages.success(request, gettext("%(name)s is archived.") % {"name": found.name})
    return to("package-admin", found.account.name, found.name)


@act_of("registry:package-admin")
def package_unarchive(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _administered(request, account, package)
    packages.unarchive_package(by=identity, package=found)
    messages.success(request, gettext("%(name)s takes files again.") % {"name": found.name})
    return to("package-admin", found.account.name, found.name)
