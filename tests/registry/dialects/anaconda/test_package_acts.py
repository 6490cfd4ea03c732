"""Making, describing and removing packages, releases and files, as the stock client and
rattler-build do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import Event, Organization
from registry.collaboration import set_privacy
from registry.models import Channel, Package, PackageFile, Release
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import make_organization
from tests.registry.api.world import publish
from tests.registry.dialects.anaconda.calls import call, error, said
from tests.registry.dialects.anaconda.staging import commit, send, stage

# What `anaconda upload` says of a package before its first file.
REGISTRATION: dict[str, Any] = {
    "public": True,
    "publish": False,
    "public_attrs": {
        "name": "hello",
        "summary": "A tiny test package",
        "description": "A longer description.",
        "license": {"name": "BSD-3-Clause", "url": None, "family": None},
        "license_url": "https://example.org/license",
        "license_family": None,
        "dev_url": "https://github.com/example/hello",
        "doc_url": ["https://docs.example.org", "https://more.example.org"],
        "home": "https://example.org/hello",
        "source_git_url": None,
        "package_types": ["conda"],
    },
}
RELEASE: dict[str, object] = {
    "requirements": [],
    "announce": None,
    "description": "A longer description.",
    "version": "1.2.3",
    "home_page": "https://example.org/page",
    "summary": "A tiny test package",
    "license": "BSD-3-Clause",
    "license_family": None,
    "icon": None,
}


@pytest.fixture
def hello(owner: Person, channel: ChannelAddress) -> Package:
    publish(owner, "acme", "main", "hello", "1.0", about={"summary": "Says hello"})
    return Package.objects.get(name="hello")


# --- Making packages ---------------------------------------------------------------------------


def test_a_package_is_registered_before_its_first_file(owner: Person, acme: Organization) -> None:
    made = said(call("POST", "/package/acme/Hello", owner, REGISTRATION))

    assert (made["full_name"], made["public"]) == ("acme/hello", True)
    row = Package.objects.get()
    assert {
        "summary": row.summary,
        "description": row.description,
        "license": row.license,
        "license_url": row.license_url,
        "home": row.home_url,
        "dev": row.dev_url,
        "doc": row.doc_url,
        "pinned": row.pinned,
        "private": row.is_private,
    } == {
        "summary": "A tiny test package",
        "description": "A longer description.",
        "license": "BSD-3-Clause",
        "license_url": "https://example.org/license",
        "home": "https://example.org/hello",
        "dev": "https://github.com/example/hello",
        "doc": "https://docs.example.org",
        "pinned": [],
        "private": False,
    }
    assert list(Event.objects.values_list("action", "target")) == [("package.create", "hello")]


def test_registering_again_is_no_error_and_changes_nothing(
    owner: Person, acme: Organization
) -> None:
    for summary in ("First", "Second"):
        body = {"public": True, "public_attrs": {"summary": summary}}
        said(call("POST", "/package/acme/hello", owner, body))

    assert Package.objects.get().summary == "First"


def test_a_package_is_private_from_the_start_where_that_is_asked_for(
    owner: Person, acme: Organization
) -> None:
    # As `anaconda package --create --private` has it.
    body = {
        "public": False,
        "publish": False,
        "public_attrs": {
            "summary": None,
            "package_types": [],
            "license": {"name": None, "url": None, "family": None},
        },
    }
    assert said(call("POST", "/package/acme/hello", owner, body))["public"] is False

    publish(owner, "acme", "main", "hello")
    run_pending_tasks()

    index = json.loads(get("/conda/acme/noarch/repodata.json").body)
    assert index["packages.conda"] == {}
    error(call("GET", "/package/acme/hello"), 404)


def test_the_first_upload_needs_no_more_than_the_scope_to_write(
    owner: Person, acme: Organization
) -> None:
    token = owner.token("api:write").secret

    error(call("GET", "/package/acme/hello", token), 404)
    said(call("POST", "/package/acme/hello", token, {**REGISTRATION, "public": False}))
    error(call("GET", "/release/acme/hello/7"), 404)
    said(call("POST", "/release/acme/hello/1.2.3", token, RELEASE))
    said(call("PATCH", "/release/acme/hello/1.2.3", token, {"public_attrs": {"summary": "x"}}))

    assert Release.objects.get().summary == "x"


# --- Describing them ---------------------------------------------------------------------------


def test_an_update_by_hand_stays_whatever_is_uploaded(owner: Person, hello: Package) -> None:
    body = {"public_attrs": {"summary": "By hand", "home": "", "license": None}}

    assert said(call("PATCH", "/package/acme/hello", owner, body))["summary"] == "By hand"

    publish(
        owner, "acme", "main", "hello", "2.0",
        about={"summary": "Anew", "home": "https://example.org", "license": "MIT"},
    )  # fmt: skip
    shown = said(call("GET", "/package/acme/hello"))
    assert (shown["summary"], shown["home"], shown["license"]) == ("By hand", None, "MIT")
    assert Package.objects.get().pinned == ["home_url", "summary"]


def test_a_registration_pins_nothing_and_takes_nothing_from_newer_uploads(
    owner: Person, hello: Package
) -> None:
    said(call("PATCH", "/package/acme/hello", owner, REGISTRATION))

    assert said(call("GET", "/package/acme/hello"))["summary"] == "Says hello"
    publish(owner, "acme", "main", "hello", "2.0", about={"summary": "Anew"})
    assert said(call("GET", "/package/acme/hello"))["summary"] == "Anew"
    assert Package.objects.get().pinned == []


def test_a_token_that_is_limited_to_a_channel_may_register_but_not_describe(
    owner: Person, hello: Package
) -> None:
    token = owner.token("all", channels=["main"]).secret

    said(call("PATCH", "/package/acme/hello", token, REGISTRATION))
    said(call("PATCH", "/release/acme/hello/1.0", token, {"public_attrs": {"summary": "x"}}))
    error(call("PATCH", "/package/acme/hello", token, {"public_attrs": {"summary": "x"}}), 403)


@pytest.mark.parametrize("public", [True, False])
def test_no_change_of_a_package_opens_or_hides_it(
    owner: Person, hello: Package, public: bool
) -> None:
    set_privacy(by=owner.identity, package=hello, is_private=public)

    said(call("PATCH", "/package/acme/hello", owner, {**REGISTRATION, "public": public}))

    assert Package.objects.get().is_private is public


def test_an_address_that_is_none_is_refused_where_somebody_looks(
    owner: Person, hello: Package
) -> None:
    body = {"public_attrs": {"home": "javascript:alert(1)"}}

    assert "https://" in error(call("PATCH", "/package/acme/hello", owner, body), 400)
    assert Package.objects.get().pinned == []


# --- Releases ----------------------------------------------------------------------------------


def test_a_release_is_made_before_its_files_and_described(owner: Person, hello: Package) -> None:
    said(call("POST", "/release/acme/hello/1.2.3", owner, RELEASE))
    again = said(call("POST", "/release/acme/hello/1.2.3", owner, {"summary": "Later"}))

    assert again["public_attrs"]["summary"] == "A tiny test package"
    assert again["public_attrs"]["home"] == "https://example.org/page"
    body = {"public_attrs": {"description": "Said by hand", "dev_url": "not an address"}}
    changed = said(call("PATCH", "/release/acme/hello/1.2.3", owner, body))
    assert changed["public_attrs"]["description"] == "Said by hand"
    assert changed["public_attrs"]["dev_url"] is None


def test_a_repeated_member_counts_as_last_said(owner: Person, hello: Package) -> None:
    # rattler-build sends its description twice.
    client = Client(headers={"Authorization": f"token {owner.token().secret}"})
    body = '{"description": null, "version": "2.0", "description": "Twice"}'

    answer = client.post("/api/release/acme/hello/2.0", body, content_type="application/json")

    assert said(answer)["public_attrs"]["description"] == "Twice"


def test_a_release_that_is_only_files_can_be_described(owner: Person, hello: Package) -> None:
    body = {"public_attrs": {"summary": "One"}}
    said(call("PATCH", "/release/acme/hello/1.0", owner, body))

    assert said(call("GET", "/release/acme/hello/1.0"))["public_attrs"]["summary"] == "One"
    error(call("PATCH", "/release/acme/hello/9.9", owner, body), 404)


def as_the_client_uploads(by: Person, built: BuiltPackage, *, summary: str) -> bool:
    """`anaconda upload`, with what it takes back when it fails; whether it went well."""
    package, release = "/package/acme/hello", "/release/acme/hello/1.0"
    attributes = {**REGISTRATION["public_attrs"], "summary": summary}
    made = call("GET", package, by).status_code == 404
    if made:
        said(call("POST", package, by, {**REGISTRATION, "public_attrs": attributes}))
    if call("GET", release, by).status_code == 404:
        said(call("POST", release, by, {**RELEASE, "version": "1.0", "summary": summary}))
    announced = stage(by, built)
    if announced.status_code == 200:
        form = said(announced)
        assert send(form, built).status_code == 201
        said(commit(by, built, form))
        return True
    if not said(call("GET", release, by))["distributions"]:
        said(call("DELETE", release, by), 201)
    if made and not said(call("GET", package, by))["files"]:
        said(call("DELETE", package, by), 201)
    return False


@pytest.mark.parametrize("given", [None, "By hand"])
def test_what_an_upload_that_failed_said_of_a_new_package_is_not_kept(
    maintainer: Person, channel: ChannelAddress, given: str | None
) -> None:
    first = build_conda("hello", "1.0", about={"summary": "First"})
    Channel.objects.update(is_locked=True)
    assert not as_the_client_uploads(maintainer, first, summary=given or "First")
    assert not Package.objects.filter(deleted_at=None).exists()

    Channel.objects.update(is_locked=False)
    second = build_conda("hello", "1.0", about={"summary": "Second"})
    assert as_the_client_uploads(maintainer, second, summary=given or "Second")

    row = Package.objects.get()
    assert row.summary == (given or "Second")
    assert ("summary" in row.pinned) == bool(given)


# --- Removing ----------------------------------------------------------------------------------


def test_a_file_a_release_and_a_package_are_removed(owner: Person, hello: Package) -> None:
    for version in ("2.0", "3.0"):
        publish(owner, "acme", "main", "hello", version)
    said(call("POST", "/release/acme/hello/3.0", owner, RELEASE))
    run_pending_tasks()

    gone = said(call("DELETE", "/dist/acme/hello/2.0/noarch/hello-2.0-0.conda", owner))
    assert gone == {"basename": "noarch/hello-2.0-0.conda"}
    assert said(call("GET", "/package/acme/hello"))["versions"] == ["1.0", "3.0"]

    assert call("DELETE", "/release/acme/hello/3.0", owner).status_code == 201
    assert said(call("GET", "/package/acme/hello"))["versions"] == ["1.0"]
    error(call("GET", "/release/acme/hello/3.0", owner), 404)

    assert call("DELETE", "/package/acme/hello", owner).status_code == 201
    error(call("GET", "/package/acme/hello", owner), 404)
    run_pending_tasks()
    assert json.loads(get("/conda/acme/noarch/repodata.json").body)["packages.conda"] == {}
    for path in (
        "/dist/acme/hello/1.0/noarch/hello-1.0-0.conda", "/release/acme/hello/1.0",
        "/package/acme/hello",
    ):  # fmt: skip
        error(call("DELETE", path, owner), 404)


def test_a_file_is_removed_by_its_id_too(owner: Person, hello: Package) -> None:
    [file] = said(call("GET", "/package/acme/hello"))["files"]

    said(call("DELETE", f"/dist/acme/hello/1.0/-/{file['_id']}", owner))

    assert PackageFile.objects.get().deleted_at is not None


def test_what_a_failed_first_upload_leaves_is_cleaned_up(owner: Person, acme: Organization) -> None:
    token = owner.token("api:read", "api:write").secret
    said(call("POST", "/package/acme/hello", token, REGISTRATION))
    said(call("POST", "/release/acme/hello/1.2.3", token, RELEASE))

    assert said(call("GET", "/release/acme/hello/1.2.3", token))["distributions"] == []
    assert call("DELETE", "/release/acme/hello/1.2.3", token).status_code == 201
    assert said(call("GET", "/package/acme/hello", token))["files"] == []
    assert call("DELETE", "/package/acme/hello", token).status_code == 201

    assert not Package.objects.exists()


def listed() -> dict[str, Any]:
    run_pending_tasks()
    index = json.loads(get("/conda/acme/noarch/repodata.json").body)
    records: dict[str, Any] = index["packages.conda"]
    return records


def test_a_file_that_is_looked_at_and_deleted_stays_in_the_index_for_its_next_upload(
    owner: Person, hello: Package
) -> None:
    token = owner.token("api:read", "api:write").secret
    address = "/dist/acme/hello/1.0/noarch/hello-1.0-0.conda"
    said(call("GET", address, token))

    said(call("DELETE", address, token))

    error(call("GET", address, token), 404)
    assert said(call("GET", "/package/acme/hello", token))["files"] == []
    assert list(listed()) == ["hello-1.0-0.conda"]
    assert get("/conda/acme/noarch/hello-1.0-0.conda").status_code == 200


@pytest.mark.parametrize("method", ["", "HEAD"])
def test_a_file_that_is_only_deleted_is_gone_at_once(
    owner: Person, hello: Package, method: str
) -> None:
    token = owner.token("api:read", "api:write").secret
    address = "/dist/acme/hello/1.0/noarch/hello-1.0-0.conda"
    if method:
        assert call(method, address, token).status_code == 200
    said(call("GET", address))  # somebody else's look promises nothing

    said(call("DELETE", address, token))

    assert listed() == {}


# --- Bad input ---------------------------------------------------------------------------------

PACKAGE = "/package/acme/hello"
BAD_BODIES: list[tuple[str, str, object]] = [
    ("POST", PACKAGE, {"public": "yes"}),
    ("POST", PACKAGE, {"public": None}),
    ("POST", PACKAGE, {"public_attrs": []}),
    ("POST", PACKAGE, {"public_attrs": {"summary": 5}}),
    ("POST", PACKAGE, {"public_attrs": {"license": [{"name": "MIT"}]}}),
    ("POST", PACKAGE, {"public_attrs": {"package_types": "conda"}}),
    ("POST", PACKAGE, {"public_attrs": {"package_types": ["pypi"]}}),
    ("POST", PACKAGE, []),
    ("PATCH", PACKAGE, {"public_attrs": {"doc_url": [1]}}),
    ("PATCH", PACKAGE, {"public_attrs": None}),
    ("PATCH", PACKAGE, {"publish": 1}),
    ("POST", "/release/acme/hello/1.0", {"summary": {}}),
    ("POST", "/release/acme/hello/1.0", "text"),
    ("PATCH", "/release/acme/hello/1.0", {"public_attrs": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), BAD_BODIES)
def test_wrong_types_are_refused_with_a_sentence(
    owner: Person, hello: Package, method: str, path: str, body: object
) -> None:
    before = list(Package.objects.values())

    assert len(error(call(method, path, owner, body), 400)) > 30
    assert list(Package.objects.values()) == before
    assert not Release.objects.exists()


@pytest.mark.parametrize("data", ["{", "\xff", '{"public": tru}', "[" * 10_000])
def test_what_is_no_json_is_refused(owner: Person, hello: Package, data: str) -> None:
    client = Client(headers={"Authorization": f"token {owner.token().secret}"})

    for method in ("POST", "PATCH"):
        answer = client.generic(
            method, "/api/package/acme/hello", data.encode("latin-1"), "application/json"
        )
        error(answer, 400)


def test_a_megabyte_of_json_is_refused(owner: Person, hello: Package) -> None:
    body = {"public_attrs": {"summary": "x" * 2**20}}

    error(call("PATCH", "/package/acme/hello", owner, body), 413)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/package/acme/-hello", 422),
        ("/package/acme/h%20llo", 422),
        ("/package/acme/h%C3%A9llo", 422),
        (f"/package/acme/{'x' * 65}", 422),
        ("/package/missing/hello", 404),
        ("/package/acme/hel%00lo", 404),
        ("/release/acme/missing/1.0", 404),
        ("/release/acme/hello/1-0", 422),
        ("/release/acme/hello/..%20", 422),
    ],
)
def test_names_that_are_none_make_nothing(
    owner: Person, hello: Package, path: str, status: int
) -> None:
    error(call("POST", path, owner, {}), status)

    assert Package.objects.count() == 1
    assert not Release.objects.exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH", "OPTIONS"])
def test_other_methods_are_refused_with_a_sentence(owner: Person, method: str) -> None:
    for path in ("/user", "/search", "/packages/acme"):
        answer = call(method, path, owner)
        error(answer, 405)
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/package/acme/hello/", "/user/", "/release/acme/hello/1.0/", "/search/"]
)
def test_no_path_ends_in_a_slash_and_none_is_redirected(
    owner: Person, hello: Package, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        error(call(method, path, owner), 404)


def test_another_organization_s_admin_changes_nothing_here(
    stranger: Person, hello: Package
) -> None:
    make_organization("globex", owner=stranger.user)
    upload = build_conda("hello", "9.9")
    assert stranger.upload(upload, to=ChannelAddress("acme")).status_code == 403
    for method, path in (
        ("POST", "/package/acme/mine"),
        ("POST", "/package/acme/hello"),
        ("PATCH", "/package/acme/hello"),
        ("DELETE", "/package/acme/hello"),
        ("POST", "/release/acme/hello/1.0"),
        ("PATCH", "/release/acme/hello/1.0"),
        ("DELETE", "/release/acme/hello/1.0"),
        ("DELETE", "/dist/acme/hello/1.0/noarch/hello-1.0-0.conda"),
    ):
        error(call(method, path, stranger, {}), 403)
        error(call(method, path, None, {}), 401)
