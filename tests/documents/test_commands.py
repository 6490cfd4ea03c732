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

What stands in running text is typed as ``running_text.py`` says, each in a folder and home of its
own, on the same host.

``RUN_ELSEWHERE`` names the rest: commands that don't end, or want a browser or a tree of their own.
The tests that run them read them from the documents, too.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.views import documents
from tests.builders import build_conda
from tests.clients.conftest import PASSWORD
from tests.documents import running_text
from tests.documents.blocks import (
    DOCUMENTS,
    Block,
    blocks_of,
    commands_with,
    steps_of_jenkins,
)
from tests.documents.host import ALL, HELLO, OTHER, SCOPES, Host, live_host
from tests.documents.programs import PROGRAMS
from tests.servers import PROJECT, PreparedData, run_commands

RUN_ELSEWHERE = {
    "make run": "tests/documents/test_starting.py",
    "make test": "tests/documents/test_starting.py",
    "make compose": "tests/documents/test_starting.py",
    "docker compose run": "tests/documents/test_starting.py",
    "docker compose exec": "tests/documents/test_starting.py",
    "sqlite3 data": "tests/documents/test_starting.py",
    "caddy run": "tests/documents/test_starting.py",
    "anaconda org auth --create": "tests/registry/dialects/anaconda/test_login.py",
}
SHOWN = {"text", "http", "netrc"}
_ACTIONS = {
    "actions/attest", "actions/checkout", "conda-incubator/setup-miniconda",
    "prefix-dev/setup-pixi",
}  # fmt: skip


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, prepared_data: PreparedData) -> Iterator[Host]:
    with live_host(tmp_path_factory.mktemp("documents"), prepared_data) as host:
        yield host


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
        done = self.host.typed(text, self.folder, env)
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
            words = {line.split()[0] for line in block.text.splitlines() if line.strip()}
            assert not words & {*PROGRAMS, "curl", "make"}, f"{block.place}: is a command"

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


def _fill_the_accounts_of_running_text(host: Host) -> None:
    """What its commands find: packages in channels of all kinds, and what they have at hand."""
    at_hand = host.folder / "at-hand"
    (at_hand / "again").mkdir(parents=True)
    for name in running_text.PACKAGES:
        built = build_conda(name, "1.0", about={"summary": "From its file"})
        other = build_conda(name, "1.0", files={"share/other": "bytes"})
        (at_hand / built.filename).write_bytes(built.data)
        (at_hand / "again" / built.filename).write_bytes(other.data)
    for built, subdir in ((HELLO, "noarch"), (OTHER, "linux-64")):
        for folder in (at_hand, at_hand / "conda-bld" / subdir):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / built.filename).write_bytes(built.data)
    (at_hand / "bundle.json").symlink_to(host.folder / "bundle.json")
    accounts = f"{host.server.url}/api/v1/accounts"
    private = '{"name": "internal", "visibility": "private"}'
    host.curl("--json", private, f"{accounts}/in-text/channels")
    for place, name in (
        ("in-text/main", "hello"),
        ("in-text/internal", "hello"),
        ("for-deleted/main", "hello"),
        ("old-account/main", "hello"),
        ("old-account/dev", "sole"),
        ("old-account/main", "plain"),
        ("old-account/main", "hidden"),
    ):
        file = at_hand / f"{name}-1.0-0.conda"
        address = f"{host.server.url}/conda/{place}/noarch/{file.name}?wait=10"
        host.curl("--upload-file", str(file), address)
    unlabelled = f"{accounts}/old-account/files/noarch/plain-1.0-0.conda/channels/main"
    host.curl("--request", "DELETE", unlabelled)
    hidden = f"{accounts}/old-account/packages/hidden"
    host.curl("--request", "PATCH", "--json", '{"is_private": true}', hidden)


@pytest.mark.long
def test_every_command_in_running_text_works(host: Host, tmp_path: Path) -> None:
    # One test, since all find the same accounts.
    _fill_the_accounts_of_running_text(host)
    token = host.tokens[ALL]
    env = {
        "HOST": host.server.url,
        "DATA": host.server.env["CONDARIUM_DATA"],
        "PROJECT": str(PROJECT),
        "TOKEN": token,
        "ANACONDA_API_TOKEN": token,
        "PASSWORD": PASSWORD,
    }
    failed: list[str] = []
    for number, entry in enumerate(running_text.TYPED):
        folder = tmp_path / str(number)
        shutil.copytree(host.folder / "at-hand", folder)
        text = documents.fill(entry.shell, base_url=host.server.url, account="in-text")
        done = host.typed(f"{running_text.SHELL}\n{text}", folder, env)
        printed = done.stdout + done.stderr
        found = [re.search(pattern, printed, re.MULTILINE) for pattern in entry.prints]
        lacks = entry.lacks and re.search(entry.lacks, printed)
        if done.returncode or not all(found) or lacks:
            failed.append(f"{entry.documents}\n$ {text}\n[{done.returncode}]\n{printed}")

    assert not failed, "\n\n".join(failed)


def test_every_command_in_running_text_is_run_by_somebody() -> None:
    assert running_text.unheard_of() == []
    # Without a word of what is printed, an exit code would be all that is looked at.
    assert all(entry.prints for entry in running_text.TYPED)


@pytest.mark.parametrize(("words", "test"), running_text.RUN_ELSEWHERE.items())
def test_what_of_running_text_is_run_elsewhere_is_read_there(words: str, test: str) -> None:
    text = (PROJECT / test).read_text(encoding="utf-8")
    assert f'in_text("{words}")' in text or f"in_text('{words}')" in text


@pytest.mark.parametrize(("part", "test"), RUN_ELSEWHERE.items())
def test_what_is_run_elsewhere_is_read_there(part: str, test: str) -> None:
    assert commands_with(part)
    assert f'commands_with("{part}")' in (PROJECT / test).read_text(encoding="utf-8")
