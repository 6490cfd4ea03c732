"""Searching on a PostgreSQL that has its contrib modules: Debian's, since that of the wheels has
none. What is found must be what SQLite finds (tests/registry/views/test_search.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import free_port

_PROJECT = Path(__file__).resolve().parents[2]
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _missing() -> str:
    if not _PROGRAMS:
        return "Debian's PostgreSQL is missing: install its package postgresql."
    if os.geteuid() != 0:
        return "PostgreSQL doesn't start as root, and only root can start it as somebody else."
    return ""


@pytest.fixture
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := _missing():
        if os.environ.get("CI") == "true" and not _PROGRAMS:
            pytest.fail(f"{reason} CI=true asks for it.")
        pytest.skip(reason)
    programs = _PROGRAMS[-1]
    folder, port = Path(_as_postgres(Path("/tmp"), "mktemp", "-d", "-p", "/tmp")), free_port()
    try:
        # With a language's rules, as most clusters have them.
        rules = ("-E", "UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
        _as_postgres(folder, programs / "initdb", "-D", "db", "-A", "trust", "--no-sync", *rules)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c fsync=off"
        options += " -c unix_socket_directories=''"
        control = (programs / "pg_ctl", "-D", "db", "-w", "-l", "log")
        _as_postgres(folder, *control, "-o", options, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _as_postgres(folder, *control, "-m", "immediate", "stop")
    finally:
        _as_postgres(Path("/tmp"), "rm", "-rf", folder)


def _as_postgres(folder: Path, *command: str | Path) -> str:
    """Run a command in a folder as PostgreSQL's user; what it prints, to a file, since the server
    that it may leave behind would keep a pipe open."""
    with tempfile.TemporaryFile("w+") as printed:
        subprocess.run(
            command,
            cwd=folder,
            user="postgres",
            group="postgres",
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=60,
        )
        printed.seek(0)
        return printed.read().strip()


def test_trigrams_find_parts_of_words_and_what_was_meant(database_url: str, tmp_path: Path) -> None:
    expected = {
        "numpy": [["numpy", "numpy-base", "other-7"], ""],
        "umpy b": [["numpy-base", "other-7"], ""],
        "num%": [[], "numpy"],
        "nmupy": [[], "numpy"],
        "scikitlearn": [[], "scikit-learn"],
        "zzzzzz": [[], ""],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.registry.search_by_trigrams", *expected],
        cwd=_PROJECT,
        env={
            **os.environ,
            "CONDARIUM_DATABASE_URL": database_url,
            "CONDARIUM_DATA": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    found = {question: [names, meant if not names else ""]
             for question, (names, meant) in answer["answers"].items()}  # fmt: skip
    assert found == expected
    assert "package_names_in_parts" in answer["plans"]["name"]
    assert "package_summaries_in_parts" in answer["plans"]["summary"]
    assert "Index Cond" in answer["plans"]["beginning"]  # names sort by their bytes
