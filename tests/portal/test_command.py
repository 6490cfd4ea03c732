"""How commands start: with what they need, and without what only few of them do."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from portal.logs import Formatter

PROJECT = Path(__file__).parents[2]


def test_what_few_commands_need_is_not_loaded_by_all() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "manage.py", "help", "import"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "registry.importing" in loaded
    assert loaded.isdisjoint({"structlog", "rich", "urllib3"})


def test_the_first_line_is_as_all_others_and_holds_no_token() -> None:
    formatter = Formatter(as_json=True)
    record = logging.makeLogRecord(
        {
            "name": "x",
            "levelname": "WARNING",
            "msg": "GET /t/cph-abcdefgh1/bench",
            "subdir": "noarch",
        }
    )
    first, second = (json.loads(formatter.format(record)) for _ in range(2))
    assert first["event"] == second["event"] == "GET /t/***/bench"
    assert (first["level"], first["logger"], first["subdir"]) == ("warning", "x", "noarch")
