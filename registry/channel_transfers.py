"""Giving a channel to another account, whose admins have to accept it.

The channel's row changes its account, so its index, patches, notices and rules go on as they were,
and clients read it at both addresses. Its files are another matter: they are of packages, which may
stand in further channels. Those that stand only in this one go with it, as whole packages where all
of a package does; of all others the other account gets rows of its own, for the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from accounts import rights
from accounts.emails import send_transfer_offered
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import Conflict, NotFound, Refusal
from portal.sentences import Number, gettext, ngettext, together
from registry import access, indexing, jobs, quotas, tree
from registry.copying import copy_rows
from registry.describing import follow_newest
from registry.entering import Key, packages_of
from registry.holding import hold_files, hold_packages
from registry.models import (
    Channel,
    ChannelFile,
    ChannelTransfer,
    Collaborator,
    Dependency,
    Job,
    MovedChannel,
    Package,
    PackageFile,
    Removal,
)
from registry.models.channel import MAIN
from registry.refusing import closed_among, immutable_channels, package_locked
from registry.rows import batched
from registry.transfers import change_account, no_recipient, recipient, tell_both

AT_ONCE = 500
"""Above so many files it is a job."""
_TOLD = 3
_KIND = "channel.transfer"


class _Row(NamedTuple):
    """A file of the channel, as far as giving it away concerns it."""

    pk: int
    subdir: str
    filename: str
    name: str
    package_id: int
    sha256: str
    size_bytes: int
    is_private: bool
    leaving_until: datetime | None
    stands_elsewhere: bool

    @property
    def key(self) -> Key:
        return self.subdir, self.filename


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting a transfer does, and what is in its way."""

    files: int
    size_bytes: int
    whole: tuple[str, ...]
    """The packages that go as a whole."""
    going: tuple[int, ...]
    """Of other packages, the files that go."""
    copied: tuple[int, ...]
    """Those that stay, and of which the other account gets rows of its own."""
    obstacles: tuple[str, ...]


# --- Offering ------------------------------------------------------------------------------------


def require_offering(by: Identity, channel: Channel) -> None:
    access.require_manage_channels(by, channel.account, channel.name, Ability.ADMINISTER)


def target_of(by: Identity, channel: Channel, name: str) -> Account:
    """The account to which ``channel`` can be offered, as far as ``by`` may know of it."""
    target = recipient(channel.account, name)
    if access.visible_channels(by, target).filter(name=channel.name).exists():
        said = gettext("%(name)s has a channel of this name. One of the two has to go first.")
        raise no_recipient(said % {"name": target.name})
    return target


def waiting_transfers() -> QuerySet[ChannelTransfer]:
    """Those that can be accepted."""
    rows = ChannelTransfer.objects.select_related("source", "target", "channel__account")
    return rows.filter(
        state=ChannelTransfer.State.WAITING,
        expires_at__gt=timezone.now(),
        channel__account=F("source"),
    )


def waiting_transfer(channel: Channel) -> ChannelTransfer | None:
    return waiting_transfers().filter(channel=channel).first()


@transaction.atomic
def offer(*, by: Identity, channel: Channel, target_name: str) -> ChannelTransfer:
    """Offer a channel to another account. Nothing of it changes until that one accepts."""
    require_offering(by, channel)
    target = target_of(by, channel, target_name)
    held = Channel.objects.select_for_update(of=("self",), no_key=True)
    channel = held.select_related("account").get(pk=channel.pk)
    overdue = ChannelTransfer.objects.filter(
        channel=channel, state=ChannelTransfer.State.WAITING, expires_at__lte=timezone.now()
    )
    overdue.update(state=ChannelTransfer.State.EXPIRED, ended_at=F("expires_at"))
    waiting = waiting_transfer(channel)
    if waiting is not None:
        raise Conflict(
            gettext("It is offered to %(name)s already. Withdraw that offer first.")
            % {"name": waiting.target.name}
        )
    in_the_way = source_obstacles(channel)
    if in_the_way:
        raise Conflict(together(in_the_way))
    made = ChannelTransfer.objects.create(
        channel=channel,
        source=channel.account,
        target=target,
        offered_by=by.user,
        offered_by_name=by.name,
    )
    tell_both(by, made, "offer", channel.name, {"thing": "channel"})
    send_transfer_offered(
        target,
        source=made.source.name,
        thing=channel.name,
        by=by,
        until=made.expires_at,
        path=f"/-/channel-transfers/{made.key}",
    )
    return made


