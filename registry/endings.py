"""Renaming and deleting accounts, with all that is theirs.

A deleted account is out of reach in one transaction, whatever it holds: its name is taken from it,
nobody has rights there, and its channels show nothing. Its rows and bytes go with the sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.utils import timezone

from accounts import audit, emails, people, rights, security
from accounts.identity import Identity
from accounts.models import Account, FormerName, Membership, Organization, Token, User
from accounts.roles import Role
from accounts.scopes import Ability
from portal.errors import Conflict
from portal.sentences import gettext
from registry import offers, storage, tree
from registry.models import (
    Channel,
    ChannelFile,
    Collaborator,
    Package,
    PackageFile,
    PublishedIndex,
)

NAME_KEPT = timedelta(days=90)
MAX_FORMER_NAMES = 5
_SWEPT_AT_ONCE = 500
_SWEPT_IN_A_RUN = 20_000


def require_ending(by: Identity, account: Account) -> None:
    """Refuse renaming and deleting to all but the person, or an owner of the organization."""
    if account.is_organization:
        rights.require_owner(by, account.organization, Ability.ADMINISTER)
    else:
        rights.require_admin(by, account, Ability.ADMINISTER)


# --- Renaming ----------------------------------------------------------------------------------


@transaction.atomic
def rename_account(*, by: Identity, account: Account, name: str) -> Account:
    """Give an account another name; the old one stays its own and leads to the new one.

    What stands in archives and indexes names no account, so nothing is built anew.
    """
    require_ending(by, account)
    held = Account.objects.select_for_update(of=("self",)).get(pk=account.pk)
    own = FormerName.objects.filter(account=held)
    wanted = people.require_free_name(name, field="name", own=held)
    own.filter(name=wanted).delete()
    if own.count() >= MAX_FORMER_NAMES:
        raise Conflict(
            gettext("An account keeps its last %(most)d names, and this one has as many.")
            % {"most": MAX_FORMER_NAMES}
        )
    for channel in Channel.objects.filter(account=held).select_related("account"):
        tree.withdraw(channel)
    before, held.name = held.name, wanted
    FormerName.objects.filter(name=before).delete()  # of a deleted account, long ago
    FormerName.objects.create(name=before, account=held)
    held.save(update_fields=["name"])
    User.objects.filter(account=held).update(username=wanted)
    audit.record(
        by=by,
        account=held,
        action="account.rename",
        target=wanted,
        detail={"before": before},
    )
    return held


# --- Deleting ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Impact:
    """What goes with an account."""

    packages: int
    files: int
    size_bytes: int
    channels: int
    # Organizations that would have no owner: in the way until they have another or are deleted.
    only_owner_of: tuple[str, ...]
    # Those that stay with their other owners, or that they only leave.
    leaves: tuple[str, ...]


def impact_of(account: Account) -> Impact:
    files = PackageFile.objects.present().filter(account=account)
    sums = files.aggregate(count=Count("pk"), size=Sum("size_bytes"))
    only_owner, leaves = _organizations(account)
    return Impact(
        packages=Package.objects.filter(account=account, deleted_at=None).count(),
        files=sums["count"],
        size_bytes=sums["size"] or 0,
        channels=Channel.objects.filter(account=account).count(),
        only_owner_of=only_owner,
        leaves=leaves,
    )


def _organizations(account: Account) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if account.is_organization:
        return (), ()
    other_owners = Membership.objects.filter(
        organization=OuterRef("organization"), role=Role.OWNER
    ).exclude(user__account=account)
    memberships = (
        Membership.objects.filter(user__account=account)
        .annotate(has_others=Exists(other_owners))
        .order_by("organization__account__name")
        .values_list("organization__account__name", "role", "has_others")
    )
    only_owner: list[str] = []
    leaves: list[str] = []
    for name, role, has_others in memberships:
        (leaves if role != Role.OWNER or has_others else only_owner).append(name)
    return tuple(only_owner), tuple(leaves)


@transaction.atomic
def delete_account(*, by: Identity, account: Account) -> None:
    """Take an account away for good; its name stays free of others for 90 days.

    The log keeps its lines, with the names that stood there. A person's rows about who they were
    (addresses, passkeys, sessions, memberships) are gone at once.
    """
    require_ending(by, account)
    _hold_with_organizations(account)
    held = Account.objects.select_for_update(of=("self",)).get(pk=account.pk)
    impact = impact_of(held)
    if impact.only_owner_of:
        raise Conflict(
            gettext(
                "You are the only owner of %(names)s. Make someone else an owner there, or delete "
                "it first."
            )
            % {"names": ", ".join(impact.only_owner_of)}
        )
    name = held.name
    emails.send_account_deleted(held)
    audit.record(
        by=by,
        account=held,
        action="account.delete",
        target=name,
        detail={
            "packages": impact.packages,
            "files": impact.files,
            "size": impact.size_bytes,
            "channels": impact.channels,
        },
    )
    offers.forget_all_of(held)
    _hide(held)
    _take_name(held)
    _take_people(held)


def _hold_with_organizations(account: Account) -> None:
    """Two last owners who go at the same time must not both see the other one."""
    if account.is_organization:
        Organization.objects.locked(account.organization)
        return
    theirs = Organization.objects.filter(memberships__user__account=account)
    list(Organization.objects.select_for_update().filter(pk__in=theirs.values("pk")).order_by("pk"))


def _hide(account: Account) -> None:
    channels = Channel.objects.filter(account=account)
    for channel in channels.select_related("account"):
        tree.withdraw(channel)
    channels.update(visibility=Channel.Visibility.PRIVATE)
    Collaborator.objects.filter(package__account=account).delete()
    Token.objects.filter(account=account, revoked_at=None).update(revoked_at=timezone.now())


def _take_name(account: Account) -> None:
    until = timezone.now() + NAME_KEPT
    FormerName.objects.filter(account=account).update(account=None, reserved_until=until)
    FormerName.objects.update_or_create(
        name=account.name, defaults={"account": None, "reserved_until": until}
    )
    # No name of an account begins so, and no address leads to it.
    account.name = f"~{account.pk}"
    account.suspended_at = account.deleted_at = timezone.now()
    account.display_name = account.description = account.website = account.public_email = ""
    account.links = []
    account.save()


def _take_people(account: Account) -> None:
    if account.is_organization:
        account.organization.delete()
        return
    user = account.user
    security.end_all_sessions(user)
    user.delete()


# --- What is left to the sweeps ----------------------------------------------------------------


def sweep() -> int:
    """Take away what deleted accounts held, some thousand rows at a time; how many went."""
    count = 0
    doomed = Account.objects.exclude(deleted_at=None)
    for account in doomed.filter(Exists(_left(Channel)) | Exists(_left(Package))).order_by("pk"):
        for rows in (
            ChannelFile.objects.filter(channel__account=account),
            PackageFile.objects.filter(account=account),
        ):
            count += _sweep_rows(rows, at_most=_SWEPT_IN_A_RUN - count)
        if count >= _SWEPT_IN_A_RUN:
            return count
        for channel in Channel.objects.filter(account=account):
            _sweep_channel(channel)
            count += 1
        count += Package.objects.filter(account=account).delete()[0]
    FormerName.objects.filter(account=None, reserved_until__lte=timezone.now()).delete()
    return count


def _left(model: type[Channel | Package]) -> QuerySet[Channel] | QuerySet[Package]:
    return model._default_manager.filter(account=OuterRef("pk"))  # noqa: SLF001 - Django's name


def _sweep_rows(rows: QuerySet[ChannelFile] | QuerySet[PackageFile], *, at_most: int) -> int:
    count = 0
    while count < at_most:
        keys = list(rows.values_list("pk", flat=True)[:_SWEPT_AT_ONCE])
        if not keys:
            break
        rows.model._default_manager.filter(pk__in=keys).delete()  # noqa: SLF001 - as above
        count += len(keys)
    return count


def _sweep_channel(channel: Channel) -> None:
    indexes = PublishedIndex.objects.filter(channel=channel)
    subdirs = set(indexes.values_list("subdir", flat=True))
    channel_id = channel.pk
    channel.delete()
    for subdir in subdirs:
        for key, _ in list(storage.store().keys(storage.index_folder(channel_id, subdir))):
            storage.store().delete(key)
