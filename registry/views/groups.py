"""The packages of a group of an organization, on the group's page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Exists, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import ngettext

from accounts.api.finding import find_group
from accounts.models import Group
from accounts.roles import Permission
from accounts.views.frame import act_of, administered_organization
from registry import access, collaboration
from registry.models import Collaborator, Package
from registry.views.frame import viewer
from registry.views.paging import links, position, slice_of


@dataclass(frozen=True, slots=True)
class _GroupPackage:
    name: str
    # What the group holds on it; empty where it holds nothing.
    permission: str
    # The same in words where it is not what the group gives.
    differs: str


def group_packages(*, request: HttpRequest, group: Group, may_choose: bool) -> dict[str, Any]:
    """A page of the packages that a group is for, or, for who chooses, of all it could be for."""
    if group.all_packages:
        return {"packages": {}}
    account = group.organization.account
    held = Collaborator.objects.filter(group=group, package=OuterRef("pk"))
    words = request.GET.get("q", "")[:64] if may_choose else ""
    if may_choose:
        packages = Package.objects.filter(account=account, deleted_at=None)
    else:
        packages = access.visible_packages(viewer(request), account).filter(Exists(held))
    if words:
        packages = packages.filter(name__icontains=words)
    shown = slice_of(
        packages.annotate(held=Subquery(held.values("permission")[:1])),
        ["name"],
        after=position(request.GET.get("after", "")),
        before=position(request.GET.get("before", "")),
    )
    return {
        "packages": {
            "rows": [_row(package.name, package.held or "", group) for package in shown.rows],
            "words": words,
            "query": request.GET.urlencode(),
            **links(request, shown, [package.name for package in shown.rows]),
        }
    }


def _row(name: str, held: str, group: Group) -> _GroupPackage:
    differs = Permission(held).label if held and held != group.permission else ""
    return _GroupPackage(name, held, str(differs))


@act_of("accounts:group")
def group_packages_choose(request: HttpRequest, account: str, group: str) -> HttpResponse:
    """Of the packages that were shown: those that are ticked, and no others."""
    identity, organization = administered_organization(request, account)
    found = find_group(organization, group)
    added, removed = collaboration.choose_packages(
        by=identity,
        group=found,
        shown=request.POST.getlist("shown"),
        chosen=request.POST.getlist("chosen"),
    )
    said = [
        ngettext("%(n)d package added.", "%(n)d packages added.", added) % {"n": added},
        ngettext("%(n)d package removed.", "%(n)d packages removed.", removed) % {"n": removed},
    ]
    messages.success(request, " ".join(said))
    where = reverse("accounts:group", args=[organization.account.name, found.name])
    return redirect(f"{where}?{request.GET.urlencode()}")
