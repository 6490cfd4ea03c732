"""Packages that only newer clients read stand where a channel's admins allow them, and nowhere
else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import zstandard

from accounts.models import Event, Organization
from registry import placement
from registry.channels import change_channel, create_channel
from registry.collaboration import set_privacy
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile
from registry.refusing import V3NotAllowed
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks, stored_files
from tests.factories import make_organization
from tests.registry.api.world import by_session

V3 = {"schema_version": 3, "extra_depends": {"test": ["pytest >=8"]}, "flags": ["blas:mkl"]}


def for_newer(name: str = "nova", **more: Any) -> BuiltPackage:
    index = {**V3, **more.pop("index", {})}
    return build_conda(name, "1.0", depends=["xz >=5"], index=index, **more)


@pytest.fixture
def open_channel(channel: ChannelAddress, owner: Person) -> ChannelAddress:
    """main, which takes packages for newer clients only."""
    change_channel(by=owner.identity, channel=channel.row, allows_v3=True)
    return channel


def the_file() -> PackageFile:
    return PackageFile.objects.select_related("account", "package").get()


def make_channel(
    owner: Person, organization: Organization, name: str, *, allows_v3: bool = False
) -> Channel:
    made = create_channel(by=owner.identity, account=organization.account, name=name)
    return change_channel(by=owner.identity, channel=made, allows_v3=allows_v3)


# --- The switch --------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["main", "brand-new"])
def test_a_channel_takes_none_until_it_is_told_to(
    to: str, channel: ChannelAddress, owner: Person
) -> None:
    answer = owner.upload(for_newer(), to=ChannelAddress("acme", to))

    assert answer.status_code == 403
    problem = answer.json()
    assert problem["type"] == "/docs/problems#newer-clients-only"
    assert f"{to} does not take such packages" in problem["detail"]
    assert "nova-1.0-0.conda" in problem["detail"]
    assert stored_files() == []
    assert not Blob.objects.exists()
    assert not PackageFile.objects.exists()
    assert not Package.objects.exists()
    assert not Channel.objects.filter(name="brand-new").exists()


@pytest.mark.parametrize(
    "index",
    [
        {"extra_depends": {"test": ["pytest"]}},
        {"flags": ["cuda"]},
        {"repodata_revision": 3},
        {"depends": ["xz[when='__unix']"]},
        {"constrains": ["xz[extras=[x]]"]},
    ],
)
def test_a_package_needs_newer_clients_whether_it_says_so_or_not(
    index: dict[str, object], channel: ChannelAddress, owner: Person
) -> None:
    package = build_conda("nova", "1.0", index=index)

    assert owner.upload(package, to=channel).status_code == 403
    change_channel(by=owner.identity, channel=channel.row, allows_v3=True)
    assert owner.upload(package, to=channel).status_code == 201
    assert the_file().schema_version == 3
    assert the_file().index["schema_version"] == 3


def test_older_schemas_are_taken_everywhere(channel: ChannelAddress, owner: Person) -> None:
    package = build_conda("old", "1.0", index={"schema_version": 2})

    assert owner.upload(package, to=channel).status_code == 201


def test_no_way_leads_around_the_switch(
    open_channel: ChannelAddress, owner: Person, acme: Organization
) -> None:
    owner.upload(for_newer(), to=open_channel)
    shut = make_channel(owner, acme, "shut")
    globex = make_organization("globex", owner=owner.user)

    with pytest.raises(V3NotAllowed, match="shut does not take such packages"):
        placement.add_to_channel(by=owner.identity, file=the_file(), channel=shut)
    for account in ("acme", "globex"):
        with pytest.raises(V3NotAllowed):
            placement.copy_file(
                by=owner.identity, file=the_file(), account_name=account, channel_name="shut"
            )
    again = owner.upload(for_newer(), to=ChannelAddress("acme", "shut"))

    assert again.status_code == 403
    assert ChannelFile.objects.count() == 1
    assert not PackageFile.objects.filter(account=globex.account).exists()
    assert not Channel.objects.filter(account=globex.account).exists()


def test_allowed_it_stands_in_further_channels_and_accounts(
    open_channel: ChannelAddress, owner: Person, acme: Organization
) -> None:
    owner.upload(for_newer(), to=open_channel)
    dev = make_channel(owner, acme, "dev", allows_v3=True)
    make_channel(owner, make_organization("globex", owner=owner.user), "dev", allows_v3=True)

    placement.add_to_channel(by=owner.identity, file=the_file(), channel=dev)
    placement.copy_file(
        by=owner.identity, file=the_file(), account_name="globex", channel_name="dev"
    )

    assert ChannelFile.objects.count() == 3
    assert {row.schema_version for row in PackageFile.objects.all()} == {3}


def test_the_switch_stays_on_while_such_packages_stand_there(
    open_channel: ChannelAddress, owner: Person
) -> None:
    caller = by_session(owner)
    path = "/accounts/acme/channels/main"
    for name in ("nova", "quasar"):
        owner.upload(for_newer(name), to=open_channel)

    refused = caller.call("PATCH", path, {"allows_v3": False})

    assert refused.status_code == 409
    assert "main holds 2 package files for repodata v3" in refused.json()["detail"]
    assert caller.get(path).json()["allows_v3"] is True
    for file in PackageFile.objects.select_related("package"):
        placement.remove_from_channel(by=owner.identity, file=file, channel=open_channel.row)
    assert caller.call("PATCH", path, {"allows_v3": False}).json()["allows_v3"] is False
    event = Event.objects.filter(action="channel.change").latest("id")
    assert event.detail == {"allows_v3": [True, False]}


def test_the_page_says_why_the_switch_stays_on(open_channel: ChannelAddress, owner: Person) -> None:
    owner.upload(for_newer(), to=open_channel)

    answer = owner.client.post(
        "/acme/settings/channels/general/main", {"description": "x", "visibility": "public"}
    )

    assert answer.status_code == 422
    assert "main holds 1 package file for repodata v3" in answer.content.decode()
    assert open_channel.row.allows_v3 is True
    assert open_channel.row.description == ""


# --- What is written ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "extension"), [(build_conda, "conda"), (build_tar_bz2, "tar.bz2")]
)
def test_the_record_has_the_form_of_its_part(
    build: Any, extension: str, open_channel: ChannelAddress, owner: Person
) -> None:
    package = build(
        "nova",
        "1.0",
        depends=["xz >=5", "python"],
        constrains=["zlib =1.3"],
        run_exports=["nova >=1"],
        index={**V3, "extra_depends": {"test": ["pytest >=8"], "none": []}},
    )

    assert owner.upload(package, to=open_channel).status_code == 201
    kept = the_file().record
    [(key, record)] = json.loads(b"{" + bytes(kept.json) + b"}").items()
    [(exporting, exports)] = json.loads(b"{" + bytes(kept.run_exports_json) + b"}").items()

    assert package.filename == f"nova-1.0-0.{extension}"
    assert key == exporting == "nova-1.0-0"
    assert exports == {"run_exports": {"weak": ["nova >=1"]}}
    assert record["depends"] == ['xz[version=">=5"]', "python"]
    assert record["constrains"] == ['zlib[version="1.3.*"]']
    assert record["extra_depends"] == {"test": ['pytest[version=">=8"]'], "none": []}
    assert record["flags"] == ["blas:mkl"]
    shard = msgspec.msgpack.decode(bytes(kept.msgpack))
    assert shard == {
        **record,
        "md5": bytes.fromhex(package.md5),
        "sha256": bytes.fromhex(package.sha256),
        "run_exports": {"weak": ["nova >=1"]},
    }


def test_a_spec_that_clients_read_in_two_ways_is_refused_with_the_package(
    open_channel: ChannelAddress, owner: Person
) -> None:
    package = build_conda("nova", "1.0", depends=["conda-forge::xz"], index=V3)

    answer = owner.upload(package, to=open_channel)

    assert answer.status_code == 422
    assert answer.json()["type"] == "/docs/problems#invalid-metadata"
    assert "'conda-forge::xz' names a channel" in answer.json()["detail"]


def test_clients_find_it_in_a_part_of_its_own(open_channel: ChannelAddress, owner: Person) -> None:
    package = for_newer(run_exports=["nova >=1"])
    owner.upload(package, to=open_channel)
    owner.upload(build_conda("old", "1.0"), to=open_channel)
    run_pending_tasks()

    repodata = owner.repodata(open_channel, "noarch")

    assert list(repodata["packages.conda"]) == ["old-1.0-0.conda"]
    assert list(repodata["v3"]["conda"]) == ["nova-1.0-0"]
    record = repodata["v3"]["conda"]["nova-1.0-0"]
    assert repodata["repodata_version"] == 1
    said = repodata["info"]["repodata_revisions"]["v3"]
    counted = {"n_packages": 1, **dict.fromkeys(("oldest", "newest"), record["indexed_timestamp"])}
    # CEP 48 leaves each of them out or has it right.
    assert said.items() <= counted.items()
    assert get(open_channel.url("noarch/nova-1.0-0.conda")).body == package.data


def test_the_shard_of_a_private_one_is_for_members(
    open_channel: ChannelAddress, owner: Person, reader: Person
) -> None:
    owner.upload(for_newer(), to=open_channel)
    set_privacy(by=owner.identity, package=the_file().package, is_private=True)
    run_pending_tasks()
    token = reader.token("conda:download").secret

    packed = get(open_channel.url("noarch/repodata_shards.msgpack.zst"), token=token).body
    index = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))
    url = open_channel.url(f"noarch/shards/{index['shards']['nova'].hex()}.msgpack.zst")

    assert get(url, token=token).status_code == 200
    assert get(url).status_code == 404


def test_its_run_exports_stand_in_a_part_of_their_own(
    open_channel: ChannelAddress, owner: Person
) -> None:
    owner.upload(for_newer(run_exports=["nova >=1"]), to=open_channel)
    owner.upload(build_conda("old", "1.0"), to=open_channel)
    run_pending_tasks()

    exports = json.loads(get(open_channel.url("noarch/run_exports.json")).body)

    # CEP 12 has them stand as in repodata; so does rattler look for them.
    assert exports["packages.conda"] == {"old-1.0-0.conda": {"run_exports": {}}}
    assert exports["v3"]["conda"] == {"nova-1.0-0": {"run_exports": {"weak": ["nova >=1"]}}}
