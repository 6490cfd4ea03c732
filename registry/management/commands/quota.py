"""``condarium quota ACCOUNT``: how much an account keeps and may keep, and letting it keep more."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from accounts.identity import OPERATOR
from accounts.management.acting import ActingCommand, find_account
from accounts.models import Account
from portal.templatetags.ui import filesize, thousands
from registry import quotas
from registry.models import AccountQuota

_NONE = "none"
_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,3})?) ?(?P<unit>[kMGTP]i?)?B?", re.ASCII)
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def size(text: str) -> int | None:
    """``3GB``, ``1.5 TiB``, ``3000000000`` or ``none``."""
    if text == _NONE:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(
            f"{text!r} is no size. Write it like 3GB, 500MiB or 3000000000; or {_NONE}."
        )
    unit = match["unit"] or ""
    base = 1024 if unit.endswith("i") else 1000
    return int(float(match["number"]) * base ** _POWERS[unit.removesuffix("i")])


def count(text: str) -> int | None:
    if text == _NONE:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ArgumentTypeError(f"{text!r} is no number of files, and not {_NONE}.")
    return int(text)


class Command(ActingCommand):
    help = "Show how much an account keeps and may keep, or set it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT")
        parser.add_argument(
            "--bytes",
            type=size,
            default=argument_missing,
            dest="max_bytes",
            metavar="SIZE",
            help="how much it may keep, such as 3GB; none for no limit",
        )
        parser.add_argument(
            "--files",
            type=count,
            default=argument_missing,
            dest="max_files",
            metavar="N",
            help="how many package files it may keep; none for no limit",
        )
        parser.add_argument(
            "--default", action="store_true", help="let it keep what the settings say for all"
        )

    def act(
        self, *, account: str, max_bytes: Any, max_files: Any, default: bool, **_options: Any
    ) -> None:
        found = find_account(account)
        given = {"max_bytes": max_bytes, "max_files": max_files}
        wanted = {name: limit for name, limit in given.items() if limit is not argument_missing}
        if default:
            quotas.reset_quota(by=OPERATOR, account=found)
        if wanted:
            held = quotas.limits_of(found)
            limits = {"max_bytes": held.max_bytes, "max_files": held.max_files} | wanted
            quotas.set_quota(by=OPERATOR, account=found, **limits)
        self._show(found)

    def _show(self, account: Account) -> None:
        used, limits = quotas.usage_of(account), quotas.limits_of(account)
        own = AccountQuota.objects.filter(account=account).exists()
        self.stdout.write(
            f"{account.name} keeps {_of(used.used_bytes, limits.max_bytes, filesize)} in "
            f"{_of(used.used_files, limits.max_files, thousands)} package files"
            f" ({'its own limits' if own else 'the limits for all'})."
        )


# Not None: that is a limit which is said to be none.
argument_missing = object()


def _of(used: int, most: int | None, words: Callable[[int], str]) -> str:
    return words(used) if most is None else f"{words(used)} of {words(most)}"
