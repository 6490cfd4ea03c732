"""The index after any history is what it would be if it were written for the first time."""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from django.conf import settings as house_settings
from django.db import connection
from django.db.models import QuerySet
from pytest_django import Settings

from accounts.models import Organization
from registry import (
    channels,
    collaboration,
    condensing,
    generations,
    indexing,
    placement,
    recovery,
    rows,
    storage,
)
from registry.conda import document, splice
from registry.conda.version import VersionOrder
from registry.generations import SHARD_INDEX, read_shard_index
from registry.models import Channel, ChannelFile, Package, PackageFile, PublishedIndex, Removal
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks

Files = dict[tuple[str, str, bool], dict[str, bytes]]
# Enough for a document of several chunks.
PINS = ("<1", "<2", "<3", "0.*", "1.*", "2.*", ">=1", ">=3")
LONG_DEPENDS = [f"dependency-number-{number} >=1.{number},<2.0a0" for number in range(700)]


def stored(key: object, size_bytes: object) -> bytes:
    return b"".join(storage.store().blocks(str(key), start=0, length=int(str(size_bytes))))


def published() -> Files:
    """Every file of every index that clients are given now, by name."""
    found: Files = {}
    for row in PublishedIndex.objects.select_related("channel"):
        here = found.setdefault((row.channel.name, row.subdir, row.members_only), {})
        for name, facts in row.files.items():
            here[name] = stored(facts["key"], facts["size"])
            assert len(here[name]) == facts["size"]
        if SHARD_INDEX in row.files:
            for name, digest in read_shard_index(row.files[SHARD_INDEX]).items():
                key = storage.shard_key(row.channel_id, row.subdir, f"{digest.hex()}.msgpack.zst")
                here[f"shard of {name}"] = stored(key, storage.store().size(key))
    return found


def decoded(files: dict[str, bytes], name: str) -> Any:
    return json.loads(text_of(files[f"{name}.zst"]))


def text_of(frame: bytes) -> bytes:
    return zstandard.decompress(frame, max_output_size=2**27)


def expected_records(
    channel: Channel, subdir: str, *, members_only: bool
) -> tuple[dict[str, Any], list[str]]:
    entries = ChannelFile.objects.filter(channel=channel, subdir=subdir).select_related("file")
    removals = Removal.objects.filter(channel=channel, subdir=subdir)
    if not members_only and not channel.is_private:
        private = Package.objects.filter(is_private=True).values("name")
        entries = entries.exclude(name__in=private)
        removals = removals.exclude(package_name__in=private)
    records = {entry.filename: entry.file.index for entry in entries}
    return records, sorted(removals.values_list("filename", flat=True))


def assert_right(files: Files) -> None:
    """What is published says what the rows say, file by file and record by record."""
    for (channel_name, subdir, members_only), here in files.items():
        if not subdir:
            continue
        channel = Channel.objects.get(name=channel_name)
        records, removed = expected_records(channel, subdir, members_only=members_only)
        repodata = decoded(here, "repodata.json")
        assert repodata["packages"] | repodata["packages.conda"] == records
        assert all(name.endswith(".tar.bz2") for name in repodata["packages"])
        assert repodata["removed"] == removed
        assert json.loads(here["repodata.json"]) == repodata
        assert_current(here, records, removed)
        exports = decoded(here, "run_exports.json")
        assert exports["packages"].keys() | exports["packages.conda"].keys() == records.keys()
        from_shards: dict[str, Any] = {}
        for name, data in here.items():
            if name.startswith("shard of "):
                shard = msgspec.msgpack.decode(zstandard.decompress(data))
                from_shards |= shard["packages"] | shard["packages.conda"]
        for record in from_shards.values():
            record |= {"md5": record["md5"].hex(), "sha256": record["sha256"].hex()}
            del record["run_exports"]
        assert from_shards == records


def assert_current(here: dict[str, bytes], records: dict[str, Any], removed: list[str]) -> None:
    """``current_repodata.json`` lists the newest version of each name, and of what these depend on
    the newest that does."""
    versions: dict[str, dict[str, list[str]]] = {}
    for filename, record in records.items():
        of_name = versions.setdefault(record["name"], {})
        of_name.setdefault(record["version"], []).append(filename)
    waiting = [(name, max(found, key=VersionOrder)) for name, found in versions.items()]
    chosen: set[str] = set()
    while waiting:
        name, version = waiting.pop()
        files = set(versions[name][version])
        if files <= chosen:
            continue
        chosen |= files
        for filename in files:
            for spec in records[filename]["depends"]:
                other, _, pin = spec.partition(" ")
                good = [one for one in versions.get(other, {}) if meets(one, pin)]
                if good:
                    waiting.append((other, max(good, key=VersionOrder)))
    current = decoded(here, "current_repodata.json")
    assert current["packages"] | current["packages.conda"] == {
        filename: records[filename] for filename in chosen
    }
    assert current["removed"] == removed
    assert json.loads(here["current_repodata.json"]) == current


