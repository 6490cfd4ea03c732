"""Deleting files, versions and packages: first what it means, then the name to type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum, Window
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import ngettext

from accounts.forms import DeletionForm, show_refusal
from accounts.identity import Identity
from accounts.models import Account
from accounts.roles import Permission
from accounts.views.frame import form_page
from portal.errors import NotFound, Refusal
from portal.sentences import Number
from portal.sentences import gettext as _
from portal.templatetags.ui import thousands
from registry import access, placement
from registry.dependents import dependents_of, exact_dependents_of
from registry.file_work import start_deletion
from registry.models import Binned, Download, Job, Package, PackageFile
from registry.packages import delete_package, delete_release, require_deleting
from registry.views import undo
from registry.views.file_pages import find_file, url_of
from registry.views.frame import (
    account_context,
    home_of,
    package_context,
    viewer,
    visible_entries,
)
from registry.views.picking import Picked, nothing_picked, picked_files

_LISTED = 20
_DOWNLOADS_OF = timedelta(days=30)
Because = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Deletion:
    """What one of the pages is about."""

    account: Account
    subject: str
    """In the heading: "xz 5.6.3"."""
    typed: str
    done: str
    """What is said when it is done."""
    files: QuerySet[PackageFile]
    act: Callable[[Because], object]
    back_url: str
    next_url: str
    frame: dict[str, Any]
    package: Package | None = None
    query: str = ""


@form_page
def file_delete(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    identity = viewer(request)
    file = find_file(identity, account, package, subdir, filename)
    access.require_delete(identity, file)

    def act(because: Because) -> object:
        return placement.delete_files(by=identity, files=[file], because=because)

    deletion = _Deletion(
        account=file.account,
        subject=file.filename,
        typed=file.filename,
        done=_("%s is deleted.") % file,
        files=PackageFile.objects.filter(pk=file.pk),
        act=act,
        back_url=url_of(file),
        next_url=reverse("registry:files", args=[file.account.name, file.name]),
        frame=package_context(identity, file.package, "files", _("Delete %s") % file.filename),
        package=file.package,
    )
    return _page(request, identity, deletion)


@form_page
def version_delete(request: HttpRequest, account: str, package: str, version: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    files = PackageFile.objects.present().filter(package=found, version=version)
    if not files.exists():
        raise NotFound
    access.require_package(identity, found, Permission.WRITE)

    def act(because: Because) -> object:
        return delete_release(by=identity, package=found, version=version, because=because)

    where = [found.account.name, found.name]
    name = f"{found.name} {version}"
    frame = package_context(identity, found, "versions", version, _("Delete"))
    frame["crumbs"][2]["url"] = reverse("registry:version", args=[*where, version])
    deletion = _Deletion(
        account=found.account,
        subject=name,
        typed=name,
        done=_("%s is deleted.") % name,
        files=files,
        act=act,
        back_url=reverse("registry:version", args=[*where, version]),
        next_url=reverse("registry:versions", args=where),
        frame=frame,
        package=found,
    )
    return _page(request, identity, deletion)


@form_page
def package_delete(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    require_deleting(identity, found)

    def act(because: Because) -> object:
        return delete_package(by=identity, package=found, because=because)

    deletion = _Deletion(
        account=found.account,
        subject=found.name,
        typed=found.name,
        done=_("%s is deleted.") % found.name,
        files=PackageFile.objects.present().filter(package=found),
        act=act,
        back_url=home_of(found),
        next_url=reverse("registry:account", args=[found.account.name]),
        frame=package_context(identity, found, "settings", _("Delete")),
        package=found,
    )
    return _page(request, identity, deletion, is_package=True)


@form_page
def files_delete(request: HttpRequest, account: str) -> HttpResponse:
    """Several files at once."""
    identity = viewer(request)
    picked = picked_files(request, identity, account)
    if not picked.files:
        return nothing_picked(request, picked)
    refused = access.undeletable(identity, picked.account, picked.files)
    good = [file for file in picked.files if file.pk not in refused]
    if not good:
        raise next(iter(refused.values()))
    count = len(good)

    def act(because: Because) -> object:
        if picked.is_long:
            return start_deletion(
                by=identity,
                account=picked.account,
                files=good,
                because=because,
                title=_("Delete %(count)s files") % {"count": Number(count)},
            )
        return placement.delete_files(by=identity, files=good, because=because)

    deletion = _Deletion(
        account=picked.account,
        subject=ngettext("%(count)s file", "%(count)s files", count) % {"count": thousands(count)},
        typed=picked.package.name if picked.package else picked.account.name,
        done=ngettext("%(count)s file is deleted.", "%(count)s files are deleted.", count)
        % {"count": thousands(count)},
        files=PackageFile.objects.filter(pk__in=[file.pk for file in good]),
        act=act,
        back_url=picked.list_url,
        next_url=picked.list_url,
        frame=_frame_of(identity, picked),
        package=picked.package,
        query=picked.query,
    )
    return _page(request, identity, deletion, refused=len(refused))


def _frame_of(identity: Identity, picked: Picked) -> dict[str, Any]:
    if picked.package is not None:
        frame = package_context(identity, picked.package, "files", _("Files"), _("Delete"))
        frame["crumbs"][2]["url"] = picked.list_url
        return frame
    return account_context(identity, picked.account, "packages")


def _page(
    request: HttpRequest,
    identity: Identity,
    deletion: _Deletion,
    *,
    refused: int = 0,
    is_package: bool = False,
) -> HttpResponse:
    form = DeletionForm(request.POST or None, name=deletion.typed)
    ids = list(deletion.files.values_list("pk", flat=True)) if request.method == "POST" else []
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            done = deletion.act({"reason": reason} if reason else {})
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            if isinstance(done, Job):
                return redirect(reverse("registry:job", args=[done.key]))
            return redirect(_next_url(request, deletion, ids))
    # The first of them, each with how many there are in all: one query less.
    counted = deletion.files.annotate(
        all_files=Window(Count("pk")), all_bytes=Window(Sum("size_bytes"))
    )
    listed = list(counted.order_by("subdir", "filename")[:_LISTED])
    files, size = (listed[0].all_files, listed[0].all_bytes) if listed else (0, None)
    context = {
        **deletion.frame,
        "base_template": f"registry/{'package' if deletion.package else 'account'}_base.html",
        "deletion": deletion,
        "form": form,
        "total": {"files": files, "size": size},
        "refused": refused,
        "is_package": is_package,
        "channels": _channels(identity, deletion),
        "dependents": _dependents(identity, deletion, is_package=is_package),
        "downloads": _downloads(deletion.files),
        "listed": listed,
        "more": max(0, files - _LISTED),
        "kept_until": timezone.now() + settings.BIN_KEPT if settings.BIN_KEPT else None,
        "act_url": request.get_full_path(),
    }
    wrong = bool(form.errors)
    return render(request, "registry/delete.html", context, status=422 if wrong else 200)


def _next_url(request: HttpRequest, deletion: _Deletion, ids: list[int]) -> str:
    kept = list(Binned.objects.filter(file__in=ids).values_list("file", flat=True)[:500])
    if len(kept) < len(ids) or not kept:
        # More than one press brings back, or nothing can: the bin is the way.
        kept = []
    query = undo.offer(request, deletion.account, words=deletion.done, act="delete", files=kept)
    joint = "&" if "?" in deletion.next_url else "?"
    return f"{deletion.next_url}{joint}{query}"


def _channels(identity: Identity, deletion: _Deletion) -> list[str]:
    entries = visible_entries(identity, deletion.account).filter(
        file__in=deletion.files.order_by().values("pk")
    )
    return sorted(set(entries.values_list("channel__name", flat=True)))


def _dependents(
    identity: Identity, deletion: _Deletion, *, is_package: bool
) -> list[dict[str, str]]:
    """What the viewer may know of that needs the package, or exactly the version that goes."""
    if deletion.package is None:
        return []
    if is_package:
        found = dependents_of(identity, deletion.package, most=_LISTED, by_downloads=True)
        return [
            {
                "account": one.account.name,
                "name": one.name,
                "constraint": ", ".join(one.constraints),
            }
            for one in found
        ]
    versions = list(deletion.files.order_by().values_list("version", flat=True).distinct()[:2])
    if len(versions) != 1:
        return []
    exact = exact_dependents_of(identity, deletion.package, versions[0], most=_LISTED)
    packages = {(file.account.name, file.name) for file in exact.files}
    return [
        {"account": account, "name": name, "constraint": versions[0]}
        for account, name in sorted(packages)
    ]


def _downloads(files: QuerySet[PackageFile]) -> int:
    since = timezone.now().date() - _DOWNLOADS_OF
    counted = Download.objects.filter(file__in=files.order_by().values("pk"), day__gt=since)
    return counted.aggregate(total=Sum("count"))["total"] or 0
