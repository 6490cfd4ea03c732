"""Taking many package files in: a folder of them, or what another channel has.

The same act as publishing, for a few hundred files at a time: archives are read by processes of
their own, then bytes are stored, then rows are written in one transaction. Whatever interrupts
it, what was committed is there, and what was not is found again the next time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

from django.conf import settings
from django.db import connection, transaction

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from portal import failpoints, processes
from portal.errors import Conflict, Refusal
from registry import access, storage
from registry.access import Destination
from registry.checking import note_stored_anew
from registry.conda.facts import FileFacts
from registry.entering import Claimed, Key, KnownFile, claim, known_files
from registry.entries import put_all
from registry.importing_attestations import Taken, take_along
from registry.importing_readers import Bad, Known, Pending, Read, Readers, Task
from registry.importing_sources import Candidate, Source
from registry.models import Channel, ChannelFile, PackageFile
from registry.publishing import (
    Outcome,
    Registered,
    channel_of,
    refuse_early,
    register,
)
from registry.refusing import refuse_locked, refuse_other_bytes, refused_by

# A commit waits for the disk, and asks some sixty queries however many files it is for; but who
# else publishes should not wait for long.
_FILES_PER_COMMIT = 2000
_BYTES_PER_COMMIT = 512 * 1024**2
# Fetching takes its time: so nobody waits long to see some of it in, and little is lost.
_FETCHED_FILES_PER_COMMIT = 200
_FETCHED_BYTES_PER_COMMIT = 64 * 1024**2
# So much is read before it is needed: those who read never wait for those who write.
_BATCHES_AHEAD = 2
# The log of changes is written into the database each so many pages of it, usually a thousand:
# that is one commit, which then waits twice more, and writes what the next one changes again.
_PAGES_PER_CHECKPOINT = 8000
_FETCHES_AT_ONCE = 8
_LOOK_SECONDS = 0.02
# Whoever stops an import waits for no more of its tidying; what is left then is swept.
_TIDYING_SECONDS = 0.3
_REFUSALS_TOLD = 10_000


class Refused(NamedTuple):
    """What is not in, and why."""

    name: str
    reason: str
    files: int = 1
    """How many it is; none where it is something beside a file that is in."""


@dataclass(slots=True)
class Progress:
    """How far an import has come."""

    total: int
    started: float = field(default_factory=time.monotonic)
    read: int = 0
    created: int = 0
    added: int = 0
    unchanged: int = 0
    stored_bytes: int = 0
    conflicts: int = 0
    refused: int = 0
    differing: int = 0
    """Files of which the source's index says other dependencies than they do themselves."""
    attested: int = 0
    """How many attestations came along."""
    unattested: int = 0
    """How many did not, of files that are in."""
    refusals: list[Refused] = field(default_factory=list)
    """The first thousands of them."""

    @property
    def done(self) -> int:
        return self.created + self.added + self.unchanged + self.conflicts + self.refused

    def count(self, registered: Registered) -> None:
        facts = registered.facts
        match registered.outcome:
            case Refusal() as refusal:
                self.refuse(f"{facts.subdir}/{facts.filename}", refusal)
                return
            case Outcome.CREATED:
                self.created += 1
            case Outcome.ADDED:
                self.added += 1
            case Outcome.UNCHANGED:
                self.unchanged += 1
        self.stored_bytes += facts.digests.size_bytes

    def refuse(self, name: str, reason: Refusal | str, *, count: int = 1) -> None:
        if isinstance(reason, Conflict):
            self.conflicts += count
        else:
            self.refused += count
        self._tell(name, reason, count)

    def count_attestations(self, taken: Taken) -> None:
        self.attested += taken.added
        self.unattested += len(taken.troubles)
        for trouble in taken.troubles:
            self._tell(taken.name, trouble, 0)

    def _tell(self, name: str, reason: Refusal | str, count: int) -> None:
        if len(self.refusals) < _REFUSALS_TOLD:
            said = reason.detail if isinstance(reason, Refusal) else reason
            self.refusals.append(Refused(name, said, count))


Tick: TypeAlias = Callable[[Progress], None]


def scratch_path() -> Path:
    """What the names of this process's temporary files begin with."""
    # With the owner in their names, whatever is left of a killed import is swept.
    name = f"import-{processes.HOST}_{os.getpid()}_"
    return Path(settings.INCOMING_FOLDER, name)


