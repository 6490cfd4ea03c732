"""Package files that everybody may fetch, as links that a front server follows by the URL alone.

Below the folder of the files::

    tree/packages       a link to the next one, unless the site's downloads are closed
    tree/package-files/<account>/<channel>/@/<subdir>/<name>/<filename>   links to stored bytes
    tree/package-files/<account>/<channel>/@/<subdir>/.whole    no link is missing
    tree/package-files/<account>/<channel>/@/.immutable         what a filename means stays so
    tree/gone/…         what was taken away at once, and is deleted later

Like the index files of `registry.tree` it is a cache: what is missing is answered by Condarium,
and any part of it may be deleted at any time. What must never be in it is a file that not
everybody may fetch, or that was replaced, deleted or found damaged. So this is the protocol:

* Whoever changes that of a file holds the row of its package, as every act on files does, and calls
  `withdraw` in the transaction that changes it. From before the commit on, Condarium answers.
* `place` takes hold of the same rows, then asks the database, and links what it is told. It comes
  either before such a transaction takes hold, and then its links are taken away; or after the
  commit, and then it sees what was committed.
* A channel as a whole is withdrawn under the lock of `registry.places`, which `place` takes, too.

Links are placed before the index that names their files is switched to. Those that nobody places
again, since no index has changed, `check` finds.

The front server makes its ETag of time and size. So stored bytes bear a time that is made of their
digest: other bytes under the same name get another one, however soon and of whatever size.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import transaction

from accounts import switches
from accounts.models import Switch
from registry import places, storage
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile, PublishedIndex
from registry.rows import batched

log = logging.getLogger(__name__)

Touched = Mapping[str, Collection[str] | None]
"""Names of packages, and which files of theirs; None: all there are."""

_WHOLE = ".whole"
_PLACING = ".placing-"
_IMMUTABLE = ".immutable"
_AT_ONCE = 100
_MOST_NAMED = 1000
_FOR_ALL = 0
# What the front server takes from a URL, and from it the name; it leaves others to Condarium.
_FILENAME = re.compile(r"([0-9A-Za-z_][^/]*)-[^/-]+-[^/-]+\.(?:conda|tar\.bz2)", re.ASCII)


def downloads_folder() -> Path:
    """Where the front server notes which of the files it sent (`registry.front_downloads`)."""
    return Path(settings.FILES_FOLDER) / "downloads"


# --- Taking away -------------------------------------------------------------------------------


def withdraw(account_name: str, names: Collection[str]) -> None:
    """Let nobody fetch files of these packages of an account from the tree.

    Only within a transaction that holds their rows. Done wherever there can be a tree, for another
    process may have been told to keep one.
    """
    for home in places.homes(_root() / account_name):
        for subdir in _subdirs(home):
            for name in names:
                _discard(subdir / name)


def withdraw_files(file_ids: Collection[int]) -> None:
    """`withdraw` for these files."""
    if not _root().exists():
        return
    for some in batched(list(file_ids), _AT_ONCE):
        names: defaultdict[str, set[str]] = defaultdict(set)
        rows = PackageFile.objects.filter(pk__in=some).values_list("account__name", "name")
        for account_name, name in rows.distinct():
            names[account_name].add(name)
        for account_name, those in names.items():
            withdraw(account_name, those)


def withdraw_channel(channel: Channel) -> None:
    """Let nobody fetch anything of the channel from the tree; only with the lock of its account."""
    home = _home(channel)
    if home is not None:
        _remove(home)


def withdraw_promise(channel: Channel) -> None:
    """Have the front server promise no more that a filename means the same bytes for good; within
    the transaction that ends it."""
    places.lock(channel.account_id)
    home = _home(channel)
    if home is not None:
        (home / _IMMUTABLE).unlink(missing_ok=True)


def obey(switch: Switch) -> None:
    """Close and open the whole tree with the site's downloads, in the transaction that does so."""
    if switch.name != switches.Name.DOWNLOADS or not _root().exists():
        return
    places.lock(_FOR_ALL)
    _entrance().unlink(missing_ok=True)
    transaction.on_commit(_open_unless_closed)


# --- Placing -----------------------------------------------------------------------------------


