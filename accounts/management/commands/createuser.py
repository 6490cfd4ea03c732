from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from accounts.identity import OPERATOR
from accounts.management.acting import ActingCommand
from accounts.people import create_user


class Command(ActingCommand):
    help = "Make a user. Their e-mail address counts as verified."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--email", required=True)
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            required=True,
            help="read the password from standard input: arguments are seen by everyone",
        )
        parser.add_argument("--superuser", action="store_true", help="make them a site admin")

    def act(self, *, name: str, email: str, superuser: bool, **_options: Any) -> None:
        user = create_user(
            by=OPERATOR,
            username=name,
            email=email,
            # Only the end of the line is no part of it: spaces may be.
            password=sys.stdin.readline().rstrip("\r\n"),
            is_superuser=superuser,
        )
        self.stdout.write(f"Made the user {user.username}.")
