"""Threads that write stand in line, and whoever leaves it lets the next one go on."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts.models import Account
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


class Failure(Exception):
    pass


def rename(account: Account, name: str, *, how: str) -> None:
    """Write, and leave the line in one of the ways there are."""
    try:
        with transaction.atomic():
            Account.objects.filter(pk=account.pk).update(display_name=name)
            if how == "fails":
                raise Failure
            if how == "hangs up":
                connection.close()
    except Failure:
        pass
    finally:
        connection.close()


@pytest.mark.parametrize("how", ["commits", "fails", "hangs up"])
def test_nobody_keeps_the_others_waiting(how: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Other databases have a line of their own.")
    account = make_user("olga").account
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        for number in range(12):
            threads.submit(rename, account, f"first {number}", how=how)
            threads.submit(rename, account, f"then {number}", how="commits")
    with ThreadPoolExecutor(1) as threads:
        threads.submit(rename, account, "last", how="commits").result(10)

    account.refresh_from_db()
    assert account.display_name == "last"
    assert time.monotonic() - begun < 10


def test_one_writes_at_a_time() -> None:
    account = make_user("olga").account
    together = threading.Barrier(6)

    def count() -> None:
        together.wait(20)
        try:
            for _ in range(20):
                with transaction.atomic():
                    row = Account.objects.select_for_update().get(pk=account.pk)
                    row.display_name = str(int(row.display_name or 0) + 1)
                    row.save()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(count) for _ in range(6)]:
            done.result(30)

    account.refresh_from_db()
    assert account.display_name == "120"
