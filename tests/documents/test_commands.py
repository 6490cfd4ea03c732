"""Every command in the documents, run as it is written, against a live host.

How each block is run:

- ``sh``: by bash, in a folder and home of its document, which has an organization of its own.
  curl and Python are the real ones; so are anaconda's client and Quetz'. conda, mamba, pixi and
  rattler-build are ``programs.py``: the same core, in Python, does what their command lines say.
- ``sh`` of operators, ``condarium …``: in one process, on a host of their own, since they close
  things.
- ``yaml`` and ``groovy`` of CI: the shell of each step in order. A step finds a secret only where
  the file hands it on.
- ``yaml`` and ``json`` besides: read, and laid where the commands of the document expect them.
- ``text``, ``http``, ``netrc``: are no commands. Any other language fails.

``RUN_ELSEWHERE`` names the rest: commands that don't end, or want a browser or a tree of their own.
The tests that run them read them from the documents, too.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.views import documents
from tests.builders import build_conda
from tests.clients.conftest import PASSWORD, RECIPE, run_client
from tests.documents import programs
from tests.documents.blocks import (
    DOCUMENTS,
    Block,
    blocks_of,
    commands_with,
    steps_of_jenkins,
)
from tests.servers import PROJECT, LiveServer, PreparedData, run_commands
from tests.sigstore_world import WORKFLOW, Sigstore, statement

RUN_ELSEWHERE = {
    "make run": "tests/documents/test_starting.py",
    "make test": "tests/documents/test_starting.py",
    "make compose": "tests/documents/test_starting.py",
    "docker compose run": "tests/documents/test_starting.py",
    "caddy run": "tests/documents/test_starting.py",
    "anaconda org auth --create": "tests/registry/dialects/anaconda/test_login.py",
}
CLIENTS = PROJECT / ".venv-clients" / "bin"
SHOWN = {"text", "http", "netrc"}
_OF_ANACONDA_ORG = "secrets.ANACONDA_TOKEN"
_ACTIONS = {
    "actions/attest", "actions/checkout", "conda-incubator/setup-miniconda",
    "prefix-dev/setup-pixi",
}  # fmt: skip

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


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, prepared_data: PreparedData) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("documents")
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
        with _anaconda(folder):
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


def _anaconda(folder: Path) -> Any:
    return _Anaconda(folder)


class _Anaconda:
    """The real client, imported once, behind a socket for ``programs.py``."""

    def __init__(self, folder: Path) -> None:
        home = folder / "anaconda-home"
        home.mkdir()
        self._process = subprocess.Popen(
            [
                str(CLIENTS / "python"),
                str(PROJECT / "tests" / "clients" / "anaconda_forks.py"),
            ],
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "COLUMNS": "200",
                "NO_PROXY": "*",
                "OTEL_SDK_DISABLED": "true",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # else it would ask at the terminal of whoever runs the tests
        )
        self._relay = socket.socket(socket.AF_UNIX)
        self._relay.bind(str(folder / "relay"))
        self._relay.listen()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> None:
        self._thread.start()

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


@dataclass(frozen=True)
class Reader:
    """Somebody who does what a document says, in a folder of their own."""

    host: Host
    document: Path
    folder: Path

    @property
    def token(self) -> str:
        return self.host.tokens[SCOPES.get(self.document.stem, ALL)]

    def run(self, text: str, env: Mapping[str, str], place: str) -> None:
        done = subprocess.run(
            ["bash", "-eu", "-c", text],
            env={
                "HOME": str(self.folder),
                "PATH": f"{self.host.folder / 'bin'}:/usr/bin:/bin",
                "NO_PROXY": "*",
                "no_proxy": "*",
                "ANACONDA_RELAY": str(self.host.folder / "relay"),
                "BUILT": str(self.host.folder / "built" / "noarch"),
                "PYTHONWARNINGS": "ignore",
                **env,
            },
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{place}\n{text}\n{done.stdout}\n{done.stderr}"

    def follow(self, block: Block) -> None:
        text = self.host.filled(_what_is_run(block), self.document).replace("cph-…", self.token)
        if block.language == "sh":
            secrets = {"CONDARIUM_TOKEN": self.token, "PASSWORD": PASSWORD}
            if text.strip():
                self.run(text, secrets, block.place)
        elif block.language == "yaml" and text.strip():
            self._yaml(yaml.safe_load(text), text, block.place)
        elif block.language == "groovy":
            assert text.count("{") == text.count("}")
            assert "CONDARIUM_TOKEN = credentials('condarium-token')" in text
            for step in steps_of_jenkins(text):
                self.run(step, {"CONDARIUM_TOKEN": self.token}, block.place)
        elif block.language == "json":
            json.loads(text)
            (self.folder / "noarch").mkdir(exist_ok=True)
            (self.folder / "noarch" / "patch_instructions.json").write_text(text)
        else:
            assert block.language in {*SHOWN, "sh", "yaml"}, f"{block.place}: {block.language!r}"

    def _yaml(self, read: Any, text: str, place: str) -> None:
        if isinstance(read, list):
            self._steps(read, place)
        elif "jobs" in read:
            workspace = replace(self, folder=Path(tempfile.mkdtemp(dir=self.folder)))
            self.host.lay_out(workspace.folder)
            for job in read["jobs"].values():
                workspace._steps(job["steps"], place)
        elif "publish" in read:
            secrets = {"CONDARIUM_TOKEN": self.token}
            self.run("\n".join(read["publish"]["script"]), secrets, place)
        elif "dependencies" in read:
            (self.folder / "environment.yml").write_text(text, encoding="utf-8")
        else:
            assert set(read) <= {"channels", "channel_alias", "default_channels"}, place
            (self.folder / ".condarc").write_text(text, encoding="utf-8")

    def _steps(self, steps: list[dict[str, Any]], place: str) -> None:
        for step in steps:
            if "uses" in step:
                assert step["uses"].partition("@")[0] in _ACTIONS, place
                continue
            secrets = {
                "${{ secrets.CONDARIUM_TOKEN }}": self.token,
                "${{ secrets.ANACONDA_TOKEN }}": self.token,
                "${{ steps.attest.outputs.bundle-path }}": "bundle.json",
            }
            env = {name: secrets[value] for name, value in step.get("env", {}).items()}
            self.run(step["run"], env, place)


def _what_is_run(block: Block) -> str:
    """The block without its commands that are run elsewhere."""
    if block.language != "sh":
        return block.text
    commands = re.findall(r"(?:.*\\\n)*.*\n", block.text)
    return "".join(one for one in commands if not any(part in one for part in RUN_ELSEWHERE))


def _is_for_operators(block: Block) -> bool:
    return block.language == "sh" and block.text.startswith("condarium ")


def _follow(document: Path, host: Host, folder: Path) -> list[str]:
    """Do what the document says; what went wrong, after which nothing more of it is done."""
    reader = Reader(host, document, folder)
    host.lay_out(folder)
    try:
        if document.name == "README.md":
            reader.run("rattler-build build --recipe recipe --output-dir output", {}, "set-up")
        for block in blocks_of(document):
            if not _is_for_operators(block):
                reader.follow(block)
    except AssertionError as error:
        return [str(error)]
    return []


def _operate(host: Host, folder: Path, prepared_data: PreparedData) -> int:
    """Do what all documents tell operators, on a host of its own; how many commands that were."""
    (folder / "conda-bld" / "noarch").mkdir(parents=True)
    (folder / "conda-bld" / "noarch" / HELLO.filename).write_bytes(HELLO.data)
    places = {
        "https://elsewhere.example.org/name": f"{host.server.url}/conda/elsewhere",
        "/srv/conda-bld": str(folder / "conda-bld"),
    }
    commands = [
        [places.get(word, word) for word in shlex.split(line, comments=True)[1:]]
        for document in DOCUMENTS
        for block in blocks_of(document)
        if _is_for_operators(block)
        for line in _what_is_run(block).splitlines()
    ]
    for command in commands:
        if command[:2] == ["import", "anaconda"]:
            command += ["--api", f"{host.server.url}/api"]
    run_commands(
        ["createuser", "olga", "--email", "olga@example.org", "--password-stdin"],
        ["createorg", "acme", "--owner", "olga"],
        *commands,
        env=prepared_data.copy_to(folder / "data"),
        input=PASSWORD,
    )
    return len(commands)


@pytest.mark.long
def test_every_command_in_the_documents_works(
    host: Host, tmp_path: Path, prepared_data: PreparedData
) -> None:
    # One test, since whoever runs a part of these needs the whole host.
    failed: list[str] = []
    for document in DOCUMENTS:
        folder = tmp_path / document.stem
        folder.mkdir()
        failed += _follow(document, host, folder)

    assert not failed, "\n\n".join(failed)
    assert _operate(host, tmp_path / "operators", prepared_data) > 10


@pytest.mark.parametrize(("part", "test"), RUN_ELSEWHERE.items())
def test_what_is_run_elsewhere_is_read_there(part: str, test: str) -> None:
    assert commands_with(part)
    assert f'commands_with("{part}")' in (PROJECT / test).read_text(encoding="utf-8")