def touched(marked: Iterable[tuple[str, str]]) -> Touched | None:
    """What to `place` of names and filenames that were marked stale; without a name it is all."""
    found: dict[str, set[str] | None] = {}
    for name, filename in marked:
        if not name:
            return None
        some = found.setdefault(name, set())
        if not filename:
            found[name] = None
        elif some is not None:
            some.add(filename)
    return found


def place(channel: Channel, subdir: str, what: Touched | None) -> None:
    """Let everybody fetch these files of a subdir, all of it with None, as far as they may.

    A tree that can't be written is no fault of the channel: it is logged, and Condarium answers.
    """
    home = _home(channel)
    if not settings.INDEX_TREE or home is None or channel.is_private:
        return
    try:
        if what is None:
            _place_all(channel, home / subdir)
            return
        for some in batched(sorted(what), _AT_ONCE):
            _place_names(channel, home / subdir, {name: what[name] for name in some})
    except OSError:
        with suppress(OSError):
            (home / subdir / _WHOLE).unlink()  # `mend` tries again
        log.exception(
            "the tree of packages can't be written",
            extra={"channel": channel.pk, "subdir": subdir},
        )


def mend() -> int:
    """Bring what is there as a whole in accord with the database; how many channels and subdirs
    were not. Where no tree is to be kept any more, take it away."""
    shutil.rmtree(_gone(), ignore_errors=True)
    if not settings.INDEX_TREE:
        _entrance().unlink(missing_ok=True)
        shutil.rmtree(_root(), ignore_errors=True)
        return 0
    _open_unless_closed()
    count = places.remove_unknown(_root(), _remove)
    for channel, subdir, folder in _shown():
        if not (folder / _WHOLE).exists():
            place(channel, subdir, None)
            count += 1
    return count


def check() -> int:
    """Look through every link; how many subdirs there are."""
    count = 0
    for channel, subdir, _ in _shown() if settings.INDEX_TREE else ():
        place(channel, subdir, None)
        count += 1
    return count


def _shown() -> Iterator[tuple[Channel, str, Path]]:
    """The subdirs that everybody may read."""
    rows = PublishedIndex.objects.filter(
        channel__visibility=Channel.Visibility.PUBLIC, members_only=False
    ).exclude(subdir="")
    for index in rows.select_related("channel__account").iterator(chunk_size=100):
        home = _home(index.channel)
        if home is not None:
            yield index.channel, index.subdir, home / index.subdir


def _place_all(channel: Channel, folder: Path) -> None:
    # Whoever withdraws the channel meanwhile takes the note along.
    placing = folder / f"{_PLACING}{secrets.token_hex(4)}"
    with transaction.atomic():
        places.lock(channel.account_id)
        if _now(channel) is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        placing.touch()
    entries = ChannelFile.objects.filter(channel=channel, subdir=folder.name)
    names = set(entries.order_by().values_list("name", flat=True).distinct().iterator())
    names |= {name for name in _names_in(folder) if not name.startswith(".")}
    for some in batched(sorted(names), _AT_ONCE):
        _place_names(channel, folder, dict.fromkeys(some))
    with suppress(FileNotFoundError):
        placing.rename(folder / _WHOLE)
    for left in folder.glob(f"{_PLACING}*"):  # by who was killed
        left.unlink(missing_ok=True)


