"""Packages and releases: made before their files, described by hand or by uploads, deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.identity import ANONYMOUS
from accounts.models import Event, Organization
from accounts.roles import Permission
from portal.errors import CredentialNeeded, Forbidden, InvalidInput, NotFound
from registry import access, collaboration, packages, placement
from registry.models import Collaborator, Package, PackageFile, Release
from registry.publishing import InvalidPackage
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get, run_pending_tasks

PAGE = "/api/v1/accounts/acme/packages/hello"


def create(person: Person, name: str = "hello", **more: Any) -> tuple[Package, bool]:
    return packages.create_package(by=person.identity, account_name="acme", name=name, **more)


def hello() -> Package:
    return Package.objects.select_related("account").get(account__name="acme", name="hello")


def version(number: str, **about: object) -> BuiltPackage:
    return build_conda("hello", number, about=about)


def upload(person: Person, to: ChannelAddress, built: BuiltPackage) -> None:
    assert person.upload(built, to=to).status_code == 201


def page(person: Person) -> Answer:
    return get(PAGE, token=person.token().secret)


# --- Making --------------------------------------------------------------------------------------


def test_an_empty_package_is_shown_to_those_who_see_what_is_private(
    maintainer: Person, reader: Person, stranger: Person, owner: Person, channel: ChannelAddress
) -> None:
    package, is_new = create(maintainer, fields={"summary": "Says hello"})

    assert is_new
    assert package.summary == "Says hello"
    assert page(maintainer).json()["summary"] == "Says hello"
    assert page(reader).status_code == 200
    assert page(stranger).status_code == 404
    assert get(PAGE).status_code == 404
    assert "Says hello" in maintainer.client.get("/acme/hello").content.decode()
    upload(owner, channel, version("1.0", summary="From the file"))
    assert get(PAGE).json()["summary"] == "Says hello"  # as it was said by hand
    event = Event.objects.get(action="package.create")
    assert (event.target, event.actor) == ("hello", maintainer.user)


def test_one_that_is_there_stays_as_it_is(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, channel, version("1.0", summary="As it is"))

    package, is_new = create(owner, is_private=True, fields={"summary": "Another"})

    assert not is_new
    assert (package.is_private, package.summary) == (False, "As it is")
    assert not Event.objects.filter(action="package.create").exists()


def test_a_package_may_be_private_before_its_first_file(
    maintainer: Person, stranger: Person, channel: ChannelAddress
) -> None:
    create(maintainer, is_private=True)
    upload(maintainer, channel, version("1.0"))
    run_pending_tasks()

    assert hello().is_private
    assert get(PAGE).status_code == 404
    assert stranger.repodata(channel, "noarch")["packages.conda"] == {}
    assert list(maintainer.repodata(channel, "noarch")["packages.conda"]) == ["hello-1.0-0.conda"]


def test_who_may_not_publish_a_name_makes_no_package_of_it(
    acme: Organization, reader: Person, stranger: Person, maintainer: Person
) -> None:
    for person in (reader, stranger):
        with pytest.raises(Forbidden):
            create(person)
    for token in ({"packages": ["world"]}, {}):
        scope = "api:write" if token else "api:read"
        with pytest.raises(Forbidden):
            packages.create_package(
                by=maintainer.identity_with(scope, **token), account_name="acme", name="hello"
            )
    with pytest.raises(CredentialNeeded):
        packages.create_package(by=ANONYMOUS, account_name="acme", name="hello")
    with pytest.raises(NotFound):
        packages.create_package(by=maintainer.identity, account_name="nobody", name="hello")

    assert not Package.objects.exists()


@pytest.mark.parametrize("name", ["", "Hello", "a b", "-x", "x" * 65, "ä", "a\0b"])
def test_a_name_that_clients_do_not_take_makes_no_package(
    name: str, owner: Person, acme: Organization
) -> None:
    with pytest.raises(InvalidPackage):
        create(owner, name)


# --- Describing ----------------------------------------------------------------------------------


def test_what_is_pinned_stays_whatever_is_uploaded(
    owner: Person, maintainer: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0", summary="Of 1.0", home="https://one.example"))

    packages.change_package(
        by=maintainer.identity, package=hello(), fields={"summary": "By hand", "license": "MIT"}
    )
    upload(owner, channel, version("2.0", summary="Of 2.0", home="https://two.example"))

    shown = get(PAGE).json()
    assert (shown["summary"], shown["license"]) == ("By hand", "MIT")
    assert (shown["home_url"], shown["latest_version"]) == ("https://two.example", "2.0")
    assert shown["pinned"] == ["license", "summary"]
    event = Event.objects.get(action="package.change")
    assert event.detail == {"changed": ["license", "summary"], "pinned": ["license", "summary"]}
    assert "By hand" in get("/acme/hello").body.decode()
    assert "By hand" in get("/acme").body.decode()


def test_a_field_follows_the_uploads_again_at_once(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, channel, version("1.0", summary="Of 1.0"))
    packages.change_package(
        by=owner.identity, package=hello(), fields={"summary": "By hand", "home_url": ""}
    )
    upload(owner, channel, version("2.0", summary="Of 2.0"))

    packages.unpin(by=owner.identity, package=hello(), fields=["summary"])

    shown = get(PAGE).json()
    assert (shown["summary"], shown["pinned"]) == ("Of 2.0", ["home_url"])


def test_what_uploads_say_by_the_way_is_not_pinned(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, channel, version("1.0", summary="Of 1.0"))
    packages.change_package(by=owner.identity, package=hello(), fields={"license": "MIT"})

    packages.change_package(
        by=owner.identity,
        package=hello(),
        fields={"summary": "Announced", "license": "BSD"},
        pins=False,
    )

    assert (hello().summary, hello().license, hello().pinned) == ("Announced", "MIT", ["license"])
    upload(owner, channel, version("2.0", summary="Of 2.0"))
    assert hello().summary == "Of 2.0"


def test_a_file_that_is_replaced_describes_its_package_anew(
    owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0", summary="Frist"))

    answer = owner.upload(version("1.0", summary="First"), to=channel, query="?force=true")

    assert answer.status_code == 201
    assert get(PAGE).json()["summary"] == "First"


def test_without_files_only_what_is_pinned_is_left_to_say(
    owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0", summary="Of 1.0", description="Long"))
    packages.change_package(by=owner.identity, package=hello(), fields={"summary": "By hand"})

    placement.delete_file(by=owner.identity, file=PackageFile.objects.get())

    assert (hello().summary, hello().description) == ("By hand", "")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"home_url": "javascript:alert(1)"}, "home_url"),
        ({"license_url": "no address"}, "license_url"),
        ({"summary": "\u200b\u202e"}, "summary"),
    ],
)
def test_what_can_not_be_shown_is_refused_when_it_is_said_by_hand(
    fields: dict[str, str], wrong: str, owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0", summary="Of 1.0"))

    with pytest.raises(InvalidInput) as refused:
        packages.change_package(by=owner.identity, package=hello(), fields=fields)

    assert list(refused.value.errors) == [wrong]
    packages.change_package(by=owner.identity, package=hello(), fields=fields, pins=False)
    assert getattr(hello(), wrong) == ""


def test_only_what_describes_a_package_can_be_said(owner: Person, acme: Organization) -> None:
    create(owner)

    with pytest.raises(InvalidInput, match="'is_private' is nothing that describes a package"):
        packages.change_package(by=owner.identity, package=hello(), fields={"is_private": "1"})


def test_who_may_not_write_a_package_does_not_describe_it(
    owner: Person, reader: Person, maintainer: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0"))
    limited = maintainer.identity_with("api:write", channels=["main"])

    for identity in (reader.identity, limited):
        with pytest.raises(Forbidden):
            packages.change_package(by=identity, package=hello(), fields={"summary": "x"})
    # As a part of uploading it may.
    packages.change_package(by=limited, package=hello(), fields={"summary": "x"}, pins=False)
    assert hello().summary == "x"


# --- Releases ------------------------------------------------------------------------------------


def test_a_release_may_be_described_before_its_files(
    owner: Person, channel: ChannelAddress
) -> None:
    create(owner)

    release, is_new = packages.ensure_release(
        by=owner.identity, package=hello(), version="1.0", fields={"summary": "Of 1.0"}
    )

    assert is_new
    again = packages.ensure_release(
        by=owner.identity, package=hello(), version="1.0", fields={"summary": "Other"}
    )
    assert again == (release, False)
    packages.change_release(
        by=owner.identity, package=hello(), version="1.0", fields={"summary": "Changed"}
    )
    upload(owner, channel, version("1.0", summary="From the file"))
    upload(owner, channel, version("2.0", summary="Newer"))
    assert Release.objects.get().summary == "Changed"
    assert "Changed" in get("/acme/hello/1.0").body.decode()
    assert "Newer" in get("/acme/hello/2.0").body.decode()


@pytest.mark.parametrize("number", ["", "1-0", "x" * 80, "1..0"])
def test_a_version_that_clients_do_not_take_makes_no_release(
    number: str, owner: Person, acme: Organization
) -> None:
    create(owner)

    with pytest.raises(InvalidPackage):
        packages.ensure_release(by=owner.identity, package=hello(), version=number)


def test_a_release_that_is_not_there_is_not_changed_or_deleted(
    owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0"))

    with pytest.raises(NotFound):
        packages.change_release(by=owner.identity, package=hello(), version="2.0", fields={})
    with pytest.raises(NotFound):
        packages.delete_release(by=owner.identity, package=hello(), version="2.0")


def test_a_release_goes_with_its_files(owner: Person, channel: ChannelAddress) -> None:
    for built in (version("1.0"), build_conda("hello", "1.0", subdir="linux-64"), version("2.0")):
        upload(owner, channel, built)
    packages.ensure_release(by=owner.identity, package=hello(), version="1.0")

    assert packages.delete_release(by=owner.identity, package=hello(), version="1.0") == 2

    run_pending_tasks()
    assert list(owner.repodata(channel, "noarch")["packages.conda"]) == ["hello-2.0-0.conda"]
    assert not Release.objects.exists()
    assert get(PAGE).json()["latest_version"] == "2.0"
    assert Event.objects.get(action="release.delete").detail == {"files": 2}


# --- Deleting ------------------------------------------------------------------------------------


def test_a_package_goes_with_its_files_and_everything_said_of_it(
    owner: Person, maintainer: Person, channel: ChannelAddress
) -> None:
    for number in ("1.0", "2.0"):
        upload(owner, channel, version(number, summary="Says hello"))
    run_pending_tasks()

    assert packages.delete_package(by=maintainer.identity, package=hello()) == 2

    run_pending_tasks()
    assert owner.repodata(channel, "noarch")["packages.conda"] == {}
    assert page(owner).status_code == 404
    assert owner.client.get("/acme/hello").status_code == 404
    assert "hello" not in [
        row["name"] for row in page_of(owner, "/api/v1/accounts/acme/packages")["results"]
    ]
    assert Event.objects.get(action="package.delete").detail == {"files": 2}


def page_of(person: Person, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(path, token=person.token().secret).body)
    return found


def test_it_comes_back_with_the_next_file_and_nothing_of_before(
    owner: Person, stranger: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0", summary="Old"))
    packages.change_package(by=owner.identity, package=hello(), fields={"license": "MIT"})
    collaboration.set_collaborator(
        by=owner.identity, package=hello(), permission=Permission.WRITE, user=stranger.user
    )
    packages.delete_package(by=owner.identity, package=hello())

    upload(owner, channel, version("1.0", summary="New"))

    shown = get(PAGE).json()
    assert (shown["summary"], shown["license"], shown["pinned"]) == ("New", "", [])
    assert not Collaborator.objects.exists()


def test_deleting_a_private_package_shows_nothing_of_it(
    owner: Person, stranger: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0"))
    collaboration.set_privacy(by=owner.identity, package=hello(), is_private=True)
    packages.delete_package(by=owner.identity, package=hello())
    run_pending_tasks()

    assert stranger.repodata(channel, "noarch")["removed"] == []
    package, is_new = create(owner)
    assert (is_new, package.is_private) == (True, True), "as private as it was"


def test_one_that_comes_back_private_leaves_what_is_public(
    owner: Person, stranger: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0"))
    packages.delete_package(by=owner.identity, package=hello())
    run_pending_tasks()
    assert stranger.repodata(channel, "noarch")["removed"] == ["hello-1.0-0.conda"]

    create(owner, is_private=True)

    run_pending_tasks()
    assert stranger.repodata(channel, "noarch")["removed"] == []


def test_a_package_without_any_trace_leaves_none(owner: Person, acme: Organization) -> None:
    create(owner)
    packages.ensure_release(by=owner.identity, package=hello(), version="1.0")

    assert packages.delete_package(by=owner.identity, package=hello()) == 0

    assert not Package.objects.exists()


def test_the_rights_of_collaborators_go_only_by_an_admin(
    owner: Person, maintainer: Person, stranger: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0"))
    collaboration.set_collaborator(
        by=owner.identity, package=hello(), permission=Permission.READ, user=stranger.user
    )

    with pytest.raises(Forbidden, match="permission to admin hello"):
        packages.delete_package(by=maintainer.identity, package=hello())

    assert packages.delete_package(by=owner.identity, package=hello()) == 1


def test_who_may_not_delete_all_of_its_files_deletes_none(
    owner: Person, maintainer: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, channel, version("1.0"))
    upload(owner, private_channel, version("2.0"))

    with pytest.raises(Forbidden, match="limited to the channels main"):
        packages.delete_package(
            by=maintainer.identity_with("api:write", channels=["main"]), package=hello()
        )

    assert PackageFile.objects.present().count() == 2


def test_who_may_write_finds_a_package_without_the_right_to_download(
    owner: Person, maintainer: Person, stranger: Person, channel: ChannelAddress
) -> None:
    create(owner, is_private=True)
    upload_only = maintainer.identity_with("api:write")

    assert access.find_package_to_write(upload_only, "acme", "hello").name == "hello"
    limited = maintainer.identity_with("api:write", packages=["world"])
    for identity in (stranger.identity, limited):
        with pytest.raises(NotFound):
            access.find_package_to_write(identity, "acme", "hello")
