"""What the world is told of a package that also stands where the world may not look."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import Organization
from portal.errors import NotFound
from registry import channels, placement, publishing
from registry.describing import Newcomer, describe
from registry.models import Channel, ChannelFile, Package, PackageFile
from registry.packages import create_package
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get
from tests.registry.sources import folder_of, run

PAGE = "/api/v1/accounts/acme/packages/hello"


def upload(person: Person, to: ChannelAddress, version: str) -> PackageFile:
    built = build_conda("hello", version, about={"summary": f"That of {version}"})
    assert person.upload(built, to=to).status_code == 201
    return PackageFile.objects.get(version=version)


def shown(answer: Answer) -> tuple[str, str]:
    said = answer.json()
    return said["latest_version"], said["summary"]


def test_a_version_in_a_private_channel_is_not_told(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, channel, "1.0")
    upload(owner, private_channel, "2.0")

    assert shown(get(PAGE)) == ("1.0", "That of 1.0")


def test_the_first_version_in_a_public_channel_is_told_though_it_is_older(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, private_channel, "2.0")
    assert get(PAGE).status_code == 404
    upload(owner, channel, "1.0")

    assert shown(get(PAGE)) == ("1.0", "That of 1.0")


def test_a_version_is_told_once_it_is_put_into_a_public_channel(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, channel, "1.0")
    file = upload(owner, private_channel, "2.0")

    placement.add_to_channel(by=owner.identity, file=file, channel=channel.row)

    assert shown(get(PAGE)) == ("2.0", "That of 2.0")


def test_after_a_deletion_a_private_version_is_still_not_told(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, channel, "1.0")
    newer = upload(owner, channel, "1.1")
    upload(owner, private_channel, "2.0")

    placement.delete_file(by=owner.identity, file=newer)

    assert get(PAGE).json()["latest_version"] == "1.0"


@pytest.mark.parametrize("how", ["removed", "deleted", "channel deleted"])
def test_a_package_that_only_stood_in_a_private_channel_stays_unknown(
    owner: Person, private_channel: ChannelAddress, how: str
) -> None:
    file = upload(owner, private_channel, "1.0")
    if how == "removed":
        placement.remove_from_channel(by=owner.identity, file=file, channel=private_channel.row)
    elif how == "deleted":
        placement.delete_file(by=owner.identity, file=file)
    else:
        channels.delete_channel(by=owner.identity, channel=private_channel.row)

    assert get(PAGE).status_code == 404
    assert get("/api/v1/search?q=hello").json()["results"] == []
    assert get(PAGE, token=owner.token().secret).status_code == 200


def test_a_package_that_stood_in_a_public_channel_stays_known(
    owner: Person, channel: ChannelAddress
) -> None:
    file = upload(owner, channel, "1.0")
    placement.remove_from_channel(by=owner.identity, file=file, channel=channel.row)

    assert get(PAGE).status_code == 200


def test_describing_a_package_does_not_show_one_that_was_hidden_meanwhile(
    owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, channel, "1.0")
    read_before = PackageFile.objects.select_related("package").get()
    Package.objects.update(is_private=True)

    newcomer = Newcomer(read_before.package, "1.0", "", {"summary": "Described anew"})
    describe([newcomer], channel.row, shown=set())

    package = Package.objects.get()
    assert package.is_private
    assert package.summary == "Described anew"


def test_a_channel_that_is_deleted_while_a_file_comes_in_takes_none(
    owner: Person, channel: ChannelAddress
) -> None:
    built = build_conda("hello", "1.0")
    destination = publishing.open_destination(owner.identity, "acme", "main")
    Channel.objects.all().delete()

    class Body:
        left = built.data

        def readinto(self, buffer: memoryview, /) -> int:
            block, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
            buffer[: len(block)] = block
            return len(block)

    with pytest.raises(NotFound):
        publishing.publish_to(
            by=owner.identity, destination=destination, body=Body(), claims=publishing.Claims()
        )

    assert not PackageFile.objects.exists()


def test_a_file_that_was_deleted_meanwhile_is_not_listed_again(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, channel, "1.0")
    read_before = PackageFile.objects.select_related("account", "package").get()
    placement.delete_file(by=owner.identity, file=PackageFile.objects.get())

    with pytest.raises(NotFound):
        placement.add_to_channel(by=owner.identity, file=read_before, channel=private_channel.row)

    assert not ChannelFile.objects.exists()


def test_what_was_said_of_a_package_before_its_first_file_stays(
    owner: Person, channel: ChannelAddress
) -> None:
    create_package(
        by=owner.identity,
        account_name="acme",
        name="hello",
        fields={"summary": "By hand", "license": "MIT", "description": "The same"},
    )
    about = {"summary": "That of 1.0", "license": "BSD", "description": "The same"}
    built = build_conda("hello", "1.0", about=about)

    assert owner.upload(built, to=channel).status_code == 201

    package = Package.objects.get(name="hello")
    assert package.summary == "By hand"
    assert package.pinned == ["summary"]
    assert package.license == "BSD"
    upload(owner, channel, "2.0")
    assert shown(get(PAGE)) == ("2.0", "By hand")


def test_of_several_first_files_the_newest_is_held_against_what_was_said(
    owner: Person, acme: Organization, tmp_path: Path
) -> None:
    said = {"summary": "That of 2.0"}
    create_package(by=owner.identity, account_name="acme", name="hello", fields=said)
    files = [build_conda("hello", v, about={"summary": f"That of {v}"}) for v in ("1.0", "2.0")]

    assert run(str(folder_of(tmp_path / "source", *files)), "acme").code == 0

    package = Package.objects.get(name="hello")
    assert (package.summary, package.pinned) == ("That of 2.0", [])
