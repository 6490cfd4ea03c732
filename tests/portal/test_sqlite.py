"""Those who write stand in line, and whoever leaves it lets the next one go on."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

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


# --- Processes ---------------------------------------------------------------------------------


@contextmanager
def process(code: str, database: Path) -> Iterator[subprocess.Popen[str]]:
    """One of the web processes: ``line`` is that of the database."""
    beginning = """
        import sys, time
        from pathlib import Path
        from portal.sqlite import line as lines
        lines.stand_in_line_with_other_processes()
        line = lines.line_of(sys.argv[1])
    """
    code = textwrap.dedent(beginning) + textwrap.dedent(code)
    command = [sys.executable, "-c", code, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        try:
            yield one
        finally:
            one.kill()


def test_processes_write_one_after_the_other(tmp_path: Path) -> None:
    count = """
        counted = Path(sys.argv[1])
        for _ in range(50):
            assert line.enter()
            before = int(counted.read_text())
            time.sleep(0.0005)  # the others come in vain
            counted.write_text(str(before + 1))
            line.leave()
    """
    counted = tmp_path / "database"
    counted.write_text("0")
    with (
        process(count, counted) as first,
        process(count, counted) as second,
        process(count, counted) as third,
    ):
        assert [one.wait(60) for one in (first, second, third)] == [0, 0, 0]

    assert counted.read_text() == "150"


def test_who_is_next_is_not_passed_over_by_who_has_just_written(tmp_path: Path) -> None:
    write_again_and_again = """
        for _ in range(10):
            line.enter()
            print("written", flush=True)
            sys.stdin.readline()
            line.leave()
            line.enter()
            with Path(f"{sys.argv[1]}-log").open("a") as log:
                log.write("again ")
            line.leave()
            print("done", flush=True)
            sys.stdin.readline()
    """
    write_once = """
        line.enter()
        with Path(f"{sys.argv[1]}-log").open("a") as log:
            log.write("next ")
        line.leave()
    """
    database, log = tmp_path / "database", tmp_path / "database-log"
    with process(write_again_and_again, database) as first:
        for _ in range(10):
            assert said_by(first) == "written"
            with process(write_once, database) as second:
                wait_until_one_is_next(database)
                tell(first)
                assert second.wait(60) == 0
            assert said_by(first) == "done"
            tell(first)

    assert log.read_text().split() == ["next", "again"] * 10


def wait_until_one_is_next(database: Path) -> None:
    """Until somebody stands ahead of all others: the first byte of the file is locked."""
    with Path(f"{database}-line").open("r+b") as file:
        for _ in range(6000):
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
            except (BlockingIOError, PermissionError):
                return
            fcntl.lockf(file, fcntl.LOCK_UN, 1, 0)
            time.sleep(0.01)
    raise AssertionError("Nobody came.")


def tell(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("\n")
    one.stdin.flush()


def test_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    hold = """
        print(line.enter(), flush=True)
        time.sleep(60)
    """
    enter = """
        print("waiting", flush=True)
        print(line.enter(), flush=True)
    """
    with process(hold, tmp_path / "database") as holder:
        assert said_by(holder) == "True"
        with process(enter, tmp_path / "database") as waiting:
            assert said_by(waiting) == "waiting"
            holder.kill()

            assert said_by(waiting) == "True"


def test_who_waits_in_vain_is_told_so_and_holds_nobody_up(tmp_path: Path) -> None:
    hold = """
        for _ in range(2):
            print(line.enter(), flush=True)
            sys.stdin.readline()
            line.leave()
    """
    enter = """
        for seconds in (0.05, 30):
            lines.PATIENCE_SECONDS = seconds
            if entered := line.enter():
                line.leave()
            print(entered, flush=True)
            sys.stdin.readline()
    """
    with process(hold, tmp_path / "database") as holder:
        assert said_by(holder) == "True"
        with process(enter, tmp_path / "database") as waiting:
            assert said_by(waiting) == "False"
            go_on(holder)
            assert said_by(holder) == "True"
            go_on(waiting)
            go_on(holder)
            assert said_by(waiting) == "True"


def said_by(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    line: str = one.stdout.readline()
    return line.strip()


def go_on(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("\n")
    one.stdin.flush()
