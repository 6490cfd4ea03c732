"""``condarium reindex [ACCOUNT[/CHANNEL]]``: write all index files anew from the database."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from portal.counts import counted
from registry import indexing
from registry.models import Channel, StaleMark


class Command(BaseCommand):
    requires_system_checks = ()  # they would load every page
    help = "Write the index files of all channels, of an account's, or of one channel anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", nargs="?", default="", metavar="ACCOUNT[/CHANNEL]")

    def handle(self, *args: Any, **options: Any) -> None:
        account, _, channel = str(options["what"]).partition("/")
        channels = Channel.objects.all()
        if account:
            channels = channels.filter(account__name=account.lower())
        if channel:
            channels = channels.filter(name=channel)
        ids = list(channels.values_list("pk", flat=True))
        if not ids and account:
            raise CommandError(f"There is no channel of {options['what']}.")
        is_stopped = False
        try:
            count = self._write(channels, ids)
        except KeyboardInterrupt:
            # Nothing more here: queries that were half read are held until this block ends, and
            # would say then that their connection was closed.
            is_stopped = True
        if is_stopped:
            self.stderr.write("\nStopped. Run it again, or leave the rest to a worker.")
            sys.exit(130)
        self.stdout.write(
            f"Up to date: {counted(count, 'subdir')} of {counted(len(ids), 'channel')}."
        )

    def _write(self, channels: QuerySet[Channel], ids: list[int]) -> int:
        count = indexing.mark_everything(channels)
        deadline = time.monotonic() + 3600
        while (pairs := self._waiting(ids)) and time.monotonic() < deadline:
            done = [indexing.bring_up_to_date(channel_id, subdir) for channel_id, subdir in pairs]
            if not all(done):
                time.sleep(0.2)  # another worker is at it
        if pairs:
            raise CommandError("Another worker holds an index and does not finish. Look at it.")
        return count

    def _waiting(self, ids: list[int]) -> list[tuple[int, str]]:
        # What others changed meanwhile is the worker's, and may wait.
        marks = StaleMark.objects.filter(channel__in=ids, package_name="").order_by("id")
        return list(dict.fromkeys(marks.values_list("channel_id", "subdir")))
