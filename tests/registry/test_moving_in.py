"""``condarium import anaconda``: an account taken over from an API like anaconda.org's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Event, Organization
from registry.channels import change_channel, create_channel
from registry.models import Channel, ChannelFile, Job, Package, PackageFile
from registry.packages import create_package
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, stored_files, subdir_of
from tests.registry.sources import HELLO, NEWER, OLD_KIND, Outcome, Site, listed, run, serving

SECRET = build_conda("secret", "3.0")
WITHOUT = build_conda("hello", "0.1")


class Away:
    """An account ``away`` on a host that speaks anaconda.org's API."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.packages: dict[str, dict[str, Any]] = {}
        self.labels: dict[str, dict[str, bool]] = {"main": {"is_locked": False}}

    def add(self, built: BuiltPackage, *labels: str, public: bool = True, **said: Any) -> None:
        name, version, _ = built.filename.rsplit("-", 2)
        basename = f"{subdir_of(built)}/{built.filename}"
        for label in labels:
            self.labels.setdefault(label, {"is_locked": False})
        package = self.packages.setdefault(name, {"name": name, "public": public, "files": []})
        package.update(said)
        package["files"].append(
            {
                "basename": basename,
                "version": version,
                "type": "conda",
                "distribution_type": "conda",
                "attrs": {"subdir": subdir_of(built), "depends": []},
                "size": built.size,
                "sha256": built.sha256,
                "md5": built.md5,
                "labels": list(labels),
            }
        )
        self._put(f"download/away/{name}/{version}/{basename}", built.data)
        self.write()

    def file(self, built: BuiltPackage) -> dict[str, Any]:
        """What is told of a file; `write` when it was changed."""
        name = built.filename.rsplit("-", 2)[0]
        basename = f"{subdir_of(built)}/{built.filename}"
        return next(file for file in self.packages[name]["files"] if file["basename"] == basename)

    def write(self) -> None:
        self._put("channels/away", json.dumps(self.labels).encode())
        listing = [
            {"name": one["name"], "full_name": f"away/{one['name']}", "public": one["public"]}
            for one in self.packages.values()
        ]
        self._put("packages/away", json.dumps(listing).encode())
        for name, package in self.packages.items():
            self._put(f"package/away/{name}", json.dumps(package).encode())

    def _put(self, place: str, data: bytes) -> None:
        path = self.site.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def move(self, *arguments: str, **options: Any) -> Outcome:
        return run("anaconda", "away", "acme", *arguments, api=self.site.url, **options)

    @property
    def downloads(self) -> list[str]:
        paths = [path for path, _ in self.site.asked if path.startswith("/download/")]
        return [path.rpartition("/")[2] for path in paths]


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    with serving(Site(tmp_path / "site")) as site:
        site.folder.mkdir()
        yield Away(site)


def names(person: Person, channel: str, subdir: str = "noarch") -> set[str]:
    return set(listed(person, ChannelAddress("acme", channel), subdir))


# --- What is taken over ------------------------------------------------------------------------


