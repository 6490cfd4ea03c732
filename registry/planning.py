"""What putting many files into a channel, or taking them out of one, would change, and for whom.

`registry.placement` decides all of it again when it is done; what is left out here would be
refused there, and take the others with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from accounts.identity import Identity
from accounts.models import Account
from portal.sentences import gettext
from registry import access
from registry.conda.layout import V3_SCHEMA
from registry.entering import known_files
from registry.models import Channel, ChannelFile, PackageFile
from registry.placement import (
    CopyMode,
    Exchanged,
    add_files,
    copy_files,
    move_files,
    remove_files,
)
from registry.publishing import Outcome
from registry.refusing import closed_among, package_locked, refuse_locked, v3_not_allowed
from registry.rows import batched

_AT_ONCE = 500


class Act(Enum):
    MOVE = "move"
    COPY = "copy"
    REMOVE = "remove"


@dataclass(slots=True)
class Plan:
    """What an act would do to the files that were chosen for it."""

    act: Act
    source: Channel | None
    target: Channel | None
    good: list[PackageFile] = field(default_factory=list)
    """The files it would change something for."""
    already: int = 0
    """So many stand in the target, and what they stand in does not change."""
    absent: int = 0
    """So many do not stand where they are to be taken from."""
    refused: Counter[str] = field(default_factory=Counter)
    """Why the others stay, and how many."""
    become_public: int = 0
    leave_public: int = 0
    become_unlisted: int = 0


def plan(
    *,
    by: Identity,
    act: Act,
    files: Sequence[PackageFile],
    source: Channel | None,
    target: Channel | None,
) -> Plan:
    """Look what would change. A channel that takes no changes at all is refused as such."""
    found = Plan(act, source, target)
    for channel in (source, target):
        if channel is not None:
            access.require_channel_write(by, channel)
            refuse_locked(channel)
    own = [file for file in files if target is None or file.account_id == target.account_id]
    foreign = [
        file for file in files if target is not None and file.account_id != target.account_id
    ]
    ids = [file.pk for file in own]
    inside = _standing(ids, source) if source else set(ids)
    there = _standing(ids, target) if target else set()
    for file in _writable(by, own, found):
        if file.pk not in inside:
            found.absent += 1
        elif act is Act.COPY and file.pk in there:
            found.already += 1
        elif target is not None and (refusal := _not_taken(file, target)):
            found.refused[refusal] += 1
        else:
            found.good.append(file)
            # It only leaves the one: the other has it.
            found.already += act is Act.MOVE and file.pk in there
    if target is not None and foreign:
        _plan_foreign(by, foreign, target, found)
    _tell_visibility(found)
    return found


def _writable(by: Identity, files: Sequence[PackageFile], found: Plan) -> list[PackageFile]:
    good: list[PackageFile] = []
    if not files:
        return good
    account = files[0].account
    names = access.publishable_names(by, account, {file.name for file in files})
    for file in files:
        if file.name in names and file.package.locked_at is not None:
            found.refused[package_locked(file.package).detail] += 1
        elif file.name in names:
            good.append(file)
        else:
            found.refused[_no_right(account, file.name)] += 1
    return good


def _no_right(account: Account, name: str) -> str:
    return gettext(
        "You may not write %(name)s. Admins of %(account)s can give you the permission."
    ) % {"name": name, "account": account.name}


def _not_taken(file: PackageFile, target: Channel) -> str:
    if file.schema_version < V3_SCHEMA or target.allows_v3:
        return ""
    return v3_not_allowed(target.name, file.filename).detail


def _plan_foreign(by: Identity, files: Sequence[PackageFile], target: Channel, found: Plan) -> None:
    """Files of another account: the bytes are shared, and a name may be taken."""
    names = access.publishable_names(by, target.account, {file.name for file in files})
    keys = [(file.subdir, file.filename) for file in files]
    known = {
        key: file
        for some in batched(keys, _AT_ONCE)
        for key, file in known_files(target.account, some).items()
    }
    there = _standing([file.id for file in known.values()], target)
    closed = closed_among(target.account, names)
    for file in files:
        other = known.get((file.subdir, file.filename))
        if file.name not in names:
            found.refused[_no_right(target.account, file.name)] += 1
        elif file.name in closed:
            found.refused[closed[file.name].detail] += 1
        elif other and other.is_there and other.sha256 != file.sha256:
            found.refused[
                gettext("%(account)s has files of the same name with other content.")
                % {"account": target.account.name}
            ] += 1
        elif other and other.is_there and other.id in there:
            found.already += 1
        elif refusal := _not_taken(file, target):
            found.refused[refusal] += 1
        else:
            found.good.append(file)


def _standing(ids: Sequence[int], channel: Channel | None) -> set[int]:
    found: set[int] = set()
    for some in batched(ids, _AT_ONCE):
        rows = ChannelFile.objects.filter(channel=channel, file__in=some)
        found.update(rows.values_list("file_id", flat=True))
    return found


def _tell_visibility(found: Plan) -> None:
    """Count those that come into everybody's sight or leave it."""
    public: Counter[int] = Counter()
    places: Counter[int] = Counter()
    for some in batched([file.pk for file in found.good], _AT_ONCE):
        rows = ChannelFile.objects.filter(file__in=some)
        for file_id, visibility in rows.values_list("file_id", "channel__visibility"):
            places[file_id] += 1
            public[file_id] += visibility == Channel.Visibility.PUBLIC
    from_public = found.act is not Act.COPY and found.source and not found.source.is_private
    to_public = found.target is not None and not found.target.is_private
    for file in found.good:
        if found.act is Act.REMOVE and places[file.pk] == 1:
            found.become_unlisted += 1
        if file.package.is_private:
            continue
        before = public[file.pk] > 0
        after = to_public or public[file.pk] - bool(from_public) > 0
        found.become_public += after and not before
        found.leave_public += before and not after


def carry_out(*, by: Identity, planned: Plan) -> Exchanged:
    """Do it, to all of `Plan.good` or to none."""
    source, target, files = planned.source, planned.target, planned.good
    match planned.act:
        case Act.MOVE if source and target:
            return move_files(by=by, files=files, from_channel=source, to_channel=target)
        case Act.REMOVE if source:
            return Exchanged(set(), remove_files(by=by, files=files, channel=source))
        case Act.COPY if target and all(file.account_id == target.account_id for file in files):
            return Exchanged(add_files(by=by, files=files, channel=target), set())
        case Act.COPY if target:
            copied = copy_files(
                by=by,
                files=files,
                account_name=target.account.name,
                channel_name=target.name,
                mode=CopyMode.UPDATE,
            )
            new = {one.file.pk for one in copied if one.outcome is not Outcome.UNCHANGED}
            return Exchanged(new, set())
    raise ValueError(f"{planned.act} lacks a channel.")
