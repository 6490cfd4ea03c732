"""Patching a channel: what its indexes say of files is changed, and the files stay as they are.

A patch is an event that can be undone. What files say of themselves stays to be had, in
``repodata_from_packages.json``.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts import audit
from accounts.identity import Identity
from portal.errors import Conflict, InvalidInput, NotFound, Refusal
from portal.sentences import gettext
from registry import access, patched, storage
from registry.conda import patches
from registry.conda.errors import InvalidSubdirError, Phrase
from registry.conda.layout import V3_SCHEMA
from registry.conda.patches import DistPatch, Instructions, InvalidPatchError
from registry.conda.subdirs import check_subdir
from registry.entries import Touched, mark_stale
from registry.models import Channel, ChannelFile, PackageFile, Patch
from registry.patched import Change, KeyChange
from registry.refusing import refuse_locked
from registry.storage import Incoming, Readable
from registry.translating import translated

SHOWN = 50
"""How many changes, and how many names, are told one by one."""
MAX_NOTE_LENGTH = 500
# Above it, to write the subdir's index anew costs less than to look for each file in it.
_MARKED_ONE_BY_ONE = 2000
_THE_EDIT = Phrase(gettext_noop("The edit"))


class InvalidPatch(Refusal):
    slug = "invalid-patch"
    title = gettext_noop("Not a usable patch")


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What the index says of a file otherwise than before."""

    filename: str
    keys: list[KeyChange]
    is_withdrawn: bool
    is_restored: bool


@dataclass(slots=True)
class Effect:
    """What a patch, or undoing it, changes of the index."""

    changed: int = 0
    """Files whose records read otherwise, or which come or go."""
    withdrawn: int = 0
    restored: int = 0
    revoked: int = 0
    unmatched: int = 0
    """Names in a set that no file of the subdir has; it may come later."""
    unmatched_names: list[str] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    """What a set says of keys that no patch may change, and how often."""
    diffs: list[FileDiff] = field(default_factory=list)

    def counts(self) -> dict[str, object]:
        return {
            "changed": self.changed,
            "withdrawn": self.withdrawn,
            "restored": self.restored,
            "revoked": self.revoked,
            "unmatched": self.unmatched,
            "ignored": self.ignored,
        }


@dataclass(frozen=True, slots=True)
class Applied:
    patch: Patch
    effect: Effect


def upload_instructions(
    *, by: Identity, channel: Channel, subdir: str, body: Readable, note: str = ""
) -> Applied:
    """Have the indexes of one subdir say what a set of patch instructions says.

    It takes the place of the set before, not of edits. What it says of files that don't stand
    there is kept, and applied when they come.
    """
    with _received(by, channel, subdir, body, note) as instructions, transaction.atomic():
        outcome = _apply_set(by, channel, subdir, instructions, note)
        _publish(by, outcome, "patch.apply")
    return outcome.result


def preview_instructions(*, by: Identity, channel: Channel, subdir: str, body: Readable) -> Effect:
    """What `upload_instructions` would change; nothing is changed."""
    with _received(by, channel, subdir, body, "") as instructions, transaction.atomic():
        effect = _apply_set(by, channel, subdir, instructions, "", write=False).effect
        transaction.set_rollback(True)
    return effect


def edit_record(
    *,
    by: Identity,
    channel: Channel,
    file: PackageFile,
    depends: Sequence[str] | None = None,
    constrains: Sequence[str] | None = None,
    note: str = "",
) -> Applied:
    """Have the channel say of one file that it depends on, or constrains, something else."""
    access.require_patching(by, channel)
    _check_note(note)
    wanted = _wanted(file, depends, constrains)
    with transaction.atomic():
        channel = _hold(channel)
        said = _said_of(channel, file)
        changes = {key: value for key, value in wanted.items() if value != (said.get(key) or [])}
        if not changes:
            raise Conflict(
                gettext("%(channel)s says just that of %(file)s. Change something.")
                % {"channel": channel.name, "file": file.filename}
            )
        patch = Patch.objects.create(
            channel=channel,
            subdir=file.subdir,
            kind=Patch.Kind.EDIT,
            filename=file.filename,
            note=note,
            applied_by=by.user,
        )
        dist, extension = patches.split_filename(file.filename)
        patched.keep(patch, [(dist, DistPatch(one_file=changes, extension=extension))])
        outcome = _carry_out(patch, [dist])
        _publish(by, outcome, "patch.edit")
    return outcome.result


