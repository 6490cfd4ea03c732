"""Who needs whom in this host, as far as somebody may know: readers of `registry.edges`.

A dependency is a name. Clients resolve it in the channels that they are given, so whoever needs
the name ``xz`` may mean any package that is called so, of whatever account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from accounts.identity import Identity
from accounts.models import Account
from registry import access
from registry.conda.current import Version, constraint, exact_version, is_met, required_name
from registry.conda.version import sort_key
from registry.models import ChannelFile, Dependency, DownloadTotal, Package, PackageFile

MOST_COUNTED = 1000
_MOST_FILES = 200
_MOST_LOOKED_AT = 2000
_MOST_VERSIONS = 20_000
_MOST_ACCOUNTS = 3

# --- Edges ---------------------------------------------------------------------------------------


def visible_edges(viewer: Identity) -> QuerySet[Dependency]:
    """The edges of channels that they may read, of packages that they may know of."""
    package = access.visible_packages(viewer).filter(pk=OuterRef("package"))
    channel = access.readable_channels(viewer).filter(pk=OuterRef("channel"))
    return Dependency.objects.filter(Exists(channel), Exists(package))


def edges_to(viewer: Identity, names: Collection[str]) -> QuerySet[Dependency]:
    """Who needs one of these names; a package in several channels is there several times."""
    return visible_edges(viewer).filter(name__in=names)


@dataclass(frozen=True, slots=True)
class Count:
    """A number that was not counted to its end where that would take long."""

    number: int
    is_more: bool = False


def count_dependents(viewer: Identity, package: Package) -> Count:
    rows = edges_to(viewer, [package.name]).exclude(package=package)
    ids = rows.order_by("package_name", "package_id").values_list("package_name", "package_id")
    found = len(ids.distinct()[: MOST_COUNTED + 1])
    return Count(min(found, MOST_COUNTED), found > MOST_COUNTED)


@dataclass(frozen=True, slots=True)
class Dependent:
    """A package that needs another one, and what it asks of it."""

    package: Package
    constraints: tuple[str, ...]
    downloads: int

    @property
    def name(self) -> str:
        return self.package.name

    @property
    def account(self) -> Account:
        return self.package.account


def dependents_of(
    viewer: Identity, package: Package, *, most: int = 50, by_downloads: bool = False
) -> list[Dependent]:
    """Packages whose newest version needs this name: by name, or the most downloaded first, of
    the first `MOST_COUNTED` by name."""
    rows = edges_to(viewer, [package.name]).exclude(package=package)
    pairs = rows.order_by("package_name", "package_id").values_list("package_name", "package_id")
    ids = [pk for _, pk in pairs.distinct()[: MOST_COUNTED if by_downloads else most]]
    return dependents(viewer, package.name, ids, by_downloads=by_downloads)[:most]


def dependents(
    viewer: Identity, name: str, package_ids: Sequence[int], *, by_downloads: bool = False
) -> list[Dependent]:
    """What there is to say of these packages, which need the name."""
    asked: dict[int, set[str]] = {}
    rows = edges_to(viewer, [name]).filter(package__in=package_ids).order_by()
    for package_id, constraints in rows.values_list("package_id", "constraints"):
        asked.setdefault(package_id, set()).update(constraints.splitlines())
    counted = downloads(viewer, package_ids)
    packages = Package.objects.select_related("account").in_bulk(list(package_ids))
    found = [
        Dependent(packages[pk], tuple(sorted(asked[pk])), counted.get(pk, 0))
        for pk in package_ids
        if pk in packages and pk in asked
    ]
    return sorted(found, key=lambda one: -one.downloads) if by_downloads else found


def downloads(viewer: Identity, package_ids: Collection[int]) -> dict[int, int]:
    """How often files of these packages were fetched, as far as they stand in channels that the
    viewer may read; the packages are those that they may know of."""
    readable = ChannelFile.objects.filter(
        file=OuterRef("file"), channel__in=access.readable_channels(viewer).values("pk")
    )
    totals = DownloadTotal.objects.filter(file__package__in=package_ids).filter(Exists(readable))
    summed = totals.order_by().values("file__package").annotate(total=Sum("count"))
    return dict(summed.values_list("file__package", "total"))


# --- Who needs exactly this version --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExactDependents:
    """Files that can't be installed without one version of a package."""

    files: list[PackageFile] = field(default_factory=list)
    is_all: bool = True
    """Whether everything was looked at that could be one."""

    @property
    def names(self) -> list[str]:
        return sorted({file.name for file in self.files})


