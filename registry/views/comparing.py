"""What changed between two versions of a package, or between two of its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from portal.errors import NotFound
from portal.templatetags.ui import filesize, thousands
from registry import access, contents
from registry.conda.comparison import (
    Change,
    FileChange,
    FilesCompared,
    Sign,
    compare_files,
    compare_specs,
    compare_values,
)
from registry.conda.provenance import provenance_of
from registry.describing import Newcomer, said_by
from registry.filter_forms import CompareForm
from registry.models import Package, PackageFile
from registry.views import listing
from registry.views.file_pages import unreadable_words, url_of
from registry.views.frame import package_context, viewer
from registry.views.index_words import index_words, variant_chips

_VERSIONS_OFFERED = 300
_BUILDS_LOOKED_AT = 50
_OPEN_UP_TO = 200
_MOST_SHOWN = 2_000
_MOST_FOLDERS = 30
_LONGEST_VALUE = 300


@require_safe
def compare(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    files = access.visible_files(identity, found)
    versions = _versions(files)
    form = CompareForm(
        _with_defaults(request.GET, versions),
        names=versions,
        platforms=listing.in_order(files.order_by().values_list("subdir", flat=True).distinct()),
    )
    context = package_context(identity, found, "versions", _("Compare"))
    pair = _named_files(identity, files, form) or _builds(files, form)
    context |= {"form": form, "versions": versions, "pair": pair}
    if pair is not None:
        context |= _differences(found, *pair) | {"swap": _swapped(form, pair)}
    return render(request, "registry/compare.html", context)


def _versions(files: QuerySet[PackageFile]) -> list[str]:
    rows = files.order_by("-version_key").values_list("version_key", "version").distinct()
    return [version for _key, version in rows[:_VERSIONS_OFFERED]]


def _with_defaults(query: QueryDict, versions: Sequence[str]) -> QueryDict:
    """The newest version with the one before it, unless others are asked for."""
    query = query.copy()
    if versions and query.get("to") not in versions:
        query["to"] = versions[0]
    if versions and query.get("from") not in versions:
        position = versions.index(query["to"]) + 1
        query["from"] = versions[min(position, len(versions) - 1)]
    return query


Pair = tuple[PackageFile, PackageFile]


def _named_files(
    identity: Identity, files: QuerySet[PackageFile], form: CompareForm
) -> Pair | None:
    """The two files that the address names, each as ``subdir/filename``."""
    names = form.value("from_file"), form.value("to_file")
    if not all(names):
        return None
    chosen = []
    for name in names:
        subdir, _mark, filename = name.partition("/")
        file = files.filter(subdir=subdir, filename=filename).select_related("account").first()
        if file is None:
            raise NotFound
        chosen.append(file)
    return chosen[0], chosen[1]


def _builds(files: QuerySet[PackageFile], form: CompareForm) -> Pair | None:
    """A build of each version, for one platform and as alike as there are."""
    from_version, to_version = form.value("from"), form.value("to")
    if not from_version or from_version == to_version:
        return None
    new = _of_version(files, to_version, form.value("platform"))
    old = _of_version(files, from_version, form.value("platform"))
    common = [subdir for subdir in new if subdir in old]
    if not new or not old:
        return None
    subdir = _preferred(common) or _preferred(list(new))
    after = new[subdir][0]
    candidates = old.get(subdir) or old[_preferred(list(old))]
    wanted = variant_chips(index_words(after).depends)
    alike = (file for file in candidates if variant_chips(index_words(file).depends) == wanted)
    return next(alike, candidates[0]), after


def _of_version(
    files: QuerySet[PackageFile], version: str, platform: str
) -> dict[str, list[PackageFile]]:
    rows = files.filter(version=version).select_related("account")
    if platform:
        rows = rows.filter(subdir=platform)
    found: dict[str, list[PackageFile]] = {}
    for file in rows.order_by("-build_number", "-filename")[:_BUILDS_LOOKED_AT]:
        found.setdefault(file.subdir, []).append(file)
    return found


def _preferred(subdirs: list[str]) -> str:
    if "linux-64" in subdirs:
        return "linux-64"
    return listing.in_order(subdirs)[0] if subdirs else ""


def _swapped(form: CompareForm, pair: Pair) -> str:
    query = QueryDict(mutable=True)
    if form.value("from_file"):
        query["from_file"], query["to_file"] = form.value("to_file"), form.value("from_file")
    else:
        query["from"], query["to"] = form.value("to"), form.value("from")
    if form.value("platform"):
        query["platform"] = form.value("platform")
    return f"?{query.urlencode()}"


# --- Differences -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Changes in one folder."""

    name: str
    changes: list[FileChange]


