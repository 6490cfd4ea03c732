"""What a package needs, and who needs it; and a walk from name to name, both ways."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from portal.errors import NotFound
from registry import access, dependents, neighbours
from registry.filter_forms import DependentsForm, WalkForm
from registry.models import Package
from registry.views.frame import package_context, viewer
from registry.views.paging import links, slice_of

_MOST_SORTED = 50


@require_safe
def dependencies(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    newest = access.visible_files(identity, found).order_by("-version_key", "-pk").first()
    context = {
        **package_context(identity, found, "dependencies", _("Dependencies")),
        "newest": newest,
        "needed": dependents.dependencies_of(identity, found, newest) if newest else [],
        **_walk(request, identity, found),
    }
    return render(request, "registry/dependencies.html", context)


@require_safe
def dependents_page(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    form = DependentsForm(request.GET)
    edges = dependents.edges_to(identity, [found.name]).exclude(package=found)
    words = form.value("q")
    if words:
        edges = edges.filter(package_name__contains=words)
    pairs = edges.values_list("package_name", "package_id").distinct()
    count = dependents.count_dependents(identity, found)
    by_downloads = form.value("sort") == "downloads" and not count.is_more
    beside: dict[str, Any] = {}
    if by_downloads:
        ids = [pk for _name, pk in pairs.order_by("package_name", "package_id")]
    else:
        shown = slice_of(
            pairs,
            ["package_name", "package_id"],
            after=form.place("after"),
            before=form.place("before"),
        )
        ids = [pk for _name, pk in shown.rows]
        beside = links(request, shown, [f"{name} {pk}" for name, pk in shown.rows])
    rows = dependents.dependents(identity, found.name, ids, by_downloads=by_downloads)
    context = {
        **package_context(identity, found, "dependencies", _("Dependents")),
        "form": form,
        "words": words,
        "count": count,
        "rows": rows[:_MOST_SORTED] if by_downloads else rows,
        "is_cut": by_downloads and len(rows) > _MOST_SORTED,
        **beside,
    }
    return render(request, "registry/dependents.html", context)


def _walk(request: HttpRequest, identity: Identity, package: Package) -> dict[str, Any]:
    """The context of ``registry/walk.html``: what stands around the name in ``?at=``."""
    form = WalkForm(request.GET)
    at = form.value("at") or package.name
    if at != package.name and not neighbours.is_known(identity, at):
        raise NotFound
    depth = int(form.value("depth") or 1)
    known = package if at == package.name else None
    around = neighbours.around(identity, package.account, at, depth, known)
    return {
        "at": at,
        "depth": depth,
        "depths": range(1, neighbours.MAX_DEPTH + 1),
        "most_nodes": neighbours.MOST_NODES,
        "around": around,
        "is_here": at == package.name,
    }
