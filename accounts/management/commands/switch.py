"""``condarium switch NAME on|off``: close something for everybody at once, and open it again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts import switches
from accounts.identity import OPERATOR
from accounts.management.acting import ActingCommand
from accounts.models import Switch

# As people say it: uploads are off, read-only is on.
_THROWN_IS_ON = {switches.Name.READ_ONLY, switches.Name.NOTICE}


class Command(ActingCommand):
    help = "Show what is closed for everybody, or switch it on or off; it works within two seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", choices=switches.Name.values, metavar="NAME")
        parser.add_argument("state", nargs="?", choices=["on", "off"], metavar="on|off")
        parser.add_argument("--message", default="", help="what people are told besides")

    def act(self, *, name: str | None, state: str | None, message: str, **_options: Any) -> None:
        if name is not None and state is not None:
            is_thrown = (state == "on") == (name in _THROWN_IS_ON)
            switches.set_switch(by=OPERATOR, name=name, is_thrown=is_thrown, message=message)
        rows = {row.name: row for row in Switch.objects.all()}
        for each in [name] if name else switches.Name.values:
            self.stdout.write(_line(each, rows.get(each)))


def _line(name: str, row: Switch | None) -> str:
    is_thrown = row is not None and row.is_thrown
    state = "on" if is_thrown == (name in _THROWN_IS_ON) else "off"
    if row is None:
        return f"{name}: {state}"
    by = row.set_by_name or "the operator"
    said = f": {row.message}" if row.message else ""
    return f"{name}: {state}, by {by} at {row.set_at:%Y-%m-%d %H:%M} UTC{said}"
