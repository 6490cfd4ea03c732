"""How channels name others for their clients (CEP 42)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import zstandard

from accounts.models import Event, Organization
from registry.channels import create_channel
from registry.models import Channel
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import make_organization
from tests.registry.api.world import Caller, by_session


@pytest.fixture
def rc(channel: ChannelAddress, acme: Organization, owner: Person) -> ChannelAddress:
    create_channel(by=owner.identity, account=acme.account, name="rc")
    return ChannelAddress("acme", "rc")


@pytest.fixture
def caller(owner: Person) -> Caller:
    return by_session(owner)


def change(caller: Caller, channel: str = "rc", **relations: str) -> Any:
    return caller.call("PATCH", f"/accounts/acme/channels/{channel}", relations)


def test_every_index_of_the_channel_names_the_others(
    rc: ChannelAddress, caller: Caller, owner: Person
) -> None:
    owner.upload(build_conda("xz", subdir="linux-64"), to=rc)
    run_pending_tasks()
    make_organization("globex", owner=owner.user)
    create_channel(
        by=owner.identity, account=make_organization("initech", owner=owner.user).account,
        name="main",
    )  # fmt: skip
    wanted = {"base": "../../../initech", "overrides": "../main"}

    answer = change(caller, base_relation=wanted["base"], overrides_relation=wanted["overrides"])
    run_pending_tasks()

    assert answer.status_code == 200
    assert answer.json()["overrides_relation"] == "../main"
    for subdir in ("noarch", "linux-64"):
        repodata = owner.repodata(rc, subdir)
        packed = get(rc.url(f"{subdir}/repodata_shards.msgpack.zst")).body
        index = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))
        assert repodata["info"]["channel_relations"] == wanted
        assert index["info"]["channel_relations"] == wanted
    event = Event.objects.latest("id")
    assert event.detail["overrides_relation"] == ["", "../main"]

    change(caller, base_relation="", overrides_relation="")
    run_pending_tasks()
    assert "channel_relations" not in owner.repodata(rc, "linux-64")["info"]


@pytest.mark.parametrize(
    ("relation", "reason"),
    [
        ("https://evil.example/conda", "not a way from one channel to another"),
        ("../../../../evil", "no channel"),
        ("../rc", "leads to this channel itself"),
        ("../missing", "no such channel"),
        ("../../../globex", "no such channel"),
    ],
)
@pytest.mark.parametrize("field", ["base_relation", "overrides_relation"])
def test_a_relation_that_fails_clients_is_refused(
    field: str, relation: str, reason: str, rc: ChannelAddress, caller: Caller
) -> None:
    answer = change(caller, **{field: relation})

    assert answer.status_code == 400
    assert reason in answer.json()["errors"][field][0]
    assert rc.row.base_relation == rc.row.overrides_relation == ""


def test_a_channel_that_they_may_not_know_of_is_no_such_channel(
    rc: ChannelAddress, caller: Caller, stranger: Person
) -> None:
    create_channel(
        by=stranger.identity, account=stranger.user.account, name="main", visibility="private"
    )
    hidden = change(caller, base_relation=f"../../../{stranger.name}")
    missing = change(caller, base_relation="../../../nobody")

    words = hidden.json()["detail"].replace(stranger.name, "nobody")
    assert (hidden.status_code, words) == (400, missing.json()["detail"])


def test_one_channel_is_not_before_and_after(rc: ChannelAddress, caller: Caller) -> None:
    answer = change(caller, base_relation="../..", overrides_relation="../main")

    assert answer.status_code == 400
    assert "can't come before this one and after it" in answer.json()["detail"]


def test_channels_stand_in_no_circle(
    rc: ChannelAddress, caller: Caller, acme: Organization, owner: Person
) -> None:
    create_channel(by=owner.identity, account=acme.account, name="dev")
    assert change(caller, "rc", overrides_relation="../main").status_code == 200
    assert change(caller, "dev", base_relation="../main").status_code == 200

    answer = change(caller, "dev", overrides_relation="../rc")

    assert answer.status_code == 400
    assert "circle" in answer.json()["detail"]
    assert Channel.objects.get(name="dev").overrides_relation == ""
    # The same order said from the other side is none.
    assert change(caller, "main", base_relation="../acme/rc").status_code == 200


def test_the_page_takes_them_and_says_what_is_wrong(rc: ChannelAddress, owner: Person) -> None:
    page = "/acme/settings/channels/general/rc"
    form = {"description": "Next", "visibility": "public", "base_relation": ""}

    refused = owner.client.post(page, {**form, "overrides_relation": "main"})
    assert refused.status_code == 422
    assert "must begin with &#x27;../&#x27;" in refused.content.decode()
    taken = owner.client.post(page, {**form, "overrides_relation": "../main"})
    assert taken.status_code == 302
    assert rc.row.overrides_relation == "../main"
    assert 'value="../main"' in owner.client.get(page).content.decode()


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_no_index_sends_clients_elsewhere(
    subdir: str, channel: ChannelAddress, owner: Person
) -> None:
    owner.upload(build_conda("xz", subdir=subdir), to=channel)
    run_pending_tasks()

    packed = get(channel.url(f"{subdir}/repodata_shards.msgpack.zst")).body
    index = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))

    # conda and mamba read no relative base_url of repodata, py-rattler no index without one.
    assert index["info"] == {"subdir": subdir, "base_url": "", "shards_base_url": "./shards/"}
    for name in ("repodata.json", "current_repodata.json", "repodata_from_packages.json"):
        document = json.loads(get(channel.url(f"{subdir}/{name}")).body)
        assert document["info"] == {"subdir": subdir}
        assert document["repodata_version"] == 1