def _differences(package: Package, before: PackageFile, after: PackageFile) -> dict[str, Any]:
    for file in (before, after):
        file.package = package
    files, unreadable = _files_compared(before, after)
    dependencies = compare_specs(texts_of(before, "depends"), texts_of(after, "depends"))
    constrains = compare_specs(texts_of(before, "constrains"), texts_of(after, "constrains"))
    metadata = compare_values(_said(package, before), _said(package, after))
    return {
        "before": before,
        "after": after,
        "before_url": url_of(before),
        "after_url": url_of(after),
        "dependencies": dependencies,
        "constrains": constrains,
        "metadata": metadata,
        "files": files,
        "unreadable": unreadable,
        "verdict": verdict(dependencies, files, after.size_bytes - before.size_bytes),
        "is_same": not (dependencies or constrains or metadata or unreadable)
        and files is not None
        and not files.changes,
        **_grouped(files),
    }


def _files_compared(before: PackageFile, after: PackageFile) -> tuple[FilesCompared | None, str]:
    try:
        return compare_files(contents.listing_of(before), contents.listing_of(after)), ""
    except contents.Unreadable as reason:
        return None, unreadable_words(reason)


def texts_of(file: PackageFile, key: str) -> list[str]:
    value = file.index.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _said(package: Package, file: PackageFile) -> dict[str, str]:
    """What a build says of itself, apart from when and as which build it was made."""
    words = index_words(file)
    own = said_by(Newcomer(package, file.version, words.license, file.about))
    own.pop("description")
    provenance = provenance_of(file.about)
    exports = {
        f"run_exports: {kind}": ", ".join(specs) for kind, specs in (file.run_exports or {}).items()
    }
    found = {
        "noarch": words.noarch,
        "features": words.features,
        "track_features": words.track_features,
        **own,
        **exports,
        _("recipe"): provenance.repository_url,
        _("commit"): provenance.commit,
        _("built with"): provenance.builder,
    }
    flags = {key: json.dumps(value) for key, value in file.channeldata_flags.items() if value}
    return {key: text[:_LONGEST_VALUE] for key, text in {**found, **flags}.items() if text}


def _grouped(files: FilesCompared | None) -> dict[str, Any]:
    if files is None:
        return {}
    shown = files.changes[:_MOST_SHOWN]
    groups: dict[str, list[FileChange]] = {}
    for change in shown:
        groups.setdefault(change.path.rpartition("/")[0], []).append(change)
    return {
        "groups": [Group(name, changes) for name, changes in groups.items()],
        "is_long": len(files.changes) > _OPEN_UP_TO,
        "left_out": len(files.changes) - len(shown),
        "folders": [folder for folder in files.folders if folder.difference][:_MOST_FOLDERS],
    }


def verdict(
    dependencies: Sequence[Change], files: FilesCompared | None, size_difference: int
) -> str:
    """The changes in one sentence; empty where there are none."""

    def many(sign: Sign) -> int:
        return sum(change.sign is sign for change in dependencies)

    signs = (Sign.ADDED, Sign.DROPPED, Sign.TIGHTENED, Sign.LOOSENED, Sign.CHANGED)
    counted = [(many(sign), _dependency_words(sign, many(sign))) for sign in signs]
    if files is not None:
        of_files = (Sign.ADDED, Sign.DROPPED, Sign.CHANGED, Sign.RENAMED)
        counted += [(files.count(sign), _file_words(sign, files.count(sign))) for sign in of_files]
    words = [text for count, text in counted if count]
    if size_difference > 0:
        words.append(_("%(size)s larger") % {"size": filesize(size_difference)})
    elif size_difference < 0:
        words.append(_("%(size)s smaller") % {"size": filesize(-size_difference)})
    return ", ".join(words) + "." if words else ""


def _dependency_words(sign: Sign, count: int) -> str:
    words = {
        Sign.ADDED: ngettext("%(n)s dependency added", "%(n)s dependencies added", count),
        Sign.DROPPED: ngettext("%(n)s dependency dropped", "%(n)s dependencies dropped", count),
        Sign.TIGHTENED: ngettext(
            "%(n)s dependency tightened", "%(n)s dependencies tightened", count
        ),
        Sign.LOOSENED: ngettext("%(n)s dependency loosened", "%(n)s dependencies loosened", count),
        Sign.CHANGED: ngettext("%(n)s dependency changed", "%(n)s dependencies changed", count),
    }
    return words[sign] % {"n": thousands(count)}


def _file_words(sign: Sign, count: int) -> str:
    words = {
        Sign.ADDED: ngettext("%(n)s file added", "%(n)s files added", count),
        Sign.DROPPED: ngettext("%(n)s file dropped", "%(n)s files dropped", count),
        Sign.CHANGED: ngettext("%(n)s file changed", "%(n)s files changed", count),
        Sign.RENAMED: ngettext("%(n)s file renamed", "%(n)s files renamed", count),
    }
    return words[sign] % {"n": thousands(count)}
