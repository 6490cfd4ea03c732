"""anaconda's own client, run as a process with a home of its own."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from accounts.client_login import REDIRECT_ORIGIN
from tests.servers import LOOPBACK, PROJECT

# Set up by `make test`; beside our own dependencies it can't stand.
ANACONDA = PROJECT / ".venv-clients" / "bin" / "anaconda"
_BROWSER = Path(__file__).with_name("login_browser.py")
_PORT = int(REDIRECT_ORIGIN.rpartition(":")[2])
_PATIENCE_SECONDS = 30.0


@dataclass
class StockClient:
    """The installed ``anaconda``, pointed at one host as its users do it: by a file."""

    home: Path
    url: str
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.home / ".continuum" / "anaconda-client"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(
            f"default_site: portal\nsites:\n  portal:\n    url: {self.url}/api\n", encoding="utf-8"
        )

    def run(
        self, *arguments: str, typed: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; ``typed`` is what its user answers."""
        return subprocess.run(
            [str(ANACONDA), *arguments],
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "COLUMNS": "200",
                "NO_PROXY": "*",
                "OTEL_SDK_DISABLED": "true",
                **self.environ,
                **(environ or {}),
            },
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,  # else it would ask at the terminal of whoever runs the tests
        )

    def with_browser(self, name: str, password: str) -> Mapping[str, str]:
        """The environ in which the browser it opens is used by somebody who says yes."""
        # The & has it not wait for the browser: it listens only after it was opened.
        return {
            "BROWSER": f"{sys.executable} {_BROWSER} %s &",
            "LOGIN_NAME": name,
            "LOGIN_PASSWORD": password,
        }

    def stored_tokens(self) -> set[str]:
        """The tokens that it keeps; in some versions twice."""
        return {path.read_text(encoding="utf-8") for path in self.home.rglob("*.token")}


@contextmanager
def port_of_the_login() -> Iterator[None]:
    """The port on which the client waits for the browser is fixed in it: one test at a time."""
    with Path(tempfile.gettempdir(), f"condarium-tests-port-{_PORT}").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _is_free():
            if time.monotonic() > deadline:
                pytest.skip(f"Port {_PORT}, which is fixed in the client, is in use by another.")
            time.sleep(0.2)
        yield


def _is_free() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, _PORT))
        except OSError:
            return False
    return True
