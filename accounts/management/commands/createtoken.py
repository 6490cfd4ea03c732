from __future__ import annotations

import contextlib
import re
import sys
from argparse import ArgumentParser
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.identity import OPERATOR, Identity
from accounts.management.acting import ActingCommand, find_account, find_user
from accounts.scopes import Scope
from accounts.tokens import create_token

_SPAN = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[hdw])\Z")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_expiry(text: str) -> datetime:
    """``90d``, ``12h``, ``2w`` from now, or ``2027-01-31``, which is the last day (UTC)."""
    span = _SPAN.match(text)
    if span:
        return timezone.now() + int(span["count"]) * _UNITS[span["unit"]]
    try:
        last_day = date.fromisoformat(text)
        return datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise CommandError(
            f"--expires is {text!r}; write 90d, 12h, 2w or a day like 2027-01-31. Every token "
            "expires."
        ) from None


class Command(ActingCommand):
    help = "Make a token of a user or an organization, and print it: it is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT")
        parser.add_argument("--name", required=True, help="what the token is for")
        parser.add_argument(
            "--scope",
            action="append",
            required=True,
            dest="scopes",
            metavar="SCOPE",
            help=f"one of {', '.join(Scope.values)}; may be repeated",
        )
        parser.add_argument("--expires", help="90d, 12h or 2027-01-31; 90d when left out")
        parser.add_argument("--user", metavar="USER", help="who is noted as its maker")
        parser.add_argument(
            "--channel",
            action="append",
            default=[],
            dest="channels",
            metavar="CHANNEL",
            help="limit it to this channel; may be repeated",
        )
        parser.add_argument(
            "--package",
            action="append",
            default=[],
            dest="packages",
            metavar="PATTERN",
            help="limit it to packages of this name, * matches anything; may be repeated",
        )

    def act(
        self,
        *,
        account: str,
        name: str,
        scopes: list[str],
        expires: str | None,
        user: str | None,
        channels: list[str],
        packages: list[str],
        **_options: Any,
    ) -> None:
        by = Identity(user=find_user(user), user_agent=OPERATOR.user_agent) if user else OPERATOR
        # The mail about it may go to the console, where only the token is to stand.
        with contextlib.redirect_stdout(sys.stderr):
            made = create_token(
                by=by,
                account=find_account(account),
                name=name,
                scopes=scopes,
                expires_at=parse_expiry(expires) if expires else None,
                channels=channels,
                packages=packages,
            )
        self.stdout.write(made.secret)
