"""``condarium import``: a folder of package files, or what another channel has."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard
from django.conf import settings
from django.core.management import CommandError, call_command

from accounts.models import Event, Organization
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile, Record, StaleMark
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import (
    ChannelAddress,
    get,
    repodata,
    stored_files,
    subdir_of,
)
from tests.servers import PROJECT, LiveServer, _environment, run_manage

HELLO = build_conda("hello", "1.0", run_exports={"weak": ["hello >=1"]})
NEWER = build_conda("hello", "2.0", depends=["python >=3"], about={"summary": "Newer"})
OLD_KIND = build_tar_bz2("old", "0.9", subdir="linux-64")
GOOD = (HELLO, NEWER, OLD_KIND)


@dataclass(frozen=True)
class Outcome:
    out: str
    err: str
    code: int


def run(*arguments: str, **options: Any) -> Outcome:
    """The command as an operator runs it, with one process that reads."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    options.setdefault("processes", 1)
    try:
        call_command("import", *arguments, stdout=out, stderr=err, **options)
    except SystemExit as ended:
        code = ended.code
    except CommandError as error:
        return Outcome(out.getvalue(), err.getvalue() + str(error), error.returncode)
    return Outcome(out.getvalue(), err.getvalue(), code)


def folder_of(folder: Path, *packages: BuiltPackage, flat: bool = False) -> Path:
    for built in packages:
        place = folder if flat else folder / subdir_of(built)
        place.mkdir(parents=True, exist_ok=True)
        (place / built.filename).write_bytes(built.data)
    return folder


def listed(person: Person, channel: ChannelAddress, subdir: str) -> dict[str, Any]:
    document = repodata(person, channel, subdir)
    return {**document["packages"], **document["packages.conda"]}


# --- A folder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("flat", [False, True])
def test_what_lies_in_a_folder_is_published(
    flat: bool, owner: Person, acme: Organization, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD, flat=flat)

    done = run(str(source), "acme")

    assert done.code == 0, done.err
    assert "3 published, 0 added to the channel, 0 were there" in done.out
    channel = ChannelAddress("acme")
    assert set(listed(owner, channel, "noarch")) == {HELLO.filename, NEWER.filename}
    assert listed(owner, channel, "linux-64")[OLD_KIND.filename]["sha256"] == OLD_KIND.sha256
    for built in GOOD:
        answer = get(channel.url(f"{subdir_of(built)}/{built.filename}"))
        assert answer.body == built.data
    assert not StaleMark.objects.exists()
    assert [path for path in stored_files() if not path.startswith("blobs/")] == []


def test_imported_files_are_what_uploaded_ones_are(
    owner: Person, acme: Organization, channel: ChannelAddress, tmp_path: Path
) -> None:
    for built in GOOD:
        assert owner.upload(built, to=channel).status_code == 201
    uploaded = _rows()
    shutil.rmtree(settings.FILES_FOLDER)
    for model in (ChannelFile, Record, PackageFile, Package, Blob):
        model.objects.all().delete()

    assert run(str(folder_of(tmp_path / "source", *GOOD)), "acme").code == 0

    assert _rows() == uploaded


def _rows() -> list[dict[str, Any]]:
    """All that is kept of the files, but for keys and times."""
    rows: list[dict[str, Any]] = []
    for file in PackageFile.objects.select_related("package", "record", "blob").order_by(
        "filename"
    ):
        [entry] = file.entries.all()
        stamp = str(file.indexed_timestamp_ms)
        assert f'"indexed_timestamp":{stamp}'.encode() in bytes(file.record.json)
        assert file.blob is not None
        rows.append(
            {
                **{
                    name: getattr(file, name)
                    for name in (
                        "subdir", "filename", "name", "version", "build", "build_number", "sha256",
                        "md5", "size_bytes", "about", "run_exports", "channeldata_flags",
                        "findings", "schema_version", "uploaded_by",
                    )
                },
                "version_key": bytes(file.version_key),
                "index": {**file.index, "indexed_timestamp": 0},
                "json": bytes(file.record.json).replace(stamp.encode(), b"0"),
                "msgpack": len(file.record.msgpack),
                "run_exports_json": bytes(file.record.run_exports_json),
                "blob": (file.blob.sha256, file.blob.md5, file.blob.size_bytes),
                "entry": (entry.subdir, entry.name, bytes(entry.repodata_key), entry.added_by),
                "package": (
                    file.package.summary, file.package.latest_version, file.package.license,
                ),
            }
        )  # fmt: skip
    return rows


