"""Packages, releases and files as ``anaconda show``, Renovate and shields.io read them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime

import pytest
import zstandard
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import Organization
from registry import downloads
from registry.channels import create_channel
from registry.dialects.anaconda import spool
from registry.models import Package, PackageFile, Release
from tests.builders import build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get
from tests.registry.api.world import publish
from tests.registry.dialects.anaconda.calls import call, error, said

ABOUT = {
    "summary": "Says hello",
    "description": "In many words.",
    "license": "MIT",
    "license_url": "https://example.org/license",
    "home": "https://hello.example.org",
    "dev_url": "https://dev.example.org/hello",
    "doc_url": "https://docs.example.org/hello",
}


@pytest.fixture
def hello(owner: Person, channel: ChannelAddress) -> Package:
    """Three versions, two platforms, one of the files in another label too."""
    publish(owner, "acme", "main", "hello", "1.9", subdir="linux-64", build="py_0", about=ABOUT)
    publish(owner, "acme", "main", "hello", "1.10", subdir="linux-64", build="py_1", about=ABOUT)
    publish(
        owner, "acme", "main", "hello", "1!0.1+g1", build="py_1",
        about=ABOUT, depends=["python >=3.9"],
    )  # fmt: skip
    publish(owner, "acme", "rc/1:2", "hello", "1.9", subdir="linux-64", build="py_0", about=ABOUT)
    return Package.objects.get(name="hello")


# --- The document ------------------------------------------------------------------------------

NEWEST = "noarch/hello-1!0.1+g1-py_1.conda"


def test_a_package_is_shown_with_everything_that_its_readers_look_for(
    settings: Settings, hello: Package
) -> None:
    settings.BASE_URL = "https://conda.example.org"

    shown = said(call("GET", "/package/acme/hello"))

    owner = shown.pop("owner")
    files = shown.pop("files")
    assert datetime.fromisoformat(shown.pop("created_at")).utcoffset() is not None
    assert datetime.fromisoformat(shown.pop("modified_at")).utcoffset() is not None
    assert len(shown.pop("id")) == 24
    assert [file["basename"] for file in files] == [
        "linux-64/hello-1.9-py_0.conda", "linux-64/hello-1.10-py_1.conda", NEWEST,
    ]  # fmt: skip
    assert (owner["login"], owner["user_type"]) == ("acme", "org")
    assert shown == {
        "name": "hello",
        "full_name": "acme/hello",
        "package_types": ["conda"],
        "public": True,
        "published": False,
        "summary": "Says hello",
        "description": "In many words.",
        "license": "MIT",
        "license_url": "https://example.org/license",
        "home": "https://hello.example.org",
        "dev_url": "https://dev.example.org/hello",
        "doc_url": "https://docs.example.org/hello",
        "source_git_url": None,
        "source_git_tag": None,
        "url": "https://conda.example.org/api/package/acme/hello",
        "html_url": "https://conda.example.org/acme/hello",
        "versions": ["1.9", "1.10", "1!0.1+g1"],
        "latest_version": "1!0.1+g1",
        "platforms": {"linux-64": "1.10", "noarch": "1!0.1+g1"},
        "conda_platforms": ["linux-64", "noarch"],
        "builds": ["py_0", "py_1"],
        "releases": [
            {"version": version, "distributions": [], "full_name": f"acme/hello/{version}"}
            for version in ("1.9", "1.10", "1!0.1+g1")
        ],
        "revision": 0,
        "app_entry": {},
        "app_type": {},
        "app_summary": {},
        "watchers": 0,
        "upvoted": 0,
    }


def test_a_file_is_shown_with_what_its_archive_says(
    settings: Settings, hello: Package, owner: Person
) -> None:
    settings.BASE_URL = "https://conda.example.org"
    row = PackageFile.objects.get(version="1!0.1+g1")
    downloads.count(row.pk)
    downloads.count(row.pk)
    downloads.flush()

    file = said(call("GET", "/package/acme/hello"))["files"][-1]

    attrs = file.pop("attrs")
    assert (attrs["name"], attrs["version"], attrs["subdir"]) == ("hello", "1!0.1+g1", "noarch")
    assert attrs["depends"] == ["python >=3.9"]
    assert datetime.fromisoformat(file.pop("upload_time")) == row.uploaded_at
    assert int(file.pop("_id"), 16) == row.pk
    full_name = f"acme/hello/1!0.1+g1/{NEWEST}"
    assert file == {
        "basename": NEWEST,
        "version": "1!0.1+g1",
        "full_name": full_name,
        "download_url": f"//conda.example.org/api/download/{full_name}",
        "owner": "acme",
        "md5": row.md5,
        "sha256": row.sha256,
        "size": row.size_bytes,
        "ndownloads": 2,
        "labels": ["main"],
        "type": "conda",
        "distribution_type": "conda",
        "description": None,
        "dependencies": [],
    }


def test_labels_are_those_that_the_one_who_asks_may_know_of(
    hello: Package, owner: Person, acme: Organization
) -> None:
    create_channel(by=owner.identity, account=acme.account, name="secret", visibility="private")
    publish(owner, "acme", "secret", "hello", "1.9", subdir="linux-64", build="py_0", about=ABOUT)
    publish(owner, "acme", "secret", "hello", "2.0")

    def seen(by: Person | None) -> dict[str, list[str]]:
        files = said(call("GET", "/package/acme/hello", by))["files"]
        return {file["version"]: file["labels"] for file in files}

    assert seen(None) == {"1.9": ["main", "rc/1:2"], "1.10": ["main"], "1!0.1+g1": ["main"]}
    assert seen(owner) == {
        "1.9": ["main", "rc/1:2", "secret"], "1.10": ["main"], "1!0.1+g1": ["main"],
        "2.0": ["secret"],
    }  # fmt: skip
    assert "2.0" not in said(call("GET", "/package/acme/hello"))["versions"]


def test_names_are_found_in_any_case(hello: Package) -> None:
    assert said(call("GET", "/package/Acme/Hello"))["full_name"] == "acme/hello"


def test_a_package_without_files_is_shown_to_those_who_may_write_it(
    owner: Person, stranger: Person, acme: Organization
) -> None:
    said(call("POST", "/package/acme/fresh", owner, {"public": True}))

    shown = said(call("GET", "/package/acme/fresh", owner))

    assert (shown["files"], shown["versions"], shown["latest_version"]) == ([], [], "")
    assert shown["package_types"] == ["conda"]
    for by in (stranger, None):
        error(call("GET", "/package/acme/fresh", by), 404)


# --- Many files --------------------------------------------------------------------------------


def copies(package: Package, count: int) -> None:
    """More files in main, as rows: what matters is how many there are."""
    [file] = PackageFile.objects.filter(package=package, version="1.10")
    entry = file.entries.get()
    for number in range(count):
        file.pk = entry.pk = None
        file.filename = entry.filename = f"hello-1.10-x_{number}.conda"
        file.build = f"x_{number}"
        file.save()
        entry.file = file
        entry.save()


def test_the_queries_don_t_become_more_with_the_files(hello: Package) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            said(call("GET", "/package/acme/hello"))
        return len(captured)

    before = queries()
    copies(hello, 60)

    assert queries() == before == 4


@pytest.fixture
def ask(owner: Person) -> Callable[..., Answer]:
    def get_document(**headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(headers=named).get("/api/package/acme/hello")

    return get_document


@pytest.mark.parametrize("in_memory", [spool.MAX_BYTES_IN_MEMORY, 100])
def test_a_long_document_is_the_same_by_any_way_it_comes(
    hello: Package, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(spool, "MAX_BYTES_IN_MEMORY", in_memory)
    copies(hello, 150)

    plain = ask()
    zipped = ask(Accept_Encoding="gzip, deflate")
    smallest = ask(Accept_Encoding="gzip, deflate, zstd;q=0.5, br")

    answers = (plain, zipped, smallest)
    bodies = [answer.getvalue() for answer in answers]
    body = bodies[0]
    assert len(json.loads(body)["files"]) == 153
    assert gzip.decompress(bodies[1]) == body
    assert zstandard.ZstdDecompressor().decompressobj().decompress(bodies[2]) == body
    assert [a.headers.get("Content-Encoding") for a in answers] == [None, "gzip", "zstd"]
    assert len({a.headers["ETag"] for a in answers}) == 3
    assert {a.headers["Vary"] for a in answers} == {"Authorization, Accept-Encoding"}
    assert [int(a.headers["Content-Length"]) for a in answers] == [len(b) for b in bodies]
    head = Client().head("/api/package/acme/hello")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(body)


def test_a_short_document_is_not_compressed(hello: Package, ask: Callable[..., Answer]) -> None:
    answer = ask(Accept_Encoding="gzip, deflate")

    assert "Content-Encoding" not in answer.headers
    assert json.loads(answer.content)["name"] == "hello"


@pytest.mark.parametrize("refusal", ["gzip;q=0", "gzip; q=0.0", "identity", "*;q=0"])
def test_nobody_is_sent_what_they_don_t_take(
    hello: Package, ask: Callable[..., Answer], refusal: str
) -> None:
    copies(hello, 150)

    assert "Content-Encoding" not in ask(Accept_Encoding=refusal).headers


def test_who_has_the_document_is_not_sent_it_again(
    hello: Package, owner: Person, ask: Callable[..., Answer]
) -> None:
    known = ask().headers["ETag"]

    again = ask(If_None_Match=known)
    weakened = ask(If_None_Match=f"W/{known}")
    publish(owner, "acme", "main", "hello", "3.0")
    changed = ask(If_None_Match=known)

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == known
    assert weakened.status_code == 304
    assert changed.status_code == 200
    assert changed.headers["ETag"] != known


def test_the_document_is_kept_by_nobody_else(hello: Package, ask: Callable[..., Answer]) -> None:
    assert ask().headers["Cache-Control"] == "private, no-cache"


# --- Small figures -----------------------------------------------------------------------------


def test_the_latest_version_and_the_downloads_can_be_asked_for_alone(hello: Package) -> None:
    files = PackageFile.objects.order_by("pk")
    for file in files:
        downloads.count(file.pk)
    downloads.flush()

    latest = said(call("GET", "/package/acme/hello/latest-version"))

    assert latest["latest_version"] == "1!0.1+g1"
    newest = files.get(version="1!0.1+g1")
    assert datetime.fromisoformat(latest["upload_time"]) == newest.uploaded_at
    assert said(call("GET", "/package/acme/hello/total-downloads")) == {"total_downloads": 3}
    own = get("/api/v1/accounts/acme/packages/hello/latest-version").json()
    assert own["latest_version"] == "1!0.1+g1"
    own = get("/api/v1/accounts/acme/packages/hello/total-downloads").json()
    assert own == {"total_downloads": 3}


def test_figures_leave_out_what_is_hidden(
    hello: Package, owner: Person, acme: Organization
) -> None:
    create_channel(by=owner.identity, account=acme.account, name="secret", visibility="private")
    file = publish(owner, "acme", "secret", "hello", "1!7")
    downloads.count(file.pk)
    downloads.flush()

    def figures(by: Person | None) -> tuple[object, object]:
        latest = said(call("GET", "/package/acme/hello/latest-version", by))
        total = said(call("GET", "/package/acme/hello/total-downloads", by))
        return latest["latest_version"], total["total_downloads"]

    assert figures(None) == ("1!0.1+g1", 0)
    assert figures(owner) == ("1!7", 1)


def test_a_package_without_files_has_no_latest_version(owner: Person, acme: Organization) -> None:
    said(call("POST", "/package/acme/fresh", owner, {"public": True}))

    error(call("GET", "/package/acme/fresh/latest-version", owner), 404)
    assert said(call("GET", "/package/acme/fresh/total-downloads", owner)) == {"total_downloads": 0}


# --- Releases ----------------------------------------------------------------------------------


def test_a_release_is_shown_with_its_files(hello: Package, owner: Person) -> None:
    publish(owner, "acme", "main", "hello", "1.9", build="py_2", about={"description": "Anew."})

    shown = said(call("GET", "/release/acme/hello/1.9"))

    assert [dist["basename"] for dist in shown["distributions"]] == [
        "linux-64/hello-1.9-py_0.conda", "noarch/hello-1.9-py_2.conda",
    ]  # fmt: skip
    assert shown["version"] == "1.9"
    assert shown["full_name"] == "acme/hello/1.9"
    assert shown["public_attrs"]["description"] == "Anew."


def test_what_was_said_of_a_release_by_hand_comes_before_what_its_files_say(
    hello: Package, owner: Person
) -> None:
    Release.objects.create(package=hello, version="1.9", description="By hand.")

    attributes = said(call("GET", "/release/acme/hello/1.9"))["public_attrs"]

    assert attributes["description"] == "By hand."
    assert attributes["summary"] == "Says hello"


@pytest.mark.parametrize("version", ["9.9", "1.90", "1.9%00", "1 9", "%"])
def test_a_release_that_is_none_is_not_found(hello: Package, version: str) -> None:
    error(call("GET", f"/release/acme/hello/{version}"), 404)


def test_a_release_without_files_is_for_those_who_may_write_it(
    hello: Package, owner: Person, reader: Person, maintainer: Person
) -> None:
    Release.objects.create(package=hello, version="2.0", description="Soon")

    for by in (owner, maintainer):
        shown = said(call("GET", "/release/acme/hello/2.0", by))
        assert (shown["distributions"], shown["public_attrs"]["description"]) == ([], "Soon")
    for nobody in (reader, None):
        error(call("GET", "/release/acme/hello/2.0", nobody), 404)


# --- Files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"1!0.1+g1/{NEWEST}",
        "1%210.1%2Bg1/noarch/hello-1%210.1%2Bg1-py_1.conda",
        "1!0.1+g1/hello-1!0.1+g1-py_1.conda",
        "1!0.1+g1/-/{id}",
    ],
)
def test_a_file_is_found_by_its_name_however_it_is_written(hello: Package, path: str) -> None:
    file = PackageFile.objects.get(version="1!0.1+g1")

    shown = said(call("GET", f"/dist/acme/hello/{path}".format(id=f"{file.pk:024x}")))

    assert (shown["basename"], shown["description"]) == (NEWEST, None)
    assert shown["attrs"]["depends"] == ["python >=3.9"]


@pytest.mark.parametrize(
    "path",
    [
        f"1.9/{NEWEST}",  # of another version
        "1.9/noarch/hello-1.9-py_0.conda",  # in another subdir
        "1.9/linux-64/hello-1.9-py_0.tar.bz2",
        "1.9/x/linux-64/hello-1.9-py_0.conda",
        "1.9//hello-1.9-py_0.conda",
        "1.9/-/000000000000000000000000",
        "1.9/-/ffffffffffffffffffffffff",
        "1.9/-/zzz",
        "1.9/%00",
    ],
)
def test_a_file_that_is_none_is_not_found(hello: Package, path: str) -> None:
    error(call("GET", f"/dist/acme/hello/{path}"), 404)


def test_a_name_without_its_subdir_that_fits_two_files_is_none(
    hello: Package, owner: Person
) -> None:
    publish(owner, "acme", "main", "hello", "1.9", build="py_0")

    error(call("GET", "/dist/acme/hello/1.9/hello-1.9-py_0.conda"), 404)
    said(call("GET", "/dist/acme/hello/1.9/noarch/hello-1.9-py_0.conda"))


# --- Downloading -------------------------------------------------------------------------------


def test_a_public_file_is_downloaded_from_its_channel_and_counted_once(
    settings: Settings, hello: Package
) -> None:
    settings.BASE_URL = "https://conda.example.org"
    row = PackageFile.objects.get(version="1!0.1+g1")

    answer = call("GET", f"/download/acme/hello/1!0.1+g1/{NEWEST}")

    assert answer.status_code == 302
    host, _, path = answer.headers["Location"].partition("/conda/")
    assert host == "https://conda.example.org"
    bytes_of_it = get(f"/conda/{path}")
    assert len(bytes_of_it.body) == row.size_bytes
    assert downloads.flush() == 1


def test_a_file_of_another_label_is_downloaded_from_there(owner: Person, acme: object) -> None:
    file = publish(owner, "acme", "rc/1:2", "hello")

    answer = call("GET", f"/download/acme/hello/1.0/noarch/{file.filename}")

    assert answer.headers["Location"].endswith(f"/conda/acme/label/rc/1:2/noarch/{file.filename}")


@pytest.mark.parametrize("accel_prefix", ["", "/-/files"])
def test_a_private_file_is_sent_at_once_and_counted_once(
    settings: Settings, owner: Person, acme: Organization, accel_prefix: str
) -> None:
    settings.ACCEL_PREFIX = accel_prefix
    create_channel(by=owner.identity, account=acme.account, name="secret", visibility="private")
    file = publish(owner, "acme", "secret", "hello")

    answer = call("GET", f"/download/acme/hello/1.0/noarch/{file.filename}", owner)

    assert answer.status_code == 200
    if accel_prefix:
        assert answer.headers["X-Accel-Redirect"].endswith(file.sha256)
    else:
        assert len(answer.getvalue()) == file.size_bytes
    assert answer.headers["Cache-Control"].startswith("private")
    assert file.filename in answer.headers["Content-Disposition"]
    assert downloads.flush() == 1


def test_a_file_in_no_label_is_sent_to_those_who_may_write_and_download_it(
    owner: Person, maintainer: Person, reader: Person, hello: Package
) -> None:
    address = "/download/acme/hello/1.9/linux-64/hello-1.9-py_0.conda"
    PackageFile.objects.get(version="1.9").entries.all().delete()

    for by in (owner, maintainer):
        answer = call("GET", address, by)
        assert (answer.status_code, answer.getvalue()[:2]) == (200, b"PK")
    for nobody in (reader, None):
        error(call("GET", address, nobody), 404)
    writes_only = owner.token("api:write").secret
    assert "conda:download" in error(call("GET", address, writes_only), 401)


def test_who_has_the_file_is_not_sent_it_again(hello: Package) -> None:
    row = PackageFile.objects.get(version="1.9")

    answer = Client(headers={"ETag": row.md5}).get(
        "/api/download/acme/hello/1.9/linux-64/hello-1.9-py_0.conda"
    )

    assert (answer.status_code, answer.content) == (304, b"")
    assert downloads.flush() == 0


def test_both_formats_of_a_build_are_files_of_their_own(
    owner: Person, channel: ChannelAddress
) -> None:
    for built in (build_conda("hello"), build_tar_bz2("hello")):
        assert owner.upload(built, to=channel).status_code == 201

    files = said(call("GET", "/package/acme/hello"))["files"]

    assert [file["basename"] for file in files] == [
        "noarch/hello-1.0-0.conda", "noarch/hello-1.0-0.tar.bz2",
    ]  # fmt: skip
