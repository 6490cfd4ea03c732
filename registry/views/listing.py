"""What lists of packages and versions show of them: only what the viewer's files say.

A package's own fields follow its newest upload, which may stand in a channel that the viewer
knows nothing of. So versions, dates and platforms come from the files that are visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple, Self, TypeVar

from django.db.models import (
    Count,
    DateTimeField,
    F,
    Max,
    Min,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    TextField,
    Value,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from registry.conda.description import description_fields
from registry.conda.errors import InvalidVersionError
from registry.conda.subdirs import KNOWN_SUBDIRS, NOARCH
from registry.conda.version import PRERELEASE, sort_key
from registry.describing import Newcomer, said_by
from registry.models import Package, PackageFile
from registry.models.package import DESCRIPTION_FIELDS, Described
from registry.views.paging import PAGE_SIZE, Slice, slice_of

# Platforms first, as people look for theirs; what runs everywhere comes last.
_PLATFORM_RANK = {subdir: rank for rank, subdir in enumerate([*KNOWN_SUBDIRS[1:], NOARCH], start=1)}


def in_order(subdirs: Iterable[str]) -> list[str]:
    """Subdirs as people look for them: the common platforms, the rare ones, noarch."""
    others = len(_PLATFORM_RANK) - 1
    return sorted(subdirs, key=lambda subdir: (_PLATFORM_RANK.get(subdir, others), subdir))


_File = TypeVar("_File", bound=PackageFile)

# --- Packages ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A package in a list. Without a version none of its files is visible."""

    package: Package
    version: str = ""
    summary: str = ""
    updated_at: datetime | None = None
    platforms: list[str] = field(default_factory=list)
    downloads: int = 0


def package_rows(
    packages: Sequence[Package], files: QuerySet[PackageFile], *, fetched: str = ""
) -> list[PackageRow]:
    """What there is to say of these packages, as far as ``files`` tell; one query. ``fetched`` is
    the field of how often they were downloaded, where that is shown."""
    ids = [package.pk for package in packages]
    of_it = files.filter(package=OuterRef("pk")).order_by()
    newest = of_it.annotate(said=KT("about__summary")).order_by("-version_key", "-pk")
    stable = newest.exclude(version__iregex=PRERELEASE)
    told = (
        Package.objects.filter(pk__in=ids)
        .order_by()
        .values_list(
            "pk",
            Value(""),
            Coalesce(
                Subquery(stable.values("version")[:1]), Subquery(newest.values("version")[:1])
            ),
            Coalesce(Subquery(stable.values("said")[:1]), Subquery(newest.values("said")[:1])),
            # Not the first in order: databases then walk along all files of the account.
            Subquery(of_it.values("package").values_list(Max("uploaded_at"))),
        )
    )
    nothing = Value(None, output_field=TextField())
    subdirs = (
        files.filter(package__in=ids)
        .order_by()
        .values_list(
            "package_id", "subdir", nothing, nothing, Value(None, output_field=DateTimeField())
        )
    )
    newest_of_each: dict[int, _Newest] = {}
    platforms: dict[int, set[str]] = {}
    for package_id, subdir, *facts in told.union(subdirs):
        if subdir:
            platforms.setdefault(package_id, set()).add(subdir)
        else:
            newest_of_each[package_id] = _Newest(*facts)
    rows = (
        _row(package, newest_of_each.get(package.pk), platforms.get(package.pk, set()))
        for package in packages
    )
    return [
        replace(row, downloads=getattr(row.package, fetched)) if fetched else row for row in rows
    ]


class _Newest(NamedTuple):
    version: str | None
    said: str | None
    uploaded_at: datetime | None


def _row(package: Package, newest: _Newest | None, platforms: set[str]) -> PackageRow:
    if newest is None or newest.version is None:
        return PackageRow(package)
    version = newest.version
    summary = (
        package.summary
        if version == package.latest_version or "summary" in package.pinned
        else description_fields({"summary": newest.said})["summary"]
    )
    return PackageRow(package, version, summary, newest.uploaded_at, in_order(platforms))


# --- One package -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class About:
    """What a package says of itself, in the words of its newest visible file."""

    summary: str = ""
    description: str = ""
    license: str = ""
    license_url: str = ""
    home_url: str = ""
    dev_url: str = ""
    doc_url: str = ""
    source_url: str = ""

    @classmethod
    def of(cls, described: Described, fields: Iterable[str] = DESCRIPTION_FIELDS) -> Self:
        return cls(**{field: getattr(described, field) for field in fields})


