"""Giving a package to another account, whose admins have to accept it.

No byte moves and no row is copied: the package and its files change their account, with their
releases, downloads and what is in the bin. Channels are each account's own: the files leave those
of the one and enter those of the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import rights
from accounts.identity import Identity
from accounts.models import Account
from accounts.roles import Permission
from accounts.scopes import Ability
from portal.errors import Conflict, NotFound
from portal.sentences import gettext, together
from registry import access, offers, package_tree, quotas, tree
from registry.channels import change_channel, create_channel
from registry.conda.layout import V3_SCHEMA
from registry.describing import follow_newest
from registry.entering import Key
from registry.entries import Placed, put_all, take_out
from registry.holding import hold_channels, hold_packages
from registry.models import (
    Channel,
    ChannelFile,
    Collaborator,
    Dependency,
    MovedPackage,
    Package,
    PackageFile,
    Transfer,
)
from registry.quotas import QuotaExceeded
from registry.refusing import immutable_channels, package_locked
from registry.rows import batched

_AT_ONCE = 500


class _Row(NamedTuple):
    """A file of the package, as far as giving it away concerns it."""

    pk: int
    subdir: str
    filename: str
    sha256: str
    size_bytes: int
    is_newer: bool
    is_deleted: bool

    @property
    def key(self) -> Key:
        return self.subdir, self.filename


@dataclass(frozen=True, slots=True)
class Place:
    """A channel that files leave, and the one of the other account that they enter."""

    channel: Channel
    files: tuple[int, ...]
    goal: str
    """Empty where there is none that shows them to no more people."""
    goal_channel: Channel | None
    """None where it comes into being."""

    @property
    def count(self) -> int:
        return len(self.files)


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting a transfer does, and what is in its way."""

    files: int
    size_bytes: int
    places: tuple[Place, ...]
    obstacles: tuple[str, ...]

    @property
    def nowhere(self) -> bool:
        """Whether files of some channel stand in none afterwards."""
        return any(not place.goal for place in self.places)


# --- Offering ------------------------------------------------------------------------------------


def require_offering(by: Identity, package: Package) -> None:
    access.require_whole_package(by, package, Permission.ADMIN, Ability.ADMINISTER)


def target_of(by: Identity, package: Package, name: str) -> Account:
    """The account to which ``package`` can be offered, as far as ``by`` may know of it."""
    target = offers.recipient(package.account, name)
    if access.visible_packages(by, target).filter(name=package.name).exists():
        said = gettext("%(name)s has a package of this name. One of the two has to go first.")
        raise offers.no_recipient(said % {"name": target.name})
    return target


def waiting_transfer(package: Package) -> Transfer | None:
    rows = Transfer.objects.waiting().select_related("source", "target", "package__account")
    return rows.filter(package=package).first()


@transaction.atomic
def offer(
    *, by: Identity, package: Package, target_name: str, keeps_collaborators: bool = False
) -> Transfer:
    """Offer a package to another account. Nothing of it changes until that one accepts."""
    require_offering(by, package)
    target = target_of(by, package, target_name)
    held = _held_package(package.pk, package.account_id)
    offers.require_offerable(Transfer.objects.filter(package=held), source_obstacles(held))
    made = Transfer.objects.create(
        package=held,
        source=held.account,
        target=target,
        keeps_collaborators=keeps_collaborators,
        offered_by=by.user,
        offered_by_name=by.name,
    )
    offers.announce(by, made, {"collaborators": keeps_collaborators})
    return made


def _held_package(package_id: int, account_id: int) -> Package:
    held = hold_packages([package_id]).get(package_id)
    if held is None or held.deleted_at is not None or held.account_id != account_id:
        raise NotFound
    return held


def source_obstacles(package: Package) -> list[str]:
    """What keeps a package where it is: locks, and promises about its names."""
    return _source_obstacles(package, _rows(package), _channels_of(package))


