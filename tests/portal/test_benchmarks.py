"""``make bench`` is run by hand and rarely; this shows that it still runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.servers import PROJECT


def test_the_benchmarks_measure_everything_and_leave_nothing_behind(tmp_path: Path) -> None:
    work, figures_path = tmp_path / "work", tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--folder", str(work)]

    done = subprocess.run(
        [*command, "--json", str(figures_path)],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if "PYTEST" not in name},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert list(work.iterdir()) == []
    sections = json.loads(figures_path.read_text(encoding="utf-8"))["sections"]
    values = {
        (title, figure["what"]): figure["value"]
        for title, figures in sections.items()
        for figure in figures
    }
    assert len(values) > 30
    assert [what for what, value in values.items() if value <= 0] == []
    assert all(title in done.stdout for title in sections)
