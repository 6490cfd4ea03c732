"""nginx and Caddy with the configurations that we ship, in front of a live server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import (
    LOOPBACK,
    PASSWORD,
    PROJECT,
    LiveServer,
    ServerFailed,
    free_port,
    run_commands,
)

DEPLOY = PROJECT / "deploy"
CADDY = shutil.which("caddy")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")


@dataclass(frozen=True, slots=True)
class Front:
    """A running front server: its address, and what it logged of requests and of itself."""

    url: str
    port: int
    access_log: Path
    error_log: Path

    def log(self) -> str:
        return self.access_log.read_text(encoding="utf-8")

    def lines_of(self, text: str) -> list[str]:
        """The lines of the access log with ``text``, once there is one: nginx writes them late."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            lines = [line for line in self.log().splitlines() if text in line]
            if lines:
                return lines
            time.sleep(0.02)
        return []


@contextmanager
def nginx_in_front(
    server: LiveServer, folder: Path, *, port: int, s3_endpoint: str = ""
) -> Iterator[Front]:
    """Run nginx; it serves from the server's folder, or from the S3 that is named."""
    folder.mkdir(parents=True)
    front = Front(f"http://{LOOPBACK}:{port}", port, folder / "access.log", folder / "error.log")
    _write_configuration(server, folder, port=port, s3_endpoint=s3_endpoint)
    assert NGINX is not None
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-e", str(front.error_log)]
    with front.error_log.open("ab") as log:
        process = subprocess.Popen(
            [*command, "-g", "daemon off;"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, front.error_log)
        yield front
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def caddy_in_front(server: LiveServer, folder: Path, *, port: int) -> Iterator[Front]:
    """Run Caddy without TLS; it serves from the server's folder."""
    folder.mkdir(parents=True)
    front = Front(f"http://{LOOPBACK}:{port}", port, folder / "access.log", folder / "error.log")
    assert CADDY is not None
    # Its own administration listens on a fixed port: off, for several may run here.
    configuration = _replaced(
        (DEPLOY / "Caddyfile").read_text(encoding="utf-8"),
        {
            "{\n\tservers": "{\n\tadmin off\n\tservers",
            "output stdout": f"output file {front.access_log}",
        },
    )
    (folder / "Caddyfile").write_text(configuration, encoding="utf-8")
    env = {
        **os.environ,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "CONDARIUM_SITE": front.url,
        "CONDARIUM_UPSTREAM": f"{LOOPBACK}:{server.port}",
        "CONDARIUM_TREE": str(Path(server.env["CONDARIUM_DATA"], "files", "tree")),
    }
    with front.error_log.open("ab") as log:
        process = subprocess.Popen(
            [CADDY, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, front.error_log)
        yield front
    finally:
        process.terminate()
        process.wait(10)


def make_ida(server: LiveServer, *scopes: str) -> list[str]:
    """Make the user ida, and a token of hers for each of the scopes."""
    _, *tokens = run_commands(
        ["createuser", "ida", "--email", "ida@example.org", "--password-stdin"],
        *(["createtoken", "ida", "--name", scope, "--scope", scope] for scope in scopes),
        env=server.env,
        input=PASSWORD,
    )
    return tokens


def _write_configuration(server: LiveServer, folder: Path, *, port: int, s3_endpoint: str) -> None:
    kind = "s3" if s3_endpoint else "folder"
    data = server.env["CONDARIUM_DATA"].rstrip("/") + "/"
    files = _replaced(
        (DEPLOY / f"nginx-files-{kind}.conf").read_text(encoding="utf-8"),
        {"s3:8333": s3_endpoint.removeprefix("http://")}
        if s3_endpoint
        else {"/var/lib/condarium/": data},
    )
    (folder / "files.conf").write_text(files, encoding="utf-8")
    main = _replaced(
        (DEPLOY / "nginx.conf").read_text(encoding="utf-8"),
        {
            "/var/lib/condarium/": data,
            "server web:8080": f"server {LOOPBACK}:{server.port}",
            "listen 8080": f"listen {LOOPBACK}:{port}",
            "/etc/nginx/condarium-files.conf": str(folder / "files.conf"),
            "/dev/stdout": str(folder / "access.log"),
            "stderr alert": f"{folder / 'error.log'} alert",
            "/tmp/nginx": str(folder / "nginx"),
        },
    )
    # The data folder is its owner's alone; as root, nginx would work as somebody else.
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + main, encoding="utf-8")


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, f"the configuration has no {old!r} any more"
        text = text.replace(old, new)
    return text


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed(
                f"The front server did not start.\n{log.read_text(encoding='utf-8')}"
            )
        time.sleep(0.02)


def free_front_port() -> int:
    """Known before the server starts, since its address is the front's."""
    return free_port()
