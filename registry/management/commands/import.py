# ruff: noqa: N999 - a command is called as its module is, and nobody imports this one by name
"""``condarium import SOURCE ACCOUNT[/CHANNEL]``: take in a folder, or what another channel has;
``condarium import anaconda OWNER [ACCOUNT]``: move in from an account of anaconda.org."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, close_old_connections, connection

from accounts.identity import OPERATOR, Identity
from accounts.management.acting import ActingCommand, find_account, find_user
from accounts.models import Account, Membership
from accounts.roles import Role
from portal import processes
from portal.counts import counted
from portal.errors import Refusal
from portal.sentences import Number, gettext
from registry import housekeeping, indexing, jobs, storage
from registry.importing import Progress, import_files, scratch_path
from registry.importing_anaconda import API_URL, AnacondaAccount
from registry.importing_http import SourceUnusable
from registry.importing_readers import ReaderEnded
from registry.importing_sources import Source, open_source
from registry.models import Channel
from registry.models.channel import MAIN
from registry.moving_in import take_over
from registry.publishing import open_destination

_WRONG_USE = 2
_STOPPED_ON_A_PAGE = 3
_STOPPED_HERE = 130
_MOST_READERS = 8
_INDEXING_SECONDS = 3600
_OBJECTS_PER_COLLECTION = 50_000
_LOOK_SECONDS = 0.5
_AGAIN = "Run it again to go on."
_ANACONDA = "anaconda"
_TOKEN_VARIABLE = "ANACONDA_API_TOKEN"  # noqa: S105 - where anaconda's own client looks for one
_ONLY_IN_A_MOVE = ("api", "token_file", "labels", "unlabelled", "dry_run")


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """An import that makes sense, and how it is shown on pages while it runs."""

    work: Callable[[], Progress | None]
    account: Account
    kind: str
    title: str
    params: Mapping[str, object]
    is_shown: bool = True


class Command(ActingCommand):
    help = (
        "Take in the package files of a folder, or of a channel elsewhere: SOURCE "
        "ACCOUNT[/CHANNEL]. Or take over packages, labels and metadata of an account of "
        "anaconda.org: anaconda OWNER [ACCOUNT]."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source",
            metavar="SOURCE",
            help="a folder, or the address of a channel, or the word anaconda",
        )
        parser.add_argument(
            "destination",
            metavar="ACCOUNT[/CHANNEL]",
            help="where files go; after the word anaconda the OWNER there",
        )
        parser.add_argument(
            "account",
            nargs="?",
            metavar="ACCOUNT",
            help="only after the word anaconda: who takes over here; as OWNER when left out",
        )
        parser.add_argument(
            "--as", metavar="USER", dest="user", help="who publishes; an owner when left out"
        )
        parser.add_argument(
            "--subdir",
            action="append",
            default=[],
            dest="subdirs",
            metavar="SUBDIR",
            help="only this one, such as linux-64; may be repeated",
        )
        parser.add_argument(
            "--package",
            action="append",
            default=[],
            dest="packages",
            metavar="PATTERN",
            help="only packages of this name, * matches anything; may be repeated",
        )
        parser.add_argument(
            "--link",
            action="store_true",
            help="don't copy the files of a folder: they must never change again",
        )
        parser.add_argument(
            "--processes", type=int, metavar="N", help="how many read archives; one for each core"
        )
        parser.add_argument(
            "--no-index", action="store_true", help="leave the index to a worker that runs"
        )
        moving = parser.add_argument_group("after the word anaconda")
        moving.add_argument(
            "--api", metavar="URL", help=f"another host with such an API than {API_URL}"
        )
        moving.add_argument(
            "--token-file",
            metavar="FILE",
            help=f"a file with a token of that host, for what is private; or ${_TOKEN_VARIABLE}",
        )
        moving.add_argument(
            "--label",
            action="append",
            default=[],
            dest="labels",
            metavar="LABEL",
            help="only this one; may be repeated",
        )
        moving.add_argument(
            "--unlabelled",
            metavar="CHANNEL",
            help="where files without a label go; left out, they stay where they are",
        )
        moving.add_argument(
            "--dry-run", action="store_true", help="only say what would be taken over"
        )

    def act(self, **options: Any) -> None:
        self._said = 0.0
        self._job: jobs.RunningHere | None = None
        self._failures_shown = 0
        try:
            planned = self._plan(**options)
        except Refusal as refusal:
            raise CommandError(refusal.detail, returncode=_WRONG_USE) from refusal
        except CommandError as error:
            raise CommandError(str(error), returncode=_WRONG_USE) from error
        housekeeping.sweep_abandoned_uploads()
        self._begin(planned)
        progress: Progress | None = None
        is_stopped = False
        try:
            with _garbage_left_for_later():
                progress = planned.work()
                self._note_outcome(progress)
        except (KeyboardInterrupt, jobs.Stopped):
            # Nothing more here: what it came through is held until this block ends, queries that
            # were half read among it, which then find their connection closed and say so.
            is_stopped = True
        except Exception as error:
            here, on_page = _what_happened(error)
            self._end(jobs.State.FAILED, on_page)
            if not here:
                raise
            raise CommandError(here) from error
        if is_stopped:
            self._end_as_stopped()
        if progress is None:
            return
        self._end(jobs.State.DONE)
        self._summarize(progress)
        if progress.conflicts or progress.refused or progress.unattested:
            sys.exit(1)

    # --- As a job --------------------------------------------------------------------------------

    def _begin(self, planned: _Planned) -> None:
        if not planned.is_shown:
            return
        self._job = jobs.begin_here(
            by=OPERATOR,
            account=planned.account,
            kind=planned.kind,
            params=planned.params,
            title=planned.title,
        )
        channel = planned.params.get("channel")
        if any(other.get("channel") == channel for other in self._job.beside()):
            self.stdout.write(
                "Another import into the same place runs. Both go on: what one has taken in, the "
                "other finds there."
            )

    def _end(self, state: str, reason: str = "") -> None:
        if self._job is not None:
            with _a_database_that_may_be_gone():
                self._job.end(state, reason)

    def _end_as_stopped(self) -> None:
        name = None
        if self._job is not None:
            with _a_database_that_may_be_gone():
                name = self._job.end_as_stopped()
        if name is None:
            self.stderr.write(f"\nStopped. {_AGAIN}")
            sys.exit(_STOPPED_HERE)
        self.stderr.write(f"\nStopped on a page by {name or 'the operator'}. {_AGAIN}")
        sys.exit(_STOPPED_ON_A_PAGE)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Around what takes its time and tells nobody: Stop ends that, too."""
        if self._job is None:
            yield
            return
        with self._job.watched():
            yield

    def _note(self, line: str) -> None:
        if self._job is not None:
            self._job.note(line)

    def _note_outcome(self, progress: Progress | None) -> None:
        if progress is None:
            return
        self._note(
            gettext(
                "%(created)s published, %(added)s added to the channel, %(unchanged)s were there, "
                "%(conflicts)s conflicts, %(refused)s refused."
            )
            % {
                name: Number(getattr(progress, name))
                for name in ("created", "added", "unchanged", "conflicts", "refused")
            }
        )

    # --- What is to be done ----------------------------------------------------------------------

    def _plan(
        self, *, source: str, account: str | None, processes: int | None, **options: Any
    ) -> _Planned:
        """What is to be done, when everything that was asked for makes sense."""
        if processes is not None and processes < 1:
            raise CommandError("--processes is a number from 1 on.")
        readers = processes or min(len(os.sched_getaffinity(0)), _MOST_READERS)
        if source == _ANACONDA:
            return self._prepare_move(account=account, readers=readers, **options)
        _refuse_options_of_a_move(account, options)
        return self._prepare(source=source, readers=readers, **options)

    # --- Files of a folder or a channel ----------------------------------------------------------

    def _prepare(
        self,
        *,
        source: str,
        destination: str,
        user: str | None,
        subdirs: list[str],
        packages: list[str],
        link: bool,
        no_index: bool,
        readers: int,
        **_options: Any,
    ) -> _Planned:
        account_name, _, channel_name = destination.partition("/")
        account, identity = _who_publishes(account_name, user)
        opened = open_source(source, subdirs=subdirs, packages=packages, scratch=scratch_path())
        if link:
            _require_linkable(opened, source)
        channel_name = channel_name or MAIN
        place = open_destination(identity, account.name, channel_name)

        def work() -> Progress:
            with closing(opened):
                with self._watched():  # over the network it may take minutes
                    opened.count()
                progress = import_files(
                    by=identity,
                    destination=place,
                    source=opened,
                    readers=readers,
                    link=link,
                    tick=self._tick,
                )
            self._say(progress)
            self._show(progress)
            if not no_index:
                self._index(account, [channel_name])
            return progress

        return _Planned(
            work=work,
            account=account,
            kind="channel.import",
            title=gettext("Import %(source)s into %(channel)s")
            % {"source": opened.shown, "channel": f"{account.name}/{channel_name}"},
            params={
                "source": opened.shown,
                "channel": channel_name,
                "subdirs": subdirs,
                "packages": packages,
            },
        )

    # --- An account of anaconda.org --------------------------------------------------------------

    def _prepare_move(
        self,
        *,
        destination: str,
        account: str | None,
        user: str | None,
        subdirs: list[str],
        packages: list[str],
        labels: list[str],
        link: bool,
        no_index: bool,
        readers: int,
        api: str | None,
        token_file: str | None,
        unlabelled: str | None,
        dry_run: bool,
        **_options: Any,
    ) -> _Planned:
        owner = destination
        taker, identity = _who_publishes(account or owner, user)
        if link:
            raise SourceUnusable("--link is for a folder.")
        source = AnacondaAccount(
            owner,
            api_url=api or API_URL,
            token=_token(token_file),
            packages=packages,
            subdirs=subdirs,
            labels=labels,
            unlabelled=unlabelled,
            scratch=scratch_path(),
        )

        def work() -> Progress | None:
            with source:
                with self._watched():
                    for known, of in source.read():
                        self._line(f"{known:,} of {of:,} packages are known", is_urgent=known == of)
                self._announce(source, taker)
                if dry_run:
                    for name, reason in source.troubles:
                        self.stderr.write(f"{name}: {reason}")
                    return None
                taken = take_over(
                    by=identity, account=taker, source=source, readers=readers, tick=self._tick
                )
            self._say(taken.progress)
            self._show(taken.progress)
            if not no_index:
                self._index(taker, taken.channels)
            for name in taken.locked:
                self.stdout.write(f"{name} is locked there, and now here.")
            if taken.described:
                self.stdout.write(
                    f"What describes {taken.described:,} packages is what was said there, and not "
                    "what their newest files say: it stays so until somebody says otherwise."
                )
            return taken.progress

        return _Planned(
            work=work,
            account=taker,
            kind="account.import",
            title=gettext("Import %(source)s into %(account)s")
            % {"source": source.shown, "account": taker.name},
            params={
                "source": source.shown,
                "subdirs": subdirs,
                "packages": packages,
                "labels": labels,
            },
            is_shown=not dry_run,
        )

    def _announce(self, source: AnacondaAccount, account: Account) -> None:
        packages, files, size_bytes = source.size()
        self.stdout.write(
            f"{source.shown}: {counted(packages, 'package')} with {counted(files, 'file')}, "
            f"{size_bytes / 2**20:,.1f} MiB, in {counted(len(source.labels()), 'label')}, "
            f"for {account.name}."
        )
        for label in source.labels():
            locked = ", locked" if source.is_locked(label) else ""
            self.stdout.write(f"  {label}: {counted(source.count(label), 'file')}{locked}")
        if source.without_label:
            self.stdout.write(
                f"Left out: {counted(source.without_label, 'file')} without a label there; "
                "--unlabelled CHANNEL takes them in, too."
            )
        if source.other_kinds:
            self.stdout.write(
                f"Left out: {counted(source.other_kinds, 'file')} of other kinds "
                "than conda packages."
            )

    # --- Telling how it goes ---------------------------------------------------------------------

    def _is_due(self) -> bool:
        """Each second where somebody looks on, else every few."""
        now = time.monotonic()
        is_due = now - self._said >= (1.0 if self.stdout.isatty() else 5.0)
        if is_due:
            self._said = now
        return is_due

    def _tick(self, progress: Progress) -> None:
        if self._is_due():
            self._say(progress)
        if self._job is not None and self._job.is_due:
            self._show(progress)

    def _show(self, progress: Progress) -> None:
        """On the job's page; raises `jobs.Stopped` when somebody stopped it there."""
        if self._job is None:
            return
        for name, reason, files in progress.refusals[self._failures_shown : jobs.MOST_FAILURES]:
            self._failures_shown += 1
            self._job.fail(name, reason, count=files)
        failed = progress.conflicts + progress.refused
        self._job.count(total=progress.total, done=progress.done - failed, failed=failed)

    def _say(self, progress: Progress) -> None:
        seconds = max(time.monotonic() - progress.started, 0.001)
        line = (
            f"{progress.done:,} of {progress.total:,} files, "
            f"{progress.stored_bytes / 2**20:,.1f} MiB, {progress.done / seconds:,.0f} files/s, "
            f"{progress.refused:,} refused, {progress.conflicts:,} conflicts"
        )
        self._line(line)

    def _line(self, line: str, *, is_urgent: bool = True) -> None:
        """One line, which the next replaces where somebody looks on."""
        if not (is_urgent or self._is_due()):
            return
        if self.stdout.isatty():
            self.stdout.write(f"\r\x1b[K{line}", ending="")
        else:
            self.stdout.write(line)
        self.stdout.flush()

    def _index(self, account: Account, channel_names: Sequence[str]) -> None:
        """Bring the channels' indexes up to date, beside a worker if one runs."""
        self._note(gettext("The files are in. Their index is being made."))
        channels = Channel.objects.filter(account=account, name__in=channel_names)
        ids = set(channels.values_list("pk", flat=True))
        deadline = time.monotonic() + _INDEXING_SECONDS
        while due := [(pk, subdir) for pk, subdir in indexing.overdue() if pk in ids]:
            for _, subdir in due:
                self._line(f"Indexing {subdir or 'the channel'} …")
            if not all(_indexed(due, watched=self._watched, beat=self._beat)):
                time.sleep(0.2)  # a worker is at it
            self._beat()
            if time.monotonic() > deadline:
                raise CommandError("Another worker holds an index and does not finish. Look at it.")

    def _beat(self) -> None:
        """Keep the job; raises `jobs.Stopped` when somebody stopped it."""
        if self._job is not None:
            self._job.advance(0)

    def _summarize(self, progress: Progress) -> None:
        if self.stdout.isatty():
            self.stdout.write("")
        for name, reason, _ in progress.refusals:
            self.stderr.write(f"{name}: {reason}")
        told = progress.conflicts + progress.refused + progress.unattested
        left_out = told - sum(max(1, one.files) for one in progress.refusals)
        if left_out:
            self.stderr.write(f"… and {left_out:,} more.")
        if progress.differing:
            self.stdout.write(
                f"Of {counted(progress.differing, 'file')} the source's index says other "
                "dependencies than the archive; the index here says what stands there."
            )
        if progress.attested or progress.unattested:
            attestations = "attestation" if progress.attested == 1 else "attestations"
            were = "was" if progress.unattested == 1 else "were"
            self.stdout.write(
                f"{progress.attested:,} {attestations} came along, "
                f"{progress.unattested:,} {were} not taken."
            )
        self.stdout.write(
            f"{progress.created:,} published, {progress.added:,} added to the channel, "
            f"{progress.unchanged:,} were there, {progress.conflicts:,} conflicts, "
            f"{progress.refused:,} refused, in "
            f"{time.monotonic() - progress.started:,.1f} seconds."
        )


