"""Moving in: an account's packages, channels and metadata, taken over from elsewhere.

Whatever interrupts it: run again, it does what is left. Nothing that is private there is public
here for a moment, and nothing that is here is changed but by what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from accounts.identity import Identity
from accounts.models import Account
from portal.errors import Refusal
from registry.channels import change_channel
from registry.conda.errors import InvalidChannelNameError
from registry.conda.names import check_channel_name
from registry.describing import cleaned
from registry.entering import known_files
from registry.importing import Progress, Tick, import_files
from registry.importing_anaconda import AnacondaAccount, LabelledFiles, SourcePackage
from registry.models import Channel, ChannelFile, Package
from registry.packages import change_package, create_package
from registry.publishing import open_destination

_FILES_AT_ONCE = 500


@dataclass(slots=True)
class Taken:
    """What became of a move."""

    progress: Progress
    channels: list[str] = field(default_factory=list)
    """Those that files were put into."""
    locked: list[str] = field(default_factory=list)
    described: int = 0
    """Packages of which something was said there that their files don't say."""


def take_over(
    *, by: Identity, account: Account, source: AnacondaAccount, readers: int, tick: Tick
) -> Taken:
    """Take in what an account has that was read before.

    What can't be taken in stops nothing else; its reason is told. Packages that are private there
    are made, privately, before the first of their files; labels that are locked there are
    locked here when all of their files have arrived.
    """
    for package in source.packages():
        if package.is_private:
            _make_private(by, account, source, package)
    progress = Progress(source.count())
    for name, reason in source.troubles:
        progress.total += 1
        progress.refuse(name, reason)
    taken = Taken(progress)
    for label in source.labels():
        _take_label(by, account, source, label, taken, readers=readers, tick=tick)
    for package in source.packages():
        taken.described += _describe(by, account, package)
        tick(progress)
    return taken


def _make_private(
    by: Identity, account: Account, source: AnacondaAccount, package: SourcePackage
) -> None:
    try:
        here, _ = create_package(
            by=by, account_name=account.name, name=package.name, is_private=True
        )
    except Refusal as refusal:
        source.leave_out(package.name, refusal.detail)
        return
    if not here.is_private:
        source.leave_out(
            package.name,
            "It is private there and public here. Make it private here, then run this again.",
        )


def _take_label(
    by: Identity,
    account: Account,
    source: AnacondaAccount,
    label: str,
    taken: Taken,
    *,
    readers: int,
    tick: Tick,
) -> None:
    progress = taken.progress
    count = source.count(label)
    try:
        check_channel_name(label)
    except InvalidChannelNameError as error:
        progress.refuse(f"{count:,} files of {label}", str(error), count=count)
        return
    channel = Channel.objects.filter(account=account, name=label).first()
    if channel is not None and channel.is_locked:
        missing = count - _standing(account, channel, source, label)
        progress.unchanged += count - missing
        if missing:
            progress.refuse(
                f"{missing:,} files of {label}",
                f"{label} is locked here. Unlock it, then run this again.",
                count=missing,
            )
        return
    left_out = progress.conflicts + progress.refused
    import_files(
        by=by,
        destination=open_destination(by, account.name, label),
        source=LabelledFiles(source, label),
        readers=readers,
        progress=progress,
        tick=tick,
    )
    taken.channels.append(label)
    if source.is_locked(label) and progress.conflicts + progress.refused == left_out:
        _lock(by, account, label)
        taken.locked.append(label)


def _standing(account: Account, channel: Channel, source: AnacondaAccount, label: str) -> int:
    """How many of the label's files stand in the channel."""
    names = ((one.subdir or "", one.filename) for one in source.candidates(label))
    standing = 0
    while some := list(islice(names, _FILES_AT_ONCE)):
        ids = [file.id for file in known_files(account, some).values()]
        standing += ChannelFile.objects.filter(channel=channel, file__in=ids).count()
    return standing


def _lock(by: Identity, account: Account, label: str) -> None:
    channel = Channel.objects.select_related("account").get(account=account, name=label)
    change_channel(by=by, channel=channel, is_locked=True)


def _describe(by: Identity, account: Account, package: SourcePackage) -> bool:
    """Say of a package what was said of it there by hand: uploads don't say it here, either."""
    here = (
        Package.objects.select_related("account")
        .filter(account=account, name=package.name, deleted_at=None)
        .first()
    )
    if here is None:
        return False
    said = cleaned(package.fields)
    differing = {
        name: text
        for name, text in said.items()
        if text and name not in here.pinned and text != getattr(here, name)
    }
    if differing:
        change_package(by=by, package=here, fields=differing)
    return bool(differing)