def undo_patch(*, by: Identity, patch: Patch) -> Applied:
    """Have the indexes speak as if the patch had never been; the set before it counts again."""
    access.require_patching(by, patch.channel)
    with transaction.atomic():
        channel = _hold(patch.channel)
        patch = Patch.objects.select_related("undone_by").get(pk=patch.pk)
        patch.channel = channel
        if patch.undone_at is not None:
            name = patch.undone_by.username if patch.undone_by else "somebody"
            raise Conflict(gettext("This patch was undone already, by %(name)s.") % {"name": name})
        counted = patched.newest_set(channel, patch.subdir)
        patch.undone_at, patch.undone_by = timezone.now(), by.user
        patch.save(update_fields=["undone_at", "undone_by"])
        outcome = _carry_out(patch, _dists_of_undone(patch, was_counting=counted == patch))
        _publish(by, outcome, "patch.undo")
    return outcome.result


def _dists_of_undone(patch: Patch, *, was_counting: bool) -> Iterable[str]:
    if patch.kind == Patch.Kind.EDIT:
        return [patches.split_filename(patch.filename)[0]]
    if not was_counting:
        return []
    before = patched.newest_set(patch.channel, patch.subdir)
    return patched.differing(patched.said_by(patch), patched.said_by(before))


def _said_of(channel: Channel, file: PackageFile) -> dict[str, object]:
    """What the channel's index says of a file that stands there."""
    entries = ChannelFile.objects.select_related("file", "patched")
    entry = entries.filter(channel=channel, file=file).first()
    if entry is None:
        raise NotFound
    return patched.record_of_entry(entry)


# --- What is wanted ------------------------------------------------------------------------------


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE_LENGTH:
        wrong = gettext(
            "The note has %(note)s characters. At most %(max_note_length)s are kept: shorten it."
        ) % {"note": len(note), "max_note_length": MAX_NOTE_LENGTH}
        raise InvalidInput(wrong, {"note": [wrong]})


def _wanted(
    file: PackageFile, depends: Sequence[str] | None, constrains: Sequence[str] | None
) -> Mapping[str, object]:
    in_v3 = file.schema_version >= V3_SCHEMA
    given = {"depends": depends, "constrains": constrains}
    try:
        return {
            key: patches.check_change(key, list(specs), where=_THE_EDIT, in_v3=in_v3)
            for key, specs in given.items()
            if specs is not None
        }
    except InvalidPatchError as error:
        raise InvalidPatch(translated(error)) from error


@contextmanager
def _received(
    by: Identity, channel: Channel, subdir: str, body: Readable, note: str
) -> Iterator[Instructions]:
    """The set that comes in; nothing of it is read before it is known that ``by`` may send it."""
    access.require_patching(by, channel)
    refuse_locked(channel)
    _check_note(note)
    try:
        check_subdir(subdir)
    except InvalidSubdirError as error:
        sentence = translated(error)
        raise InvalidInput(sentence, {"subdir": [sentence]}) from error
    with storage.receive(body, limit_bytes=patches.MAX_INSTRUCTIONS_BYTES) as incoming:
        try:
            yield Instructions(_mapped(incoming))
        except InvalidPatchError as error:
            raise InvalidPatch(translated(error)) from error


def _mapped(incoming: Incoming) -> mmap.mmap | bytes:
    if not incoming.size_bytes:
        return b""
    # Closed when nobody refers to it any more: what was read of it does.
    return mmap.mmap(incoming.file.fileno(), 0, access=mmap.ACCESS_READ)


# --- Carrying it out -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    patch: Patch
    effect: Effect
    touched: list[Touched]

    @property
    def result(self) -> Applied:
        return Applied(self.patch, self.effect)


def _hold(channel: Channel) -> Channel:
    """The channel as it is, until the end of the transaction: no other patch, no new entry."""
    held = (
        Channel.objects.select_for_update(of=("self",))
        .select_related("account")
        .filter(pk=channel.pk)
        .first()
    )
    if held is None:
        raise NotFound
    refuse_locked(held)
    return held


