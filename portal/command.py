"""``condarium`` and ``python manage.py``: the same commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    # After the variable: importing Django's management is slow, and reads it.
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - see above

    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