def import_files(
    *,
    by: Identity,
    destination: Destination,
    source: Source,
    readers: int,
    link: bool = False,
    progress: Progress | None = None,
    tick: Tick,
) -> Progress:
    """Take in all files of a source that are not there yet, and tell what became of them.

    A file that can't be taken in stops nothing; its reason is told. ``tick`` is called every
    now and then; ``progress`` is that of all sources, where this is one of several. What ``by``
    may not do, and a store or a source that fails, is raised.
    """
    with _Import(by, destination, source, link=link, tick=tick) as work:
        progress = work.run(readers, progress)
    if progress.created >= _FILES_PER_COMMIT:
        _count_anew()
    return progress


def _count_anew() -> None:
    """Tell PostgreSQL at once how much there is now. It looks by itself a minute later, and until
    then plans lists and searches as for a few rows."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


@contextmanager
def _checkpoints_put_off() -> Iterator[None]:
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_autocheckpoint")
        (usual,) = cursor.fetchone()
        cursor.execute(f"PRAGMA wal_autocheckpoint={_PAGES_PER_CHECKPOINT}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA wal_autocheckpoint={int(usual)}")


@dataclass(slots=True)
class _Batch:
    """Files that are read together, and then committed together."""

    candidates: dict[int, Candidate]
    known: dict[Key, KnownFile]
    present: list[KnownFile]
    pending: Pending
    attested: dict[Key, Candidate]
    """Those of which the source has attestations."""


class _Storing:
    """A batch whose bytes are being made durable, by a thread of its own.

    A daemon, since nobody waits for it when the import is stopped: what it has stored by then is
    claimed, and swept when nobody comes for it.
    """

    def __init__(
        self,
        batch: _Batch,
        read: Sequence[FileFacts],
        files: Mapping[str, str],
        claimed: Claimed,
    ) -> None:
        self.batch = batch
        self.read = read
        self.files = files
        self.blobs, self.damaged = claimed
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="import-store", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            if self.files:
                damaged = {storage.blob_key(sha256) for sha256 in self.damaged}
                storage.store().keep_all(self.files, replacing=damaged)
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            self._failure = error

    def goes_on(self, seconds: float = 0.5) -> bool:
        """Wait a little, and say whether it is still at work; raises what came in its way."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return True
        if self._failure is not None:
            raise self._failure
        return False


