"""Two deployments, each live and whole: the embedded one, and the one of many parts.

Everything here talks to them as users do: over HTTP, by the operator's commands, in a browser.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chromium import chromium
from tests.servers import (
    LiveServer,
    PostgresServer,
    PreparedData,
    S3Server,
    free_port,
    run_commands,
)

PROJECT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
PASSWORD = "wandering neutrons 42"
SCOPES = (("all",), ("api:read", "api:write"), ("api:modify-group",), ("conda:download",))


@dataclass(frozen=True)
class Deployment:
    """A live host with the admin ``ada`` of the organization ``neutrons``, and a user ``bob``."""

    server: LiveServer
    folder: Path
    tokens: Mapping[tuple[str, ...], str]
    order: Path
    """The name of a failpoint, written here, ends the process that comes to it next."""

    @property
    def url(self) -> str:
        return self.server.url

    def token(self, *scopes: str) -> str:
        """The token of the organization with these scopes, of those in ``SCOPES``."""
        return self.tokens[scopes]

    def curl(self, *arguments: str) -> tuple[int, str]:
        """Run curl; the status of the answer and its body."""
        if shutil.which("curl") is None:
            if os.environ.get("CI") == "true":
                pytest.fail("curl is missing, and CI=true asks for it.")
            pytest.skip("curl is missing: install Debian's package curl.")
        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "-m", "60", "-w", "\n%{http_code}", *arguments],
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def wait_until_listed(self, path: str, filename: str, token: str | None = None) -> None:
        header = ["-H", f"Authorization: Bearer {token}"] if token else []
        deadline = time.monotonic() + 15
        while True:
            status, body = self.curl(*header, f"{self.url}{path}/repodata.json")
            if status == 200 and f'"{filename}"' in body:
                return
            assert time.monotonic() < deadline, f"{path}: {status} {body[:500]}"
            time.sleep(0.1)


def _set_up(server: LiveServer, folder: Path) -> Deployment:
    _, _, _, *tokens = run_commands(
        ["createuser", "ada", "--email", "ada@example.org", "--password-stdin"],
        ["createuser", "bob", "--email", "bob@example.org", "--password-stdin"],
        ["createorg", "neutrons", "--owner", "ada"],
        *(
            ["createtoken", "neutrons", "--name", "-".join(scopes), *_options(scopes)]
            for scopes in SCOPES
        ),
        env=server.env,
        input=PASSWORD,
    )
    order = Path(server.env["CONDARIUM_FAILPOINT"])
    return Deployment(server, folder, dict(zip(SCOPES, tokens, strict=True)), order)


def _options(scopes: Iterable[str]) -> list[str]:
    return [part for scope in scopes for part in ("--scope", scope)]


def _embedded(folder: Path, data: PreparedData) -> Iterator[Deployment]:
    with LiveServer(folder, {"CONDARIUM_FAILPOINT": str(folder / "crash")}, data=data) as server:
        yield _set_up(server, folder)


def _of_many_parts(
    folder: Path, postgres: PostgresServer, redis: str, s3: S3Server
) -> Iterator[Deployment]:
    env = {
        **s3.environ,
        "CONDARIUM_DATABASE_URL": postgres.create_database(f"clients_{free_port()}"),
        "CONDARIUM_REDIS_URL": redis,
        "CONDARIUM_BROKER_URL": redis,
        "CONDARIUM_INCOMING": str(folder / "incoming"),
        "CONDARIUM_FAILPOINT": str(folder / "crash"),
    }
    with LiveServer(folder, env, options=["--web-only"]) as server:
        with (folder / "celery.log").open("wb") as log:
            worker = subprocess.Popen(
                [
                    sys.executable, "-m", "celery", "-A", "portal.celery", "worker",
                    "--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING",
                ],
                cwd=PROJECT,
                env={**os.environ, **server.env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield _set_up(server, folder)
        finally:
            worker.terminate()
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


@pytest.fixture(scope="package", params=["embedded", "many-parts"])
def deployment(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    prepared_data: PreparedData,
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    if request.param == "embedded":
        yield from _embedded(folder, prepared_data)
    else:
        yield from _of_many_parts(
            folder,
            request.getfixturevalue("postgres"),
            request.getfixturevalue("redis"),
            request.getfixturevalue("s3"),
        )


RECIPE = """\
package:
  name: neutron-tools
  version: "1.2.0"
build:
  number: 0
  noarch: generic
  script:
    - mkdir -p $PREFIX/share/neutron-tools
    - echo counted > $PREFIX/share/neutron-tools/detector.txt
requirements:
  run_exports:
    - neutron-tools >=1.2,<2
about:
  summary: Counts neutrons
  license: BSD-3-Clause
  homepage: https://example.org/neutron-tools
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package built from a recipe by py-rattler-build, in both formats."""
    folder = tmp_path_factory.mktemp("recipe")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (folder / "channel" / "noarch").mkdir(parents=True)
    (folder / "channel" / "noarch" / "repodata.json").write_text("{}", encoding="utf-8")
    packages = {}
    for package_format, extension in (("conda", ".conda"), ("tar-bz2", ".tar.bz2")):
        output = folder / package_format
        run_client(
            "recipe_build.py",
            str(recipe),
            f"file://{folder}/channel",
            str(output),
            package_format,
            home=folder,
        )
        (packages[package_format],) = (output / "noarch").glob(f"*{extension}")
    return packages


@pytest.fixture(scope="module")
def clicked_token(deployment: Deployment) -> str:
    """A token of the organization, made in a real browser."""
    where = (deployment.url, "neutrons", "ci", str(chromium()))
    printed = run_client("make_token.py", *where, home=deployment.folder, text=PASSWORD)
    return printed.strip()


def run_client(
    script: str,
    *arguments: str,
    home: Path,
    env: Mapping[str, str] | None = None,
    text: str = "",
    ok: bool = True,
) -> str:
    """Run one of the client scripts with a home folder of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "NO_PROXY": "*",
            "PYTHONWARNINGS": "ignore",
            **(env or {}),
        },
        cwd=home,
        input=text,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode == 0) is ok, f"{done.stdout}\n{done.stderr}"
    return done.stdout if ok else done.stderr
