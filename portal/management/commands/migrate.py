"""``condarium migrate``: Django's own, in a data folder that may not exist yet."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.commands import migrate

from portal.management.commands.serve import prepare_data_folder


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        prepare_data_folder()  # before the system checks: they open the database
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        call_command("createcachetable", verbosity=0, database=options["database"])
