"""``condarium import`` of a folder: what goes in, who may, and what a crash leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import Event, Organization
from accounts.roles import Permission
from registry import placement
from registry.channels import change_channel
from registry.collaboration import set_collaborator
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile, Record, StaleMark
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, repodata, stored_files, subdir_of
from tests.registry.sources import GOOD, HELLO, NEWER, OLD_KIND, folder_of, listed, run
from tests.servers import PreparedData, run_manage

# --- What goes in ------------------------------------------------------------------------------


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


def test_in_an_immutable_channel_a_deleted_file_comes_back_with_its_own_bytes_alone(
    owner: Person, acme: Organization, channel: ChannelAddress, tmp_path: Path
) -> None:
    for built in (HELLO, NEWER):
        assert owner.upload(built, to=channel).status_code == 201
    change_channel(by=owner.identity, channel=channel.row, is_immutable=True)
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


# --- Interrupted -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data_with_hello(prepared_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's data after an import of one package, to be copied."""
    folder = tmp_path_factory.mktemp("imported")
    env = prepared_data.copy_to(folder / "data")
    done = run_manage(["import", str(folder_of(folder / "source", HELLO)), "maria"], env)
    assert done.returncode == 0, done.stderr
    return folder / "data"


@pytest.mark.parametrize("place", ["claimed", "stored", "before-commit", "after-commit"])
def test_a_killed_import_goes_on_where_it_was(
    place: str, data_with_hello: Path, tmp_path: Path
) -> None:
    order = tmp_path / "crash"
    shutil.copytree(data_with_hello, tmp_path / "data")
    env = {"CONDARIUM_DATA": str(tmp_path / "data"), "CONDARIUM_FAILPOINT": str(order)}
    source = folder_of(tmp_path / "source", *GOOD)
    command = ["import", str(source), "maria", "--processes", "1"]
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


@pytest.mark.parametrize("place", ["shards-written", "summaries-written"])
def test_indexes_are_made_beside_each_other_and_a_killed_one_is_made_again(
    prepared_data: PreparedData, tmp_path: Path, place: str
) -> None:
    """Noarch, linux-64 and the channel's own files, and what sums them up, each by a process."""
    order = tmp_path / "crash"
    env = prepared_data.copy_to(tmp_path / "data")
    env["CONDARIUM_FAILPOINT"] = str(order)
    command = ["import", str(folder_of(tmp_path / "source", *GOOD)), "maria"]
    order.write_text(place, encoding="ascii")

    killed = run_manage(command, env)
    assert killed.returncode == 1
    assert "A process that makes an index was ended" in killed.stderr
    assert "Traceback" not in killed.stderr

    again = run_manage(command, env)
    assert again.returncode == 0, again.stderr
    assert "3 were there" in again.stdout
    with sqlite3.connect(tmp_path / "data" / "condarium.sqlite3") as database:
        counts = database.execute("SELECT subdir, record_count FROM registry_publishedindex")
        assert dict(counts) == {"": 0, "noarch": 2, "linux-64": 1}
        assert database.execute("SELECT count(*) FROM registry_stalemark").fetchone() == (0,)
    imported = _published(tmp_path / "data")
    assert {"current_repodata.json", "repodata.json.zst"} <= imported["noarch"].keys()
    assert run_manage(["reindex", "maria"], env).returncode == 0
    assert _published(tmp_path / "data") == imported


def _published(data: Path) -> dict[str, dict[str, bytes]]:
    """By subdir and name: the bytes that the published index files have."""
    with sqlite3.connect(data / "condarium.sqlite3") as database:
        rows = database.execute("SELECT subdir, files FROM registry_publishedindex").fetchall()
    return {
        subdir: {
            name: (data / "files" / facts["key"]).read_bytes()
            for name, facts in json.loads(files).items()
        }
        for subdir, files in rows
    }


def test_ctrl_c_while_the_index_is_written_leaves_the_rest_for_another_time(
    owner: Person, acme: Organization, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD)

    def press(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "run_exports_json" in sql and sql.startswith("SELECT"):
            raise KeyboardInterrupt
        return execute(sql, params, many, context)

    with connection.execute_wrapper(press):
        stopped = run(str(source), "acme")

    assert stopped.code == 130
    assert "Stopped. Run it again to go on." in stopped.err
    assert StaleMark.objects.exists()
    again = run(str(source), "acme")
    assert again.code == 0, again.err
    assert "3 were there" in again.out
    assert not StaleMark.objects.exists()
    assert set(listed(owner, ChannelAddress("acme"), "noarch")) == {
        HELLO.filename, NEWER.filename,
    }  # fmt: skip
