"""What accounts and channels don't take, whichever act brings it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db.models import Q
from django.utils.translation import gettext_noop

from accounts.identity import Identity
from accounts.models import Account
from portal.errors import Conflict, Forbidden, NotFound, Refusal
from portal.prepared import Prepared
from portal.sentences import Day, gettext
from registry import access
from registry.conda.facts import FileFacts
from registry.conda.layout import V3_SCHEMA
from registry.entering import Key, KnownFile
from registry.entries import channels_with
from registry.holding import hold_files, keep_channels
from registry.models import Channel, ChannelFile, Package, PackageFile, Removal
from registry.rows import batched

_AT_ONCE = 500


class FileExists(Conflict):
    slug = "file-exists"
    title = gettext_noop("Another file has this name")


class FilenameRetired(Conflict):
    slug = "filename-retired"
    title = gettext_noop("The name belongs to a deleted file")


class ChannelLocked(Forbidden):
    slug = "channel-locked"
    title = gettext_noop("The channel is locked")


class PackageArchived(Forbidden):
    slug = "package-archived"
    title = gettext_noop("The package is archived")


class PackageLocked(Forbidden):
    slug = "package-locked"
    title = gettext_noop("The package is locked")


class V3NotAllowed(Forbidden):
    slug = "newer-clients-only"
    title = gettext_noop("The channel takes no packages for newer clients only")


# --- Channels ------------------------------------------------------------------------------------


def refuse_locked(channel: Channel) -> None:
    if channel.is_locked:
        note = f": “{channel.lock_note}”" if channel.lock_note else ""
        raise ChannelLocked(
            gettext(
                "%(channel)s is locked%(note)s. Use another channel, or ask an admin of "
                "%(account)s."
            )
            % {"channel": channel.name, "note": note, "account": channel.account.name}
        )


def refuse_locked_around(by: Identity, filename: str, channel: Channel) -> None:
    """`refuse_locked` for a channel in which a file stands, and that ``by`` may not know of."""
    if channel.is_locked and not access.may_read_channel_by_role(by, channel):
        raise ChannelLocked(
            gettext("%(filename)s stands in a channel that is locked. Ask an admin of %(account)s.")
            % {"filename": filename, "account": channel.account.name}
        )
    refuse_locked(channel)


def refused_by(
    channel: Channel, files: Iterable[PackageFile | FileFacts]
) -> dict[str, V3NotAllowed]:
    """Those of the files, by their names, that the channel does not take; asked when the files
    are held."""
    newer = [file.filename for file in files if file.schema_version >= V3_SCHEMA]
    if not newer or _takes_v3(channel):
        return {}
    return {filename: v3_not_allowed(channel.name, filename) for filename in newer}


def _takes_v3(channel: Channel) -> bool:
    # Locked: nobody turns the switch off between the look and the entry.
    rows = Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk, allows_v3=True)
    return rows.first() is not None


def v3_not_allowed(channel_name: str, filename: str) -> V3NotAllowed:
    return V3NotAllowed(
        gettext(
            "%(filename)s is for clients that read repodata v3, and %(channel_name)s "
            "does not take such packages, since older clients would not find them. Use "
            "another channel, or let an admin allow them in the settings of this one."
        )
        % {"filename": filename, "channel_name": channel_name}
    )


# --- Locked and archived packages ----------------------------------------------------------------


def closed_among(account: Account, names: Collection[str]) -> dict[str, Refusal]:
    """Those of the account's packages, by their names, that take no files, and why; the rows are
    asked again when they are held: `refuse_closed`."""
    closed = [pk for (pk,) in _CLOSED.rows(account.pk, list(names))]
    rows = Package.objects.select_related("account").filter(pk__in=closed) if closed else ()
    return {row.name: _closed(row) for row in rows}


_CLOSED = Prepared(
    lambda account_id, names: (
        Package.objects.filter(
            Q(archived_at__isnull=False) | Q(locked_at__isnull=False),
            account=account_id,
            name__in=names,
        )
        .order_by()
        .values_list("pk")
    ),
    int,
    list[str],
)


def refuse_closed(packages: Iterable[Package]) -> None:
    """Refuse new files of packages that are archived or locked."""
    for package in packages:
        if package.archived_at is not None or package.locked_at is not None:
            raise _closed(package)


def _closed(package: Package) -> Refusal:
    return package_locked(package) if package.locked_at is not None else _archived(package)


def refuse_changes(files: Iterable[PackageFile]) -> None:
    """Refuse what would change where files of locked packages stand, or whether they do; asked
    when the packages are held."""
    for package in {file.package for file in files}:
        if package.locked_at is not None:
            raise package_locked(package)


def package_locked(package: Package) -> PackageLocked:
    if package.locked_at is None:
        raise ValueError(f"{package.name} is not locked.")
    return PackageLocked(
        gettext(
            "%(package)s of %(account)s is locked since %(day)s by %(who)s%(note)s, so none of its "
            "files changes. Ask an admin of the package to unlock it."
        )
        % {
            "package": package.name,
            "account": package.account.name,
            "day": Day(package.locked_at),
            "who": package.locked_by_name,
            "note": f": “{package.lock_note}”" if package.lock_note else "",
        }
    )


def _archived(package: Package) -> PackageArchived:
    note = f": “{package.archive_note}”" if package.archive_note else ""
    return PackageArchived(
        gettext(
            "%(package)s of %(account)s is archived%(note)s, so it takes no files. Ask "
            "an admin of the package to unarchive it."
        )
        % {"package": package.name, "account": package.account.name, "note": note}
    )


# --- Other bytes under a known name --------------------------------------------------------------


def refuse_other_bytes(
    account: Account,
    known: KnownFile,
    *,
    sha256: str,
    replaces: bool = False,
    immutable: Mapping[Key, Channel] | None = None,
) -> None:
    """Refuse bytes that a name does not stand for, as far as the name decides it.

    Those of a file that is there may be replaced by whoever asks for it and may delete the file,
    and the name of a deleted one is free again; but a name that ever stood in an immutable channel
    stands for the same bytes for good. ``immutable`` is what `immutable_channels` said.
    """
    if known.sha256 == sha256:
        return
    if known.is_there and not replaces:
        raise FileExists(
            gettext(
                "%(refused)s. Raise the build number, or upload it with force to replace that one."
            )
            % {"refused": _has_other(account, known)}
        )
    if immutable is None:
        immutable = immutable_channels(account, [known.key])
    if known.key in immutable:
        raise _immutable(account, known, _shown(immutable[known.key]))


def _shown(channel: Channel) -> str:
    """A channel as those are told of it who may not know it."""
    return gettext("a private channel") if channel.is_private else channel.name


def _has_other(account: Account, known: KnownFile) -> str:
    return gettext(
        "%(account)s already has %(subdir)s/%(file)s with other content (sha256 %(sha256)s…)"
    ) % {
        "account": account.name,
        "subdir": known.subdir,
        "file": known.filename,
        "sha256": known.sha256[:12],
    }


def _immutable(account: Account, known: KnownFile, where: str) -> Conflict:
    if known.is_there:
        return FileExists(
            gettext(
                "%(refused)s, and it can't be replaced: it stands or stood in %(where)s, "
                "which is immutable. Raise the build number."
            )
            % {"refused": _has_other(account, known), "where": where}
        )
    return FilenameRetired(
        gettext(
            "%(account)s once had another %(subdir)s/%(file)s (sha256 %(sha256)s…) in "
            "%(where)s, which is immutable, so the name stays that file's. Raise the "
            "build number."
        )
        % {
            "account": account.name,
            "subdir": known.subdir,
            "file": known.filename,
            "sha256": known.sha256[:12],
            "where": where,
        }
    )


def immutable_channels(
    account: Account, keys: Collection[Key], *, besides: Channel | None = None
) -> dict[Key, Channel]:
    """Of the files of these names, those that stand in an immutable channel or ever did, each with
    one such channel."""
    if not keys:
        return {}
    immutable = Channel.objects.filter(account=account, is_immutable=True)
    if besides is not None:
        immutable = immutable.exclude(pk=besides.pk)
    channels = {channel.pk: channel for channel in immutable}
    found: dict[Key, Channel] = {}
    if not channels:
        return found
    for some in batched(sorted(keys), _AT_ONCE):
        named = {
            "channel__in": channels,
            "subdir__in": {subdir for subdir, _ in some},
            "filename__in": {filename for _, filename in some},
        }
        for rows in (ChannelFile.objects.filter(**named), Removal.objects.filter(**named)):
            for subdir, filename, pk in rows.values_list("subdir", "filename", "channel_id"):
                found[subdir, filename] = channels[pk]
    return {key: found[key] for key in keys if key in found}


class Offered(NamedTuple):
    """Bytes that are to stand under a name that is known."""

    known: KnownFile
    sha256: str
    schema_version: int

    @property
    def is_newer(self) -> bool:
        """Whether only newer clients read them."""
        return self.schema_version >= V3_SCHEMA


class Judged(NamedTuple):
    """Which of the known files may have other bytes, or may come back, from now on."""

    refused: dict[Key, Refusal]
    standing: list[Channel]
    """All channels in which any of them stands."""


def judge(
    *,
    by: Identity,
    into: Sequence[Channel],
    offered: Sequence[Offered],
    replaces: bool,
) -> Judged:
    """Decide on bytes other than those that are known, in a transaction.

    The packages are held already. From here on the files are held, and the channels: those that
    the files are put into, which are of one account, and those in which they stand, for in all of
    these the bytes become others.
    """
    held = _hold(into, offered)
    if not offered:
        return Judged({}, [])
    account = into[0].account
    immutable = immutable_channels(account, [one.known.key for one in offered])
    there = [held.files[one.known.id] for one in offered if replaces and one.known.is_there]
    not_theirs = access.undeletable(by, account, there) if there else {}
    are_newer = any(one.is_newer for one in offered)
    takes_v3 = {channel.pk for channel in held.channels if are_newer and _takes_v3(channel)}
    refused: dict[Key, Refusal] = {}
    for one in offered:
        known = one.known
        try:
            refuse_other_bytes(
                account, known, sha256=one.sha256, replaces=replaces, immutable=immutable
            )
            if known.id in not_theirs:
                raise not_theirs[known.id]
            for channel in held.standing[known.id]:
                refuse_locked_around(by, known.filename, channel)
                if one.is_newer and channel.pk not in takes_v3:
                    raise v3_not_allowed(_shown(channel), known.filename)
        except Refusal as refusal:
            refused[known.key] = refusal
    return Judged(refused, held.channels)


class _Held(NamedTuple):
    files: Mapping[int, PackageFile]
    channels: list[Channel]
    standing: Mapping[int, list[Channel]]
    """Where each of the files stands."""


def _hold(into: Sequence[Channel], offered: Sequence[Offered]) -> _Held:
    files = hold_files([one.known.id for one in offered])
    places = channels_with(files)
    where = {channel_id for _, channel_id in places}
    wanted = {channel.pk for channel in into}
    # Deleted meanwhile, or given to another account.
    if not wanted <= keep_channels(wanted | where, account_id=into[0].account_id):
        raise NotFound
    rows = Channel.objects.select_related("account").filter(pk__in=where).order_by("pk")
    channels = {channel.pk: channel for channel in rows} if where else {}
    standing: defaultdict[int, list[Channel]] = defaultdict(list)
    for file_id, channel_id in places:
        if channel_id in channels:
            standing[file_id].append(channels[channel_id])
    return _Held(files, list(channels.values()), standing)
