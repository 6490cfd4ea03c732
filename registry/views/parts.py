"""What the registry puts on pages about people: packages and channels where those are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Sum

from accounts.identity import Identity
from accounts.log_words import told
from accounts.models import Account, Event
from accounts.rights import manageable_accounts
from portal.remembering import remembered
from registry import access, quotas
from registry.models import Channel, DownloadTotal, Package, PackageFile

_CHANNELS_SHOWN = 100
_PACKAGES_SHOWN = 50


def token_limits(
    *,
    account: Account,
    ticked_channels: Sequence[str],
    ticked_packages: Sequence[str],
    package_filter: str,
) -> dict[str, Any]:
    """The channels and packages of an account, to limit a token to by ticking.

    What is ticked stands first and stays, whatever the filter; the rest is cut.
    """
    channels = Channel.objects.filter(account=account).exclude(name__in=ticked_channels)
    names = list(channels.order_by("name").values_list("name", flat=True)[:_CHANNELS_SHOWN])
    rest = Package.objects.filter(account=account, deleted_at=None).exclude(
        name__in=ticked_packages
    )
    if package_filter:
        rest = rest.filter(name__icontains=package_filter)
    found = list(rest.order_by("name").values_list("name", flat=True)[: _PACKAGES_SHOWN + 1])
    return {
        "channels": [*((name, True) for name in ticked_channels), *((n, False) for n in names)],
        "packages": [
            *((name, True) for name in ticked_packages),
            *((name, False) for name in found[:_PACKAGES_SHOWN]),
        ],
        "there_are_more_packages": len(found) > _PACKAGES_SHOWN,
        "package_filter": package_filter,
    }


# --- The dashboard -----------------------------------------------------------------------------

_PACKAGES_ON_DASHBOARD = 10
_EVENTS_ON_DASHBOARD = 10
_FIGURES_ON_DASHBOARD = 10


def dashboard(*, identity: Identity) -> dict[str, Any]:
    """Their packages by last change, what happened in their accounts, and what those keep."""
    theirs = manageable_accounts(identity)
    events = Event.objects.filter(account__in=theirs.values("pk")).select_related("account")
    packages = access.written_packages(identity).order_by("-updated_at", "-pk")
    return {
        "packages": list(packages[:_PACKAGES_ON_DASHBOARD]),
        "lately": [told(event) for event in events.order_by("-id")[:_EVENTS_ON_DASHBOARD]],
        "figures": _figures(theirs),
    }


def _figures(theirs: QuerySet[Account]) -> list[dict[str, Any]]:
    """Name, files, bytes and downloads of the first of the accounts that keep any files."""
    files = PackageFile.objects.present()
    holders = theirs.filter(Exists(files.filter(account=OuterRef("pk")))).order_by("name")
    shown = list(quotas.with_usage(holders)[:_FIGURES_ON_DASHBOARD])
    if not shown:
        return []
    totals = DownloadTotal.objects.filter(file__account__in=shown, file__deleted_at=None)
    counted = totals.order_by().values_list("file__account").annotate(Sum("count"))
    # Each file has its own: where there are many, they are not added up for each look.
    key = f"fetched-{'-'.join(str(account.pk) for account in shown)}"
    fetched = remembered(key, lambda: dict(counted))
    return [
        {
            "account": account,
            "size_bytes": account.used_bytes,
            "files": account.used_files,
            "fetched": fetched.get(account.pk),
        }
        for account in shown
    ]
