"""``condarium`` and ``python manage.py``: the same commands."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    # What is made on starting stays: looking through it for garbage would take a tenth of the time.
    gc.disable()
    # After the variable: importing Django is slow, and reads it.
    import django  # noqa: PLC0415 - see above
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - see above

    django.setup()
    gc.freeze()
    gc.enable()
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # On ending it would be looked through twice, and a process that ends gives it all back.
        gc.freeze()


if __name__ == "__main__":
    main()
