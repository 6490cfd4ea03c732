"""Fill a channel with records: ``python -m benchmarks.seed FOLDER ACCOUNT CHANNEL FIRST COUNT``.

Through the act of publishing, with real packages, so that every row is what an upload makes it.
Only the disk is spared: one commit for a few hundred packages, and no fsync.
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

import django
from django.db import transaction

_RECORDS_PER_NAME = 7  # conda-forge has about so many per name in a platform of 1,000 records
_RECORDS_PER_COMMIT = 250


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("account")
    arguments.add_argument("channel")
    arguments.add_argument("first", type=int)
    arguments.add_argument("count", type=int)
    given = arguments.parse_args()
    os.fsync = _fsync
    django.setup()
    numbers = range(given.first, given.first + given.count)
    for start in range(0, len(numbers), _RECORDS_PER_COMMIT):
        with transaction.atomic():
            publish(
                numbers[start : start + _RECORDS_PER_COMMIT],
                folder=given.folder,
                account=given.account,
                channel=given.channel,
            )


def publish(numbers: range, *, folder: Path, account: str, channel: str) -> None:
    # Importable only now that the settings are read.
    from accounts.identity import Identity
    from accounts.models import User
    from benchmarks.packages import small_payload
    from registry import publishing
    from registry.publishing import Claims

    payload = small_payload(folder / "seed")
    by = Identity(user=User.objects.select_related("account").get(username=account))
    for number in numbers:
        name, version = divmod(number, _RECORDS_PER_NAME)
        package = payload.package(f"package-{name}", f"1.{version}")
        publishing.publish(
            by=by,
            account_name=account,
            channel_name=channel,
            body=io.BytesIO(package.data()),
            claims=Claims(filename=package.filename),
        )


def _fsync(fd: object) -> None:
    """Nothing: what is thrown away in minutes need not survive the loss of power."""


if __name__ == "__main__":
    main()