def about(package: Package, newest: PackageFile | None) -> About:
    """What is pinned by hand is said whatever the viewer sees of the files."""
    if newest is None:
        # Of one without any files, nothing else was said than by hand.
        has_files = bool(package.latest_version)
        return About.of(package, package.pinned if has_files else DESCRIPTION_FIELDS)
    if newest.version == package.latest_version:
        return About.of(package)
    return replace(
        _about_file(package, newest), **{name: getattr(package, name) for name in package.pinned}
    )


def about_version(package: Package, newest: PackageFile, said: Described | None) -> About:
    """What was said by hand of a version goes over what its newest file says."""
    found = _about_file(package, newest)
    if newest.version == package.latest_version:
        found = About.of(package)
    if said is None:
        return found
    by_hand = {name: getattr(said, name) for name in DESCRIPTION_FIELDS}
    return replace(found, **{name: text for name, text in by_hand.items() if text})


def _about_file(package: Package, file: PackageFile) -> About:
    license_name = str(file.index.get("license") or "")
    return About(**said_by(Newcomer(package, file.version, license_name, file.about)))


def newest_first(files: QuerySet[_File]) -> QuerySet[_File]:
    """By the order of versions (CEP 33)."""
    return files.order_by("-version_key", "-pk")


def newest_of(files: QuerySet[_File]) -> _File | None:
    """The newest file of the newest version that is meant for everybody; where there is none, of
    the newest at all."""
    ordered = newest_first(files)
    return ordered.exclude(version__iregex=PRERELEASE).first() or ordered.first()


def newest_and_size(files: QuerySet[PackageFile]) -> tuple[PackageFile | None, int]:
    """`newest_of`, and the bytes of all; one query."""
    sizes = files.order_by().values("package").annotate(total=Sum("size_bytes"))
    newest = newest_of(files.annotate(bytes_of_all=Subquery(sizes.values("total"))))
    return newest, vars(newest)["bytes_of_all"] if newest is not None else 0


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a package, as far as its files are visible."""

    version: str
    first_uploaded_at: datetime
    file_count: int
    size_bytes: int
    builds: dict[str, int]  # by subdir

    @property
    def platforms(self) -> list[str]:
        return in_order(self.builds)


_RELEASE_ORDER = ("-version_key", "version")


def releases(
    files: QuerySet[PackageFile], *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> Slice[Release]:
    """Versions, newest first by their order; two queries."""
    versions = (
        files.order_by()
        .values("version_key", "version")
        .annotate(count=Count("pk"), total=Sum("size_bytes"), first=Min("uploaded_at"))
    )
    shown = slice_of(
        versions,
        _RELEASE_ORDER,
        after=_release_position(after),
        before=_release_position(before),
        size=size,
    )
    builds: dict[str, dict[str, int]] = {}
    counted = (
        files.filter(version__in=[row["version"] for row in shown.rows])
        .order_by()
        .values_list("version", "subdir")
        .annotate(count=Count("pk"))
    )
    for version, subdir, count in counted:
        builds.setdefault(version, {})[subdir] = count
    return Slice(
        [
            Release(
                row["version"], row["first"], row["count"], row["total"], builds[row["version"]]
            )
            for row in shown.rows
        ],
        shown.has_before,
        shown.has_after,
    )


def _release_position(version: str) -> tuple[bytes, str] | None:
    if not version:
        return None
    try:
        return sort_key(version), version
    except InvalidVersionError:
        return None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Versions in rows, platforms in columns; a cell is how many builds there are."""

    platforms: list[str]
    rows: list[tuple[Release, list[tuple[str, int]]]]


def matrix(shown: Sequence[Release]) -> Matrix:
    platforms = in_order({subdir for release in shown for subdir in release.builds})
    return Matrix(
        platforms,
        [
            (release, [(subdir, release.builds.get(subdir, 0)) for subdir in platforms])
            for release in shown
        ],
    )


def totals(files: QuerySet[PackageFile]) -> dict[str, int]:
    """How many files, packages and bytes these are."""
    counted = files.order_by().aggregate(
        files=Count("pk"), packages=Count(F("package"), distinct=True), size=Sum("size_bytes")
    )
    return {name: value or 0 for name, value in counted.items()}
