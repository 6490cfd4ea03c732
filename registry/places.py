"""Where a front server finds files by the URL alone: folders that are called as channels are.

Below the folder of the files::

    tree/<kind>/<account>/<channel>/@/…

What lies there is said by `registry.tree`, of index files, and by `registry.package_tree`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from registry.models import Channel

_HOME = "@"  # no part of a channel's name, so channels "a" and "a/b" have places of their own
_LOCKS = 0x74726565 << 32  # so that no other advisory lock has the same number
# What the front server takes from a URL; it leaves every other form to Condarium.
_PLAIN_PART = re.compile(r"[0-9A-Za-z_:-][0-9A-Za-z_.:-]*", re.ASCII)


def root(kind: str) -> Path:
    return Path(settings.FILES_FOLDER) / "tree" / kind


def home_in(folder: Path, account_name: str, channel_name: str) -> Path | None:
    """The folder of a channel, None for names that the front server would not take from a URL."""
    parts = channel_name.split("/")
    if not all(_PLAIN_PART.fullmatch(part) for part in (account_name, *parts)):
        return None
    return folder.joinpath(account_name, *parts, _HOME)


def homes(folder: Path) -> Iterator[Path]:
    """Those of all channels below."""
    for parent, names, _ in os.walk(folder):
        if _HOME in names:
            names.remove(_HOME)
            yield Path(parent, _HOME)


def lock(account_id: int) -> None:
    """Have nobody else change what lies there for an account until the transaction has ended; with
    0, what is there for all of them.

    With SQLite the lock is that of the database, which every transaction of ours begins with.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "The tree is only changed within a transaction, which holds its lock."
        )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCKS + account_id])


def remove_unknown(folder: Path, remove: Callable[[Path], None]) -> int:
    """Take away what belongs to no public channel; how many channels it was kept for."""
    count = 0
    for home in list(homes(folder)):
        account_name, *parts, _ = home.relative_to(folder).parts
        here = Channel.objects.filter(account__name=account_name, name="/".join(parts))
        with transaction.atomic():
            account_id = here.values_list("account", flat=True).first()
            if account_id is not None:
                lock(account_id)
            if not here.filter(visibility=Channel.Visibility.PUBLIC).exists():
                remove(home)
                count += 1
    return count


def remove_empty_folders(folder: Path, *, below: Path) -> None:
    """Remove the folder, and those above it that are empty then."""
    while folder != below:
        try:
            folder.rmdir()
        except OSError:  # other channels lie below it
            return
        folder = folder.parent
