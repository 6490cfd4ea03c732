"""The current index files of public channels as plain files, where a front server finds them by
the URL alone, without asking us.

Below the folder of the files::

    tree/public/<account>/<channel>/@/<subdir>      a link to the set that is current
    tree/public/<account>/<channel>/@/<subdir>.<n>  a set: hard links to stored files
    tree/public/<account>/<channel>/@/_             those of the channel itself

The tree is a cache. Whatever is missing in it is answered by Condarium, so any part of it may be
deleted at any time. What must never be in it is something that may not be read any more, or was
replaced; so this is the protocol:

* Whoever changes what a public channel shows (its index, its visibility, its packages' privacy,
  its being there at all) calls `withdraw` inside of the transaction that does so. That takes the
  lock of the account, held until the transaction has ended, and then takes the link away. From
  before the commit on, Condarium answers, from the database.
* `place` takes the same lock, then asks the database what is shown to everybody, and links that.
  It comes either before such a transaction takes the lock, and then its link is taken away; or
  after the commit, and then it sees what was committed. It asks after it has the lock, in a
  statement of its own, since PostgreSQL's READ COMMITTED gives each statement a snapshot of its
  own. With SQLite the lock is that of the database, which every transaction of ours begins with.

So a process that is killed between the two leaves nothing stale, and of several that place, the
last one places the newest. What was lost on the way is found by `mend`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.models import Account
from registry import package_tree, places, storage
from registry.models import Channel, Package, PublishedIndex

log = logging.getLogger(__name__)

_OF_CHANNEL = "_"
_SHARDS = "shards"
# What the front server takes from a URL; it leaves every other form to Condarium.
_INDEX_FILE = re.compile(r"[a-z_]+\.(?:json|json\.zst|msgpack\.zst)", re.ASCII)

Files = Mapping[str, Mapping[str, object]]
_HAS_HIDDEN = Exists(Package.objects.filter(account=OuterRef("channel__account"), is_private=True))


def withdraw(channel: Channel, subdir: str | None = None) -> None:
    """Let nobody read the index files of a subdir, or anything of the channel, from the tree.

    Only within a transaction: until it has ended, nothing is placed for the account. Done wherever
    there can be a tree, for another process may have been told to keep one.
    """
    if settings.S3_BUCKET:
        return
    places.lock(channel.account_id)
    home = _home(channel.account.name, channel.name)
    if home is None:
        return
    if subdir is None:
        _remove(home)
        package_tree.withdraw_channel(channel)
    else:
        _link(home, subdir).unlink(missing_ok=True)


def withdraw_shards(account: Account) -> None:
    """Let nobody read a shard of any of the account's channels from the tree; like `withdraw`."""
    if settings.S3_BUCKET:
        return
    places.lock(account.pk)
    for home in places.homes(_root() / account.name):
        for path in home.iterdir():
            (path / _SHARDS).unlink(missing_ok=True)


def place(channel: Channel, subdir: str) -> None:
    """Let everybody read the published index files of a subdir, or with ``subdir`` empty of the
    channel itself, from the tree, if they are everybody's to read.

    Runs in milliseconds and reads no file. A tree that can't be written is no fault of the index:
    it is logged, and Condarium answers.
    """
    if not settings.INDEX_TREE:
        return
    with transaction.atomic():
        places.lock(channel.account_id)
        _place_what_is_shown(channel, subdir)


def mend() -> int:
    """Bring the tree in accord with the database; how many subdirs were not. Where none is to be
    kept any more, take it away."""
    if not settings.INDEX_TREE:
        shutil.rmtree(_root(), ignore_errors=True)
        return 0
    count = places.remove_unknown(_root(), _remove)
    shown = (
        PublishedIndex.objects.filter(
            channel__visibility=Channel.Visibility.PUBLIC, members_only=False
        )
        .select_related("channel__account")
        .annotate(has_hidden=_HAS_HIDDEN)
    )
    for index in shown.iterator(chunk_size=100):
        home = _home(index.channel.account.name, index.channel.name)
        has_shards = bool(index.subdir) and not index.has_hidden
        if home is None or _shows(_link(home, index.subdir), index.files, has_shards=has_shards):
            continue
        place(index.channel, index.subdir)
        count += 1
    return count


# --- What is everybody's -----------------------------------------------------------------------


