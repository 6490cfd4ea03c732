"""A live host, the pages that people see of it, and ``condarium import`` as an operator runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape

import requests

from tests.builders import build_conda
from tests.registry.sources import Site
from tests.servers import PASSWORD, PROJECT, LiveServer, environment

# Far beyond what it takes on a busy machine.
LONG = 60
# As many as are committed together, when they are fetched; and some more.
COMMITTED, SLOW = 200, 3
TOTAL = COMMITTED + SLOW
_SECOND, _LAST = "second_0.conda", "last_0.conda"


def wait_for(what: Callable[[], bool], said: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + LONG
    while not what():
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


def publish_many(site: Site, name: str) -> None:
    """More than one commit takes, of which the last are not given out before somebody says so.
    What the account has from another test would not be fetched: so each has its own ``name``."""
    site.publish(
        *(build_conda(f"{name}-{number:03}", "1.0") for number in range(COMMITTED)),
        *(build_conda(f"{name}-last-{number}", "1.0", build="last_0") for number in range(SLOW)),
    )
    site.slow, site.slow_seconds = _LAST, 10.0 * LONG


def publish_more(site: Site, name: str) -> None:
    """Two commits and some more, of which the second and the rest wait."""
    site.publish(
        *(build_conda(f"{name}-{number:03}", "1.0") for number in range(COMMITTED)),
        *(
            build_conda(f"{name}-s{number:03}", "1.0", build="second_0")
            for number in range(COMMITTED)
        ),
        *(build_conda(f"{name}-last-{number}", "1.0", build="last_0") for number in range(SLOW)),
    )
    site.slow, site.slow_seconds = (_SECOND, _LAST), 10.0 * LONG


def give_out_more(site: Site) -> None:
    """All of them but the last."""
    site.slow = _LAST


class Importing:
    """The command, in a process of its own."""

    def __init__(self, server: LiveServer, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "import", *arguments, "--processes", "1"],
            cwd=PROJECT,
            env=environment(server.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=LONG)
        assert "Traceback" not in out + err
        return self.process.returncode, out, err


@contextmanager
def importing(server: LiveServer, *arguments: str) -> Iterator[Importing]:
    command = Importing(server, *arguments)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.communicate()


@dataclass
class Browser:
    """What somebody sees without a script: each look is a reload."""

    server: LiveServer
    session: requests.Session

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.server.url + path, timeout=LONG)

    def text(self, path: str) -> str:
        """What the page says, without its tags."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.get(path).text)).split())

    def post(self, path: str, page: str, **fields: str) -> requests.Response:
        """Send the form that stands on a page."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]*)"', self.get(page).text)
        fields["csrfmiddlewaretoken"] = found[1] if found else ""
        return self.session.post(self.server.url + path, fields, timeout=LONG)

    def jobs(self) -> list[str]:
        """Where the pages of the jobs are that they see, the newest first."""
        found = re.findall(r'href="(/-/jobs/[\w-]{16})"', self.get("/-/jobs").text)
        return list(dict.fromkeys(found))

    def newest_job(self, *, after: int = 0) -> str:
        wait_for(lambda: len(self.jobs()) > after)
        return self.jobs()[0]

    def wait_for(self, path: str, words: str) -> str:
        wait_for(lambda: words in self.text(path), lambda: self.text(path))
        return self.text(path)


def browser_of(server: LiveServer, name: str) -> Browser:
    browser = Browser(server, requests.Session())
    browser.session.headers["Connection"] = "close"  # as for one who looks now and then
    page = "/account/login/"
    answer = browser.post(page, page, login=name, password=PASSWORD)
    assert answer.status_code == 200
    assert "/dashboard" in answer.url, answer.url
    return browser