class _Import:
    def __init__(
        self, by: Identity, destination: Destination, source: Source, *, link: bool, tick: Tick
    ) -> None:
        self._by = by
        self._destination = destination
        self._account = destination.account
        self._source = source
        self._is_remote = source.fetch is not None
        self._link = link
        self._tick = tick
        self._progress = Progress(0)
        self._scratch = scratch_path()
        self._number = 0
        self._fetched: dict[int, Candidate] = {}
        # Where files of the same name may stand, when a source doesn't say it.
        self._subdirs = set(
            PackageFile.objects.filter(account=self._account)
            .order_by()
            .values_list("subdir", flat=True)
            .distinct()
        )

    def __enter__(self) -> Self:
        self._scratch.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._source.close()
        end = time.monotonic() + _TIDYING_SECONDS
        for path in self._scratch.parent.glob(f"{self._scratch.name}*"):
            if kind is KeyboardInterrupt and time.monotonic() > end:
                break
            path.unlink(missing_ok=True)

    def run(self, readers: int, progress: Progress | None) -> Progress:
        total = self._source.count()
        self._progress = progress or Progress(total)
        with (
            Readers(
                readers,
                context=processes.copying(),
                fetch=self._fetch if self._is_remote else None,
                fetches=_FETCHES_AT_ONCE if self._is_remote else 0,
            ) as pool,
            _checkpoints_put_off(),
        ):
            # While one batch is entered, the bytes of the next are made durable, and those after
            # it are read: nobody waits for the disk but who has nothing else to do.
            begun: deque[_Batch] = deque()
            storing: _Storing | None = None
            for candidates in _batches(self._source):
                begun.append(self._begin(candidates, pool))
                if len(begun) > _BATCHES_AHEAD:
                    storing = self._advance(begun.popleft(), storing)
            while begun:
                storing = self._advance(begun.popleft(), storing)
            self._enter(storing)
        return self._progress

    def _advance(self, batch: _Batch, before: _Storing | None) -> _Storing:
        # Whoever would wait for those who read has time to enter what they read before; but what
        # is read waits for the disk beside that. From elsewhere, all that has come is in first.
        while before and not batch.pending.is_read and before.goes_on(_LOOK_SECONDS):
            self._tick(self._progress)
        if self._is_remote or not batch.pending.is_read:
            self._enter(before)
            return self._store(batch)
        storing = self._store(batch)
        self._enter(before)
        return storing

    # --- Reading -------------------------------------------------------------------------------

    def _begin(self, candidates: Sequence[Candidate], pool: Readers) -> _Batch:
        """Have everything read that is not known to be there."""
        known = known_files(
            self._account, [key for candidate in candidates for key in self._keys(candidate)]
        )
        tasks: list[Task] = []
        present: list[KnownFile] = []
        attested: dict[Key, Candidate] = {}
        numbered: dict[int, Candidate] = {}
        for candidate in candidates:
            same_name = [known[key] for key in self._keys(candidate) if key in known]
            try:
                there = _present(self._account, candidate, same_name)
            except Conflict as refusal:
                self._progress.refuse(candidate.name, refusal)
                continue
            if there is not None:
                present.append(there)
                if candidate.sidecar:
                    attested[there.key] = candidate
                continue
            self._number += 1
            numbered[self._number] = candidate
            tasks.append(self._task(candidate, same_name))
        self._fetched.update(numbered)
        return _Batch(numbered, known, present, pool.read(tasks), attested)

    def _keys(self, candidate: Candidate) -> list[Key]:
        if candidate.subdir:
            return [(candidate.subdir, candidate.filename)]
        return [(subdir, candidate.filename) for subdir in sorted(self._subdirs)]

    def _kept_as(self, number: int) -> str:
        return f"{self._scratch}{number}"

    def _task(self, candidate: Candidate, same_name: Iterable[KnownFile]) -> Task:
        kept_as = self._kept_as(self._number)
        return Task(
            number=self._number,
            path=kept_as if self._is_remote else candidate.place,
            keep_as=kept_as,
            link=self._link,
            filename=candidate.filename,
            limit_bytes=settings.MAX_UPLOAD_BYTES,
            subdir=candidate.subdir,
            size_bytes=candidate.size_bytes,
            sha256=candidate.sha256,
            md5=candidate.md5,
            known=tuple(file.sha256 for file in same_name if file.is_there and not file.is_damaged),
        )

    def _fetch(self, task: Task) -> Bad | None:
        fetch = self._source.fetch
        if fetch is None:
            return None
        candidate = self._fetched[task.number]
        trouble = fetch(candidate, Path(task.path), limit_bytes=task.limit_bytes)
        return None if trouble is None else Bad(task.number, trouble)

    # --- Committing ----------------------------------------------------------------------------

    def _store(self, batch: _Batch) -> _Storing:
        """Wait until a batch is read, and begin to store its bytes."""
        read: dict[int, FileFacts] = {}
        for result in batch.pending.results(lambda: self._tick(self._progress)):
            candidate = batch.candidates[result.number]
            match result:
                case Read(facts=facts):
                    try:
                        refuse_early(self._destination, facts, batch.known.get(facts.key))
                    except Refusal as refusal:
                        self._progress.refuse(candidate.name, refusal)
                        continue
                    read[result.number] = facts
                    self._compare(candidate, facts)
                    if candidate.sidecar:
                        batch.attested[facts.key] = candidate
                case Known(sha256=sha256):
                    there = next(
                        batch.known[key]
                        for key in self._keys(candidate)
                        if key in batch.known and batch.known[key].sha256 == sha256
                    )
                    batch.present.append(there)
                    if candidate.sidecar:
                        batch.attested[there.key] = candidate
                case Bad(reason=reason):
                    self._progress.refuse(candidate.name, reason)
        self._refuse_forbidden(batch, read)
        files = {
            storage.blob_key(facts.digests.sha256): self._kept_as(number)
            for number, facts in read.items()
        }
        digests = [facts.digests for facts in read.values()]
        claimed = claim(digests) if digests else Claimed({}, frozenset())
        return _Storing(batch, list(read.values()), files, claimed)

    def _enter(self, storing: _Storing | None) -> None:
        """Wait until the bytes of a batch are stored, and write its rows."""
        if storing is None:
            return
        while storing.goes_on():
            self._tick(self._progress)
        if storing.files:
            failpoints.reach("stored")
        if storing.damaged:
            note_stored_anew(storing.damaged)
        batch = storing.batch
        if storing.read or batch.present:
            registered = self._commit(batch.present, storing.read, storing.blobs)
            self._take_attestations(batch, registered)
        stored = set(storing.files.values())
        for number in batch.candidates:
            del self._fetched[number]
            if (left := self._kept_as(number)) not in stored:
                Path(left).unlink(missing_ok=True)
        self._tick(self._progress)

    def _compare(self, candidate: Candidate, facts: FileFacts) -> None:
        said = candidate.depends
        self._progress.differing += said is not None and said != (facts.depends, facts.constrains)

    def _refuse_forbidden(self, batch: _Batch, read: dict[int, FileFacts]) -> None:
        names = {facts.name for facts in read.values()}
        names |= {file.name for file in batch.present}
        allowed = access.publishable_names(self._by, self._account, names)
        if names <= allowed:
            return

        def refuse(name: str, shown: str) -> None:
            reason = access.not_publishable(self._by, self._destination, name)
            self._progress.refuse(shown, reason.detail)

        for number, facts in list(read.items()):
            if facts.name not in allowed:
                del read[number]
                refuse(facts.name, batch.candidates[number].name)
        for file in batch.present:
            if file.name not in allowed:
                refuse(file.name, f"{file.subdir}/{file.filename}")
        batch.present = [file for file in batch.present if file.name in allowed]

    def _commit(
        self, present: Sequence[KnownFile], read: Sequence[FileFacts], blobs: Mapping[str, int]
    ) -> list[Registered]:
        with transaction.atomic():
            channel = channel_of(self._by, self._destination)
            refuse_locked(channel)
            added = self._put_present(present, channel)
            registered = [
                one
                for some in _rounds(read)
                for one in register(by=self._by, channel=channel, files=some, blobs=blobs)
            ]
            self._record(channel, registered, added)
            failpoints.reach("before-commit")
        failpoints.reach("after-commit")
        self._subdirs.update(facts.subdir for facts in read)
        for one in registered:
            self._progress.count(one)
        return registered

    def _take_attestations(self, batch: _Batch, registered: Iterable[Registered]) -> None:
        """Of the files that are in now, those that were there before too: more may have come."""
        if not batch.attested:
            return
        ids = {file.key: file.id for file in batch.present}
        ids |= {
            one.facts.key: one.file_id for one in registered if not isinstance(one.outcome, Refusal)
        }
        candidates = {ids[key]: found for key, found in batch.attested.items() if key in ids}
        for taken in take_along(by=self._by, source=self._source, candidates=candidates):
            self._progress.count_attestations(taken)
            self._tick(self._progress)

    def _put_present(self, present: Sequence[KnownFile], channel: Channel) -> int:
        """Put files that the account has into the channel, where they don't stand there."""
        ids = {file.id for file in present}
        standing = ChannelFile.objects.filter(channel=channel, file__in=ids)
        missing = ids - set(standing.values_list("file_id", flat=True))
        files = (
            PackageFile.objects.present()
            .select_for_update(of=("self",))
            .select_related("package")
            .filter(pk__in=missing)
            .order_by("pk")
        )
        found = list(files) if missing else []
        refused = refused_by(channel, found)
        for filename, refusal in refused.items():
            self._progress.refuse(filename, refusal)
        put = put_all([one for one in found if one.filename not in refused], channel, self._by)
        self._progress.added += len(put)
        self._progress.unchanged += len(present) - len(put) - len(refused)
        return len(put)

    def _record(self, channel: Channel, registered: Sequence[Registered], added: int) -> None:
        """One event for a commit: who, when and whence. The files' own rows say the rest, and
        twenty thousand lines would bury what else happened."""
        outcomes = [one.outcome for one in registered]
        created = outcomes.count(Outcome.CREATED)
        added += outcomes.count(Outcome.ADDED)
        if created or added:
            audit.record(
                by=self._by,
                account=self._account,
                action="file.import",
                target=channel.name,
                detail={
                    "channel": channel.name,
                    "from": self._source.shown,
                    "published": created,
                    "added": added,
                },
            )


