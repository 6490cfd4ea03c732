"""What a package is said to be, which follows its files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from django.db.models import Exists, OuterRef, QuerySet

from portal.errors import InvalidInput
from portal.prepared import Prepared
from portal.sentences import gettext, together
from registry.conda.record import description_fields
from registry.conda.version import sort_key
from registry.models import Channel, ChannelFile, Package, PackageFile, bulk
from registry.models.package import DESCRIPTION_FIELDS


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A file that comes into a channel, and what it says of its package; of one that was here
    before, that is read when it describes its package."""

    package: Package
    version: str
    license: str = ""
    about: Mapping[str, object] | str | None = None
    """``info/about.json``, read or as text."""
    file_id: int | None = None


def shown_packages(packages: Iterable[Package]) -> set[int]:
    """Those of the packages that stand in a public channel."""
    return {pk for (pk,) in _SHOWN.rows(list({package.id for package in packages}))}


_SHOWN = Prepared(
    lambda ids: (
        Package.objects.filter(
            Exists(
                ChannelFile.objects.filter(
                    file__package=OuterRef("pk"), channel__visibility=Channel.Visibility.PUBLIC
                )
            ),
            pk__in=ids,
        )
        .order_by()
        .values_list("pk")
    ),
    list[int],
)


def describe(newcomers: Iterable[Newcomer], channel: Channel, *, shown: set[int]) -> None:
    """Let what describes packages follow the files that came into ``channel``, unless they are
    of an older version, or it was pinned by hand. ``shown`` are the packages that stood in a
    public channel before; the packages are held.

    Whoever may know of the package sees this. So what comes into a private channel changes
    nothing for a package that stands in a public one, and the first file in a public one all.
    """
    shown = set(shown)
    newcomers = list(newcomers)
    without_files = {one.package.id for one in newcomers if not one.package.latest_version}
    chosen: dict[int, Newcomer] = {}
    for newcomer in newcomers:
        row = newcomer.package
        is_shown = row.id in shown
        if is_shown and channel.is_private:
            continue
        latest = row.latest_version
        follows = is_shown or channel.is_private
        if follows and latest and sort_key(newcomer.version) < sort_key(latest):
            continue
        row.latest_version = newcomer.version
        chosen[row.id] = newcomer
        if not channel.is_private:
            shown.add(row.id)
    for newcomer, said in _all_said(chosen.values()):
        if newcomer.package.id in without_files:
            _pin_what_was_said_before(newcomer.package, said)
        for field, value in said.items():
            if field not in newcomer.package.pinned:
                setattr(newcomer.package, field, value)
    # Not the whole rows: they may have been made private since they were read.
    described = [newcomer.package for newcomer in chosen.values()]
    bulk.update(described, ("latest_version", *DESCRIPTION_FIELDS))


def _all_said(newcomers: Collection[Newcomer]) -> Iterator[tuple[Newcomer, dict[str, str]]]:
    unread = [one.file_id for one in newcomers if one.about is None]
    rows = PackageFile.objects.only("index", "about").in_bulk(unread) if unread else {}
    for one in newcomers:
        row = None if one.file_id is None else rows.get(one.file_id)
        yield one, said_by(one) if row is None else _said_by_file(one.package, row)


def _said_by_file(package: Package, file: PackageFile) -> dict[str, str]:
    own_license = str(file.index.get("license") or "")
    return said_by(Newcomer(package, "", own_license, file.about))


def _pin_what_was_said_before(package: Package, said: Mapping[str, str]) -> None:
    """What was said of a package without files stays where its first file says otherwise: that is
    ``anaconda upload --summary`` of a new package, or one that was made by hand."""
    other = {field for field in _IN_WORDS if getattr(package, field) not in {"", said[field]}}
    if other:  # so rarely that it may cost a query
        package.pinned = sorted({*package.pinned, *other})
        Package.objects.filter(pk=package.pk).update(pinned=package.pinned)


# Links and licenses are written in too many ways for a difference to mean anything.
_IN_WORDS = ("summary", "description")
# What the fields are called in about.json.
_ABOUT = {field: field for field in DESCRIPTION_FIELDS} | {"home_url": "home"}
_LENGTHS = {
    field: getattr(Package._meta.get_field(field), "max_length", None)  # noqa: SLF001 - Django's documented API
    for field in DESCRIPTION_FIELDS
}


def said_by(newcomer: Newcomer) -> dict[str, str]:
    """What a file says of its package, in the fields that describe one."""
    own = {"license": newcomer.license} if newcomer.license else {}
    about = newcomer.about or {}
    if isinstance(about, str):
        about = msgspec.json.decode(about, type=dict[str, object])
    about = description_fields({**about, **own})
    return _fitted({field: about[_ABOUT[field]] for field in DESCRIPTION_FIELDS})


def cleaned(fields: Mapping[str, str], *, strict: bool = False) -> dict[str, str]:
    """What somebody says of a package, made fit to be shown as what archives say is; ``strict``
    refuses what is nothing then."""
    about = description_fields({_ABOUT[field]: text for field, text in fields.items()})
    said = _fitted({field: about[_ABOUT[field]] for field in fields})
    unfit = [field for field in fields if fields[field].strip() and not said[field]]
    if strict and unfit:
        errors: dict[str, list[str]] = {
            field: [
                together(
                    [
                        gettext("It is %(value)r.") % {"value": fields[field][:80]},
                        gettext("An address is wanted that begins with https:// or http://.")
                        if field.endswith("_url")
                        else gettext("Characters are wanted that can be seen."),
                    ]
                )
            ]
            for field in unfit
        }
        raise InvalidInput(
            gettext("%(field)s: %(reason)s") % {"field": unfit[0], "reason": errors[unfit[0]][0]},
            errors,
        )
    return said


def _fitted(fields: Mapping[str, str]) -> dict[str, str]:
    return {field: value[: _LENGTHS[field]] for field, value in fields.items()}


def redescribe(package: Package, fields: Collection[str]) -> dict[str, str]:
    """What the newest file says in these fields: the newest in public channels, as long as there
    are any."""
    files = PackageFile.objects.present().filter(package=package)
    in_public = files.filter(entries__channel__visibility=Channel.Visibility.PUBLIC)
    newest = _newest_first(in_public).first() or _newest_first(files).first()
    if newest is None:
        return dict.fromkeys(fields, "")
    said = _said_by_file(package, newest)
    return {field: said[field] for field in fields}


def follow_newest(packages: Collection[Package]) -> None:
    """Let the latest version be that of the newest file left: of those in public channels, as
    long as there are any. Of a package without a file only what was pinned is left to say."""
    for package in packages:
        files = PackageFile.objects.filter(package=package, deleted_at=None)
        in_public = files.filter(entries__channel__visibility=Channel.Visibility.PUBLIC)
        newest = _newest_version(in_public) or _newest_version(files) or ""
        left = {} if newest else dict.fromkeys(DESCRIPTION_FIELDS, "")
        for field in package.pinned:
            left.pop(field, None)
        Package.objects.filter(pk=package.pk).update(latest_version=newest, **left)


def _newest_version(files: QuerySet[PackageFile]) -> str | None:
    return _newest_first(files).values_list("version", flat=True).first()


def _newest_first(files: QuerySet[PackageFile]) -> QuerySet[PackageFile]:
    return files.order_by("-version_key", "-uploaded_at")