def source_obstacles(channel: Channel) -> list[str]:
    """What keeps a channel where it is."""
    names = {"channel": channel.name, "account": channel.account.name}
    said: list[str] = []
    if channel.name == MAIN:
        said.append(
            gettext("main can't be transferred: it is what clients get who name no channel.")
        )
    if channel.is_locked:
        said.append(gettext("%(channel)s of %(account)s is locked.") % names)
    if channel.base_relation or channel.overrides_relation:
        said.append(
            gettext(
                "%(channel)s names other channels of %(account)s that go before or after it. Take "
                "them out of its settings first."
            )
            % names
        )
    if channel.account.suspended_at is not None:
        said.append(gettext("%(account)s is suspended.") % names)
    return said


# --- Finding and ending --------------------------------------------------------------------------


def find_transfer(by: Identity, key: str) -> tuple[ChannelTransfer, bool]:
    """The transfer, and whether it is theirs to accept; only who decides on either side knows
    of it."""
    rows = ChannelTransfer.objects.select_related("source", "target", "channel__account")
    row = rows.filter(key=key).first()
    if row is None:
        raise NotFound
    if rights.may_administer(by, row.target):
        return row, True
    if rights.may_administer(by, row.source):
        return row, False
    raise NotFound


def is_open(transfer: ChannelTransfer) -> bool:
    """Whether it can still be accepted."""
    return transfer.is_waiting and transfer.channel.account_id == transfer.source_id


def withdraw(*, by: Identity, transfer: ChannelTransfer) -> None:
    with transaction.atomic():
        held = _held(transfer)
        require_offering(by, held.channel)
        held.end(ChannelTransfer.State.WITHDRAWN, by.name)
        tell_both(by, held, "withdraw", held.channel.name, {"thing": "channel"})


def decline(*, by: Identity, transfer: ChannelTransfer) -> None:
    with transaction.atomic():
        held = _held(transfer)
        rights.require_admin(by, held.target, Ability.ADMINISTER)
        held.end(ChannelTransfer.State.DECLINED, by.name)
        tell_both(by, held, "decline", held.channel.name, {"thing": "channel"})


def _held(transfer: ChannelTransfer) -> ChannelTransfer:
    """The transfer as it is now, which still waits; nobody else ends it."""
    rows = ChannelTransfer.objects.select_related(
        "source", "target", "channel__account", "offered_by"
    )
    held = rows.select_for_update(of=("self",)).get(pk=transfer.pk)
    if not is_open(held):
        raise Conflict(gettext("This transfer doesn't wait any more."))
    return held


# --- What it would do ----------------------------------------------------------------------------


def plan_of(by: Identity, transfer: ChannelTransfer) -> Plan:
    """What accepting would do, for whoever may accept it."""
    return _plan(by, transfer, _rows(transfer.channel))


def _rows(channel: Channel) -> list[_Row]:
    elsewhere = ChannelFile.objects.filter(file=OuterRef("pk")).exclude(channel=channel)
    rows = PackageFile.objects.filter(entries__channel=channel).order_by("pk")
    columns = rows.values_list(
        "pk", "subdir", "filename", "name", "package_id", "sha256", "size_bytes",
        "package__is_private", "leaving_until", Exists(elsewhere),
    )  # fmt: skip
    return [_Row._make(row) for row in columns.iterator()]