def _source_obstacles(
    package: Package, rows: Sequence[_Row], channels: Iterable[Channel]
) -> list[str]:
    account = package.account
    said: list[str] = [
        gettext("%(channel)s of %(account)s is locked.")
        % {"channel": channel.name, "account": account.name}
        for channel in channels
        if channel.is_locked
    ]
    # Who owns the names keeps the promise: without these rows nobody would know of it.
    immutable = {
        channel.name for channel in immutable_channels(account, [row.key for row in rows]).values()
    }
    said += [
        gettext(
            "Files of %(package)s stand or stood in %(channel)s of %(account)s, which is "
            "immutable: they stay there for good. Copy them instead."
        )
        % {"package": package.name, "channel": name, "account": account.name}
        for name in sorted(immutable)
    ]
    if package.locked_at is not None:
        said.append(package_locked(package).detail)
    if account.suspended_at is not None:
        said.append(gettext("%(account)s is suspended.") % {"account": account.name})
    return said


# --- Finding and ending --------------------------------------------------------------------------


def _transfers() -> QuerySet[Transfer]:
    return Transfer.objects.select_related(
        "source", "target__organization", "package__account", "offered_by__account"
    )


def find_transfer(by: Identity, key: str) -> tuple[Transfer, bool]:
    """The transfer, and whether it is theirs to accept."""
    return offers.find(_transfers(), by, key, decides_for_source=_decides_for_source)


def _decides_for_source(by: Identity, transfer: Transfer) -> bool:
    package = transfer.package
    if package.account_id != transfer.source_id:
        return rights.may_administer(by, transfer.source)
    return access.may_package(by, package, Permission.ADMIN)


@transaction.atomic
def withdraw(*, by: Identity, transfer: Transfer) -> None:
    held = offers.hold(_transfers(), transfer)
    require_offering(by, held.package)
    offers.end(held, Transfer.State.WITHDRAWN, by=by)


@transaction.atomic
def decline(*, by: Identity, transfer: Transfer) -> None:
    offers.decline(_transfers(), transfer, by=by)


# --- What it would do ----------------------------------------------------------------------------


def kept_collaborators(transfer: Transfer) -> QuerySet[Collaborator]:
    """Those who keep their rights. Groups are of the organization that gives the package away, and
    whom it comes to needs none."""
    rows = Collaborator.objects.filter(package=transfer.package, group=None)
    if not transfer.keeps_collaborators:
        return rows.none()
    return (
        rows.exclude(user__account=transfer.target)
        .select_related("user")
        .order_by("user__username")
    )


def plan_of(by: Identity, transfer: Transfer) -> Plan:
    """What accepting would do, for whoever may accept it."""
    return _plan(by, transfer, transfer.package, _rows(transfer.package))


def _rows(package: Package, *, hold: bool = False) -> list[_Row]:
    rows = PackageFile.objects.filter(package=package).order_by("pk")
    if hold:
        rows = rows.select_for_update()
    columns = rows.values_list(
        "pk", "subdir", "filename", "sha256", "size_bytes", "schema_version", "deleted_at"
    )
    return [_Row(*row[:5], row[5] >= V3_SCHEMA, row[6] is not None) for row in columns]


def _channels_of(package: Package) -> list[Channel]:
    inside = ChannelFile.objects.filter(file__package=package).values("channel")
    return list(Channel.objects.select_related("account").filter(pk__in=inside).order_by("name"))


def _plan(by: Identity, transfer: Transfer, package: Package, rows: Sequence[_Row]) -> Plan:
    target = transfer.target
    present = [row for row in rows if not row.is_deleted]
    size = sum(row.size_bytes for row in present)
    places = _places(by, package, target)
    said = _source_obstacles(package, rows, [place.channel for place in places])
    said += _target_obstacles(package, target, rows, places)
    if present:
        try:
            quotas.require_room(target, size_bytes=size, files=len(present))
        except QuotaExceeded as refusal:
            said.append(refusal.detail)
    if not _still_offered(transfer):
        said.append(
            gettext("%(name)s, who offered it, may not do so any more.")
            % {"name": transfer.offered_by_name}
        )
    return Plan(len(present), size, tuple(places), tuple(said))


def _still_offered(transfer: Transfer) -> bool:
    if transfer.offered_by is None:
        return True
    return access.may_package(
        Identity(user=transfer.offered_by), transfer.package, Permission.ADMIN
    )


