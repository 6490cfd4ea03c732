"""What the operator's commands have in common: one line on stderr when they can't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from accounts.models import Account, User
from portal.errors import Refusal

_A_TABLE = "accounts_user"


def find_user(name: str) -> User:
    user = User.objects.select_related("account").filter(username=name.strip().lower()).first()
    if user is None:
        raise CommandError(f"There is no user {name!r}.")
    return user


def find_account(name: str) -> Account:
    account = Account.objects.filter(name=name.strip().lower()).first()
    if account is None:
        raise CommandError(f"There is no user and no organization {name!r}.")
    return account


class ActingCommand(BaseCommand):
    """A command that performs acts: their refusals become its one line, with exit code 1."""

    requires_system_checks = ()  # they would load every page

    act: Callable[..., None]  # takes the options by name

    def handle(self, *_args: Any, **options: Any) -> None:
        _require_database()
        try:
            self.act(**options)
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error


def _require_database() -> None:
    if connection.connection is None:
        # One connection is enough, and a pool tries for ten seconds before it gives up.
        connection.settings_dict["OPTIONS"].pop("pool", None)
    try:
        ready = _A_TABLE in connection.introspection.table_names()
    except OperationalError as error:
        raise CommandError(
            "The database can't be reached. Check CONDARIUM_DATA or CONDARIUM_DATABASE_URL, and "
            "run `condarium migrate` or `make run` first."
        ) from error
    if not ready:
        raise CommandError(
            "The database is not set up yet. Run `condarium migrate` or `make run` first."
        )
