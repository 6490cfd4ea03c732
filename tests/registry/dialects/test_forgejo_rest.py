"""Forgejo's REST routes for packages."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization
from registry.channels import change_channel, create_channel
from registry.indexing import run_overdue
from registry.models import Channel, ChannelFile, PackageFile
from tests.builders import build_conda, build_tar_bz2
from tests.cast import Person
from tests.factories import make_organization, make_token, make_user
from tests.registry.dialects.forgejo_client import Answer, Curl, basic

pytestmark = pytest.mark.django_db

ROOT = "/api/v1/packages/acme"


@pytest.fixture(scope="module")
def lasting_owner(ground: Path) -> Person:
    owner = Person(make_user("olga"))
    make_organization("acme", owner=owner.user)
    curl = Curl("acme", basic("olga", owner.token().secret))
    for path, built in (
        ("x.conda", build_conda("nu", "1.0")),
        ("dev/x.conda", build_conda("nu", "1.0")),
        ("x.conda", build_conda("nu", "1.1", subdir="linux-64")),
        ("x.tar.bz2", build_tar_bz2("nu", "1.1")),
        ("a/b/x.conda", build_conda("xi", "2.0")),
    ):
        assert curl.put(path, built.data).status_code == 201
    return owner


@pytest.fixture
def owner(db: None, ground: Path, lasting_owner: Person) -> Person:
    shutil.copytree(ground, settings.DATA_FOLDER)
    return deepcopy(lasting_owner)


@pytest.fixture
def acme(owner: Person) -> Organization:
    return Organization.objects.get()


@pytest.fixture
def filled(acme: Organization, owner: Person) -> Curl:
    """nu 1.0 in main and dev, nu 1.1 in two builds and formats in main, xi 2.0 in a/b."""
    return Curl("acme", basic("olga", owner.token().secret))


def body(answer: Answer) -> Any:
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    return json.loads(answer.content)


def listed(curl: Curl, query: str = "") -> list[tuple[str, str]]:
    return [(entry["name"], entry["version"]) for entry in body(curl.get(f"{ROOT}{query}"))]


ALL = [("a/b/xi", "2.0"), ("nu", "1.1"), ("dev/nu", "1.0"), ("nu", "1.0")]


# --- Listing -----------------------------------------------------------------------------------


def test_the_list_has_an_entry_for_each_version_newest_first(filled: Curl) -> None:
    answer = filled.get(ROOT)
    assert listed(filled) == ALL
    assert answer["X-Total-Count"] == "4"
    assert "Link" not in answer.headers
    assert filled.get(f"{ROOT}/").content == answer.content


def test_an_entry_says_what_forgejo_says(filled: Curl) -> None:
    entry = body(filled.get(f"{ROOT}?q=xi"))[0]
    assert list(entry) == [
        "id", "owner", "repository", "creator", "type", "name", "version", "html_url", "created_at",
    ]  # fmt: skip
    assert entry["owner"]["login"] == entry["owner"]["username"] == "acme"
    assert entry["creator"]["login"] == "olga"
    assert entry["repository"] is None
    assert entry["type"] == "conda"
    assert entry["html_url"] == f"{settings.BASE_URL}/acme/xi"
    assert entry["created_at"].endswith("Z")
    assert body(filled.get(f"{ROOT}/conda/a%2Fb%2Fxi/2.0")) == entry


def test_what_an_organizations_token_uploads_is_created_by_the_organization(
    acme: Organization,
) -> None:
    robot = Curl("acme", f"token {make_token(acme.account, 'all').secret}")
    robot.put("x.conda", build_conda("made-by-robots").data)
    assert body(robot.get(ROOT))[0]["creator"]["login"] == "acme"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?type=conda", ALL),
        ("?type=pypi", []),
        ("?q=NU", [("nu", "1.1"), ("dev/nu", "1.0"), ("nu", "1.0")]),
        ("?q=dev/n", [("dev/nu", "1.0")]),
        ("?q=main", []),
        ("?q=%25", []),
        ("?q=x&type=conda", [("a/b/xi", "2.0")]),
        ("?limit=2", ALL[:2]),
        ("?limit=2&page=2", ALL[2:]),
        ("?limit=3&page=2", ALL[3:]),
        ("?limit=2&page=3", []),
        ("?page=0&limit=-1", ALL),
        ("?page=x&limit=y", ALL),
        (f"?page={'9' * 30}", []),
        (f"?page={'9' * 5000}", ALL),
        ("?limit=1000", ALL),
    ],
)
def test_the_list_can_be_narrowed_and_paged(
    filled: Curl, query: str, expected: list[tuple[str, str]]
) -> None:
    assert listed(filled, query) == expected


def test_pages_are_linked(filled: Curl) -> None:
    def links(page: int) -> dict[str, str]:
        answer = filled.get(f"{ROOT}?limit=1&page={page}&q=nu&token=secret")
        assert answer["X-Total-Count"] == "3"
        assert answer["Access-Control-Expose-Headers"] == "Link, X-Total-Count"
        parts = (link.split("; ") for link in answer["Link"].split(","))
        return {relation: address for address, relation in parts}

    def address(page: int) -> str:
        return f"<{settings.BASE_URL}{ROOT}?limit=1&page={page}&q=nu>"

    assert links(1) == {'rel="next"': address(2), 'rel="last"': address(3)}
    assert links(2) == {
        'rel="next"': address(3), 'rel="last"': address(3),
        'rel="first"': address(1), 'rel="prev"': address(1),
    }  # fmt: skip
    assert links(3) == {'rel="first"': address(1), 'rel="prev"': address(2)}


def test_the_cost_of_a_list_does_not_grow_with_it(
    filled: Curl, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    filled.get(ROOT)  # the first use of a token is written down
    with django_assert_max_num_queries(20) as few:
        filled.get(f"{ROOT}?limit=1")
    with django_assert_max_num_queries(20) as many:
        filled.get(ROOT)
    assert isinstance(few, CaptureQueriesContext)
    assert len(few) == len(many)


# --- One version -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("conda/nu/1.1", ["nu-1.1-0.conda", "nu-1.1-0.tar.bz2"]),
        ("conda/nu/1.0", ["nu-1.0-0.conda"]),
        ("conda/dev%2Fnu/1.0", ["nu-1.0-0.conda"]),
        ("conda/dev/nu/1.0", ["nu-1.0-0.conda"]),
        ("conda/NU/1.0", ["nu-1.0-0.conda"]),
        ("conda/a%2Fb%2Fxi/2.0", ["xi-2.0-0.conda"]),
    ],
)
def test_a_version_and_its_files_can_be_asked_for(
    filled: Curl, path: str, names: list[str]
) -> None:
    version = body(filled.get(f"{ROOT}/{path}"))
    assert version["version"] == path.rpartition("/")[2]
    files = body(filled.get(f"{ROOT}/{path}/files"))
    assert [file["name"] for file in files] == names
    for file in files:
        stored = PackageFile.objects.get(pk=file["id"])
        assert file["Size"] == file["size"] == stored.size_bytes
        assert (file["md5"], file["sha256"]) == (stored.md5, stored.sha256)
    assert filled.head(f"{ROOT}/{path}").status_code == 200


MISSING = [
    "conda/nu/9.9",
    "conda/nothing/1.0",
    "conda/nowhere%2Fnu/1.0",
    "conda/dev%2Fxi/2.0",
    "conda/xi/2.0",
    "pypi/nu/1.0",
    "conda/nu/-/latest",
]


@pytest.mark.parametrize("path", MISSING)
def test_what_is_missing_is_404_in_forgejos_words(filled: Curl, path: str) -> None:
    for method, suffix in (("GET", ""), ("GET", "/files"), ("DELETE", "")):
        answer = filled.ask(method, f"{ROOT}/{path}{suffix}")
        assert answer.status_code == 404
        error = json.loads(answer.content)
        assert sorted(error) == ["errors", "message", "url"]
        assert error["message"] == "The target couldn't be found."
        assert error["errors"] == []


# --- Deleting ----------------------------------------------------------------------------------


def test_deleting_a_version_deletes_all_its_builds_at_once(filled: Curl) -> None:
    answer = filled.delete(f"{ROOT}/conda/nu/1.1")
    assert (answer.status_code, answer.content) == (204, b"")
    run_overdue()

    assert listed(filled) == [entry for entry in ALL if entry != ("nu", "1.1")]
    assert list(filled.document("noarch/repodata.json")["packages.conda"]) == ["nu-1.0-0.conda"]
    assert filled.document("noarch/repodata.json")["packages"] == {}
    assert filled.document("linux-64/repodata.json")["packages.conda"] == {}
    assert filled.get("noarch/nu-1.1-0.tar.bz2").status_code == 404
    assert filled.delete(f"{ROOT}/conda/nu/1.1").status_code == 404


def test_deleting_from_one_channel_leaves_the_others(filled: Curl) -> None:
    assert filled.delete(f"{ROOT}/conda/dev%2Fnu/1.0").status_code == 204
    run_overdue()
    assert filled.document("dev/noarch/repodata.json")["packages.conda"] == {}
    assert "nu-1.0-0.conda" in filled.document("noarch/repodata.json")["packages.conda"]
    assert filled.get("noarch/nu-1.0-0.conda").status_code == 200


@pytest.mark.parametrize("is_immutable", [False, True])
def test_the_name_of_a_deleted_file_is_free_but_in_an_immutable_channel(
    is_immutable: bool, acme: Organization, owner: Person, filled: Curl
) -> None:
    first, other = build_conda("mu"), build_conda("mu", files={"a": "b"})
    filled.put("x.conda", first.data)
    channel = Channel.objects.select_related("account").get(account=acme.account, name="main")
    change_channel(by=owner.identity, channel=channel, is_immutable=is_immutable)
    filled.delete(f"{ROOT}/conda/mu/1.0")

    answer = filled.put("x.conda", other.data)

    assert answer.status_code == (409 if is_immutable else 201)
    if is_immutable:
        assert "Raise the build number" in json.loads(answer.content)["message"]
        assert filled.put("x.conda", first.data).status_code == 201
    there = filled.get("noarch/mu-1.0-0.conda").content
    assert there == (first.data if is_immutable else other.data)


def test_a_locked_channel_keeps_its_versions(
    acme: Organization, owner: Person, filled: Curl
) -> None:
    channel = Channel.objects.get(account=acme.account, name="dev")
    change_channel(by=owner.identity, channel=channel, is_locked=True)
    assert filled.delete(f"{ROOT}/conda/dev%2Fnu/1.0").status_code == 403
    assert ChannelFile.objects.filter(channel=channel).exists()


def test_a_token_for_one_channel_deletes_from_no_other(
    acme: Organization, owner: Person, filled: Curl
) -> None:
    limited = Curl("acme", f"Bearer {owner.token('api', channels=['dev']).secret}")
    assert limited.delete(f"{ROOT}/conda/nu/1.1").status_code == 403
    assert limited.delete(f"{ROOT}/conda/dev%2Fnu/1.0").status_code == 204
    assert PackageFile.objects.present().count() == 4


# --- Who may -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [ROOT, f"{ROOT}/conda/nu/1.0", f"{ROOT}/conda/nu/1.0/files", "/api/v1/packages/nobody"]
)
def test_all_of_it_wants_a_credential(filled: Curl, path: str) -> None:
    answer = Curl("acme").get(path)
    assert answer.status_code == 401
    assert sorted(json.loads(answer.content)) == ["message", "url"]
    assert Curl("acme", "token wrong").get(path).status_code == 401


def test_reading_and_deleting_want_their_scopes(owner: Person, filled: Curl) -> None:
    def with_scope(scope: str) -> Curl:
        return Curl("acme", f"token {owner.token(scope).secret}")

    assert with_scope("conda:download").get(ROOT).status_code == 403
    assert with_scope("api:read").get(ROOT).status_code == 200
    assert with_scope("api:read").delete(f"{ROOT}/conda/nu/1.0").status_code == 403
    assert with_scope("api:write").delete(f"{ROOT}/conda/nu/1.0").status_code == 204


def test_only_who_may_write_a_package_deletes_it(
    stranger: Person, reader: Person, maintainer: Person, filled: Curl
) -> None:
    for person in (stranger, reader):
        other = Curl("acme", f"token {person.token().secret}")
        assert len(listed(other)) == 4
        assert other.delete(f"{ROOT}/conda/nu/1.0").status_code == 403
    writer = Curl("acme", f"token {maintainer.token().secret}")
    assert writer.delete(f"{ROOT}/conda/nu/1.0").status_code == 204


def test_a_private_channel_is_listed_to_members_only(
    acme: Organization, owner: Person, reader: Person, stranger: Person, filled: Curl
) -> None:
    create_channel(by=owner.identity, account=acme.account, name="secret", visibility="private")
    filled.put("secret/x.conda", build_conda("nu").data)
    member = Curl("acme", f"token {reader.token().secret}")
    outsider = Curl("acme", f"token {stranger.token().secret}")

    assert set(listed(member)) == {("secret/nu", "1.0"), *ALL}
    assert listed(outsider) == ALL
    hidden = outsider.get(f"{ROOT}/conda/secret%2Fnu/1.0")
    missing = outsider.get(f"{ROOT}/conda/nowhere%2Fnu/1.0")
    assert (hidden.status_code, hidden.content) == (404, missing.content)
    assert outsider.delete(f"{ROOT}/conda/secret%2Fnu/1.0").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ROOT), ("PUT", f"{ROOT}/conda/nu/1.0"), ("DELETE", f"{ROOT}/conda/nu/1.0/files")],
)
def test_other_methods_are_not_allowed(filled: Curl, method: str, path: str) -> None:
    assert filled.ask(method, path).status_code == 405


@pytest.mark.parametrize("path", ["?q=%00", "/conda/n%00u/1.0", "/conda/nu/1.0%00/files"])
def test_a_nul_is_a_bad_request(filled: Curl, path: str) -> None:
    assert filled.get(ROOT + path).status_code == 400