def exact_dependents_of(
    viewer: Identity, package: Package, version: str, *, most: int = 50
) -> ExactDependents:
    """Files, which the viewer may see, with a spec that only this version of the package meets.

    Looked for among packages whose newest version needs the name; never more than some thousand
    files are read.
    """
    rows = edges_to(viewer, [package.name]).exclude(package=package).order_by()
    candidates = rows.values_list("package_id", flat=True).distinct()
    ids = list(candidates[: MOST_COUNTED + 1])
    mentioning = (
        visible_files(viewer)
        .filter(package__in=ids[:MOST_COUNTED])
        .annotate(said=Cast("index", TextField()))
        .filter(said__contains=f'"{package.name}')
        .filter(said__contains=version)
        .select_related("account", "package")
        .order_by("-pk")
    )
    wanted = sort_key(version)
    looked_at = list(mentioning[: _MOST_LOOKED_AT + 1])
    found: list[PackageFile] = [
        file
        for file in looked_at
        if any(
            required_name(spec) == package.name and exact_version(spec) == wanted
            for spec in _depends(file)
        )
    ]
    is_all = max(len(found) - most, len(looked_at) - _MOST_LOOKED_AT, len(ids) - MOST_COUNTED) <= 0
    return ExactDependents(found[:most], is_all)


def visible_files(viewer: Identity) -> QuerySet[PackageFile]:
    """Files, of any account, that stand in channels which they may read; their packages are to be
    those that they may know of."""
    readable = ChannelFile.objects.filter(
        file=OuterRef("pk"), channel__in=access.readable_channels(viewer).values("pk")
    )
    return PackageFile.objects.staying().filter(Exists(readable))


def _depends(file: PackageFile) -> list[str]:
    depends = file.index.get("depends")
    return [spec for spec in depends if isinstance(spec, str)] if isinstance(depends, list) else []


# --- What a package needs ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Needed:
    """A name that a package needs, and where this host has it."""

    name: str
    constraints: tuple[str, ...]
    packages: list[Package] = field(default_factory=list)
    """Those of this host that are called so: the account's own first."""
    newest: str = ""
    """The newest version of the first of them that does."""

    @property
    def is_virtual(self) -> bool:
        """Whether it is found out about the computer, and no package at all."""
        return self.name.startswith("__")

    @property
    def package(self) -> Package | None:
        return self.packages[0] if self.packages else None


def dependencies_of(
    viewer: Identity, package: Package, newest: PackageFile | None = None
) -> list[Needed]:
    """What all files together of the newest version need that the viewer may see; ``newest`` is
    one of them, where that is known already."""
    files = _newest_files(viewer, package, newest)
    asked: dict[str, set[str]] = {}
    for spec in (spec for one in files for spec in _depends(one)):
        if name := required_name(spec):
            asked.setdefault(name, set()).add(spec)
    here = packages_called(viewer, asked, package.account)
    first = [packages[0].pk for packages in here.values()]
    versions = _versions(viewer, first)
    return [
        Needed(
            name,
            tuple(sorted({constraint(spec) for spec in asked[name]} - {""})),
            here.get(name, [])[:_MOST_ACCOUNTS],
            _newest_that_does(asked[name], versions.get(here[name][0].pk, []))
            if name in here
            else "",
        )
        for name in sorted(asked)
    ]


def _newest_files(
    viewer: Identity, package: Package, newest: PackageFile | None
) -> list[PackageFile]:
    files = access.visible_files(viewer, package).order_by("-version_key", "-pk")
    newest = newest or files.only("version_key").first()
    if newest is None:
        return []
    alike = files.filter(version_key=newest.version_key)
    return list(alike.only("pk", "index")[:_MOST_FILES])


def packages_called(
    viewer: Identity, names: Iterable[str], first: Account
) -> dict[str, list[Package]]:
    """By name, the packages of this host that the viewer may know of; those of one account come
    first."""
    found: dict[str, list[Package]] = {}
    for package in access.visible_packages(viewer).filter(name__in=list(names)).order_by("pk"):
        found.setdefault(package.name, []).append(package)
    for packages in found.values():
        packages.sort(key=lambda one: one.account_id != first.pk)
    return found


def _versions(viewer: Identity, package_ids: Collection[int]) -> dict[int, list[Version]]:
    """The versions of these packages, the newest first."""
    rows = visible_files(viewer).filter(package__in=package_ids)
    columns = rows.order_by("package_id", "-version_key", "version")
    found: dict[int, list[Version]] = {}
    for package_id, key, text in columns.values_list(
        "package_id", "version_key", "version"
    ).distinct()[:_MOST_VERSIONS]:
        found.setdefault(package_id, []).append(Version(bytes(key), text))
    return found


def _newest_that_does(specs: Iterable[str], versions: Iterable[Version]) -> str:
    """The newest version that one build or another may be installed with."""
    specs = list(specs)
    return next(
        (version.text for version in versions if any(is_met(spec, [version]) for spec in specs)), ""
    )