def test_packages_labels_and_bytes_are_taken_over(
    owner: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main", "old/rc:1")
    away.add(NEWER, "old/rc:1")
    away.add(OLD_KIND, "main")

    done = away.move()

    assert done.code == 0, done.err
    assert f"away at {away.site.url}: 2 packages with 3 files" in done.out
    assert "in 2 labels, for acme." in done.out
    assert "  old/rc:1: 2 files\n" in done.out
    assert "3 published, 1 added to the channel, 0 were there, 0 conflicts, 0 refused" in done.out
    assert names(owner, "main") == {HELLO.filename}
    assert names(owner, "main", "linux-64") == {OLD_KIND.filename}
    assert names(owner, "old/rc:1") == {HELLO.filename, NEWER.filename}
    answer = get(ChannelAddress("acme").url(f"noarch/{HELLO.filename}"))
    assert answer.body == HELLO.data
    assert sorted(away.downloads) == sorted(b.filename for b in (HELLO, NEWER, OLD_KIND))
    events = Event.objects.filter(action="file.import").values_list("detail", flat=True)
    assert {event["from"] for event in events} == {
        f"away at {away.site.url}, main",
        f"away at {away.site.url}, old/rc:1",
    }


def test_a_move_is_a_job_of_its_account_that_counts_all_labels(
    owner: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main", "dev")
    away.add(NEWER, "dev")
    dev = create_channel(by=owner.identity, account=acme.account, name="dev")
    change_channel(by=owner.identity, channel=dev, is_locked=True)

    assert away.move().code == 1

    job = Job.objects.get()
    assert (job.kind, job.state, job.account) == ("account.import", Job.State.DONE, acme.account)
    assert (job.total, job.done, job.failed, job.unlisted_failures) == (3, 1, 2, 0)
    page = owner.client.get(f"/-/jobs/{job.key}").content.decode()
    assert f"Import away at {away.site.url} into acme" in page
    assert "2 files of dev" in page
    assert "dev is locked here." in page


def test_again_it_fetches_nothing_and_changes_nothing(acme: Organization, away: Away) -> None:
    away.add(HELLO, "main", "dev", summary="Said by hand")
    away.add(SECRET, "main", public=False)
    away.labels["dev"]["is_locked"] = True
    away.write()
    assert away.move().code == 0
    away.site.asked.clear()
    events = Event.objects.count()

    again = away.move()

    assert again.code == 0, again.err
    assert "0 published, 0 added to the channel, 3 were there, 0 conflicts, 0 refused" in again.out
    assert not away.downloads
    assert Event.objects.count() == events


def test_what_is_private_there_is_private_from_its_first_moment(
    owner: Person, stranger: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main")
    away.add(SECRET, "main", public=False)

    done = away.move()

    assert done.code == 0, done.err
    assert Package.objects.get(name="secret").is_private
    made = Event.objects.get(action="package.create")
    assert made.detail == {"is_private": True}
    assert made.pk < min(Event.objects.filter(action="file.import").values_list("pk", flat=True))
    assert names(owner, "main") == {HELLO.filename, SECRET.filename}
    assert names(stranger, "main") == {HELLO.filename}


def test_what_is_private_there_is_not_put_into_a_public_package(
    owner: Person, acme: Organization, away: Away
) -> None:
    create_package(by=owner.identity, account_name="acme", name="secret")
    away.add(SECRET, "main", public=False)
    away.add(HELLO, "main")

    done = away.move()

    assert done.code == 1
    assert "secret: It is private there and public here. Make it private here" in done.err
    assert not PackageFile.objects.filter(name="secret").exists()
    assert names(owner, "main") == {HELLO.filename}
    assert away.downloads == [HELLO.filename]


def test_no_file_comes_in_under_the_name_of_another_package(acme: Organization, away: Away) -> None:
    away.add(SECRET, "main", public=False)
    away.packages["hello"] = {**away.packages.pop("secret"), "name": "hello", "public": True}
    away.write()

    done = away.move()

    assert done.code == 1
    assert f"noarch/{SECRET.filename}: It is a file of hello there" in done.err
    assert not PackageFile.objects.exists()


def test_what_was_said_by_hand_is_said_here_and_stays(
    owner: Person, acme: Organization, away: Away
) -> None:
    about = {"summary": "From the archive", "dev_url": "https://example.org/dev"}
    built = build_conda("told", "1.0", about=about)
    said: dict[str, Any] = {
        "summary": "By hand\n",
        "description": "Long",
        "license": "MIT",
        "home": "https://example.org/home",
        "dev_url": "https://example.org/dev",
        "doc_url": "javascript:alert(1)",
        "source_git_url": None,
    }
    away.add(built, "main", **said)
    away.add(HELLO, "main")

    done = away.move()

    assert done.code == 0, done.err
    assert "What describes 1 packages is what was said there" in done.out
    package = Package.objects.get(name="told")
    assert package.summary == "By hand"
    assert package.description == "Long"
    assert package.license == "MIT"
    assert package.home_url == "https://example.org/home"
    assert package.dev_url == "https://example.org/dev"
    assert package.doc_url == ""
    assert set(package.pinned) == {"summary", "description", "license", "home_url"}
    assert Package.objects.get(name="hello").pinned == []
    newer = build_conda("told", "2.0", about={"summary": "Newer"})
    assert owner.upload(newer, to=ChannelAddress("acme")).status_code == 201
    package.refresh_from_db()
    assert package.summary == "By hand"


def test_a_label_that_is_locked_there_is_locked_here_once_it_is_whole(
    acme: Organization, away: Away
) -> None:
    away.add(HELLO, "done")
    away.add(NEWER, "done")
    away.labels["done"]["is_locked"] = True
    right = away.file(NEWER)["sha256"]
    away.file(NEWER)["sha256"] = "0" * 64
    away.write()

    half = away.move()
    assert half.code == 1
    assert f"noarch/{NEWER.filename}: The sha256 of what arrived is {NEWER.sha256}" in half.err
    assert not Channel.objects.get(name="done").is_locked

    away.file(NEWER)["sha256"] = right
    away.write()
    whole = away.move()
    assert whole.code == 0, whole.err
    assert "done is locked there, and now here." in whole.out
    assert Channel.objects.get(name="done").is_locked


def test_nothing_is_put_into_a_channel_that_is_locked_here(
    owner: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main", "done")
    assert away.move().code == 0
    channel = Channel.objects.select_related("account").get(name="done")
    change_channel(by=owner.identity, channel=channel, is_locked=True)
    away.add(NEWER, "main", "done")

    done = away.move()

    assert done.code == 1
    assert "1 files of done: done is locked here. Unlock it, then run this again." in done.err
    assert "1 published, 0 added to the channel, 2 were there, 0 conflicts, 1 refused" in done.out
    assert names(owner, "done") == {HELLO.filename}


def test_files_without_a_label_stay_or_go_where_one_says(
    owner: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main")
    away.add(WITHOUT)

    left = away.move()
    assert left.code == 0
    assert "Left out: 1 file without a label there;" in left.out
    assert not PackageFile.objects.filter(version="0.1").exists()

    taken = away.move(unlabelled="attic")
    assert taken.code == 0
    assert names(owner, "attic") == {WITHOUT.filename}


def test_only_what_was_asked_for_is_taken(owner: Person, acme: Organization, away: Away) -> None:
    away.add(HELLO, "main", "dev")
    away.add(NEWER, "dev")
    away.add(OLD_KIND, "main")
    away.add(SECRET, "main")

    assert away.move(packages=["he*", "old"], labels=["dev"]).code == 0
    assert set(Package.objects.values_list("name", flat=True)) == {"hello"}
    assert names(owner, "dev") == {HELLO.filename, NEWER.filename}
    assert not Channel.objects.filter(name="main").exists()

    assert away.move(subdirs=["linux-64"]).code == 0
    assert set(Package.objects.values_list("name", flat=True)) == {"hello", "old"}


def test_a_dry_run_says_what_would_be_taken_and_takes_nothing(
    acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main", "dev")
    away.add(SECRET, "main", public=False)
    away.packages["hello"]["files"].append(
        {"basename": "hello-1.0.tar.gz", "version": "1.0", "type": "pypi", "labels": ["main"]}
    )
    away.labels["dev"]["is_locked"] = True
    away.write()

    done = away.move(dry_run=True)

    assert done.code == 0
    assert "2 packages with 2 files" in done.out
    assert "  main: 2 files\n  dev: 1 file, locked\n" in done.out
    assert "Left out: 1 file of other kinds than conda packages." in done.out
    assert not away.downloads
    assert not Package.objects.exists()
    assert not Channel.objects.exists()
    assert not Job.objects.exists()
    assert not stored_files()


def test_older_files_have_an_md5_only_and_a_subdir_beside_their_name(
    owner: Person, acme: Organization, away: Away
) -> None:
    away.add(OLD_KIND, "main")
    file = away.file(OLD_KIND)
    file.update(sha256=None, basename=OLD_KIND.filename, size=None)
    away.write()
    place = away.site.folder / "download/away/old/0.9"
    (place / "linux-64" / OLD_KIND.filename).rename(place / OLD_KIND.filename)

    assert away.move().code == 0
    assert names(owner, "main", "linux-64") == {OLD_KIND.filename}
    assert "1 were there" in away.move().out

    other = build_tar_bz2("old", "1.0", subdir="linux-64")
    away.add(other, "main")
    away.file(other).update(sha256=None, md5="0" * 32)
    away.write()
    wrong = away.move()
    assert wrong.code == 1
    assert f"linux-64/{other.filename}: The md5 of what arrived is {other.md5}" in wrong.err


def test_other_bytes_of_the_same_name_are_a_conflict(
    owner: Person, acme: Organization, away: Away
) -> None:
    here = build_conda("hello", "1.0", about={"summary": "Other bytes"})
    assert owner.upload(here, to=ChannelAddress("acme")).status_code == 201
    away.add(HELLO, "main")
    away.add(NEWER, "main")

    done = away.move()

    assert done.code == 1
    assert "1 published" in done.out
    assert "1 conflicts" in done.out
    assert PackageFile.objects.get(filename=HELLO.filename).sha256 == here.sha256


# --- What is wrong there -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"basename": "noarch/../../x-1.0-0.conda"}, "is no subdir"),
        ({"basename": "noarch/hello.txt"}, "The file name is"),
        ({"size": HELLO.size + 1}, f"{HELLO.size} bytes arrived, but"),
        ({"size": 10}, "it is larger than 10 bytes"),
        ({"version": "9.9"}, "It could not be fetched: the answer was 404."),
        ({"labels": ["linux-64"]}, "The channel name"),
    ],
)
def test_a_file_that_is_wrong_stops_no_other(
    changes: dict[str, Any], sentence: str, owner: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main")
    away.add(NEWER, "main")
    away.file(HELLO).update(changes)
    away.write()

    done = away.move()

    assert done.code == 1
    assert sentence in done.err
    assert "1 published, 0 added to the channel, 0 were there, 0 conflicts, 1 refused" in done.out
    assert names(owner, "main") == {NEWER.filename}
    assert len(stored_files()) == 1


@pytest.mark.parametrize(
    "content", [b"<html>", b"[]", b'{"name": "hello"}', b'{"name": "x", "public": 1, "files": 2}']
)
def test_a_package_that_can_not_be_read_stops_no_other(
    content: bytes, owner: Person, acme: Organization, away: Away
) -> None:
    away.add(HELLO, "main")
    away.add(OLD_KIND, "main")
    (away.site.folder / "package/away/hello").write_bytes(content)

    done = away.move()

    assert done.code == 1
    assert "hello: What it is could not be read: the answer can't be understood" in done.err
    assert "1 published" in done.out
    assert names(owner, "main", "linux-64") == {OLD_KIND.filename}


def test_an_answer_about_another_package_counts_for_none(acme: Organization, away: Away) -> None:
    away.add(SECRET, "main", public=False)
    away.add(HELLO, "main")
    (away.site.folder / "package/away/secret").write_text(
        json.dumps({**away.packages["secret"], "name": "hello", "public": True})
    )

    done = away.move()

    assert done.code == 1
    assert "secret: What it is could not be read: it calls itself 'hello'." in done.err
    assert not PackageFile.objects.filter(name="secret").exists()


def test_a_host_that_stumbles_is_asked_again(acme: Organization, away: Away) -> None:
    away.add(HELLO, "main")
    away.site.failures["/package/away/hello"] = [503, 429]
    away.site.failures[f"/download/away/hello/1.0/noarch/{HELLO.filename}"] = [500]

    assert away.move().code == 0


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("anaconda", "nobody", "acme"), {}, "The labels of nobody at"),
        (("anaconda", "away", "nobody"), {}, "nobody"),
        (("anaconda", "away", "acme"), {"labels": ["none"]}, "has no label 'none' for us."),
        (("anaconda", "away", "acme"), {"packages": ["none"]}, "has no such packages for us"),
        (("anaconda", "away", "acme"), {"api": "ftp://x"}, "The address must be like https://"),
        (("anaconda", "away", "acme"), {"api": "http://t@x"}, "A token does not belong into the"),
        (("anaconda", "away", "acme"), {"token_file": "/no"}, "The token can't be read from"),
        (("anaconda", "away", "acme"), {"link": True}, "--link is for a folder."),
        ((".", "acme", "acme"), {"api": None}, "acme: that is only for 'condarium import anaconda"),
        ((".", "acme"), {"labels": ["x"]}, "--label: that is only for"),
        ((".", "acme"), {"dry_run": True}, "--dry-run: that is only for"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_fetched(
    arguments: tuple[str, ...],
    options: dict[str, Any],
    sentence: str,
    acme: Organization,
    away: Away,
) -> None:
    away.add(HELLO, "main")
    api = away.site.url if arguments[0] == "anaconda" else None

    done = run(*arguments, **{"api": api, **options})

    assert done.code in {1, 2}
    assert sentence in done.err
    assert not away.downloads
    assert not Package.objects.exists()


def test_the_token_is_shown_to_the_host_alone(
    acme: Organization, away: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away.add(HELLO, "main")
    file = tmp_path / "token"
    file.write_text("away-secret\n")

    done = away.move(token_file=str(file))

    assert done.code == 0, done.err
    assert {authorization for _, authorization in away.site.asked} == {"token away-secret"}
    away.site.asked.clear()
    monkeypatch.setenv("ANACONDA_API_TOKEN", "from-environ")
    assert away.move().code == 0
    assert {authorization for _, authorization in away.site.asked} == {"token from-environ"}
    kept = [str(row) for row in Event.objects.values_list("detail", flat=True)]
    assert "secret" not in "".join([done.out, done.err, *kept])
    file.write_text("two words")
    assert "holds no token" in away.move(token_file=str(file)).err


def test_the_token_does_not_follow_to_another_host(
    owner: Person, acme: Organization, away: Away, tmp_path: Path
) -> None:
    away.add(HELLO, "main")
    file = tmp_path / "token"
    file.write_text("away-secret\n")
    with serving(Site(away.site.folder)) as bucket:
        # Another host by its name, which is what counts.
        away.site.elsewhere = bucket.url.replace("127.0.0.1", "localhost")
        done = away.move(token_file=str(file))

    assert done.code == 0, done.err
    assert names(owner, "main") == {HELLO.filename}
    assert [authorization for _, authorization in bucket.asked] == [None]
    assert {authorization for _, authorization in away.site.asked} == {"token away-secret"}


def test_files_of_a_label_that_stand_elsewhere_are_not_fetched_again(
    owner: Person, acme: Organization, away: Away
) -> None:
    assert owner.upload(HELLO, to=ChannelAddress("acme", "here")).status_code == 201
    away.add(HELLO, "main")

    done = away.move()

    assert done.code == 0
    assert not away.downloads
    assert ChannelFile.objects.filter(file__filename=HELLO.filename).count() == 2