def _present(
    account: Account, candidate: Candidate, same_name: Sequence[KnownFile]
) -> KnownFile | None:
    """The file of the account that a candidate certainly is; a `Conflict` for other bytes. One
    whose stored bytes are damaged is read like a new one, and stored anew."""
    for file in same_name:
        if candidate.sha256 is not None:
            refuse_other_bytes(account, file, sha256=candidate.sha256)
        same = candidate.sha256 is not None or candidate.md5 == file.md5
        if same and file.is_there and not file.is_damaged:
            return file
    return None


def _batches(source: Source) -> Iterator[list[Candidate]]:
    most_files, most_bytes = _FILES_PER_COMMIT, _BYTES_PER_COMMIT
    if source.fetch is not None:
        most_files, most_bytes = _FETCHED_FILES_PER_COMMIT, _FETCHED_BYTES_PER_COMMIT
    batch: list[Candidate] = []
    size_bytes = 0
    for candidate in source.candidates():
        batch.append(candidate)
        size_bytes += candidate.size_bytes or 0
        if len(batch) == most_files or size_bytes >= most_bytes:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _rounds(files: Iterable[FileFacts]) -> Iterator[list[FileFacts]]:
    """Files in as few lists as it takes for no name to stand twice in one of them."""
    left = list(files)
    while left:
        first: dict[Key, FileFacts] = {}
        left = [facts for facts in left if first.setdefault(facts.key, facts) is not facts]
        yield list(first.values())
