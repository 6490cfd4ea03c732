"""Giving a channel to another account, whose admins have to accept it.

The channel's row changes its account, so its index, patches, notices and rules go on as they were,
and clients read it at both addresses. Its files are another matter: they are of packages, which may
stand in further channels. Those that stand only in this one go with it, as whole packages where all
of a package does; of all others the other account gets rows of its own, for the same bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Window
from django.utils import timezone

from accounts import rights
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import Conflict, NotFound, Refusal
from portal.sentences import Number, gettext, ngettext, together
from registry import access, indexing, jobs, offers, package_tree, quotas, tree
from registry.copying import copy_rows
from registry.describing import follow_newest
from registry.entering import packages_of
from registry.holding import hold_packages, keep_files
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
from registry.refusing import closed_among, package_locked
from registry.rows import batched
from registry.transfers import change_account

AT_ONCE = 500
"""Above so many files it is a job."""
_TOLD = 3
_NAMED = 20
_MOST_SAID = 100
_KIND = "channel.transfer"


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting a transfer does, and what is in its way: counted, and a few named."""

    files: int
    size_bytes: int
    whole: int
    """How many packages go as a whole."""
    named: tuple[str, ...]
    """The first of them."""
    going: int
    """Of other packages, how many files go."""
    copied: int
    """How many stay, and the other account gets rows of its own for them."""
    obstacles: tuple[str, ...]


# --- Offering ------------------------------------------------------------------------------------


def require_offering(by: Identity, channel: Channel) -> None:
    access.require_manage_channels(by, channel.account, channel.name, Ability.ADMINISTER)


def target_of(by: Identity, channel: Channel, name: str) -> Account:
    """The account to which ``channel`` can be offered, as far as ``by`` may know of it."""
    target = offers.recipient(channel.account, name)
    if access.visible_channels(by, target).filter(name=channel.name).exists():
        said = gettext("%(name)s has a channel of this name. One of the two has to go first.")
        raise offers.no_recipient(said % {"name": target.name})
    return target


