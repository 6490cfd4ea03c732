"""``condarium import`` of what another channel has, over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import Event, Organization
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, repodata, stored_files
from tests.registry.sources import (
    GOOD,
    HELLO,
    NEWER,
    OLD_KIND,
    Site,
    folder_of,
    listed,
    run,
    serving,
)
from tests.servers import PROJECT, LiveServer, PreparedData, environment, run_manage


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

    assert "Of 1 file the source's index says other dependencies than the archive" in done.out
    assert listed(owner, ChannelAddress("acme"), "noarch")[HELLO.filename]["depends"] == []


def test_what_is_fetched_is_in_a_few_hundred_files_at_a_time(
    acme: Organization, site: Site
) -> None:
    site.publish(*(build_conda(f"package-{number}", "1.0") for number in range(203)))

    assert run(site.url, "acme", subdirs=["noarch"], no_index=True).code == 0

    commits = Event.objects.filter(action="file.import").order_by("pk")
    assert [event.detail["published"] for event in commits] == [200, 3]


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
def live(
    prepared_data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A host with packages in maria's channel ``main``."""
    folder = tmp_path_factory.mktemp("live")
    env = prepared_data.copy_to(folder / "data")
    source = folder_of(folder / "source", *GOOD)
    done = run_manage(["import", str(source), "maria"], env)
    assert done.returncode == 0, done.stderr
    with LiveServer(folder) as server:
        yield server


def test_one_of_us_mirrors_another(owner: Person, acme: Organization, live: LiveServer) -> None:
    done = run(f"{live.url}/conda/maria", "acme")

    assert done.code == 0, done.err
    assert "3 published" in done.out
    assert set(listed(owner, ChannelAddress("acme"), "linux-64")) == {OLD_KIND.filename}


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(
    prepared_data: PreparedData, tmp_path: Path
) -> None:
    env = prepared_data.copy_to(tmp_path / "data")
    with serving(Site(tmp_path / "site")) as site:
        site.publish(HELLO, NEWER)
        site.slow_seconds = 30.0
        command = [sys.executable, "manage.py", "import", site.url, "maria"]
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment(env),
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
