"""anaconda's own client, every command of it, as its users type them, against whole deployments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.clients.conftest import PASSWORD, Deployment, run_client
from tests.servers import PROJECT

CLIENTS_PYTHON = PROJECT / ".venv-clients" / "bin" / "python"
BACK_SECONDS = 20.0


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def printed(self) -> str:
        return self.stdout + self.stderr


class Anaconda:
    """The client in a home of its own, pointed at a host by its configuration file."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.files = home / "files"
        self.files.mkdir(parents=True)
        folder = home / ".continuum" / "anaconda-client"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(
            f"default_site: portal\nsites:\n  portal:\n    url: {url}/api\n", encoding="utf-8"
        )
        self._process = subprocess.Popen(
            [str(CLIENTS_PYTHON), "-P", str(PROJECT / "tests" / "forks.py"), "anaconda"],
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

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def run(self, *arguments: str, typed: str = "") -> Done:
        """One command, in the folder with the files; ``typed`` is what its user answers."""
        assert self._process.stdin
        assert self._process.stdout
        job = {"arguments": arguments, "typed": typed, "cwd": str(self.files), "environ": {}}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        done = json.loads(self._process.stdout.readline())
        return Done(done["code"], done["stdout"], done["stderr"])

    def has(self, *packages: BuiltPackage) -> None:
        for built in packages:
            (self.files / built.filename).write_bytes(built.data)


@pytest.fixture(scope="module")
def anaconda(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Anaconda]:
    """ada's, after her login."""
    client = Anaconda(tmp_path_factory.mktemp("ada"), deployment.url)
    done = client.run(
        "login", "--at", "anaconda.org", "--username", "ada", "--password", PASSWORD, typed="y\n"
    )
    assert (done.code, "ada's login successful" in done.stderr) == (0, True), done.printed
    yield client
    client.close()


@dataclass(frozen=True)
class Step:
    """A command, its exit code, and what it prints; patterns that must be found, in any order."""

    command: str
    code: int = 0
    prints: tuple[str, ...] = field(default=())


def does(command: str, *prints: str) -> Step:
    return Step(command, 0, prints)


def fails(command: str, *prints: str) -> Step:
    return Step(command, 1, prints)


ABOUT = {"summary": "Greets", "license": "MIT", "home": "https://example.org/hello"}
HELLO = build_conda("hello", "1.0", about=ABOUT)
NEWER = build_tar_bz2("hello", "2.0", subdir="linux-64", about=ABOUT)
SECRET = build_conda("secret", "1.0", about=ABOUT)
LOOSE = build_conda("loose", "1.0", about=ABOUT)
FILE = "noarch/hello-1.0-0.conda"
UPLOADED = (r"Upload complete", r"conda located at:\s+http://\S+/neutrons/hello\n")

UPLOADS = (
    fails("upload -u nobody hello-1.0-0.conda", 'User "nobody" does not exist'),
    fails("upload -u neutrons --no-register hello-1.0-0.conda", "neutrons/hello does not exist"),
    does("upload -u neutrons hello-1.0-0.conda", 'Creating release "1.0"', *UPLOADED),
    fails("upload -u neutrons hello-1.0-0.conda", f"file {FILE} already exists", "409"),
    fails("upload -u neutrons -f hello-1.0-0.conda", f"file {FILE} already exists"),
    does("upload -u neutrons --skip-existing hello-1.0-0.conda", "already exists. Skipping"),
    does(
        "upload -u neutrons --force hello-1.0-0.conda", f'"{FILE}" already exists. Rem', *UPLOADED
    ),
    does(
        "upload -u neutrons --label rc --label test/dev:1 -m --build-id 7 --register "
        "hello-2.0-0.tar.bz2",
        'Creating release "2.0"',
        *UPLOADED,
    ),
    does(
        "upload -u neutrons --private --summary By_hand --description In_many_words -t conda "
        "secret-1.0-0.conda",
        'Creating package "secret"',
        "Upload complete",
    ),
    does("upload -u neutrons hello-1.0-0.conda loose-1.0-0.conda --skip-existing", "Upload com"),
    does("upload --keep-basename -u neutrons -l rc --force loose-1.0-0.conda", "Upload complete"),
)
LOOKS = (
    does("org whoami", "Username: ada"),
    does(
        "show neutrons", r"neutrons/hello +\| +2.0 \| public", r"secret .*\n? .*private", "By_hand"
    ),
    does("show neutrons/hello", "Summary: Greets", "Access:  public", r"\+ 1.0\n +\+ 2.0"),
    does("show neutrons/secret", "Summary: By_hand", "Access:  private"),
    does("show neutrons/secret/1.0", "In_many_words"),
    does("show neutrons/hello/1.0", rf"\+ {FILE}"),
    does(
        f"show neutrons/hello/1.0/{FILE}",
        rf"sha256 +: '{HELLO.sha256}'",
        rf"size +: {HELLO.size}",
        r"labels +: \['main'\]",
    ),
    fails("show neutrons/nothing", r'The package "neutrons/nothing" could not be found', "404"),
    fails("show nobody", "404"),
    does("search hello", "neutrons/hello", r"Found \d+ packages"),
    does("search -t conda -p linux-64 hello", "neutrons/hello"),
    does("search -t pypi hello", "Found 0 packages"),
    does("download neutrons/hello -f", "hello-1.0-0.conda", "hello-2.0-0.tar.bz2"),
    does("download neutrons/secret -f", "secret-1.0-0.conda"),
)
LABELS = (
    does("label --list -o neutrons", r"\+ main \n", r"\+ rc \n", r"\+ test/dev:1"),
    does("label --show rc -o neutrons", r"\+ neutrons/hello/2.0/linux-64/hello-2.0-0.tar.bz2"),
    does("label --copy test/dev:1 copied -o neutrons", "Copied label test/dev:1 to copied"),
    does("label --lock copied -o neutrons", "Label copied is now locked"),
    does("label --list -o neutrons", r"\+ copied\[locked\]"),
    fails("upload -u neutrons --force -l copied loose-1.0-0.conda", "copied is locked"),
    does("upload -u neutrons --skip-existing loose-1.0-0.conda", "Skipping|Upload complete"),
    does("label --unlock copied -o neutrons", "Label copied is now unlocked"),
    does("label --remove copied -o neutrons", "Removed label copied"),
    fails("label --show copied -o neutrons", 'label "copied" of neutrons could not be found'),
    does("move neutrons/hello/2.0 --from-label test/dev:1 --to-label main"),
    does("label --show main -o neutrons", "hello-2.0-0.tar.bz2", "hello-1.0-0.conda"),
    does("move neutrons/hello/2.0/linux-64/hello-2.0-0.tar.bz2 --from-label main --to-label late"),
    fails("move neutrons/hello/2.0 --from-label none --to-label main", "Label none does not ex"),
    does("copy neutrons/hello/1.0 --to-owner ada", f"Copied file: {FILE}", "Copied 1 files!"),
    does("copy neutrons/hello/1.0 --to-owner ada --replace", "Copied 1 files!"),
    does("copy neutrons/hello/1.0 --to-owner ada --update", "Copied 0 files!"),
    does(
        f"copy neutrons/hello/1.0/{FILE} --from-label main --to-label dev --to-owner neutrons",
        "Copied 1 files!",
    ),
    fails("copy neutrons/hello/1.0 --to-owner nobody", "nobody"),
    does("remove -f ada/hello"),
)
PEOPLE = (
    does("package neutrons/made --create --summary New --license MIT --private", "Package created"),
    does("show neutrons/made", "Summary: New", "Access:  private"),
    does("package neutrons/hello --add-collaborator bob"),
    does("package neutrons/hello --list-collaborators", r":Collaborators:\n *bob"),
    fails("package neutrons/hello --add-collaborator nobody", "nobody"),
    does("org groups add neutrons/devs --perms write", "Created the group neutrons/devs"),
    does("org groups show neutrons", "'name': 'devs'", "'name': 'owners'"),
    does("org groups add_member neutrons/devs/bob", 'Added the user "bob"'),
    does("org groups members neutrons/devs", "bob"),
    does("org groups add_package neutrons/devs/hello", 'Added the package "hello"'),
    does("org groups packages neutrons/devs", "neutrons/hello +Greets"),
    does("org groups show neutrons/devs", "'permission': 'write'", "'members_count': 1"),
    does("org groups remove_package neutrons/devs/hello", 'Removed the package "hello"'),
    does("org groups remove_member neutrons/devs/bob", 'Removed the user "bob"'),
    fails("org groups add_member neutrons/nothing/bob", "404"),
)
METADATA = (
    does("update neutrons/hello about.json", "Package `neutrons/hello` has been updated"),
    does("show neutrons/hello", "Summary: Said anew"),
    does("update --release neutrons/hello/1.0 about.json", "`neutrons/hello/1.0` has been updated"),
    does("show neutrons/hello/1.0", "Said at length"),
    fails("update neutrons/nothing about.json", "could not be found"),
)
TOKENS = (
    does("org auth --list-scopes", "api:write", "conda:download"),
    does("org auth --list", r"binstar_client:portal:\S+ +\| 127.0.0.1", "36[45] days +.*all"),
    does("org auth --info", r"Name: binstar_client:portal:"),
    fails("org auth --remove none", "none"),
)
REMOVALS = (
    does(f"remove -f neutrons/hello/1.0/{FILE}"),
    fails(f"show neutrons/hello/1.0/{FILE}", "404"),
    does("remove -f neutrons/hello/2.0"),
    does("remove -f neutrons/hello"),
    fails("show neutrons/hello", "404"),
    does("remove -f neutrons/secret neutrons/loose neutrons/made"),
    does("remove -f neutrons/hello"),
    fails("remove neutrons/hello", "Are you sure you want to remove the package neutrons/hello"),
    does("label --remove rc -o neutrons", "Removed label rc"),
)


def test_every_command_twice_in_a_row(deployment: Deployment, anaconda: Anaconda) -> None:
    anaconda.has(HELLO, NEWER, SECRET, LOOSE)
    said = {"summary": "Said anew", "description": "Said at length"}
    (anaconda.files / "about.json").write_text(json.dumps(said), encoding="utf-8")
    everything = (*UPLOADS, *LOOKS, *LABELS, *PEOPLE, *METADATA, *TOKENS, *REMOVALS)
    for steps in (everything, (*UPLOADS, *REMOVALS)):
        for step in steps:
            done = anaconda.run(*step.command.split())
            told = f"$ anaconda {step.command}\n{done.printed}"
            assert done.code == step.code, told
            for pattern in step.prints:
                assert re.search(pattern, done.printed), f"{pattern!r} is missing in {told}"
            # It shows where in itself a warning comes from.
            assert "Traceback" not in done.printed or "[WARNING]" in done.printed, told
    for built in (HELLO, NEWER, SECRET):
        subdir = "linux-64" if built is NEWER else "noarch"
        assert (anaconda.files / subdir / built.filename).read_bytes() == built.data


def test_notices_from_a_draft_to_their_end(deployment: Deployment, anaconda: Anaconda) -> None:
    notice = ("channel", "notice")
    for _ in range(2):
        message = ("--message", "Moved elsewhere", "--level", "warning", "--expires-after", "9")
        made = anaconda.run(*notice, "create", "neutrons", *message)
        assert made.code == 0, made.printed
        [identifier] = set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", made.printed))
        listed = anaconda.run(*notice, "list", "neutrons", "--status", "draft")
        assert identifier in listed.printed.replace("\n", ""), listed.printed
        assert shown_by_conda(deployment) == []

        for command in (
            ("publish", "neutrons", identifier, "--force"),
            ("get", "neutrons", identifier),
            ("update", "neutrons", identifier, "--message", "Moved for good"),
        ):
            done = anaconda.run(*notice, *command)
            assert done.code == 0, (command, done.printed)
        assert shown_by_conda(deployment) == ["Moved for good"]

        for command in (
            ("archive", "neutrons", identifier),
            ("delete", "neutrons", identifier, "--force"),
        ):
            done = anaconda.run(*notice, *command, typed="y\n")
            assert done.code == 0, (command, done.printed)
        assert shown_by_conda(deployment) == []
        gone = anaconda.run(*notice, "get", "neutrons", identifier)
        assert gone.code == 1
        assert "Traceback" not in gone.printed


def shown_by_conda(deployment: Deployment) -> list[str]:
    status, body = deployment.curl(f"{deployment.url}/conda/neutrons/notices.json")
    assert status == 200
    return [notice["message"] for notice in json.loads(body)["notices"]]


@pytest.mark.parametrize("place", ["stage-received", "stage-stored", "stored", "stage-ended"])
def test_an_upload_during_which_the_server_died_succeeds_when_it_is_run_again(
    place: str, deployment: Deployment, anaconda: Anaconda
) -> None:
    built = build_conda(f"died-at-{place}", "1.0", about=ABOUT)
    anaconda.has(built)
    upload = ("upload", "-u", "neutrons", "--skip-existing", built.filename)
    deployment.order.write_text(place, encoding="ascii")

    cut = anaconda.run(*upload)

    if deployment.order.exists():  # the bytes went past us, to the S3
        deployment.order.unlink()
        assert place.startswith("stage-")
        assert cut.code == 0, cut.printed
    else:
        assert cut.code == 1
    deadline = time.monotonic() + BACK_SECONDS
    while (again := anaconda.run(*upload)).code:
        assert time.monotonic() < deadline, again.printed
        time.sleep(0.3)
    deployment.wait_until_listed("/conda/neutrons/noarch", built.filename)
    fetched = anaconda.files / "fetched"
    url = f"{deployment.url}/conda/neutrons/noarch/{built.filename}"
    assert deployment.curl("-L", "-o", str(fetched), url)[0] == 200
    assert fetched.read_bytes() == built.data
    assert anaconda.run(*upload).code == 0


def test_rattler_builds_uploader_publishes_twice_and_replaces(
    deployment: Deployment, tmp_path: Path
) -> None:
    noise = {"share/noise": os.urandom(3_000_000)}
    built = build_conda("by-rattler", "1.0", about=ABOUT, files=noise)
    other = build_conda("by-rattler", "1.0", about={**ABOUT, "summary": "Anew"})
    assert built.size > 3_000_000
    file = tmp_path / built.filename
    token = deployment.token("api:read", "api:write")
    to = (str(file), f"{deployment.url}/api", "neutrons", token)

    file.write_bytes(built.data)
    for _ in range(2):  # the same bytes again are no error
        run_client("anaconda_upload.py", *to, home=tmp_path)
    for label in ("rc", "dev"):
        deployment.wait_until_listed(f"/conda/neutrons/label/{label}/noarch", file.name)
    fetched = tmp_path / "fetched"
    url = f"{deployment.url}/conda/neutrons/label/dev/noarch/{file.name}"
    assert deployment.curl("-L", "-o", str(fetched), url)[0] == 200
    assert fetched.read_bytes() == built.data

    file.write_bytes(other.data)
    refused = run_client("anaconda_upload.py", *to, home=tmp_path, ok=False)
    assert "409" in refused or "exist" in refused.lower()
    run_client("anaconda_upload.py", *to, "force", home=tmp_path)
    deployment.wait_until_listed("/conda/neutrons/label/dev/noarch", other.sha256)


def test_jobs_side_by_side_may_upload_the_same_file(
    deployment: Deployment, anaconda: Anaconda, tmp_path: Path
) -> None:
    built = build_conda("side-by-side", "1.0", about=ABOUT)
    (tmp_path / built.filename).write_bytes(built.data)
    env = {
        "HOME": str(anaconda.home),
        "PATH": os.environ["PATH"],
        "NO_PROXY": "*",
        "OTEL_SDK_DISABLED": "true",
    }
    command = [str(CLIENTS_PYTHON.with_name("anaconda")), "upload", "-u", "neutrons"]
    jobs = [
        subprocess.Popen(
            [*command, "--skip-existing", built.filename],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for _ in range(4)
    ]

    printed = [job.communicate(timeout=120)[0] for job in jobs]

    assert [job.returncode for job in jobs] == [0] * 4, printed
    deployment.wait_until_listed("/conda/neutrons/noarch", built.filename)


def test_the_token_of_a_login_installs_what_is_private(
    deployment: Deployment, anaconda: Anaconda, built: dict[str, Path], tmp_path: Path
) -> None:
    """As conda does: it finds the token's file, and puts ``/t/<token>/`` behind ``/conda``."""
    upload = anaconda.run("upload", "-u", "ada", "--private", "--force", str(built["conda"]))
    assert upload.code == 0, upload.printed
    [secret] = {path.read_text(encoding="utf-8") for path in anaconda.home.rglob("*.token")}
    package = "neutron-tools"
    deployment.wait_until_listed("/conda/ada/noarch", built["conda"].name, secret)

    places = (str(tmp_path / "prefix"), str(tmp_path / "cache"))
    with_token = f"{deployment.url}/conda/t/{secret}/ada"
    run_client("rattler_install.py", with_token, package, *places, home=tmp_path)
    assert (tmp_path / "prefix" / "share" / "neutron-tools" / "detector.txt").is_file()

    places = (str(tmp_path / "none"), str(tmp_path / "other-cache"))
    without = f"{deployment.url}/conda/ada"
    run_client("rattler_install.py", without, package, *places, home=tmp_path, ok=False)
    assert secret not in deployment.server.log()
