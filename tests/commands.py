"""Runs commands of Condarium one after another: a script for ``tests.servers.run_commands``.

Reads the commands and what each is given as its standard input, writes what they printed: JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(commands: Sequence[Sequence[str]], text: str) -> list[str]:
    sys.path.insert(0, str(Path.cwd()))
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    # After the variable, which importing it reads.
    import django  # noqa: PLC0415 - see above
    from django.core.management import call_command  # noqa: PLC0415 - see above

    django.setup()
    printed = []
    for command in commands:
        sys.stdin, out = io.StringIO(text), io.StringIO()
        call_command(*command, stdout=out)
        printed.append(out.getvalue().strip())
    return printed


if __name__ == "__main__":
    given = json.load(sys.stdin)
    said, sys.stdout = sys.stdout, sys.stderr  # mails are printed
    json.dump(main(given["commands"], given["input"]), said)