def _place_what_is_shown(channel: Channel, subdir: str) -> None:
    home = _home(channel.account.name, channel.name)
    if home is None:
        return
    shown = (
        PublishedIndex.objects.filter(
            channel=channel.pk,
            channel__visibility=Channel.Visibility.PUBLIC,
            subdir=subdir,
            members_only=False,
        )
        .values_list("files", _HAS_HIDDEN)
        .first()
    )
    link = _link(home, subdir)
    try:
        # Before anything that can fail: what is current is not known to be so any more.
        if shown is None or not shown[0]:
            link.unlink(missing_ok=True)
            return
        files, has_private_packages = shown
        folder = storage.index_folder(channel.pk, subdir)
        # All shards of a week lie there, of generations that only members were shown, too. Their
        # names are digests of what they say, but as `finding.find_shard` has it, knowing one
        # gives no right to a private package. Who asks for others knows what stands in them.
        shards = None if has_private_packages or not subdir else f"{folder}/{_SHARDS}"
        _switch(link, files, folder=folder, shards=shards)
    except OSError:
        with suppress(FileNotFoundError):
            link.unlink()
        log.exception(
            "the tree of index files can't be written",
            extra={"channel": channel.pk, "subdir": subdir},
        )


def _shows(link: Path, files: Files, *, has_shards: bool) -> bool:
    """Whether the current set holds exactly these files; of none, whether there is no set."""
    named = {name: str(facts["key"]) for name, facts in files.items() if _is_placed(name, facts)}
    if not named:
        return not link.is_symlink()
    store = Path(settings.FILES_FOLDER)
    try:
        with os.scandir(link) as entries:
            placed = {entry.name: entry.inode() for entry in entries}
        shards = placed.pop(_SHARDS, None)
        stored = {name: (store / key).stat().st_ino for name, key in named.items()}
    except FileNotFoundError:
        return False
    return placed == stored and (shards is not None) == has_shards


# --- Folders, links and times ------------------------------------------------------------------


def _root() -> Path:
    return places.root("public")


def _home(account_name: str, channel_name: str) -> Path | None:
    return places.home_in(_root(), account_name, channel_name)


def _link(home: Path, subdir: str) -> Path:
    return home / (subdir or _OF_CHANNEL)


def _remove(home: Path) -> None:
    if not home.is_dir():
        return
    # The links first: they are what is read through.
    for path in home.iterdir():
        if path.is_symlink():
            path.unlink()
    shutil.rmtree(home)
    places.remove_empty_folders(home.parent, below=_root())


def _is_placed(name: str, facts: Mapping[str, object]) -> bool:
    return "key" in facts and _INDEX_FILE.fullmatch(name) is not None


def _switch(link: Path, files: Files, *, folder: str, shards: str | None) -> None:
    """Make a set and let the link point to it, in one step.

    nginx makes its ETag of time and size alone. Two generations of one second and of the same
    size would share it, and a client would be told for ever that it has the newest one. So a set
    has a number, which is greater than that of any before it, and what is new in it bears that
    number as its time. It is the clock's, or ahead of it where there is more than one a second.

    The set before stays until the next time: who has looked it up is about to open its files.
    """
    store = Path(settings.FILES_FOLDER)
    link.parent.mkdir(parents=True, exist_ok=True)
    sets = _sets(link)
    previous = sets[-1] if sets else None
    latest = _latest_time(store / folder) if previous is None else _number(previous)
    number = max(int(time.time()), latest + 1)
    made = link.with_name(f"{link.name}.{number:012x}")
    made.mkdir()
    for name, facts in files.items():
        if _is_placed(name, facts):
            stored = store / str(facts["key"])
            if previous is None or not _is_same(previous / name, stored):
                os.utime(stored, (number, number))
            (made / name).hardlink_to(stored)
    if shards is not None:
        (made / _SHARDS).symlink_to(os.path.relpath(store / shards, made))
    draft = link.with_name(f"{link.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(made.name)
    draft.replace(link)
    for old in sets[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _sets(link: Path) -> list[Path]:
    """The sets of a subdir, oldest first."""
    wanted = re.compile(rf"{re.escape(link.name)}\.[0-9a-f]{{12}}")
    return sorted(path for path in link.parent.iterdir() if wanted.fullmatch(path.name))


def _number(a_set: Path) -> int:
    return int(a_set.name.rpartition(".")[2], 16)


def _is_same(path: Path, stored: Path) -> bool:
    try:
        return path.samefile(stored)
    except FileNotFoundError:
        return False


def _latest_time(folder: Path) -> int:
    """The latest time of the files in the store, for where no set is left to tell it: what is
    current bears the times that were given last."""
    latest = 0
    for parent, names, filenames in os.walk(folder):
        with suppress(ValueError):
            names.remove(_SHARDS)
        for filename in filenames:
            with suppress(FileNotFoundError):  # it is being swept
                latest = max(latest, int(Path(parent, filename).stat().st_mtime))
    return latest