def _plan(by: Identity, transfer: ChannelTransfer, rows: Sequence[_Row]) -> Plan:
    source, target, channel = transfer.source, transfer.target, transfer.channel
    # A name that another channel promised stays with who promised it.
    promised = immutable_channels(source, [row.key for row in rows], besides=channel)
    staying = {row.pk for row in rows if row.stands_elsewhere or row.key in promised}
    whole = _whole_packages(rows, staying, target)
    size = sum(row.size_bytes for row in rows)
    said = source_obstacles(channel)
    said += _target_obstacles(by, transfer, rows)
    if rows:
        try:
            quotas.require_room(target, size_bytes=size, files=len(rows))
        except Refusal as refusal:
            said.append(refusal.detail)
    return Plan(
        files=len(rows),
        size_bytes=size,
        whole=tuple(sorted(whole)),
        going=tuple(r.pk for r in rows if r.name not in whole and r.pk not in staying),
        copied=tuple(row.pk for row in rows if row.pk in staying),
        obstacles=tuple(said),
    )


def _whole_packages(rows: Sequence[_Row], staying: Collection[int], target: Account) -> set[str]:
    """The packages of which all files stand in the channel and go, and that have no namesake
    there."""
    here: dict[int, set[int]] = {}
    for row in rows:
        here.setdefault(row.package_id, set()).add(row.pk)
    names = {row.package_id: row.name for row in rows}
    present: dict[int, int] = {}
    for some in batched(sorted(here), AT_ONCE):
        counted = PackageFile.objects.present().filter(package__in=some).order_by()
        present |= dict(counted.values_list("package_id").annotate(count=Count("pk")))
    taken = _namesakes(target, set(names.values()))
    return {
        names[package_id]
        for package_id, files in here.items()
        if not files & set(staying)
        and present.get(package_id) == len(files)
        and names[package_id] not in taken
    }


def _namesakes(target: Account, names: Collection[str]) -> dict[str, Package]:
    found: dict[str, Package] = {}
    for some in batched(sorted(names), AT_ONCE):
        rows = Package.objects.filter(account=target, name__in=some)
        found |= {package.name: package for package in rows}
    return found


def _target_obstacles(by: Identity, transfer: ChannelTransfer, rows: Sequence[_Row]) -> list[str]:
    target, channel = transfer.target, transfer.channel
    names = {"channel": channel.name, "account": target.name}
    said: list[str] = []
    if Channel.objects.filter(account=target, name=channel.name).exists():
        said.append(
            gettext("%(account)s has a channel %(channel)s. One of the two has to go first.")
            % names
        )
    elif not access.may_create_channels(by, target):
        said.append(
            gettext(
                "You may not create channels of %(account)s: its policy says who may. Ask an owner."
            )
            % names
        )
    if any(row.leaving_until for row in rows):
        said.append(
            gettext("A file of %(channel)s is just being replaced. Try again in ten minutes.")
            % names
        )
    said += _locked_obstacles(transfer.source, rows)
    said += _namesake_obstacles(target, rows)
    said += _file_obstacles(target, rows)
    offered_by = transfer.offered_by
    if offered_by is not None and not rights.may_administer(
        Identity(user=offered_by), transfer.source
    ):
        said.append(
            gettext("%(name)s, who offered it, may not do so any more.")
            % {"name": transfer.offered_by_name}
        )
    return said


def _locked_obstacles(source: Account, rows: Iterable[_Row]) -> list[str]:
    here = {row.package_id for row in rows}
    locked = Package.objects.select_related("account").filter(
        account=source, locked_at__isnull=False
    )
    return [package_locked(package).detail for package in locked if package.pk in here]


def _namesake_obstacles(target: Account, rows: Iterable[_Row]) -> list[str]:
    private = {row.name: row.is_private for row in rows}
    said = [closed.detail for closed in closed_among(target, private).values()]
    for name, package in sorted(_namesakes(target, private).items()):
        if package.is_private != private[name]:
            said.append(
                gettext(
                    "%(package)s is private in one of the two accounts and public in the other."
                )
                % {"package": name}
            )
    return said