def meets(version: str, pin: str) -> bool:
    major = int(version.partition(".")[0])
    wanted = int(pin.strip("<>=.*"))
    if pin.startswith("<"):
        return major < wanted
    return major >= wanted if pin.startswith(">=") else major == wanted


def documents_of(files: Files) -> list[bytes]:
    return [here["repodata.json.zst"] for key, here in files.items() if key[1]]


class History:
    """What people do to the channels of an organization, one thing after the other."""

    def __init__(self, owner: Person, organization: Organization, seed: int) -> None:
        self.owner = owner
        self.random = random.Random(seed)
        self.account = organization.account
        self.channels = [
            channels.create_channel(by=owner.identity, account=self.account, name=name)
            for name in ("main", "dev")
        ]
        self.number = 0

    def act(self) -> None:
        weighted = {
            self.publish: 10,
            self.publish_with_others: 3,
            self.replace: 6,
            self.publish_a_deleted_name: 2,
            self.put_several_elsewhere: 2,
            self.move_several: 2,
            self.delete_several: 1,
            self.remove: 5,
            self.put_elsewhere: 4,
            self.delete: 2,
            self.change_privacy: 2,
            self.change_visibility: 1,
        }
        (do,) = self.random.choices(list(weighted), list(weighted.values()))
        do()

    def publish(self) -> None:
        self.number += 1
        name, other = self.random.sample(["alpha", "alpha-b", "beta", "c.d"], 2)
        build = build_conda if self.random.random() < 0.7 else build_tar_bz2
        exports = {"weak": [f"{name} >=1"]} if self.random.random() < 0.3 else None
        # Often for an older version of the other one, so that current_repodata.json lists it.
        pin = f"{other} {self.random.choice(PINS)}"
        built: BuiltPackage = build(
            name,
            f"{self.random.randrange(4)}.{self.number}",
            build=self.random.choice(["0", "h1_0", "py310_0"]),
            subdir=self.random.choice(["linux-64", "linux-64", "noarch"]),
            depends=[pin, *LONG_DEPENDS[: self.random.choice([2, 700])]],
            run_exports=exports,
        )
        channel = self.random.choice(self.channels)
        answer = self.owner.upload(built, to=ChannelAddress("acme", channel.name))
        assert answer.status_code == 201

    def publish_with_others(self) -> None:
        for _ in range(self.random.randint(2, 6)):
            self.publish()

    def replace(self) -> None:
        self.upload_other_bytes(PackageFile.objects.present())

    def publish_a_deleted_name(self) -> None:
        self.upload_other_bytes(PackageFile.objects.exclude(deleted_at=None))

    def upload_other_bytes(self, files: QuerySet[PackageFile]) -> None:
        found = list(files)
        if not found:
            return
        self.number += 1
        file = self.random.choice(found)
        build = build_conda if file.is_conda else build_tar_bz2
        built: BuiltPackage = build(
            file.name,
            file.version,
            build=file.build,
            subdir=file.subdir,
            depends=LONG_DEPENDS[: self.random.choice([1, 2, 700])],
            files={"number": str(self.number)},
        )
        channel = self.random.choice(self.channels)
        to = ChannelAddress("acme", channel.name)
        answer = self.owner.upload(built, to=to, query="?force=true")
        assert answer.status_code == 201

    def put_several_elsewhere(self) -> None:
        placement.add_files(by=self.owner.identity, files=self.several(), channel=self.channel())

    def move_several(self) -> None:
        one, other = self.random.sample(self.channels, 2)
        placement.move_files(
            by=self.owner.identity, files=self.several(), from_channel=one, to_channel=other
        )

    def delete_several(self) -> None:
        placement.delete_files(by=self.owner.identity, files=self.several())

    def several(self) -> list[PackageFile]:
        files = list(PackageFile.objects.present().select_related("account", "package"))
        return self.random.sample(files, min(len(files), self.random.randint(2, 5)))

    def remove(self) -> None:
        entry = self.entry()
        if entry is not None:
            placement.remove_from_channel(
                by=self.owner.identity, file=entry.file, channel=entry.channel
            )

    def put_elsewhere(self) -> None:
        files = list(PackageFile.objects.present())
        if files:
            placement.add_to_channel(
                by=self.owner.identity,
                file=self.random.choice(files),
                channel=self.channel(),
            )

    def delete(self) -> None:
        files = list(PackageFile.objects.present())
        if files:
            placement.delete_file(by=self.owner.identity, file=self.random.choice(files))

    def change_privacy(self) -> None:
        packages = list(Package.objects.all())
        if packages:
            package = self.random.choice(packages)
            collaboration.set_privacy(
                by=self.owner.identity, package=package, is_private=not package.is_private
            )

    def change_visibility(self) -> None:
        channel = self.channel()
        visibility = "public" if channel.is_private else "private"
        channels.change_channel(by=self.owner.identity, channel=channel, visibility=visibility)

    def channel(self) -> Channel:
        chosen = self.random.choice(self.channels)
        return Channel.objects.select_related("account").get(pk=chosen.pk)

    def entry(self) -> ChannelFile | None:
        entries = ChannelFile.objects.select_related(
            "file__package__account", "file__account", "channel__account"
        )
        return self.random.choice([*entries, None])