def _places(by: Identity, package: Package, target: Account) -> list[Place]:
    inside: defaultdict[int, list[int]] = defaultdict(list)
    entries = ChannelFile.objects.filter(file__package=package).order_by("pk")
    for channel_id, file_id in entries.values_list("channel_id", "file_id"):
        inside[channel_id].append(file_id)
    channels = Channel.objects.select_related("account").order_by("name")
    known = list(channels.filter(Q(account=target) | Q(pk__in=inside)))
    there = {channel.name: channel for channel in known if channel.account_id == target.pk}
    may_create = access.may_create_channels(by, target)
    return [
        Place(channel, tuple(inside[channel.pk]), *_goal(channel, there, may_create=may_create))
        for channel in known
        if channel.pk in inside
    ]


def _goal(
    channel: Channel, there: Mapping[str, Channel], *, may_create: bool
) -> tuple[str, Channel | None]:
    """The channel of the same name, else main; nothing private is shown to more people by it."""
    same = there.get(channel.name)
    if same is None and may_create:
        return channel.name, None
    for goal in (same, there.get("main")):
        if goal is not None and (goal.is_private or not channel.is_private):
            return goal.name, goal
    return "", None


def _target_obstacles(
    package: Package, target: Account, rows: Sequence[_Row], places: Iterable[Place]
) -> list[str]:
    names = {"package": package.name, "account": target.name}
    said: list[str] = []
    left = Package.objects.filter(account=target, name=package.name).first()
    if left is not None and left.deleted_at is None:
        said.append(
            gettext("%(account)s has a package %(package)s. One of the two has to go first.")
            % names
        )
    newer = {row.pk for row in rows if row.is_newer}
    for goal, files in _by_goal(places).items():
        if goal.is_locked:
            said.append(
                gettext("%(channel)s of %(account)s is locked.")
                % {"channel": goal.name, "account": target.name}
            )
        if newer & files and not goal.allows_v3:
            said.append(
                gettext(
                    "%(channel)s of %(account)s takes no packages for newer clients only; its "
                    "settings can allow them."
                )
                % {"channel": goal.name, "account": target.name}
            )
    present = {row.key: row for row in rows if not row.is_deleted}
    # What is left there of a deleted package of the name.
    known = {row.key: row for row in _rows(left)} if left is not None else {}
    other = [key for key, row in known.items() if key in present and _differs(row, present[key])]
    for (_subdir, filename), channel in sorted(immutable_channels(target, other).items()):
        said.append(
            gettext("Another %(file)s stood in %(channel)s of %(account)s, which is immutable.")
            % {"file": filename, "channel": channel.name, "account": target.name}
        )
    return said


def _by_goal(places: Iterable[Place]) -> dict[Channel, set[int]]:
    files: defaultdict[Channel, set[int]] = defaultdict(set)
    for place in places:
        if place.goal_channel is not None:
            files[place.goal_channel] |= set(place.files)
    return files


def _differs(one: _Row, other: _Row) -> bool:
    return one.sha256 != other.sha256


# --- Accepting -----------------------------------------------------------------------------------


@transaction.atomic
def accept(*, by: Identity, transfer: Transfer) -> Package:
    """Take an offered package over; all of it or nothing, with every reason why not."""
    held = offers.hold(_transfers(), transfer)
    source, target = held.source, held.target
    rights.require_admin(by, target, Ability.ADMINISTER)
    name = held.package.name
    before = Package.objects.filter(account=target, name=name).values_list("pk", flat=True)
    packages = hold_packages([held.package_id, *before])
    package = held.package = packages.pop(held.package_id)
    offers.require_open(held)  # somebody may have deleted it before it was held
    rows = _rows(package, hold=True)
    plan = _plan(by, held, package, rows)
    if plan.obstacles:
        raise Conflict(together(plan.obstacles))
    goals = {place.goal_channel.pk for place in plan.places if place.goal_channel}
    channels = hold_channels({*goals, *(place.channel.pk for place in plan.places)})
    # Since the look: somebody deleted one, or locked it.
    if len(channels) < len(goals) + len(plan.places) or any(one.is_locked for one in channels):
        raise Conflict(gettext("A channel changed meanwhile. Look again."))
    _take_out(name, rows, plan.places)
    for left in packages.values():
        _make_room(left, package, rows)
    change_account([package], source, target)
    _settle_collaborators(held)
    _put(by, package, target, plan.places)
    follow_newest([package])
    quotas.require_kept_within(target)
    said = {"files": plan.files, "size": plan.size_bytes}
    offers.end(held, Transfer.State.ACCEPTED, by=by, detail=said)
    return package