def _file_obstacles(target: Account, rows: Sequence[_Row]) -> list[str]:
    """Other files of the same names: those that are there, and those that an immutable channel
    remembers."""
    mine = {row.key: row.sha256 for row in rows}
    other, buried = list[Key](), list[Key]()
    for row in _known(target, rows):
        if row.is_there and row.sha256 != mine[row.key]:
            other.append(row.key)
        elif not row.is_there and row.sha256 != mine[row.key]:
            buried.append(row.key)
    other += immutable_channels(target, buried)
    if not other:
        return []
    named = ", ".join(filename for _, filename in sorted(other)[:_TOLD])
    return [
        ngettext(
            "%(account)s has or had another file of the name %(names)s.",
            "%(account)s has or had other files of %(n)s of the names, such as %(names)s.",
            len(other),
        )
        % {"account": target.name, "names": named, "n": Number(len(other))}
    ]


class _Known(NamedTuple):
    """A file of the other account whose name comes with the channel."""

    pk: int
    key: Key
    sha256: str
    is_there: bool


def _known(target: Account, rows: Sequence[_Row]) -> list[_Known]:
    wanted = {row.key for row in rows}
    found: list[_Known] = []
    for some in batched(sorted(wanted), AT_ONCE):
        files = PackageFile.objects.filter(
            account=target,
            subdir__in={subdir for subdir, _ in some},
            filename__in={filename for _, filename in some},
        )
        columns = files.values_list("pk", "subdir", "filename", "sha256", "deleted_at")
        found += [
            _Known(pk, (subdir, filename), sha256, deleted_at is None)
            for pk, subdir, filename, sha256, deleted_at in columns
            if (subdir, filename) in wanted
        ]
    return list({row.pk: row for row in found}.values())


# --- Accepting -----------------------------------------------------------------------------------


def accept(*, by: Identity, transfer: ChannelTransfer) -> Channel | Job:
    """Take an offered channel over, all of it or nothing; a large one by a job."""
    rights.require_admin(by, transfer.target, Ability.ADMINISTER)
    if _count(transfer.channel) <= AT_ONCE:
        return _take_over(by, transfer)
    plan = plan_of(by, _open(transfer))
    if plan.obstacles:
        raise Conflict(together(plan.obstacles))
    return jobs.start(
        by=by,
        account=transfer.target,
        kind=_KIND,
        params={"transfer": transfer.key},
        title=gettext("Take %(channel)s over from %(account)s")
        % {"channel": transfer.channel.name, "account": transfer.source.name},
    )


def _count(channel: Channel) -> int:
    return ChannelFile.objects.filter(channel=channel).count()


def _open(transfer: ChannelTransfer) -> ChannelTransfer:
    if not is_open(transfer):
        raise Conflict(gettext("This transfer doesn't wait any more."))
    return transfer


@jobs.work(_KIND)
def _take_over_in_job(job: jobs.Running) -> None:
    transfer, is_recipient = find_transfer(job.by, str(job.params["transfer"]))
    if not is_recipient or not is_open(transfer):
        return  # it was done before its worker was killed, or it was withdrawn
    count = _count(transfer.channel)
    job.set_total(count)
    _take_over(job.by, transfer)
    job.advance(count)


@transaction.atomic
def _take_over(by: Identity, transfer: ChannelTransfer) -> Channel:
    held = _held(transfer)
    source, target = held.source, held.target
    rights.require_admin(by, target, Ability.ADMINISTER)
    rows = _rows(held.channel)
    own = Package.objects.filter(account=target, name__in={row.name for row in rows})
    packages = hold_packages(
        {row.package_id for row in rows} | set(own.values_list("pk", flat=True))
    )
    hold_files([row.pk for row in rows])
    # Uploads that are on their way hold it too, or find that it is another account's.
    channel = Channel.objects.select_for_update().get(pk=held.channel_id)
    channel.account = source
    rows = _rows(channel)
    if {row.package_id for row in rows} - packages.keys():
        raise Conflict(gettext("A channel changed meanwhile. Look again."))
    plan = _plan(by, held, rows)
    if plan.obstacles:
        raise Conflict(together(plan.obstacles))
    _hide_what_stays_private(channel, target, {row.name for row in rows})
    _make_room(target, rows)
    _give_packages(source, target, [p for p in packages.values() if p.name in plan.whole])
    split = {row.name for row in rows} - set(plan.whole)
    private = {row.name for row in rows if row.is_private}
    theirs = packages_of(target, split, private=private & split)
    _give_files(target, plan.going)
    _copy_files(by, channel, target, plan.copied)
    _change_channel(channel, source, target)
    follow_newest([*theirs.values(), *(p for p in packages.values() if p.name not in plan.whole)])
    quotas.require_kept_within(target)
    held.end(ChannelTransfer.State.ACCEPTED, by.name)
    detail = {"thing": "channel", "files": plan.files, "size": plan.size_bytes}
    tell_both(by, held, "accept", channel.name, detail)
    return channel


