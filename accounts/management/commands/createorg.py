from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.identity import OPERATOR
from accounts.management.acting import ActingCommand, find_user
from accounts.membership import create_organization


class Command(ActingCommand):
    help = "Make an organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--owner", metavar="USER", required=True)
        parser.add_argument("--display-name", default="")

    def act(self, *, name: str, owner: str, display_name: str, **_options: Any) -> None:
        organization = create_organization(
            by=OPERATOR, name=name, display_name=display_name, owner=find_user(owner)
        )
        self.stdout.write(f"Made the organization {organization.account.name}, owned by {owner}.")
