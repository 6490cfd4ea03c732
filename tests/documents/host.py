"""The live host on which the commands of the documents are run, and what stands around it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from registry.views import documents
from tests.builders import build_conda
from tests.clients.conftest import PASSWORD, RECIPE, run_client
from tests.documents import programs
from tests.documents.blocks import DOCUMENTS
from tests.servers import PROJECT, LiveServer, PreparedData, environment, run_commands
from tests.sigstore_world import WORKFLOW, Sigstore, statement

CLIENTS = PROJECT / ".venv-clients" / "bin"
_OF_ANACONDA_ORG = "secrets.ANACONDA_TOKEN"

CI = ("api:read", "api:write")
SCOPES = {
    "README": CI,
    "attestations": CI,
    "publishing": CI,
    "github-actions": CI,
    "gitlab-ci": CI,
    "forgejo-actions": ("api:write",),
    "jenkins": ("api:write",),
    "moving-from-anaconda": CI,
    "moving-from-forgejo": CI,
    "channels": ("api:write",),
    "deleting": ("api:write",),
    "installing": ("conda:download",),
    "groups": ("api:modify-group",),
}
ALL = ("all",)
HAVE_HELLO = {"api", "channels", "deleting", "groups", "installing", "searching"}

# The commands in running text have accounts of their own.
OF_RUNNING_TEXT = ("in-text", "old-account", "for-deleted")

HELLO = build_conda("hello", "1.0")
OTHER = build_conda("other", "1.0", subdir="linux-64")


@dataclass(frozen=True)
class Host:
    """A live host, where ``ada`` owns the organizations ``neutrons`` and one of each document."""

    server: LiveServer
    folder: Path
    tokens: Mapping[tuple[str, ...], str]

    def account(self, document: Path) -> str:
        return f"for-{document.stem.lower()}"

    def lay_out(self, folder: Path) -> None:
        """What a reader has built, or is about to build."""
        for built in (HELLO, OTHER):
            (folder / built.filename).write_bytes(built.data)
        (folder / "bundle.json").symlink_to(self.folder / "bundle.json")
        (folder / "recipe").mkdir()
        (folder / "recipe" / "recipe.yaml").write_text(RECIPE, encoding="utf-8")

    def typed(
        self, text: str, folder: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """What a shell makes of the text, in this folder, which is the reader's home as well."""
        return subprocess.run(
            ["bash", "-eu", "-c", text],
            env={
                "HOME": str(folder),
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "NO_PROXY": "*",
                "no_proxy": "*",
                "RELAYS": str(self.folder),
                "BUILT": str(self.folder / "built" / "noarch"),
                "PYTHONWARNINGS": "ignore",
                **env,
            },
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def curl(self, *arguments: str) -> Any:
        done = subprocess.run(
            [
                "curl", "-sS", "--noproxy", "*", "--fail-with-body", "-m", "60",
                "-H", f"Authorization: Bearer {self.tokens[ALL]}", *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    def publish(self, account: str, file: Path, subdir: str) -> None:
        address = f"{self.server.url}/conda/{account}/main/{subdir}/{file.name}?wait=10"
        self.curl("--upload-file", str(file), address)

    def filled(self, text: str, document: Path) -> str:
        """The text as its page has it, and what only its readers can know."""
        account, url = self.account(document), self.server.url
        if _OF_ANACONDA_ORG in text:
            account = "elsewhere"
        trusted_root = self.folder / "trusted_root.json"
        for example, here in {
            "https://forgejo.example.com/api/packages/acme": f"{url}/api/packages/elsewhere",
            "TrustedRoot.embedded()": f"TrustedRoot.from_path('{trusted_root}')",
            WORKFLOW: "WORKFLOW",  # whose owner is no account of ours
            "tokens/17": f"tokens/{self._token(account)}" if "tokens/17" in text else "",
        }.items():
            text = text.replace(example, here)
        filled = documents.fill(text, base_url=url, account=account)
        return filled.replace("WORKFLOW", WORKFLOW)

    def _token(self, account: str) -> int:
        tokens = self.curl(f"{self.server.url}/api/v1/accounts/{account}/tokens")["results"]
        return int(min(token["id"] for token in tokens))


@contextmanager
def live_host(folder: Path, prepared_data: PreparedData) -> Iterator[Host]:
    sigstore = Sigstore()
    trusted_root = folder / "trusted_root.json"
    trusted_root.write_text(sigstore.trusted_root)
    (folder / "bundle.json").write_bytes(sigstore.sign(statement(HELLO)))
    env = {"CONDARIUM_SIGSTORE_TRUSTED_ROOT": str(trusted_root)}
    wanted = sorted({ALL, *SCOPES.values()})
    accounts = [
        "neutrons",
        "acme",
        "elsewhere",
        *OF_RUNNING_TEXT,
        *(f"for-{path.stem.lower()}" for path in DOCUMENTS),
    ]
    with LiveServer(folder / "host", env, data=prepared_data) as server:
        printed = run_commands(
            *(
                ["createtoken", "ada", "--name", "-".join(scopes), *_options(scopes)]
                if isinstance(scopes, tuple)
                else scopes
                for scopes in (
                    ["createuser", "ada", "--email", "ada@example.org", "--password-stdin"],
                    ["createuser", "bob", "--email", "bob@example.org", "--password-stdin"],
                    *(["createorg", name, "--owner", "ada"] for name in accounts),
                    ["createtoken", "for-tokens", "--name", "old", "--scope", "api:write"],
                    ["createtoken", "ada", "--name", "ci", "--scope", "api:write"],
                    *wanted,
                )
            ),
            env=server.env,
            input=PASSWORD,
        )
        host = Host(server, folder, dict(zip(wanted, printed[-len(wanted) :], strict=True)))
        _lay_out(folder)
        members = f"{server.url}/api/v1/accounts/neutrons/members"
        host.curl("--json", '{"user": "bob"}', members)
        for document in DOCUMENTS:
            if document.stem in HAVE_HELLO:
                host.publish(host.account(document), folder / HELLO.filename, "noarch")
        for account in ("acme", "elsewhere"):
            host.publish(account, folder / OTHER.filename, "linux-64")
        of_anaconda = {"COLUMNS": "200", "OTEL_SDK_DISABLED": "true"}
        with (
            Relay(folder, "anaconda", CLIENTS / "python", of_anaconda),
            Relay(folder, "condarium", Path(sys.executable), environment(server.env)),
        ):
            yield host


def _options(scopes: tuple[str, ...]) -> list[str]:
    return [part for scope in scopes for part in ("--scope", scope)]


def _lay_out(folder: Path) -> None:
    """The packages, the recipe and what it makes, and the programs."""
    for built in (HELLO, OTHER):
        (folder / built.filename).write_bytes(built.data)
    recipe = folder / "recipe" / "recipe.yaml"
    recipe.parent.mkdir()
    recipe.write_text(RECIPE, encoding="utf-8")
    (folder / "channel" / "noarch").mkdir(parents=True)
    (folder / "channel" / "noarch" / "repodata.json").write_text("{}", encoding="utf-8")
    run_client(
        "recipe_build.py", str(recipe), f"file://{folder}/channel",
        str(folder / "built"), "conda", home=folder,
    )  # fmt: skip
    programs.install(folder / "bin")
    (folder / "bin" / "quetz-client").symlink_to(CLIENTS / "quetz-client")


class Relay:
    """A program that is imported once, behind a socket for ``programs.py``."""

    def __init__(self, folder: Path, program: str, python: Path, env: Mapping[str, str]) -> None:
        home = folder / f"{program}-home"
        home.mkdir()
        self._process = subprocess.Popen(
            [str(python), "-P", str(PROJECT / "tests" / "forks.py"), program],
            env={"HOME": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "*", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # else it would ask at the terminal of whoever runs the tests
        )
        self._relay = socket.socket(socket.AF_UNIX)
        self._relay.bind(str(folder / f"{program}-relay"))
        self._relay.listen()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._relay.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._relay.close()
        self._process.communicate(timeout=30)

    def _answer(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        while True:
            try:
                asker, _ = self._relay.accept()
            except OSError:  # it was shut down
                return
            with asker, asker.makefile("rw") as lines:
                self._process.stdin.write(lines.readline())
                self._process.stdin.flush()
                lines.write(self._process.stdout.readline())
                lines.flush()
