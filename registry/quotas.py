"""How much an account keeps, and how much it may.

What is kept is counted from the rows each time somebody asks: it is never behind, whatever was
deleted. It is what the account's files sum up to; that others may share the bytes saves the disk
something, and the account nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.utils.translation import gettext_noop

from accounts import audit
from accounts.attention import Need
from accounts.identity import Identity
from accounts.models import Account, Event
from accounts.rights import manageable_accounts, runs_the_site
from portal.errors import Forbidden, InvalidInput, Refusal
from portal.prepared import Prepared
from portal.remembering import remembered
from portal.sentences import Number, Sentence, Size, gettext, ngettext, together
from registry.models import AccountQuota, Channel, ChannelFile, PackageFile

MAX_LIMIT = 2**60
# From here on it needs somebody.
NEARLY_FULL = 0.8
_MAX_NEEDS = 20


class QuotaExceeded(Refusal):
    slug = "quota-exceeded"
    title = gettext_noop("The account has no room")
    status = 402


@dataclass(frozen=True, slots=True)
class Limits:
    """None is as much as there is."""

    max_bytes: int | None
    max_files: int | None

    @property
    def there_are_any(self) -> bool:
        return self.max_bytes is not None or self.max_files is not None


@dataclass(frozen=True, slots=True)
class Usage:
    used_bytes: int
    used_files: int

    def share_of(self, limits: Limits) -> float:
        """How far the nearer limit is used up; 1 is all of it."""
        pairs = (
            (self.used_bytes, limits.max_bytes),
            (self.used_files, limits.max_files),
        )
        return max(
            (used / most if most else 1.0 for used, most in pairs if most is not None), default=0.0
        )


def default_limits() -> Limits:
    return Limits(settings.QUOTA_BYTES or None, settings.QUOTA_FILES or None)


def limits_of(account: Account) -> Limits:
    rows = _LIMITS.rows(account.pk)
    return Limits(*rows[0]) if rows else default_limits()


_LIMITS = Prepared(
    lambda account_id: AccountQuota.objects.filter(account=account_id).values_list(
        "max_bytes", "max_files"
    ),
    int,
)


def _known_limits(account: Account) -> Limits:
    """The limits of an account that was fetched with its row of them."""
    own: AccountQuota | None = getattr(account, "quota", None)
    return default_limits() if own is None else Limits(own.max_bytes, own.max_files)


def usage_of(account: Account) -> Usage:
    return _usage_of([account.pk])[account.pk]


def with_usage(accounts: QuerySet[Account]) -> QuerySet[Account, Any]:
    """The accounts with their ``used_bytes`` and ``used_files``; None where there are no files."""
    return accounts.annotate(used_bytes=_sum_of("size"), used_files=_sum_of("number"))


def _sum_of(what: str) -> Subquery:
    """``size`` or ``number`` of the files of an account that a query comes to."""
    of_it = PackageFile.objects.present().filter(account=OuterRef("pk")).order_by()
    sums = of_it.values("account").annotate(size=Sum("size_bytes"), number=Count("*"))
    return Subquery(sums.values(what))


def _usage_of(account_ids: Collection[int]) -> dict[int, Usage]:
    found = (
        PackageFile.objects.present()
        .filter(account__in=account_ids)
        .order_by()
        .values("account")
        .annotate(used_bytes=Sum("size_bytes"), used_files=Count("*"))
        .values_list("account", "used_bytes", "used_files")
    )
    used = {account: Usage(size, count) for account, size, count in found}
    return {pk: used.get(pk, Usage(0, 0)) for pk in account_ids}


def usage_by_package(account: Account) -> QuerySet[PackageFile, dict[str, Any]]:
    """``package``, ``used_bytes`` and ``used_files`` of each package that has any, the largest
    first."""
    rows = (
        PackageFile.objects.present()
        .filter(account=account)
        .order_by()
        .values("package")
        .annotate(used_bytes=Sum("size_bytes"), used_files=Count("*"))
    )
    return cast("QuerySet[PackageFile, dict[str, Any]]", rows.order_by("-used_bytes", "package"))


def usage_by_name(account: Account) -> Iterator[tuple[str, int, int]]:
    """Name, files and bytes of each package that has any, the largest first."""
    rows = (
        PackageFile.objects.present()
        .filter(account=account)
        .order_by()
        .values_list("package__name")
        .annotate(used_files=Count("*"), used_bytes=Sum("size_bytes"))
    )
    return rows.order_by("-used_bytes", "package__name").iterator()


def largest_files(account: Account, most: int) -> list[PackageFile]:
    """They are found in an index alone, and then read."""
    order = ("-size_bytes", "pk")
    rows = PackageFile.objects.present().filter(account=account).order_by(*order)
    found = PackageFile.objects.filter(pk__in=rows.values("pk")[:most]).order_by(*order)
    return list(found.select_related("package").defer("index", "about"))


@dataclass(frozen=True, slots=True)
class Places:
    """What an account keeps, and where it stands."""

    used: Usage
    limits: Limits
    packages: int
    """How many have any files."""
    channels: list[tuple[Channel, Usage]]
    """A file in two channels is counted in both."""
    unlisted: Usage
    """The `unlisted_files`."""


def usage_by_place(account: Account) -> Places:
    """All that the account keeps is counted, once for each change that its log tells of."""
    lines = Event.objects.filter(account=OuterRef("pk")).order_by("-id").values("id")
    asked = Account.objects.select_related("quota").annotate(last_line=Subquery(lines[:1]))
    known = asked.get(pk=account.pk)
    key = f"places-{account.pk}-{known.last_line}"
    used, packages, by_channel = remembered(key, lambda: _counted(account))
    channels = Channel.objects.filter(account=account).order_by("name")
    nothing = Usage(0, 0)
    return Places(
        used=used,
        limits=_known_limits(known),
        packages=packages,
        channels=[(channel, by_channel.get(channel.pk, nothing)) for channel in channels],
        unlisted=by_channel.get(None, nothing),
    )


def _counted(account: Account) -> tuple[Usage, int, dict[int | None, Usage]]:
    """All, the packages, and what stands by the keys of channels; None is in none of them."""
    files = PackageFile.objects.present().filter(account=account).order_by()
    sums = {"used_bytes": Sum("size_bytes"), "used_files": Count("*")}
    totals = files.aggregate(**sums, packages=Count("package", distinct=True))
    used = Usage(totals["used_bytes"] or 0, totals["used_files"])
    # In one go through two indexes.
    shown = files.filter(Q(entries__isnull=False) | Q(leaving_until=None))
    rows = shown.values_list("entries__channel").annotate(**sums)
    by_channel = {channel_id: Usage(size, count) for channel_id, size, count in rows}
    return used, totals["packages"], by_channel


def unlisted_files(account: Account) -> QuerySet[PackageFile]:
    """Files that stand in no channel, so that nobody installs them; the largest first."""
    somewhere = ChannelFile.objects.filter(file=OuterRef("pk"))
    return (
        PackageFile.objects.staying()
        .filter(~Exists(somewhere), account=account)
        .select_related("account", "package")
        .order_by("-size_bytes", "pk")
    )


def total_of(files: QuerySet[PackageFile]) -> Usage:
    totals = files.order_by().aggregate(used_bytes=Sum("size_bytes"), used_files=Count("*"))
    return Usage(totals["used_bytes"] or 0, totals["used_files"])


# --- Saying that there is no room --------------------------------------------------------------


def require_room(
    account: Account, *, size_bytes: int = 0, files: int = 1, waiting: Usage | None = None
) -> None:
    """Refuse early what an account won't be able to take; it may be full a moment later.

    Of a file whose size nobody knows yet, it is asked whether there is any room. ``waiting`` is
    what lies here and is no file of the account's yet.
    """
    limits = limits_of(account)
    if limits.there_are_any:
        used = usage_of(account)
        if waiting is not None:
            used = Usage(used.used_bytes + waiting.used_bytes, used.used_files + waiting.used_files)
        then = Usage(used.used_bytes + max(size_bytes, 1), used.used_files + files)
        said = gettext("%(account)s has used %(used)s of %(most)s.")
        if size_bytes:
            said = gettext(
                "%(account)s has used %(used)s of %(most)s, and this needs %(more)s more."
            )
        _refuse(account, limits, then, said, used, more=Usage(size_bytes, files))


def require_kept_within(account: Account) -> None:
    """Refuse what was just entered, if the account keeps more than it may.

    It is counted in the transaction that enters files: of two that enter some at the same time the
    second counts what the first entered.
    """
    limits = limits_of(account)
    if limits.there_are_any:
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
        used = usage_of(account)
        said = gettext("%(account)s would keep %(used)s with this, and may keep %(most)s.")
        _refuse(account, limits, used, said, used)


def _refuse(
    account: Account,
    limits: Limits,
    then: Usage,
    said: Sentence,
    used: Usage,
    more: Usage | None = None,
) -> None:
    """Refuse if the account would keep too much ``then``, which is ``used`` and ``more``."""
    more = more or Usage(0, 0)
    if limits.max_bytes is not None and then.used_bytes > limits.max_bytes:
        filled = said % {
            "account": account.name,
            "used": Size(used.used_bytes),
            "most": Size(limits.max_bytes),
            "more": Size(more.used_bytes),
        }
    elif limits.max_files is not None and then.used_files > limits.max_files:
        filled = said % {
            "account": account.name,
            "used": _package_files(used.used_files),
            "most": Number(limits.max_files),
            "more": _package_files(more.used_files),
        }
    else:
        return
    advice = gettext(
        "Delete files that nobody needs any more (%(base_url)s/%(account)s/settings/storage tells "
        "which there are), or ask those who run this site for more."
    ) % {"base_url": settings.BASE_URL, "account": account.name}
    raise QuotaExceeded(together([filled, advice]))


def _package_files(count: int) -> Sentence:
    said = ngettext("%(n)s package file", "%(n)s package files", count)
    return said % {"n": Number(count)}


# --- Setting limits ----------------------------------------------------------------------------


@transaction.atomic
def set_quota(
    *, by: Identity, account: Account, max_bytes: int | None, max_files: int | None
) -> None:
    """Let an account keep as much, whatever others may; None is without a limit."""
    _require_site_admin(by)
    _check("max_bytes", max_bytes)
    _check("max_files", max_files)
    before = limits_of(account)
    AccountQuota.objects.update_or_create(
        account=account, defaults={"max_bytes": max_bytes, "max_files": max_files}
    )
    _log(by, account, before)


@transaction.atomic
def reset_quota(*, by: Identity, account: Account) -> None:
    """Let an account keep what the settings say for all."""
    _require_site_admin(by)
    before = limits_of(account)
    if AccountQuota.objects.filter(account=account).delete()[0]:
        _log(by, account, before)


def _require_site_admin(by: Identity) -> None:
    if runs_the_site(by):
        return
    raise Forbidden(gettext("Only those who run this site decide how much an account may keep."))


def _check(field: str, limit: int | None) -> None:
    if limit is not None and not 0 <= limit <= MAX_LIMIT:
        reason = gettext(
            "It is %(limit)s; a number from 0 to %(max_limit)s is wanted, or none."
        ) % {"limit": limit, "max_limit": MAX_LIMIT}
        raise InvalidInput(
            gettext("The limit is not usable. %(reason)s") % {"reason": reason}, {field: [reason]}
        )


def _log(by: Identity, account: Account, before: Limits) -> None:
    after = limits_of(account)
    audit.record(
        by=by,
        account=account,
        action="quota.set",
        target=account.name,
        detail={
            "max_bytes": [before.max_bytes, after.max_bytes],
            "max_files": [before.max_files, after.max_files],
        },
    )


# --- What needs somebody -----------------------------------------------------------------------


def needs(identity: Identity) -> list[Need]:
    """The accounts they administer that are full, or nearly so."""
    theirs = manageable_accounts(identity).select_related("quota").order_by("name")
    # Who has no limit is not counted.
    limited = Q(pk__isnull=False) if default_limits().there_are_any else Q(quota__isnull=False)
    accounts = theirs.annotate(
        used_bytes=Case(When(limited, then=_sum_of("size"))),
        used_files=Case(When(limited, then=_sum_of("number"))),
    )[:_MAX_NEEDS]
    full = [
        (account, used, limits)
        for account in accounts
        if (limits := _known_limits(account)).there_are_any
        and (used := Usage(account.used_bytes or 0, account.used_files or 0)).share_of(limits)
        >= NEARLY_FULL
    ]
    return [
        Need(
            icon="hard-drive",
            title=gettext("%(account)s has little room left") % {"account": account.name},
            facts=_in_words(used, limits),
            url=f"/{account.name}/settings/storage",
        )
        for account, used, limits in full
    ]


def _in_words(used: Usage, limits: Limits) -> str:
    parts = []
    if limits.max_bytes is not None:
        sizes = {"used": Size(used.used_bytes), "most": Size(limits.max_bytes)}
        parts.append(gettext("%(used)s of %(most)s") % sizes)
    if limits.max_files is not None:
        counts = {"used": Number(used.used_files), "most": Number(limits.max_files)}
        parts.append(gettext("%(used)s of %(most)s files") % counts)
    return ", ".join(parts)