def waiting_transfers() -> QuerySet[ChannelTransfer]:
    """Those that can be accepted."""
    return _transfers().filter(
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
    known = ChannelTransfer.objects.filter(channel=channel)
    offers.require_offerable(known, source_obstacles(channel))
    made = ChannelTransfer.objects.create(
        channel=channel,
        source=channel.account,
        target=target,
        offered_by=by.user,
        offered_by_name=by.name,
    )
    offers.announce(by, made, {})
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


def _transfers() -> QuerySet[ChannelTransfer]:
    return ChannelTransfer.objects.select_related(
        "source", "target__organization", "channel__account", "offered_by__account"
    )


def find_transfer(by: Identity, key: str) -> tuple[ChannelTransfer, bool]:
    """The transfer, and whether it is theirs to accept."""
    return offers.find(_transfers(), by, key, decides_for_source=_decides_for_source)


def _decides_for_source(by: Identity, transfer: ChannelTransfer) -> bool:
    return rights.may_administer(by, transfer.source)


@transaction.atomic
def withdraw(*, by: Identity, transfer: ChannelTransfer) -> None:
    held = offers.hold(_transfers(), transfer)
    require_offering(by, held.channel)
    offers.end(held, ChannelTransfer.State.WITHDRAWN, by=by)


@transaction.atomic
def decline(*, by: Identity, transfer: ChannelTransfer) -> None:
    offers.decline(_transfers(), transfer, by=by)


# --- What it would do ----------------------------------------------------------------------------


class _Going:
    """What goes with a channel, as queries: it may list a hundred thousand files.

    They say what is so when they are run. So while the channel is taken over, what has gone
    already is no part of them any more. All begin at the channel, since accounts may have far more.
    """

    def __init__(self, channel: Channel, source: Account, target: Account) -> None:
        here = ChannelFile.objects.filter(channel=channel)
        elsewhere = ChannelFile.objects.filter(file=OuterRef("pk")).exclude(channel=channel)
        channels = Channel.objects.filter(
            Q(account=target, name=channel.name)
            | Q(account__in=[source, target], is_immutable=True)
        ).exclude(pk=channel.pk)
        promising: dict[int, list[int]] = {source.pk: [], target.pk: []}
        self.is_name_taken = False
        for pk, account_id, name, is_immutable in channels.values_list(
            "pk", "account_id", "name", "is_immutable"
        ):
            if is_immutable:
                promising[account_id].append(pk)
            self.is_name_taken |= account_id == target.pk and name == channel.name
        self.promised_there = _promised(promising[target.pk])
        # A name that another channel promised stays with who promised it.
        self.stays = stays = Q(Exists(elsewhere)) | _promised(promising[source.pk])
        self.files = PackageFile.objects.filter(account=source, entries__channel=channel)
        self.staying = self.files.filter(stays)
        self.leaving = self.files.exclude(stays)
        self.packages = Package.objects.filter(pk__in=self.files.values("package"))
        self.namesakes = Package.objects.filter(account=target, name__in=self.files.values("name"))
        of_package = PackageFile.objects.present().filter(package=OuterRef("pk"))
        self.whole = self.packages.exclude(
            Exists(of_package.exclude(Exists(here.filter(file=OuterRef("pk")))))
            | Exists(of_package.filter(stays))
            | Exists(Package.objects.filter(account=target, name=OuterRef("name")))
        )


def _promised(channels: Sequence[int]) -> Q:
    """Of files: whether one of these immutable channels lists their name, or ever did."""
    if not channels:
        return Q(pk__in=[])
    name = {"subdir": OuterRef("subdir"), "filename": OuterRef("filename")}
    stands = ChannelFile.objects.filter(channel__in=channels, **name)
    stood = Removal.objects.filter(channel__in=channels, **name)
    return Q(Exists(stands)) | Q(Exists(stood))


def _same_name(target: Account) -> QuerySet[PackageFile]:
    """For each file, the other account's of its name."""
    return PackageFile.objects.filter(
        account=target, subdir=OuterRef("subdir"), filename=OuterRef("filename")
    )


def _keys(files: QuerySet[PackageFile]) -> Iterator[list[int]]:
    """The keys of the files, some at a time; the work on some may change what there is."""
    keys = files.order_by("pk").values_list("pk", flat=True)
    last = 0
    while some := list(keys.filter(pk__gt=last)[:AT_ONCE]):
        last = some[-1]
        yield some


def _all_keys(packages: QuerySet[Package]) -> array[int]:
    """Eight bytes for each of them: to ask anew for some at a time would look at all files."""
    return array("q", packages.order_by("pk").values_list("pk", flat=True).iterator())


def plan_of(by: Identity, transfer: ChannelTransfer) -> Plan:
    """What accepting would do, for whoever may accept it."""
    source, target, channel = transfer.source, transfer.target, transfer.channel
    going = _Going(channel, source, target)
    counted = going.files.order_by().aggregate(
        files=Count("pk"),
        size_bytes=Sum("size_bytes"),
        of_whole=Count("pk", filter=Q(package__in=going.whole.values("pk"))),
        copied=Count("pk", filter=going.stays),
        replaced=Count("pk", filter=Q(leaving_until__isnull=False)),
    )
    files, size_bytes = counted["files"], counted["size_bytes"] or 0
    named = going.whole.order_by("name").annotate(number=Window(Count("pk")))
    first = list(named.values_list("name", "number")[:_NAMED])
    said = source_obstacles(channel)
    said += _target_obstacles(by, transfer, going, is_replacing=counted["replaced"] > 0)
    if files:
        try:
            quotas.require_room(target, size_bytes=size_bytes, files=files)
        except Refusal as refusal:
            said.append(refusal.detail)
    return Plan(
        files=files,
        size_bytes=size_bytes,
        whole=first[0][1] if first else 0,
        named=tuple(name for name, _number in first),
        going=files - counted["of_whole"] - counted["copied"],
        copied=counted["copied"],
        obstacles=tuple(said),
    )


def _target_obstacles(
    by: Identity, transfer: ChannelTransfer, going: _Going, *, is_replacing: bool
) -> list[str]:
    target, channel = transfer.target, transfer.channel
    names = {"channel": channel.name, "account": target.name}
    said: list[str] = []
    if going.is_name_taken:
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
    if is_replacing:
        said.append(
            gettext("A file of %(channel)s is just being replaced. Try again in ten minutes.")
            % names
        )
    said += _package_obstacles(target, going)
    said += _file_obstacles(target, going)
    offered_by = transfer.offered_by
    if offered_by is not None and not rights.may_administer(
        Identity(user=offered_by), transfer.source
    ):
        said.append(
            gettext("%(name)s, who offered it, may not do so any more.")
            % {"name": transfer.offered_by_name}
        )
    return said


def _package_obstacles(target: Account, going: _Going) -> list[str]:
    theirs = Package.objects.filter(account=target, name=OuterRef("name"))
    rows = going.packages.select_related("account").annotate(
        has_closed=Exists(theirs.filter(Q(archived_at__isnull=False) | Q(locked_at__isnull=False))),
        differs=Exists(theirs.exclude(is_private=OuterRef("is_private"))),
    )
    # Each of them says something at least, so more are not needed.
    wrong = list(
        rows.filter(Q(locked_at__isnull=False) | Q(has_closed=True) | Q(differs=True)).order_by(
            "name"
        )[:_MOST_SAID]
    )
    said = [package_locked(package).detail for package in wrong if package.locked_at is not None]
    closed = [package.name for package in wrong if package.has_closed]
    if closed:
        said += [refusal.detail for refusal in closed_among(target, closed).values()]
    said += [
        gettext("%(package)s is private in one of the two accounts and public in the other.")
        % {"package": package.name}
        for package in wrong
        if package.differs
    ]
    return said[:_MOST_SAID]


def _file_obstacles(target: Account, going: _Going) -> list[str]:
    """Other files of the same names: those that are there, and those that an immutable channel
    remembers."""
    differing = _same_name(target).exclude(sha256=OuterRef("sha256"))
    there, gone = differing.filter(deleted_at=None), differing.exclude(deleted_at=None)
    other = going.files.filter(Q(Exists(there)) | Q(Exists(gone)) & going.promised_there)
    ordered = other.order_by("subdir", "filename").annotate(number=Window(Count("pk")))
    first = list(ordered.values_list("filename", "number")[:_TOLD])
    if not first:
        return []
    count = first[0][1]
    return [
        ngettext(
            "%(account)s has or had another file of the name %(names)s.",
            "%(account)s has or had other files of %(n)s of the names, such as %(names)s.",
            count,
        )
        % {
            "account": target.name,
            "names": ", ".join(name for name, _number in first),
            "n": Number(count),
        }
    ]


# --- Accepting -----------------------------------------------------------------------------------


def accept(*, by: Identity, transfer: ChannelTransfer) -> Channel | Job:
    """Take an offered channel over, all of it or nothing; a large one by a job."""
    rights.require_admin(by, transfer.target, Ability.ADMINISTER)
    if _count(transfer.channel) <= AT_ONCE:
        return _take_over(by, transfer)
    offers.require_open(transfer)
    plan = plan_of(by, transfer)
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


@jobs.work(_KIND)
def _take_over_in_job(job: jobs.Running) -> None:
    transfer, is_recipient = find_transfer(job.by, str(job.params["transfer"]))
    if transfer.state == ChannelTransfer.State.ACCEPTED:
        return  # it was done before its worker was killed
    if not is_recipient:
        raise NotFound
    offers.require_open(transfer)
    count = _count(transfer.channel)
    job.set_total(count)
    _take_over(job.by, transfer)
    job.advance(count)


@transaction.atomic
def _take_over(by: Identity, transfer: ChannelTransfer) -> Channel:
    held = offers.hold(_transfers(), transfer)
    source, target = held.source, held.target
    rights.require_admin(by, target, Ability.ADMINISTER)
    packages = _hold(_Going(held.channel, source, target))
    # Uploads that are on their way hold it too, or find that it is another account's.
    channel = Channel.objects.select_for_update().get(pk=held.channel_id)
    channel.account = source
    held.channel = channel  # as it is now: somebody may have locked it while packages were held
    going = _Going(channel, source, target)
    coming = _all_keys(going.packages)
    if not all(_holds(packages, pk) for pk in coming):
        raise Conflict(gettext("A package changed meanwhile. Look again."))
    plan = plan_of(by, held)
    if plan.obstacles:
        raise Conflict(together(plan.obstacles))
    _hide_what_stays_private(channel, target, going)
    _make_room(target, going)
    whole = _all_keys(going.whole)
    _give_packages(source, target, whole)
    split = array("q", (pk for pk in coming if not _holds(whole, pk)))
    theirs = _packages_of(target, split)
    _give_files(target, going)
    _copy_files(by, channel, target, going)
    _change_channel(channel, source, target)
    for some in batched(theirs + split, AT_ONCE):
        follow_newest(Package.objects.filter(pk__in=some))
    quotas.require_kept_within(target)
    said = {"files": plan.files, "size": plan.size_bytes}
    offers.end(held, ChannelTransfer.State.ACCEPTED, by=by, detail=said)
    return channel


def _hold(going: _Going) -> array[int]:
    """Hold all packages concerned, then the files; the keys of the packages, in their order."""
    concerned = Q(pk__in=going.packages.values("pk")) | Q(pk__in=going.namesakes.values("pk"))
    packages = _all_keys(Package.objects.filter(concerned))
    for some in batched(packages, AT_ONCE):
        hold_packages(some)
    for some in _keys(going.files):
        keep_files(some)
    return packages


def _holds(keys: array[int], key: int) -> bool:
    place = bisect_left(keys, key)
    return place < len(keys) and keys[place] == key


def _hide_what_stays_private(channel: Channel, target: Account, going: _Going) -> None:
    """The channel says what stood in it once; private names among them are shown to nobody else
    by its new account."""
    once = Removal.objects.filter(channel=channel).values("package_name")
    private = Package.objects.filter(account=channel.account, is_private=True, name__in=once)
    now = timezone.now()
    for some in batched(_all_keys(private.exclude(pk__in=going.packages.values("pk"))), AT_ONCE):
        names = set(Package.objects.filter(pk__in=some).values_list("name", flat=True))
        known = dict(
            Package.objects.filter(account=target, name__in=names).values_list("name", "is_private")
        )
        public = [name for name, is_private in known.items() if not is_private]
        Removal.objects.filter(channel=channel, package_name__in=public).delete()
        Package.objects.bulk_create(
            Package(account=target, name=name, is_private=True, deleted_at=now)
            for name in sorted(names - known.keys())
        )


def _make_room(target: Account, going: _Going) -> None:
    """Let go of what is left of deleted files of the same names."""
    gone = _same_name(target).exclude(deleted_at=None).values("pk")
    for some in _keys(going.files.filter(Exists(gone))):
        left = PackageFile.objects.filter(pk__in=some).values_list(Subquery(gone), flat=True)
        PackageFile.objects.filter(pk__in=list(left)).delete()


def _give_packages(source: Account, target: Account, whole: array[int]) -> None:
    for some in batched(whole, AT_ONCE):
        Collaborator.objects.filter(package__in=some).delete()
        change_account(list(Package.objects.filter(pk__in=some)), source, target)


def _packages_of(target: Account, split: array[int]) -> array[int]:
    """Have the other account have packages of these names; their keys."""
    found: array[int] = array("q")
    for some in batched(split, AT_ONCE):
        rows = Package.objects.filter(pk__in=some).order_by("pk")
        private = dict(rows.values_list("name", "is_private"))
        hidden = {name for name, is_private in private.items() if is_private}
        theirs = packages_of(target, set(private), private=hidden)
        found.extend(package.pk for package in theirs.values())
    return found


def _give_files(target: Account, going: _Going) -> None:
    theirs = Package.objects.filter(account=target, name=OuterRef("name")).values("pk")
    for some in _keys(going.leaving):
        # What they have already, of the same bytes, is put into the channel instead.
        package_tree.withdraw_files(some)
        files = PackageFile.objects.filter(pk__in=some).exclude(Exists(_same_name(target)))
        files.update(account=target, package=Subquery(theirs))
        left = PackageFile.objects.filter(pk__in=some).exclude(account=target)
        _point_to_theirs(target, list(left.values_list("pk", flat=True)))


def _copy_files(by: Identity, channel: Channel, target: Account, going: _Going) -> None:
    for some in _keys(going.staying):
        files = PackageFile.objects.filter(pk__in=some).only("subdir", "filename").order_by("pk")
        copy_rows(by=by, account=target, files=list(files))
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