def test_the_same_again_changes_nothing_and_reads_no_archive(
    acme: Organization, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD)
    assert run(str(source), "acme").code == 0
    events = Event.objects.count()

    again = run(str(source), "acme")

    assert again.code == 0
    assert "0 published, 0 added to the channel, 3 were there" in again.out
    assert Event.objects.count() == events


def test_one_event_tells_of_all_files_of_a_commit(
    owner: Person, acme: Organization, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD)

    assert run(str(source), "acme/dev").code == 0

    event = Event.objects.get(action="file.import")
    assert (event.target, event.actor_name) == ("dev", owner.name)
    assert event.detail == {"channel": "dev", "from": str(source), "published": 3, "added": 0}
    assert PackageFile.objects.filter(uploaded_by=owner.user).count() == 3


def test_files_that_the_account_has_are_added_to_another_channel(
    owner: Person, acme: Organization, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD)
    assert run(str(source), "acme").code == 0

    done = run(str(source), "acme/dev")

    assert "0 published, 3 added to the channel" in done.out
    assert set(listed(owner, ChannelAddress("acme", "dev"), "linux-64")) == {OLD_KIND.filename}


def test_what_is_refused_stops_nothing_else(acme: Organization, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", *GOOD)
    wrong = source / "noarch"
    (wrong / "torn-1.0-0.conda").write_bytes(HELLO.data[:-40])
    (wrong / "other-1.0-0.conda").write_bytes(HELLO.data)
    (wrong / "empty-1.0-0.tar.bz2").write_bytes(b"")
    (wrong / OLD_KIND.filename).write_bytes(OLD_KIND.data)
    (wrong / "readme.txt").write_text("This is no package.")

    done = run(str(source), "acme")

    assert done.code == 1
    assert "3 published" in done.out
    assert "4 refused" in done.out
    assert "noarch/torn-1.0-0.conda: The .conda file does not end with its ZIP dir" in done.err
    assert "noarch/other-1.0-0.conda: The file was sent as 'other-1.0-0.conda'" in done.err
    assert "noarch/empty-1.0-0.tar.bz2: The file is empty" in done.err
    assert f"noarch/{OLD_KIND.filename}: The package is for 'linux-64'" in done.err
    assert "readme" not in done.err
    assert len(stored_files()) == 3


def test_other_bytes_under_a_known_name_are_a_conflict(
    owner: Person, acme: Organization, channel: ChannelAddress, tmp_path: Path
) -> None:
    other = build_conda("hello", "1.0", files={"share/other": "other"})
    assert owner.upload(HELLO, to=channel).status_code == 201

    done = run(str(folder_of(tmp_path / "source", other, NEWER)), "acme")

    assert done.code == 1
    assert "1 published" in done.out
    assert "1 conflicts, 0 refused" in done.out
    assert f"noarch/{HELLO.filename}: acme already has noarch/{HELLO.filename} with" in done.err
    assert PackageFile.objects.get(version="1.0").sha256 == HELLO.sha256
    assert len(stored_files()) == 2


def test_a_file_that_lies_there_twice_goes_in_once(acme: Organization, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", HELLO)
    folder_of(source, HELLO, flat=True)

    done = run(str(source), "acme")

    assert done.code == 0, done.err
    assert "1 published, 0 added to the channel, 1 were there" in done.out


def test_a_deleted_file_comes_back_with_its_own_bytes_alone(
    owner: Person, acme: Organization, channel: ChannelAddress, tmp_path: Path
) -> None:
    from registry import placement  # noqa: PLC0415 - shadows nothing else here

    for built in (HELLO, NEWER):
        assert owner.upload(built, to=channel).status_code == 201
    for file in PackageFile.objects.select_related("account", "package"):
        placement.delete_file(by=owner.identity, file=file)
    other = build_conda("hello", "2.0", files={"share/other": "other"})

    done = run(str(folder_of(tmp_path / "source", HELLO, other)), "acme")

    assert "1 published" in done.out
    assert "1 conflicts" in done.out
    assert "once had another" in done.err
    document = repodata(owner, channel, "noarch")
    assert list(document["packages.conda"]) == [HELLO.filename]
    assert document["removed"] == [NEWER.filename]


def test_only_what_is_asked_for_is_taken(acme: Organization, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", *GOOD, build_conda("help", "1.0"))

    assert run(str(source), "acme", subdirs=["noarch"], packages=["hel*", "x"]).code == 0
    assert set(PackageFile.objects.values_list("name", flat=True)) == {"hello", "help"}
    assert run(str(source), "acme", packages=["old"]).code == 0
    assert PackageFile.objects.filter(name="old").exists()


def test_links_instead_of_copies_only_when_asked_for(acme: Organization, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", HELLO, NEWER)

    assert run(str(source), "acme", packages=["none"]).code == 0
    assert run(str(source), "acme", link=True).code == 0

    for built in (HELLO, NEWER):
        assert (source / "noarch" / built.filename).stat().st_nlink == 2
    assert run(str(source), "acme/dev").code == 0


def test_large_files_are_taken_in_blocks(owner: Person, acme: Organization, tmp_path: Path) -> None:
    noise = os.urandom(3 * 1024 * 1024)
    large = build_conda("large", "1.0", files={"share/noise": noise})

    assert run(str(folder_of(tmp_path / "source", large)), "acme").code == 0

    assert get(ChannelAddress("acme").url(f"noarch/{large.filename}")).body == large.data
    again = run(str(tmp_path / "source"), "acme")
    assert "1 were there" in again.out


def test_many_files_take_few_queries(
    acme: Organization, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    many = [build_conda(f"package-{number}", "1.0") for number in range(40)]
    source = folder_of(tmp_path / "source", *many)

    with django_assert_max_num_queries(60):
        assert run(str(source), "acme", no_index=True).code == 0

    assert PackageFile.objects.count() == 40


# --- Who, and where to -------------------------------------------------------------------------


def test_a_private_channel_stays_private(
    acme: Organization, owner: Person, private_channel: ChannelAddress, tmp_path: Path
) -> None:
    assert run(str(folder_of(tmp_path / "source", HELLO)), "acme/secret").code == 0

    path = private_channel.url("noarch/repodata.json")
    assert get(path).status_code == 404
    assert set(listed(owner, private_channel, "noarch")) == {HELLO.filename}


def test_a_maintainer_imports_what_is_theirs_to_publish(
    maintainer: Person, channel: ChannelAddress, tmp_path: Path
) -> None:
    assert run(str(folder_of(tmp_path / "source", *GOOD)), "acme", user=maintainer.name).code == 0
    assert set(PackageFile.objects.values_list("uploaded_by", flat=True)) == {maintainer.user.pk}


def test_packages_of_others_are_refused_one_by_one(
    owner: Person, stranger: Person, channel: ChannelAddress, tmp_path: Path
) -> None:
    from accounts.roles import Permission  # noqa: PLC0415 - shadows nothing else here
    from registry.collaboration import set_collaborator  # noqa: PLC0415 - see above

    assert owner.upload(HELLO, to=channel).status_code == 201
    set_collaborator(
        by=owner.identity,
        package=Package.objects.select_related("account").get(),
        user=stranger.user,
        permission=Permission.WRITE,
    )

    done = run(str(folder_of(tmp_path / "source", *GOOD)), "acme", user=stranger.name)

    assert done.code == 1
    assert "1 published, 0 added to the channel, 1 were there" in done.out
    assert f"linux-64/{OLD_KIND.filename}: sven may not publish old to acme" in done.err


def test_packages_for_newer_clients_wait_for_the_switch(
    owner: Person, acme: Organization, channel: ChannelAddress, tmp_path: Path
) -> None:
    newer = build_conda("flagged", "1.0", index={"schema_version": 3})
    source = folder_of(tmp_path / "source", HELLO, newer)

    done = run(str(source), "acme")

    assert done.code == 1
    assert "1 published" in done.out
    assert f"{newer.filename} is for clients that read repodata v3" in done.err
    Channel.objects.update(allows_v3=True)
    assert "1 published" in run(str(source), "acme").out
    Channel.objects.update(allows_v3=False)
    Channel.objects.create(account=acme.account, name="dev")
    other = run(str(source), "acme/dev")
    assert (other.code, "1 added to the channel" in other.out) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (["/nowhere", "acme"], {}, "'/nowhere' is neither a folder nor an address"),
        (["{folder}", "nobody"], {}, "There is no user and no organization 'nobody'"),
        (["{folder}", "acme/t"], {}, "The channel name is 't'"),
        (["{folder}", "acme"], {"user": "nobody"}, "There is no user 'nobody'"),
        (["{folder}", "acme"], {"user": "sven"}, "sven may not publish to acme"),
        (["{folder}", "acme"], {"subdirs": ["../etc"]}, "'../etc' is no subdir"),
        (["{folder}", "acme"], {"processes": 0}, "--processes is a number from 1 on"),
        (["ftp://localhost/x", "acme"], {}, "The address must be like https://"),
        (["http://localhost:0/x", "acme"], {}, "The address must be like https://"),
        (["http://localhost/x?y", "acme"], {}, "has no '?'"),
        (["http://localhost/x", "acme"], {"link": True}, "--link is for a folder"),
    ],
)
def test_wrong_use_ends_with_one_line_and_2(
    arguments: list[str],
    options: dict[str, Any],
    said: str,
    acme: Organization,
    stranger: Person,
    tmp_path: Path,
) -> None:
    texts = [text.format(folder=tmp_path) for text in arguments]

    done = run(*texts, **options)

    assert done.code == 2
    assert said in done.err
    assert not Channel.objects.exists()


def test_the_command_line_itself_is_checked() -> None:
    done = run_manage(["import"], {})

    assert done.returncode == 2
    assert "SOURCE" in done.stderr
    assert "Traceback" not in done.stderr


# --- Another channel ---------------------------------------------------------------------------


@dataclass
class Site:
    """A web server with the files of a folder, as a mirror or a bucket is one."""

    folder: Path
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    slow_seconds: float = 0.0

    def publish(self, *packages: BuiltPackage, packed: bool = False, **info: Any) -> None:
        """Write files and the repodata that lists them."""
        folder_of(self.folder, *packages)
        for subdir in {subdir_of(built) for built in packages}:
            records = {
                built.filename: {
                    "depends": ["python >=3"] if built is NEWER else [],
                    "sha256": built.sha256,
                    "md5": built.md5,
                    "size": built.size,
                }
                for built in packages
                if subdir_of(built) == subdir
            }
            self.write(subdir, records, packed=packed, **info)

    def write(
        self, subdir: str, records: dict[str, Any], *, packed: bool = False, **info: Any
    ) -> None:
        document = {
            "info": {"subdir": subdir, **info},
            "packages": {n: r for n, r in records.items() if n.endswith(".tar.bz2")},
            "packages.conda": {n: r for n, r in records.items() if n.endswith(".conda")},
            "removed": ["gone-1.0-0.conda"],
            "repodata_version": 1,
        }
        data = json.dumps(document, indent=1).encode()
        name = "repodata.json.zst" if packed else "repodata.json"
        (self.folder / subdir).mkdir(parents=True, exist_ok=True)
        (self.folder / subdir / name).write_bytes(zstandard.compress(data) if packed else data)


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(site.folder))

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            site.asked.append((path, self.headers["Authorization"]))
            time.sleep(site.slow_seconds if path.endswith(".conda") else 0)
            if site.failures.get(path):
                self.send_response(site.failures[path].pop(0))
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """The test tells what matters."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(Site(tmp_path / "site")) as served:
        served.folder.mkdir()
        yield served


@pytest.mark.parametrize("packed", [False, True])
def test_another_channel_is_mirrored(
    packed: bool, owner: Person, acme: Organization, site: Site
) -> None:
    site.publish(*GOOD, packed=packed)

    done = run(site.url, "acme")

    assert done.code == 0, done.err
    assert "3 published" in done.out
    channel = ChannelAddress("acme")
    assert set(listed(owner, channel, "noarch")) == {HELLO.filename, NEWER.filename}
    assert listed(owner, channel, "linux-64")[OLD_KIND.filename]["md5"] == OLD_KIND.md5
    assert repodata(owner, channel, "noarch")["removed"] == []
    site.asked.clear()
    again = run(site.url, "acme")
    assert "3 were there" in again.out
    assert not [path for path, _ in site.asked if path.endswith((".conda", ".bz2"))]


def test_what_does_not_match_its_checksum_is_not_stored(acme: Organization, site: Site) -> None:
    md5_only = build_conda("md5", "1.0")
    site.publish(*GOOD, md5_only)
    document = json.loads((site.folder / "noarch/repodata.json").read_text())
    records = document["packages.conda"]
    records[HELLO.filename]["sha256"] = NEWER.sha256
    records[NEWER.filename]["size"] += 1
    del records[md5_only.filename]["sha256"]
    records["missing-1.0-0.conda"] = {"sha256": "0" * 64, "size": 10}
    records["../../x-1.0-0.conda"] = {"sha256": "0" * 64, "size": 10}
    site.write("noarch", records)

    done = run(site.url, "acme")

    assert done.code == 1
    assert "2 published" in done.out
    assert "4 refused" in done.out
    assert f"noarch/{HELLO.filename}: The sha256 of what arrived is {HELLO.sha256}" in done.err
    assert f"noarch/{NEWER.filename}: {NEWER.size} bytes arrived, but" in done.err
    assert "noarch/missing-1.0-0.conda: It could not be fetched: the answer was 404." in done.err
    assert "../x-1.0-0.conda: The file name is" in done.err
    assert len(stored_files()) == 2
    records[md5_only.filename]["md5"] = "0" * 32
    site.write("noarch", records)
    assert "0 conflicts, 1 refused" in run(site.url, "acme", packages=["md5"]).out


def test_records_are_the_files_own_and_differing_ones_are_counted(
    owner: Person, acme: Organization, site: Site
) -> None:
    site.publish(*GOOD)
    records = json.loads((site.folder / "noarch/repodata.json").read_text())["packages.conda"]
    records[HELLO.filename]["depends"] = ["hotfix >=1"]
    site.write("noarch", records)

    done = run(site.url, "acme")

    assert "Of 1 files the source's index says other dependencies" in done.out
    assert listed(owner, ChannelAddress("acme"), "noarch")[HELLO.filename]["depends"] == []


def test_packages_may_lie_elsewhere(acme: Organization, site: Site) -> None:
    site.publish(HELLO, base_url="../elsewhere")
    (site.folder / "noarch" / HELLO.filename).rename(site.folder / HELLO.filename)
    (site.folder / "elsewhere").mkdir()
    (site.folder / HELLO.filename).rename(site.folder / "elsewhere" / HELLO.filename)

    assert run(site.url, "acme", subdirs=["noarch"]).code == 0


def test_a_source_that_stumbles_is_asked_again(acme: Organization, site: Site) -> None:
    site.publish(HELLO)
    site.failures[f"/noarch/{HELLO.filename}"] = [503, 429, 500]

    assert run(site.url, "acme", subdirs=["noarch"]).code == 0


def test_credentials_are_sent_to_the_source_alone_and_never_printed(
    acme: Organization, site: Site, tmp_path: Path
) -> None:
    site.publish(HELLO)
    (site.folder / "t").mkdir()
    (site.folder / "t/cdm-secret").symlink_to(site.folder)
    with serving(Site(tmp_path / "site")) as elsewhere:
        site.publish(NEWER, base_url=f"{elsewhere.url}/noarch/")
        host = site.url.removeprefix("http://")

        done = run(f"http://olga:cdm%2Dpassword@{host}/t/cdm-secret", "acme", subdirs=["noarch"])
        missing = run(f"http://olga:cdm%2Dpassword@{host}/t/cdm-secret/x", "acme")

        assert done.code == 0, done.err
        assert elsewhere.asked == [(f"/noarch/{NEWER.filename}", None)]
    assert {authorization for _, authorization in site.asked} == {
        "Basic b2xnYTpjZG0tcGFzc3dvcmQ="  # olga:cdm-password
    }
    assert missing.code == 1
    assert f"{site.url}/t/…/x has no repodata for us" in missing.err
    event = Event.objects.get(action="file.import")
    assert event.detail["from"] == f"{site.url}/t/…"
    for text in (done.out, done.err, missing.out, missing.err, str(event.detail)):
        assert "secret" not in text
        assert "password" not in text


@pytest.mark.parametrize(
    "content", [b"<html>no</html>", b'{"packages": {"a": 1}}', b'{"packages": {', b"\xff", b"[]"]
)
def test_what_is_no_repodata_is_told(content: bytes, acme: Organization, site: Site) -> None:
    (site.folder / "noarch").mkdir()
    (site.folder / "noarch" / "repodata.json").write_bytes(content)

    done = run(site.url, "acme")

    assert done.code == 1
    assert "The repodata of noarch" in done.err
    assert "can't be read. Run it again" in done.err


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A host with a user ``maria``, and packages in her channel ``main``."""
    folder = tmp_path_factory.mktemp("live")
    env = {"CONDARIUM_DATA": str(folder / "data")}
    prepare(env)
    source = folder_of(folder / "source", *GOOD)
    done = run_manage(["import", str(source), "maria"], env)
    assert done.returncode == 0, done.stderr
    with LiveServer(folder) as server:
        yield server


def prepare(env: dict[str, str]) -> None:
    assert run_manage(["migrate", "-v0"], env).returncode == 0
    user = ["createuser", "maria", "--email", "m@example.org", "--password-stdin"]
    assert run_manage(user, env, input="correct horse 8").returncode == 0


def test_one_of_us_mirrors_another(owner: Person, acme: Organization, live: LiveServer) -> None:
    done = run(f"{live.url}/conda/maria", "acme")

    assert done.code == 0, done.err
    assert "3 published" in done.out
    assert set(listed(owner, ChannelAddress("acme"), "linux-64")) == {OLD_KIND.filename}


# --- Interrupted -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["claimed", "stored", "before-commit", "after-commit"])
def test_a_killed_import_goes_on_where_it_was(place: str, tmp_path: Path) -> None:
    order = tmp_path / "crash"
    env = {"CONDARIUM_DATA": str(tmp_path / "data"), "CONDARIUM_FAILPOINT": str(order)}
    prepare(env)
    source = folder_of(tmp_path / "source", HELLO)
    command = ["import", str(source), "maria", "--processes", "1"]
    assert run_manage(command, env).returncode == 0
    folder_of(source, *GOOD)
    order.write_text(place, encoding="ascii")

    assert run_manage(command, env).returncode == 137

    again = run_manage(command, env)
    assert again.returncode == 0, again.stderr
    is_in = place == "after-commit"
    assert f"{0 if is_in else 2} published" in again.stdout
    assert f"{3 if is_in else 1} were there" in again.stdout
    files = tmp_path / "data" / "files"
    assert list((files / "incoming").iterdir()) == []
    blobs = {
        path.name: path.read_bytes() for path in (files / "blobs").rglob("*") if path.is_file()
    }
    assert set(blobs) == {built.sha256 for built in GOOD}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    env = {"CONDARIUM_DATA": str(tmp_path / "data")}
    prepare(env)
    with serving(Site(tmp_path / "site")) as site:
        site.publish(HELLO, NEWER)
        site.slow_seconds = 30.0
        command = [sys.executable, "manage.py", "import", site.url, "maria"]
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=_environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not any(path.endswith(".conda") for path, _ in site.asked):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        out, err = process.communicate(timeout=30)
        took = time.monotonic() - asked
        site.slow_seconds = 0.0

    assert process.returncode == 130, err
    assert "Stopped. Run it again to go on." in err
    assert "Traceback" not in out + err
    assert took < 5  # a second, and what a busy machine adds
    assert list((tmp_path / "data" / "files" / "incoming").iterdir()) == []