def _take_out(name: str, rows: Iterable[_Row], places: Iterable[Place]) -> None:
    by_id = {row.pk: row for row in rows}
    for place in places:
        leaving = [by_id[file_id] for file_id in place.files]
        take_out([Placed(row.pk, row.subdir, name, row.filename) for row in leaving], place.channel)


def _make_room(left: Package, package: Package, rows: Sequence[_Row]) -> None:
    """Let what is left of a deleted package be a part of the one that comes. Of two files of one
    name the one that is there stays, else what this account remembers."""
    coming = {row.key: row for row in rows}
    gone: list[int] = []
    for row in _rows(left, hold=True):
        other = coming.get(row.key)
        if other is not None:
            gone.append(other.pk if other.is_deleted else row.pk)
    for some in batched(gone, _AT_ONCE):
        PackageFile.objects.filter(pk__in=some).delete()
    PackageFile.objects.filter(package=left).update(package=package)
    package.is_private |= left.is_private
    left.delete()


def change_account(packages: Sequence[Package], source: Account, target: Account) -> None:
    """Let some packages that are held be another account's, with all their files; what keeps their
    names there is gone before."""
    ids, names = [package.pk for package in packages], [package.name for package in packages]
    now = timezone.now()
    package_tree.withdraw(source.name, names)
    # What their files left behind in the channels of the source stays as private as it was.
    private = set(Package.objects.filter(pk__in=ids, is_private=True).values_list("pk", flat=True))
    Dependency.objects.filter(package__in=ids).delete()
    Package.objects.filter(pk__in=ids).update(account=target, updated_at=now)
    hidden = [package.pk for package in packages if package.is_private]
    Package.objects.filter(pk__in=hidden).update(is_private=True)
    PackageFile.objects.filter(package__in=ids).update(account=target)
    Package.objects.bulk_create(
        Package(account=source, name=one.name, is_private=one.pk in private, deleted_at=now)
        for one in packages
    )
    if hidden:
        tree.withdraw_shards(target)
    MovedPackage.objects.filter(account=target, name__in=names).delete()
    MovedPackage.objects.bulk_create(
        (MovedPackage(account=source, name=one.name, package=one) for one in packages),
        update_conflicts=True,
        unique_fields=["account", "name"],
        update_fields=["package"],
    )
    for package in packages:
        package.account = target


def _settle_collaborators(transfer: Transfer) -> None:
    kept = kept_collaborators(transfer).order_by().values_list("pk", flat=True)
    Collaborator.objects.filter(package=transfer.package).exclude(pk__in=list(kept)).delete()


def _put(by: Identity, package: Package, target: Account, places: Iterable[Place]) -> None:
    # Public ones first: what stands there says what the package is.
    for place in sorted(places, key=lambda place: place.channel.is_private):
        if not place.goal:
            continue
        channel = place.goal_channel or _new_channel(by, target, place.channel)
        files = list(place.files)
        for some in batched(files, _AT_ONCE):
            rows = list(PackageFile.objects.select_related("account").filter(pk__in=some))
            for row in rows:
                row.package = package
            put_all(rows, channel, by)


def _new_channel(by: Identity, target: Account, like: Channel) -> Channel:
    made = create_channel(
        by=by,
        account=target,
        name=like.name,
        visibility=Channel.Visibility.PRIVATE if like.is_private else None,
    )
    return change_channel(by=by, channel=made, allows_v3=like.allows_v3)


# --- Where it went -------------------------------------------------------------------------------


def moved_to(by: Identity, account_name: str, package_name: str) -> Package | None:
    """Where the package of this address went, for who may see it; a new one of its name ends
    this."""
    row = (
        MovedPackage.objects.select_related("package__account")
        .filter(account__name=account_name.lower(), name=package_name)
        .first()
    )
    if row is None:
        return None
    again = Q(account=row.account_id, name=row.name, deleted_at=None)
    if Package.objects.filter(again).exists():
        return None
    return access.visible_packages(by, row.package.account).filter(pk=row.package_id).first()
