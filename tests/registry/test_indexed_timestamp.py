"""When a package came here is set by the server, once (CEP 47)."""

from __future__ import annotations

import io
import json
import time

import pytest

from accounts.models import Organization
from portal import sentences
from registry import patching, placement
from registry.channels import create_channel
from registry.models import PackageFile
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import make_organization

PACKAGE = build_conda("xz", "5.6.3", index={"indexed_timestamp": 1})
LONG_AGO = 1_600_000_000_000


def publish(owner: Person, channel: ChannelAddress, package: BuiltPackage = PACKAGE) -> PackageFile:
    answer = owner.upload(package, to=channel)
    assert answer.status_code in {200, 201}, answer.content
    return PackageFile.objects.select_related("account", "package").get(
        account__name=channel.account, filename=package.filename
    )


def make_old(channel: ChannelAddress) -> None:
    """As if it had come here long ago: another time would not be the same by chance."""
    for file in PackageFile.objects.filter(account__name=channel.account):
        now = str(file.indexed_timestamp_ms).encode()
        file.index["indexed_timestamp"] = file.indexed_timestamp_ms = LONG_AGO
        file.save()
        file.record.json = bytes(file.record.json).replace(now, str(LONG_AGO).encode())
        file.record.save()


def shown(owner: Person, channel: ChannelAddress) -> int:
    run_pending_tasks()
    record = owner.repodata(channel, "noarch")["packages.conda"][PACKAGE.filename]
    stamp: int = record["indexed_timestamp"]
    return stamp


def test_it_is_the_time_of_the_server_in_milliseconds(
    channel: ChannelAddress, owner: Person
) -> None:
    before = time.time_ns() // 1_000_000
    file = publish(owner, channel)
    after = time.time_ns() // 1_000_000

    assert before <= file.indexed_timestamp_ms <= after
    assert shown(owner, channel) == file.indexed_timestamp_ms


def test_it_stays_what_it_was(channel: ChannelAddress, owner: Person, acme: Organization) -> None:
    file = publish(owner, channel)
    make_old(channel)
    dev = create_channel(by=owner.identity, account=acme.account, name="dev")
    make_organization("globex", owner=owner.user)
    file.refresh_from_db()

    publish(owner, channel)
    assert shown(owner, channel) == LONG_AGO
    placement.add_to_channel(by=owner.identity, file=file, channel=dev)
    assert shown(owner, ChannelAddress("acme", "dev")) == LONG_AGO
    placement.copy_file(by=owner.identity, file=file, account_name="globex")
    assert shown(owner, ChannelAddress("globex")) == LONG_AGO
    placement.remove_from_channel(by=owner.identity, file=file, channel=channel.row)
    publish(owner, channel)
    assert shown(owner, channel) == LONG_AGO
    placement.delete_file(by=owner.identity, file=file)
    publish(owner, channel)
    assert shown(owner, channel) == LONG_AGO


def test_no_patch_changes_it(channel: ChannelAddress, owner: Person) -> None:
    publish(owner, channel)
    make_old(channel)
    changes = {"indexed_timestamp": 1, "license": "0BSD"}
    body = json.dumps(
        {"patch_instructions_version": 1, "packages.conda": {PACKAGE.filename: changes}}
    )

    patching.upload_instructions(
        by=owner.identity, channel=channel.row, subdir="noarch", body=io.BytesIO(body.encode())
    )

    assert shown(owner, channel) == LONG_AGO
    record = owner.repodata(channel, "noarch")["packages.conda"][PACKAGE.filename]
    assert record["license"] == "0BSD"


@pytest.mark.parametrize(("ahead_seconds", "is_odd"), [(-60, False), (7200, True)])
def test_a_build_time_in_the_future_is_worth_a_look(
    ahead_seconds: int, is_odd: bool, channel: ChannelAddress, owner: Person
) -> None:
    claimed = int((time.time() + ahead_seconds) * 1000)

    file = publish(owner, channel, build_conda("xz", "5.6.3", timestamp=claimed))

    said = [sentences.shown(finding) for finding in file.findings]
    assert ("The build time in its metadata lies in the future." in said) is is_odd
    assert file.indexed_timestamp_ms <= time.time() * 1000
    assert get(channel.url(f"noarch/{PACKAGE.filename}")).status_code == 200