def _hide_what_stays_private(channel: Channel, target: Account, coming: Collection[str]) -> None:
    """The channel says what stood in it once; private names among them are shown to nobody else
    by its new account."""
    once = Removal.objects.filter(channel=channel).values("package_name")
    private = Package.objects.filter(account=channel.account, is_private=True, name__in=once)
    names = set(private.values_list("name", flat=True)) - set(coming)
    known = _namesakes(target, names)
    public = [name for name, package in known.items() if not package.is_private]
    Removal.objects.filter(channel=channel, package_name__in=public).delete()
    now = timezone.now()
    Package.objects.bulk_create(
        Package(account=target, name=name, is_private=True, deleted_at=now)
        for name in sorted(names - known.keys())
    )


def _make_room(target: Account, rows: Sequence[_Row]) -> None:
    """Let go of what is left of deleted files of the same names."""
    gone = [row.pk for row in _known(target, rows) if not row.is_there]
    for some in batched(gone, AT_ONCE):
        PackageFile.objects.filter(pk__in=some).delete()


def _give_packages(source: Account, target: Account, packages: Sequence[Package]) -> None:
    for package in packages:
        Collaborator.objects.filter(package=package).delete()
        change_account(package, source, target)


def _give_files(target: Account, going: Sequence[int]) -> None:
    theirs = Package.objects.filter(account=target, name=OuterRef("name")).values("pk")
    known = PackageFile.objects.filter(
        account=target, subdir=OuterRef("subdir"), filename=OuterRef("filename")
    )
    for some in batched(going, AT_ONCE):
        # What they have already, of the same bytes, is put into the channel instead.
        files = PackageFile.objects.filter(pk__in=some).exclude(Exists(known))
        files.update(account=target, package=Subquery(theirs))
        left = PackageFile.objects.filter(pk__in=some).exclude(account=target)
        _point_to_theirs(target, list(left.values_list("pk", flat=True)))


def _copy_files(by: Identity, channel: Channel, target: Account, copied: Sequence[int]) -> None:
    for some in batched(copied, AT_ONCE):
        files = list(PackageFile.objects.filter(pk__in=some).order_by("pk"))
        copy_rows(by=by, account=target, files=files)
        _point_to_theirs(target, some, channel)


def _point_to_theirs(
    target: Account, file_ids: Collection[int], channel: Channel | None = None
) -> None:
    """Let the channel's entries of these files be those of the files that the other account has
    under their names."""
    theirs = PackageFile.objects.filter(
        account=target, subdir=OuterRef("subdir"), filename=OuterRef("filename")
    )
    entries = ChannelFile.objects.filter(file__in=file_ids)
    if channel is not None:
        entries = entries.filter(channel=channel)
    entries.update(file=Subquery(theirs.values("pk")))


def _change_channel(channel: Channel, source: Account, target: Account) -> None:
    tree.withdraw(channel)
    Dependency.objects.filter(channel=channel).delete()  # noted anew, with the summaries
    MovedChannel.objects.filter(account=target, name=channel.name).delete()
    MovedChannel.objects.update_or_create(
        account=source, name=channel.name, defaults={"channel": channel}
    )
    channel.account = target
    channel.save(update_fields=["account"])
    if Package.objects.filter(account=target, is_private=True).exists():
        tree.withdraw_shards(target)
    # Which names are private follows from the account.
    indexing.mark_everything(Channel.objects.filter(pk=channel.pk))
