"""``condarium verify [ACCOUNT]``: read stored packages and compare them with what was published."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.management.acting import ActingCommand, find_account
from portal.templatetags.ui import filesize, thousands
from registry import checking
from registry.models import Blob


class Command(ActingCommand):
    help = (
        "Read all stored packages, or those of an account, and compare them with what was "
        "published. Nothing is deleted; what is damaged is listed, and makes the exit code 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", nargs="?", default="", metavar="ACCOUNT")
        parser.add_argument(
            "--damaged", action="store_true", help="only those that were found damaged before"
        )

    def act(self, *, account: str, damaged: bool, **_options: Any) -> None:
        rows = Blob.objects.damaged() if damaged else Blob.objects.all()
        if account:
            rows = rows.filter(files__account=find_account(account)).distinct()
        count, size_bytes, bad = 0, 0, 0
        for blob in rows.order_by("pk").iterator(chunk_size=500):
            found = checking.check(blob)
            count += 1
            size_bytes += blob.size_bytes
            if found != Blob.Damage.NONE:
                bad += 1
                self._tell(blob, found)
        read = f"{thousands(count)} stored packages, {filesize(size_bytes)}"
        if bad:
            raise CommandError(
                f"{thousands(bad)} of {read} are damaged. Upload the same files again, or put them "
                "back from a backup and run condarium verify --damaged."
            )
        self.stdout.write(f"All is whole: {read}.")

    def _tell(self, blob: Blob, damage: Blob.Damage) -> None:
        names = [
            f"{file.account.name}/{file.subdir}/{file.filename}"
            for file in checking.files_of([blob.pk])
        ]
        for name in names or ["no file"]:
            self.stdout.write(f"{name}: {damage.value}, {blob.sha256}")