def _what_happened(error: Exception) -> tuple[str, str]:
    """What ended it, to be said here, and on the job's page. Nothing is said here of a defect."""
    match error:
        case CommandError():
            return str(error), str(error).removesuffix(_AGAIN).strip()
        case ReaderEnded():
            ended = gettext(
                "A process that reads archives was ended, most likely for want of memory."
            )
            return f"{ended} {_AGAIN}", ended
        case Refusal(detail=detail):
            return f"{detail} {_AGAIN}", detail
        case DatabaseError():
            what = str(error).strip().partition("\n")[0]
            return f"The database failed: {what}. {_AGAIN}", gettext("The database failed.")
    return "", gettext("Something went wrong. The command has said what.")


@contextmanager
def _a_database_that_may_be_gone() -> Iterator[None]:
    """Around the last words to it: left out, a worker will say that the command ended."""
    if not connection.in_atomic_block:
        close_old_connections()
    with suppress(DatabaseError):
        yield


@contextmanager
def _garbage_left_for_later() -> Iterator[None]:
    """Rows come by thousands and go as they came, next to none of them in circles: looking for
    those as often as usual, through all of Django, would take an eighth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)


def _who_publishes(account_name: str, user: str | None) -> tuple[Account, Identity]:
    account = find_account(account_name)
    publisher = find_user(user or _owner_name(account))
    return account, Identity(user=publisher, user_agent=OPERATOR.user_agent)


def _token(path: str | None) -> str | None:
    """From a file or the environment: everybody on a machine sees what is said in a command."""
    if path is None:
        return os.environ.get(_TOKEN_VARIABLE, "").strip() or None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceUnusable(f"The token can't be read from {path!r}: {error}.") from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SourceUnusable(f"{path!r} holds no token: one word is wanted, and nothing else.")
    return token


def _refuse_options_of_a_move(account: str | None, options: Mapping[str, Any]) -> None:
    given = [name for name in _ONLY_IN_A_MOVE if options[name]]
    if account is not None or given:
        what = f"--{given[0].rstrip('s').replace('_', '-')}" if given else account
        raise CommandError(f"{what}: that is only for 'condarium import {_ANACONDA} OWNER'.")


def _owner_name(account: Account) -> str:
    if not account.is_organization:
        return account.name
    membership = (
        Membership.objects.filter(organization__account=account, role=Role.OWNER)
        .select_related("user")
        .order_by("pk")
        .first()
    )
    if membership is None:
        raise CommandError(f"{account.name} has no owner. Say with --as who publishes.")
    return membership.user.username


def _require_linkable(source: Source, path: str) -> None:
    incoming = scratch_path().parent
    if source.fetch is not None or not isinstance(storage.store(), storage.FolderStore):
        raise SourceUnusable("--link is for a folder, and for a host that stores files in one.")
    incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
    if Path(path).stat().st_dev != incoming.stat().st_dev:
        raise SourceUnusable(f"{path} is in another file system: leave --link out.")


def _indexed(
    pairs: Sequence[indexing.Pair],
    *,
    watched: Callable[[], AbstractContextManager[None]],
    beat: Callable[[], None],
) -> list[bool]:
    """Whether each index is up to date now, and not a worker at it. ``beat`` is called now and
    then; what can't do so is done within ``watched``.

    Making one from nothing takes one processor for as long as it takes: what clients wait for,
    and what sums it up, are made side by side, by processes of their own.
    """
    cores = len(os.sched_getaffinity(0))
    # Copies would share the connections to S3.
    context = processes.copying() if cores > 1 and not settings.S3_BUCKET else None
    if context is None:
        with watched():
            return [indexing.bring_up_to_date(*pair) for pair in pairs]
    subdirs = [pair for pair in pairs if pair[1]]
    tasks = [
        # First, since the others wait for them.
        *((indexing.bring_up_to_date_for_clients, pair) for pair in subdirs),
        *((indexing.bring_summaries_up_to_date_ahead, pair) for pair in subdirs),
        *((indexing.bring_up_to_date, pair) for pair in pairs if not pair[1]),
    ]
    # Ctrl-C ends them at once; what they held is then free.
    with ProcessPoolExecutor(
        min(len(tasks), cores + 1),  # who waits needs no core
        mp_context=context,
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),
    ) as pool:
        try:
            begun = [pool.submit(bring, *pair) for bring, pair in tasks]
            while wait(begun, timeout=_LOOK_SECONDS).not_done:
                beat()
            return [task.result() for task in begun]
        except BrokenProcessPool as error:
            raise CommandError(
                f"A process that makes an index was ended, most likely for want of memory. {_AGAIN}"
            ) from error
        except (KeyboardInterrupt, jobs.Stopped):
            for process in active_children():
                process.terminate()
            raise