@pytest.mark.parametrize("seed", range(5))
def test_after_any_history_the_index_is_the_one_written_anew(
    seed: int, owner: Person, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Smaller chunks, so that a few dozen files fill several.
    monkeypatch.setattr(document, "MIN_CHUNK_BYTES", 8 * 1024)
    monkeypatch.setattr(document, "SMALL_RECORDS_CHUNK_BYTES", 2 * 1024)
    monkeypatch.setattr(document, "FULL_CHUNK_BYTES", 64 * 1024)
    monkeypatch.setattr(document, "CUT_ONE_IN", 3)
    history = History(owner, acme, seed)
    chunk_counts = [0]
    for _ in range(4):
        for _ in range(8):
            history.act()
            if history.random.random() < 0.5:
                run_pending_tasks()
        run_pending_tasks()
        step_by_step = published()
        assert_right(step_by_step)
        indexing.mark_everything(Channel.objects.all())
        run_pending_tasks()
        assert published() == step_by_step
        chunk_counts += [zst.count(splice.GLUE) + 1 for zst in documents_of(step_by_step)]
    assert max(chunk_counts) > 1


def test_what_rests_is_made_smaller_and_says_the_same(
    owner: Person, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MIN_CHUNK_BYTES", 8 * 1024)
    monkeypatch.setattr(document, "CUT_ONE_IN", 3)
    monkeypatch.setattr(condensing, "AT_REST_AFTER", timedelta(0))
    history = History(owner, acme, 3)
    for _ in range(3):
        for _ in range(10):
            history.act()
        run_pending_tasks()
        before = published()
        indexing.mark_everything(Channel.objects.all())
        run_pending_tasks()
        for key, files in published().items():
            # Cut anew, and after changes to what had been made one: the same text.
            for name in ("repodata.json.zst", "run_exports.json.zst"):
                if name in files:
                    assert text_of(before[key][name]) == text_of(files[name])
        before = published()
        while condensing.condense_some():
            pass
        after = published()
        assert_right(after)
        assert before.keys() == after.keys()
        for key, files in after.items():
            if key[1]:
                name = "repodata.json.zst"
                assert len(files[name]) <= len(before[key][name])
                assert files["repodata.json"] == before[key]["repodata.json"]
        for row in PublishedIndex.objects.exclude(subdir=""):
            chunks = generations.read_map(row.files["repodata.json.zst"])
            assert chunks is not None
            # A short text may be as short already.
            long = {chunk.level for chunk in chunks.chunks if chunk.text_bytes > 4096}
            assert long <= {splice.BEST_LEVEL}
            assert len(chunks.chunks) == 1  # all of it is less than a full one


def test_what_changes_while_it_is_made_smaller_stays_as_it_is(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condensing, "AT_REST_AFTER", timedelta(0))
    monkeypatch.setattr(condensing, "_PIECE_SECONDS", 0)
    owner.upload(build_conda("first"), to=channel)
    run_pending_tasks()
    assert condensing.condense_some()
    owner.upload(build_conda("second"), to=channel)
    run_pending_tasks()
    condensing.forget()
    assert len(owner.repodata(channel, "noarch")["packages.conda"]) == 2
    while condensing.condense_some():
        pass
    assert len(owner.repodata(channel, "noarch")["packages.conda"]) == 2


@pytest.mark.parametrize(
    "name",
    ["repodata.json", "repodata.json.zst", "run_exports.json.zst", SHARD_INDEX, "shards", "map"],
)
@pytest.mark.parametrize("damage", ["cut", "zeros", "gone"])
def test_a_restart_of_the_machine_mends_what_was_not_written(
    name: str,
    damage: str,
    owner: Person,
    channel: ChannelAddress,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(recovery, "_BOOT", tmp_path / "boot")
    (tmp_path / "boot").write_text("the first\n")
    owner.upload(build_conda("hello"), to=channel)
    run_pending_tasks()
    assert recovery.check_after_restart() == 0
    whole = published()
    row = PublishedIndex.objects.get(subdir="noarch")
    if name == "shards":
        (digest,) = read_shard_index(row.files[SHARD_INDEX]).values()
        key = storage.shard_key(row.channel_id, "noarch", f"{digest.hex()}.msgpack.zst")
    elif name == "map":
        key = generations.map_key(row.files["repodata.json.zst"])
    else:
        key = str(row.files[name]["key"])
    path = house_settings.FILES_FOLDER / key
    if damage == "cut":
        os.truncate(path, 10)
    elif damage == "zeros":
        path.write_bytes(bytes(path.stat().st_size))
    else:
        path.unlink()
    assert recovery.check_after_restart() == 0, "the machine was not restarted"
    (tmp_path / "boot").write_text("the second\n")
    assert recovery.check_after_restart() == 1
    run_pending_tasks()
    assert published() == whole
    assert recovery.check_after_restart() == 0


def test_an_ordinary_frame_says_the_same_and_can_be_left_again(
    owner: Person, channel: ChannelAddress, settings: Settings
) -> None:
    for number, spliced in enumerate((True, False, False, True, True)):
        settings.SPLICED_INDEXES = spliced
        owner.upload(build_conda("hello", f"1.{number}"), to=channel)
        run_pending_tasks()
        assert_right(published())


def test_what_is_hidden_leaves_the_summaries_of_large_channels_at_once(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "SUMMARIES_AT_ONCE_BELOW", 0)
    for name in ("hello", "other"):
        owner.upload(build_conda(name), to=channel)
        run_pending_tasks()

    def current() -> list[str]:
        answer = get(channel.url("noarch/current_repodata.json"))
        return sorted(json.loads(answer.body)["packages.conda"])

    assert current() == ["hello-1.0-0.conda"], "the second publish waits for its minute"
    package = Package.objects.get(name="hello")
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)
    run_pending_tasks()
    assert current() == ["other-1.0-0.conda"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="small tables are read whole elsewhere")
def test_an_index_reads_only_what_it_needs(acme: Organization, channel: ChannelAddress) -> None:
    audience = rows.Audience(channel.row, "noarch")
    of_a_name = audience.listed.filter(name__in=["hello"]).order_by("name", "repodata_key")
    assert "names_of_a_subdir" in of_a_name.explain()
    of_a_chunk = audience.listed.filter(repodata_key__gte=b"\x01", repodata_key__lt=b"\x02")
    assert "repodatas_order" in of_a_chunk.order_by("repodata_key").explain()
    hidden = Package.objects.filter(account=channel.row.account, is_private=True)
    assert "private_packages" in hidden.order_by().values_list("pk")[:1].explain()


def test_a_name_too_large_for_a_shard_keeps_its_newest_files(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lowered: an archive's real record would take hundreds of uploads to reach it."""
    monkeypatch.setattr("registry.generations.MAX_SHARD_BYTES", 45_000)
    for number in range(5):
        owner.upload(build_conda("fat", f"1.{number}", depends=LONG_DEPENDS[:500]), to=channel)
    run_pending_tasks()
    row = PublishedIndex.objects.get(subdir="noarch", members_only=False)
    (digest,) = read_shard_index(row.files[SHARD_INDEX]).values()
    shard = get(channel.url(f"noarch/shards/{digest.hex()}.msgpack.zst"))
    listed = sorted(msgspec.msgpack.decode(zstandard.decompress(shard.body))["packages.conda"])
    assert listed == ["fat-1.3-0.conda", "fat-1.4-0.conda"]
    assert len(owner.repodata(channel, "noarch")["packages.conda"]) == 5
