# ruff: noqa: N999 - a command is called as its module is, and nobody imports this one by name
"""``condarium import SOURCE ACCOUNT[/CHANNEL]``: take in a folder, or what another channel has."""

from __future__ import annotations

import gc
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from accounts.identity import OPERATOR, Identity
from accounts.management.acting import ActingCommand, find_account, find_user
from accounts.models import Account, Membership
from accounts.roles import Role
from portal.errors import Refusal
from registry import housekeeping, indexing, storage
from registry.importing import Progress, import_files, scratch_path
from registry.importing_readers import ReaderEnded
from registry.importing_sources import Source, SourceUnusable, open_source
from registry.models import Channel
from registry.models.channel import MAIN
from registry.publishing import open_destination

_WRONG_USE = 2
_MOST_READERS = 8
_INDEXING_SECONDS = 3600
_OBJECTS_PER_COLLECTION = 50_000
_AGAIN = "Run it again to go on."


class Command(ActingCommand):
    help = "Take in the package files of a folder, or of a channel elsewhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source", metavar="SOURCE", help="a folder, or the address of a channel"
        )
        parser.add_argument("destination", metavar="ACCOUNT[/CHANNEL]")
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

    def act(self, *, no_index: bool, processes: int | None, **options: Any) -> None:
        self._said = 0.0
        try:
            identity, account_name, channel_name, source = self._prepare(**options)
            destination = open_destination(identity, account_name, channel_name)
        except Refusal as refusal:
            raise CommandError(refusal.detail, returncode=_WRONG_USE) from refusal
        except CommandError as error:
            raise CommandError(str(error), returncode=_WRONG_USE) from error
        if processes is not None and processes < 1:
            raise CommandError("--processes is a number from 1 on.", returncode=_WRONG_USE)
        housekeeping.sweep_abandoned_uploads()
        try:
            with _garbage_left_for_later():
                progress = import_files(
                    by=identity,
                    destination=destination,
                    source=source,
                    readers=processes or min(len(os.sched_getaffinity(0)), _MOST_READERS),
                    link=bool(options["link"]),
                    tick=self._tick,
                )
                self._say(progress)
                if not no_index:
                    self._index(destination.account, channel_name)
        except KeyboardInterrupt:
            self.stderr.write(f"\nStopped. {_AGAIN}")
            sys.exit(130)
        except ReaderEnded as error:
            raise CommandError(
                f"A process that reads archives was ended, most likely for want of memory. {_AGAIN}"
            ) from error
        except Refusal as refusal:
            raise CommandError(f"{refusal.detail} {_AGAIN}") from refusal
        except DatabaseError as error:
            what = str(error).strip().partition("\n")[0]
            raise CommandError(f"The database failed: {what}. {_AGAIN}") from error
        self._summarize(progress)
        if progress.conflicts or progress.refused:
            sys.exit(1)

    def _prepare(
        self,
        *,
        source: str,
        destination: str,
        user: str | None,
        subdirs: list[str],
        packages: list[str],
        link: bool,
        **_options: Any,
    ) -> tuple[Identity, str, str, Source]:
        account_name, _, channel_name = destination.partition("/")
        account = find_account(account_name)
        publisher = find_user(user).username if user else _owner_name(account)
        opened = open_source(source, subdirs=subdirs, packages=packages, scratch=scratch_path())
        if link:
            _require_linkable(opened, source)
        identity = Identity(user=find_user(publisher), user_agent=OPERATOR.user_agent)
        return identity, account.name, channel_name or MAIN, opened

    def _tick(self, progress: Progress) -> None:
        """Say how far it is: each second where somebody looks on, else every few."""
        now = time.monotonic()
        if now - self._said >= (1.0 if self.stdout.isatty() else 5.0):
            self._said = now
            self._say(progress)

    def _say(self, progress: Progress) -> None:
        seconds = max(time.monotonic() - progress.started, 0.001)
        line = (
            f"{progress.done:,} of {progress.total:,} files, "
            f"{progress.stored_bytes / 2**20:,.1f} MiB, {progress.done / seconds:,.0f} files/s, "
            f"{progress.refused:,} refused, {progress.conflicts:,} conflicts"
        )
        self._line(line)

    def _line(self, line: str) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r\x1b[K{line}", ending="")
        else:
            self.stdout.write(line)
        self.stdout.flush()

    def _index(self, account: Account, channel_name: str) -> None:
        """Bring the channel's index up to date, beside a worker if one runs."""
        channel = Channel.objects.filter(account=account, name=channel_name).first()
        if channel is None:
            return
        deadline = time.monotonic() + _INDEXING_SECONDS
        while subdirs := [subdir for pk, subdir in indexing.overdue() if pk == channel.pk]:
            for subdir in subdirs:
                self._line(f"Indexing {subdir or 'the channel'} …")
                if not indexing.bring_up_to_date(channel.pk, subdir):
                    time.sleep(0.2)  # a worker is at it
            if time.monotonic() > deadline:
                raise CommandError("Another worker holds an index and does not finish. Look at it.")

    def _summarize(self, progress: Progress) -> None:
        if self.stdout.isatty():
            self.stdout.write("")
        for name, reason in progress.refusals:
            self.stderr.write(f"{name}: {reason}")
        left_out = progress.conflicts + progress.refused - len(progress.refusals)
        if left_out:
            self.stderr.write(f"… and {left_out:,} more.")
        if progress.differing:
            self.stdout.write(
                f"Of {progress.differing:,} files the source's index says other dependencies than "
                "they do themselves; the index here says what the files say."
            )
        self.stdout.write(
            f"{progress.created:,} published, {progress.added:,} added to the channel, "
            f"{progress.unchanged:,} were there, {progress.conflicts:,} conflicts, "
            f"{progress.refused:,} refused, in "
            f"{time.monotonic() - progress.started:,.1f} seconds."
        )


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