def _place_names(channel: Channel, folder: Path, what: Touched) -> None:
    with transaction.atomic():
        packages = Package.objects.filter(account=channel.account_id, name__in=list(what))
        # Nobody changes who may fetch their files, or what they are, until this is done.
        list(packages.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        places.lock(channel.account_id)
        now = _now(channel)
        if now is None:
            return
        home = folder.parent
        if now.is_immutable:
            home.mkdir(parents=True, exist_ok=True)
            (home / _IMMUTABLE).touch()
        # Of a name that was withdrawn all is missing, whatever was touched of it since.
        known = {name: some if (folder / name).is_dir() else None for name, some in what.items()}
        shown = _shown_files(now, folder.name, known)
        for name, some in known.items():
            _link(folder / name, shown.get(name, {}), some)
        if not _entrance().is_symlink():
            _open_unless_closed()


def _now(channel: Channel) -> Channel | None:
    """The channel as it is, where it is everybody's to read under the same names."""
    return Channel.objects.filter(
        pk=channel.pk,
        name=channel.name,
        account__name=channel.account.name,
        visibility=Channel.Visibility.PUBLIC,
    ).first()


def _shown_files(channel: Channel, subdir: str, what: Touched) -> dict[str, dict[str, str]]:
    """Those that everybody may fetch: by name and filename their sha256."""
    entries = ChannelFile.objects.filter(
        channel=channel,
        subdir=subdir,
        name__in=list(what),
        file__deleted_at=None,
        file__blob__damage=Blob.Damage.NONE,
        file__package__is_private=False,
    )
    filenames = [filename for some in what.values() for filename in some or ()]
    # Only to find less. Databases take so many values, and a large deletion marks each file.
    if None not in what.values() and len(filenames) <= _MOST_NAMED:
        entries = entries.filter(filename__in=filenames)
    shown: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, filename, sha256 in entries.values_list("name", "filename", "file__sha256"):
        match = _FILENAME.fullmatch(filename)
        if match is not None and match[1] == name:
            shown[name][filename] = sha256
    return shown


def _link(folder: Path, files: Mapping[str, str], touched: Collection[str] | None) -> None:
    """Let the folder have links to these files; of those that were ``touched`` no others, or with
    None no others at all."""
    there = _names_in(folder) if touched is None else set(touched)
    for filename in there - files.keys():
        (folder / filename).unlink(missing_ok=True)
    if not files:
        with suppress(OSError):  # others are left, or there is none
            folder.rmdir()
        return
    folder.mkdir(parents=True, exist_ok=True)
    store = Path(settings.FILES_FOLDER)
    up = os.path.relpath(store, folder)
    for filename, sha256 in files.items():
        if touched is not None and filename not in touched:
            continue
        key = storage.blob_key(sha256)
        try:
            _stamp(store / key, sha256)
        except FileNotFoundError:  # lost; Condarium says so
            (folder / filename).unlink(missing_ok=True)
            continue
        _point(folder / filename, f"{up}/{key}")


def _names_in(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names are wanted, thousands of them
    except FileNotFoundError:
        return set()


def _stamp(path: Path, sha256: str) -> None:
    """Let the time of stored bytes tell them from others. Not beyond 2038: some file systems know
    no later one, and all of those would be the same."""
    seconds = int(sha256[:8], 16) >> 1
    if int(path.stat().st_mtime) != seconds:
        os.utime(path, (seconds, seconds))


def _point(link: Path, target: str) -> None:
    try:
        link.symlink_to(target)
    except FileExistsError:
        if os.readlink(link) == target:  # noqa: PTH115 - its text, thousands of times
            return
        draft = link.with_name(f".{secrets.token_hex(8)}")
        draft.symlink_to(target)
        draft.replace(link)


# --- Folders -----------------------------------------------------------------------------------


def _root() -> Path:
    return places.root("package-files")


def _entrance() -> Path:
    return places.root("packages")


def _gone() -> Path:
    return places.root("gone")


def _home(channel: Channel) -> Path | None:
    return places.home_in(_root(), channel.account.name, channel.name)


def _subdirs(home: Path) -> list[Path]:
    try:
        with os.scandir(home) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except FileNotFoundError:  # somebody else took the channel away
        return []


def _discard(path: Path) -> None:
    """Take a folder away, however much lies in it."""
    gone = _gone() / secrets.token_hex(8)
    with suppress(OSError):
        path.rename(gone)
        return
    if not path.exists():  # as it is mostly
        return
    try:
        gone.parent.mkdir(parents=True, exist_ok=True)
        path.rename(gone)
    except OSError:  # no room for a folder, say; going needs none
        shutil.rmtree(path)


def _remove(home: Path) -> None:
    _discard(home)
    places.remove_empty_folders(home.parent, below=_root())


def _open_unless_closed() -> None:
    with transaction.atomic():
        places.lock(_FOR_ALL)
        switches.forget()
        if switches.is_thrown(switches.Name.DOWNLOADS):
            _entrance().unlink(missing_ok=True)
        elif not _entrance().is_symlink() and _root().exists():
            downloads_folder().mkdir(exist_ok=True)
            _entrance().symlink_to(_root().name)
