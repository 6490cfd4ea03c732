"""Channels over the REST API: made, changed, locked, deleted."""

from __future__ import annotations

import pytest

from accounts.models import Event
from registry.models import Channel
from tests.registry.api.world import Caller, World, by_token, nobody


def test_a_channel_is_made_and_found_at_once(world: World, olga: Caller) -> None:
    made = olga.call(
        "POST",
        "/accounts/acme/channels",
        {"name": "rc", "description": "Next", "visibility": "private"},
    )
    assert made.status_code == 201
    assert made.json() == olga.get("/accounts/acme/channels/rc").json()
    assert made.json() | {"created_at": ""} == {
        "account": "acme",
        "name": "rc",
        "description": "Next",
        "visibility": "private",
        "is_locked": False,
        "lock_note": "",
        "is_immutable": False,
        "allows_v3": False,
        "base_relation": "",
        "overrides_relation": "",
        "created_at": "",
    }
    assert Event.objects.filter(action="channel.create", target="rc").count() == 1
    assert nobody().get("/accounts/acme/channels/rc").status_code == 404


@pytest.mark.parametrize("written", ["releases/2027", "releases%2F2027"])
def test_a_name_with_slashes_may_be_sent_as_it_is_or_encoded(
    written: str, world: World, olga: Caller
) -> None:
    assert (
        olga.call("POST", "/accounts/acme/channels", {"name": "releases/2027"}).status_code == 201
    )
    path = f"/accounts/acme/channels/{written}"
    file = f"/accounts/acme/files/noarch/hello-1.0-0.conda/channels/{written}"
    assert olga.get(path).json()["name"] == "releases/2027"
    assert olga.call("PUT", file).json()["channels"] == ["main", "releases/2027"]
    assert olga.call("DELETE", file).status_code == 204
    assert olga.call("DELETE", path).status_code == 204
    assert olga.get(path).status_code == 404


def test_two_channels_are_not_called_the_same(world: World, olga: Caller) -> None:
    answer = olga.call("POST", "/accounts/acme/channels", {"name": "dev"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs/problems#conflict"


@pytest.mark.parametrize("name", ["t", "linux-64", "a/label/b", "1st", "a//b", "../a", "ä"])
def test_a_name_that_clients_would_misread_is_refused(
    name: str, world: World, olga: Caller
) -> None:
    answer = olga.call("POST", "/accounts/acme/channels", {"name": name})
    assert answer.status_code == 400
    assert answer.json()["type"] == "/docs/problems#invalid-channel-name"


def test_a_locked_channel_takes_nothing(world: World, olga: Caller) -> None:
    changed = olga.call(
        "PATCH", "/accounts/acme/channels/dev", {"is_locked": True, "lock_note": "Release day"}
    )
    assert changed.json()["is_locked"] is True
    answer = olga.call("PUT", "/accounts/acme/files/noarch/hello-1.0-0.conda/channels/dev")
    assert answer.status_code == 403
    assert answer.json()["type"] == "/docs/problems#channel-locked"
    assert "Release day" in answer.json()["detail"]
    assert olga.call("DELETE", "/accounts/acme/channels/dev").status_code == 409


def test_what_is_not_sent_stays(world: World, olga: Caller) -> None:
    path = "/accounts/acme/channels/dev"
    olga.call("PATCH", path, {"description": "For the brave"})
    olga.call("PATCH", path, {"lock_note": "Release day"})
    before = Event.objects.count()
    now = olga.call("PATCH", path, {}).json()
    assert (now["description"], now["lock_note"]) == ("For the brave", "Release day")
    assert Event.objects.count() == before


def test_a_channel_turned_private_is_gone_for_strangers(world: World, olga: Caller) -> None:
    olga.call("PATCH", "/accounts/acme/channels/dev", {"visibility": "private"})
    assert nobody().get("/accounts/acme/channels/dev").status_code == 404
    names = [row["name"] for row in nobody().get("/accounts/acme/channels").json()["results"]]
    assert names == ["main"]


def test_files_outlive_their_channel(world: World, olga: Caller) -> None:
    assert olga.call("DELETE", "/accounts/acme/channels/secret").status_code == 204
    file = olga.get("/accounts/acme/files/noarch/buried-1.0-0.conda").json()
    assert file["channels"] == []
    assert not Channel.objects.filter(name="secret").exists()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/accounts/acme/channels", {"name": "rc"}),
        ("PATCH", "/accounts/acme/channels/main", {"visibility": "private"}),
        ("DELETE", "/accounts/acme/channels/secret", None),
    ],
)
def test_a_token_limited_to_packages_manages_no_channel(
    method: str, path: str, body: object, world: World
) -> None:
    before = list(Channel.objects.values())
    caller = by_token(world.owner.token("all", packages=["hello*"]).secret)

    answer = caller.call(method, path, body)

    assert answer.status_code == 403
    assert "limited to the packages hello*" in answer.json()["detail"]
    assert list(Channel.objects.values()) == before
