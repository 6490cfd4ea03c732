"""One version of a package: its builds, what they need, and what is new in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from portal.errors import NotFound
from registry import access
from registry.conda.comparison import compare_specs
from registry.conda.provenance import provenance_of
from registry.models import Channel, Package, PackageFile, Release
from registry.views import listing
from registry.views.attested import count_attested, with_marks
from registry.views.comparing import texts_of, verdict
from registry.views.file_pages import url_of
from registry.views.frame import package_context, preference, viewer
from registry.views.index_words import IndexWords, index_words, variant_chips
from registry.views.install import install_variants
from registry.views.packages import channels_by_file, file_rows

_BUILDS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Build:
    """A file among the builds of a version."""

    file: PackageFile
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class BuildRow:
    """A build string, and the platforms that it was built for."""

    name: str
    chips: list[str]
    cells: list[list[Build]]


@require_safe
def version(request: HttpRequest, account: str, package: str, version: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    everything = access.visible_files(identity, found)
    files = everything.filter(version=version)
    builds = list(
        with_marks(listing.newest_first(files))
        .select_related("uploaded_by", "uploaded_with", "account")
        .defer("about")[:_BUILDS_SHOWN]
    )
    if not builds:
        raise NotFound
    newest = listing.newest_of(everything.defer("index", "about"))
    said = Release.objects.filter(package=found, version=version).first()
    chosen = _chosen(builds, request.GET.get("build", ""))
    words = index_words(chosen)
    platforms = listing.in_order({file.subdir for file in builds})
    channels = channels_by_file(identity, found.account, builds)
    context = {
        **package_context(identity, found, "versions", version),
        "shown_version": version,
        "newest": newest,
        # A pre-release of what comes next is not told to go back.
        "is_latest": newest is None or bytes(newest.version_key) <= bytes(builds[0].version_key),
        "about": listing.about_version(found, builds[0], said),
        "platforms": platforms,
        "build_rows": _build_rows(builds, platforms, chosen),
        "chosen": chosen,
        "chosen_url": url_of(chosen),
        "info": words,
        "provenance": provenance_of(chosen.about),
        "size_bytes": sum(file.size_bytes for file in builds),
        "before": _before(found, everything, chosen, words),
        "files": file_rows(builds, channels),
        "totals": _totals(files, builds),
        **_install(identity, found, builds, channels),
    }
    return render(request, "registry/version.html", context)


def _totals(files: QuerySet[PackageFile], builds: Sequence[PackageFile]) -> dict[str, int]:
    """How many files the version has, and how many of them are signed."""
    if len(builds) == _BUILDS_SHOWN:
        return listing.totals(files) | {"attested": count_attested(files)}
    return {"files": len(builds), "attested": sum(vars(file)["is_attested"] for file in builds)}


def _chosen(builds: Sequence[PackageFile], wanted: str) -> PackageFile:
    """The build that ``subdir/filename`` names, else the newest one for linux-64, else any."""
    by_name = {f"{file.subdir}/{file.filename}": file for file in builds}
    common = (file for file in builds if file.subdir == "linux-64")
    return by_name.get(wanted) or next(common, builds[0])


def _install(
    identity: Identity,
    package: Package,
    builds: Sequence[PackageFile],
    channels: dict[int, list[Channel]],
) -> dict[str, Any]:
    """How to get this version, from the one channel that has the newest of its builds."""
    standing = next((channels[file.pk] for file in builds if channels.get(file.pk)), None)
    if standing is None:
        return {"variants": []}
    channel = min(standing, key=preference)
    variants = install_variants(
        identity, channel, package.name, builds[0].version, is_private=package.is_private
    )
    return {"variants": variants}


def _build_rows(
    builds: Sequence[PackageFile], platforms: Sequence[str], chosen: PackageFile
) -> list[BuildRow]:
    by_build: dict[str, list[PackageFile]] = {}
    for file in builds:
        by_build.setdefault(file.build, []).append(file)
    rows = [
        BuildRow(
            build,
            variant_chips(index_words(files[0]).depends),
            [
                [Build(file, file.pk == chosen.pk) for file in files if file.subdir == subdir]
                for subdir in platforms
            ],
        )
        for build, files in by_build.items()
    ]
    return sorted(rows, key=lambda row: (row.chips, row.name))


def _before(
    package: Package,
    files: QuerySet[PackageFile],
    chosen: PackageFile,
    words: IndexWords,
) -> dict[str, Any]:
    """The version before, what changed since as far as metadata tell, and where to see it all."""
    earlier = (
        files.filter(version_key__lt=chosen.version_key, subdir=chosen.subdir)
        .order_by("-version_key", "-build_number")
        .defer("about")[:10]
    )
    candidates = list(earlier)
    if not candidates:
        return {}
    newest = [file for file in candidates if file.version == candidates[0].version]
    wanted = variant_chips(words.depends)
    alike = (file for file in newest if variant_chips(index_words(file).depends) == wanted)
    before = next(alike, newest[0])
    changes = compare_specs(texts_of(before, "depends"), texts_of(chosen, "depends"))
    query = urlencode({"from": before.version, "to": chosen.version, "platform": chosen.subdir})
    address = reverse("registry:compare", args=[package.account.name, package.name])
    return {
        "version": before.version,
        "verdict": verdict(changes, None, chosen.size_bytes - before.size_bytes),
        "url": f"{address}?{query}",
    }
