"""Letting a package be private, or public again, in everything that says something of it."""

from __future__ import annotations

from registry import package_tree, tree
from registry.entries import Touched, mark_stale
from registry.models import Channel, Package, PackageFile, Removal


def hide_or_show(package: Package, *, is_private: bool) -> bool:
    """Have indexes follow at once, in a transaction of the caller's; False when nothing changes."""
    if (
        not Package.objects.filter(pk=package.pk)
        .exclude(is_private=is_private)
        .update(is_private=is_private)
    ):
        return False
    package.is_private = is_private
    places = (
        PackageFile.objects.filter(package=package, entries__isnull=False)
        .values_list("entries__channel", "subdir")
        .distinct()
    )
    # Repodata names what was removed, too.
    left = (
        Removal.objects.filter(channel__account=package.account_id, package_name=package.name)
        .values_list("channel", "subdir")
        .distinct()
    )
    touched: dict[int, set[str]] = {}
    for channel_id, subdir in [*places, *left]:
        touched.setdefault(channel_id, {""}).add(subdir)
    tree.withdraw_shards(package.account)
    if is_private:
        package_tree.withdraw(package.account.name, [package.name])
    for channel in Channel.objects.filter(pk__in=touched).select_related("account").order_by("pk"):
        for subdir in touched[channel.pk]:
            tree.withdraw(channel, subdir)
        mark_stale(
            channel,
            [Touched(subdir, package.name, hides=True) for subdir in sorted(touched[channel.pk])],
        )
    return True