def _wait_for_others(channel: Channel) -> None:
    """Let one set at a time be applied to a channel; uploads go on.

    Else two of them, whose rows each keep the channel from being deleted, would wait for each
    other when they hold it.
    """
    Channel.objects.select_for_update(of=("self",), no_key=True).filter(pk=channel.pk).first()


def _apply_set(
    by: Identity,
    channel: Channel,
    subdir: str,
    instructions: Instructions,
    note: str,
    *,
    write: bool = True,
) -> _Outcome:
    _wait_for_others(channel)
    patch = Patch.objects.create(
        channel=channel,
        subdir=subdir,
        kind=Patch.Kind.INSTRUCTIONS,
        note=note,
        applied_by=by.user,
    )
    # All that can be wrong with it is found before an upload has to wait for it.
    patched.keep(patch, instructions.patches())
    patch.channel = channel = _hold(channel)
    before = patched.newest_set(channel, subdir, other_than=patch)
    dists = patched.differing(patched.said_by(before), patched.said_by(patch))
    outcome = _carry_out(patch, dists, write=write)
    _tell_unused(outcome.effect, channel, subdir, instructions)
    return outcome


def _tell_unused(effect: Effect, channel: Channel, subdir: str, instructions: Instructions) -> None:
    unused = instructions.unused
    effect.ignored = dict(sorted(unused.keys.items()))
    effect.unmatched = unused.names_count
    effect.unmatched_names = unused.names[:SHOWN]
    for dists, standing in patched.standing(channel, subdir, instructions.dists):
        for dist in dists:
            for name in instructions.filenames_of(dist):
                if not standing.intersection(patches.files_meant_by(name)):
                    effect.unmatched += 1
                    if len(effect.unmatched_names) < SHOWN:
                        effect.unmatched_names.append(name)


def _carry_out(patch: Patch, dists: Iterable[str], *, write: bool = True) -> _Outcome:
    """Compute anew what is said of these dists, write it down, and count."""
    channel, subdir = patch.channel, patch.subdir
    changes = patched.plan(channel, subdir, dists)
    if write:
        changes = patched.settle(channel, subdir, changes)
    effect, marks = Effect(), _Marks(subdir)
    for change in changes:
        if not change.is_none:
            _count(effect, change)
            marks.add(change)
    return _Outcome(patch, effect, marks.touched())


def _count(effect: Effect, change: Change) -> None:
    is_withdrawn = change.is_withdrawn and not change.was_withdrawn
    is_restored = change.was_withdrawn and not change.is_withdrawn
    effect.changed += 1
    effect.withdrawn += is_withdrawn
    effect.restored += is_restored
    effect.revoked += change.is_revoked
    if len(effect.diffs) < SHOWN:
        keys = [] if is_withdrawn else change.keys()
        effect.diffs.append(FileDiff(change.filename, keys, is_withdrawn, is_restored))


class _Marks:
    """What changes touched: each file, or all of the subdir when they are many."""

    def __init__(self, subdir: str) -> None:
        self._subdir = subdir
        self._count = 0
        self._files: list[Touched] = []
        self._names: Counter[str] = Counter()

    def add(self, change: Change) -> None:
        self._count += 1
        if self._count <= _MARKED_ONE_BY_ONE:
            comes_or_goes = change.is_withdrawn != change.was_withdrawn
            self._files.append(
                Touched(self._subdir, change.name, change.filename, removed=comes_or_goes)
            )
            self._names[change.name] += 1

    def touched(self) -> list[Touched]:
        if self._count > _MARKED_ONE_BY_ONE:
            return [Touched(self._subdir), Touched("")]
        return [*self._files, *(Touched("", name) for name in self._names)]


def _publish(by: Identity, outcome: _Outcome, action: str) -> None:
    """Log it, and have what it changed indexed."""
    patch, counts = outcome.patch, outcome.effect.counts()
    channel = patch.channel
    if action != "patch.undo":
        patch.summary = counts
        patch.save(update_fields=["summary"])
    if outcome.touched:
        mark_stale(channel, outcome.touched)
    target = f"{patch.subdir}/{patch.filename}" if patch.filename else patch.subdir
    audit.record(
        by=by,
        account=channel.account,
        action=action,
        target=target,
        detail={"channel": channel.name, "patch": patch.pk, "note": patch.note, **counts},
    )
