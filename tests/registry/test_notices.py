"""Notices: what a channel's admins tell everybody who uses it (CEP 6)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Event, Organization
from registry.models import Channel, Notice
from registry.notices import MAX_LIVE, add_notice
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, head
from tests.registry.api.world import Caller, by_session, nobody

API = "/accounts/acme/notices"


@pytest.fixture
def caller(owner: Person) -> Caller:
    return by_session(owner)


def days(number: float) -> str:
    return (timezone.now() + timedelta(days=number)).isoformat()


def add(caller: Caller, message: str = "Moves on Monday", **more: Any) -> Any:
    sent = {"channel": "main", "message": message, "expires_at": days(7), **more}
    return caller.call("POST", API, sent)


def told(channel: ChannelAddress) -> list[dict[str, str]]:
    """What conda is told, which comes without credentials."""
    answer = get(channel.url("notices.json"))
    assert answer.status_code == 200
    found: list[dict[str, str]] = json.loads(answer.body)["notices"]
    return found


def test_clients_are_told_until_it_is_withdrawn(channel: ChannelAddress, caller: Caller) -> None:
    assert told(channel) == []

    made = add(caller, level="warning")

    assert made.status_code == 201
    [notice] = told(channel)
    assert (notice["message"], notice["level"]) == ("Moves on Monday", "warning")
    assert notice["created_at"] < notice["expires_at"] == notice["expired_at"]
    assert told(channel) == [notice]
    [listed] = nobody().get(f"{API}?channel=main").json()["results"]
    assert listed == made.json()
    assert nobody().get(f"{API}?channel=dev").json()["results"] == []
    assert caller.call("DELETE", f"{API}/{listed['id']}").status_code == 204
    assert told(channel) == []
    actions = Event.objects.filter(action__startswith="notice.").values_list("action", "target")
    assert sorted(actions) == [("notice.add", "main"), ("notice.withdraw", "main")]


def test_each_notice_has_an_id_of_its_own_for_good(channel: ChannelAddress, caller: Caller) -> None:
    add(caller, "One")
    first = told(channel)
    add(caller, "Two")
    both = told(channel)

    assert both[0] == first[0]
    # conda remembers what it has shown of all hosts together.
    assert len({UUID(each["id"]) for each in both}) == 2


def test_a_draft_is_seen_by_those_who_manage_the_channel_alone(
    channel: ChannelAddress, caller: Caller, reader: Person
) -> None:
    made = add(caller, status="draft")

    assert made.status_code == 201
    assert told(channel) == []
    assert caller.get(API).json()["results"] == []
    assert caller.get(f"{API}?status=draft").json()["results"] == [made.json()]
    assert by_session(reader).get(f"{API}?status=draft").status_code == 403
    one = f"{API}/{made.json()['id']}"
    assert by_session(reader).call("PATCH", one, {"status": "published"}).status_code == 404
    published = caller.call("PATCH", one, {"status": "published", "level": "critical"})
    assert (published.status_code, published.json()["status"]) == (200, "published")
    assert [notice["level"] for notice in told(channel)] == ["critical"]
    assert caller.call("PATCH", one, {"status": "archived"}).json()["status"] == "archived"
    assert told(channel) == []
    assert caller.call("PATCH", one, {"status": "draft"}).status_code == 400
    assert caller.call("PATCH", one, {"stat": "draft"}).status_code == 400


def test_an_expired_notice_is_gone(channel: ChannelAddress, caller: Caller, owner: Person) -> None:
    add(caller)
    Notice.objects.update(expires_at=timezone.now())

    assert told(channel) == []
    assert caller.get(API).json()["results"] == []
    assert "Moves on Monday" not in words(owner.client.get("/acme/channels/main"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", ""),
        ("message", "  "),
        ("message", "x" * 1001),
        ("message", "red \x1b[31m"),
        ("message", "turned \u202e"),
        ("level", "loud"),
        ("expires_at", -1),
        ("expires_at", 400),
        ("expires_at", "tomorrow"),
        ("expires_at", None),
        ("channel", ""),
    ],
)
def test_what_no_client_should_show_is_refused(
    field: str, value: object, channel: ChannelAddress, caller: Caller
) -> None:
    sent = {"channel": "main", "message": "Moves", "expires_at": days(7), field: value}
    if isinstance(value, int) and field == "expires_at":
        sent["expires_at"] = days(value)

    answer = caller.call("POST", API, sent)

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not Notice.objects.exists()


def test_a_channel_has_a_handful_of_notices(channel: ChannelAddress, caller: Caller) -> None:
    for number in range(MAX_LIVE):
        assert add(caller, f"Number {number}").status_code == 201

    answer = add(caller)

    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs/problems#too-many-notices"
    Notice.objects.filter(message="Number 0").update(expires_at=timezone.now())
    assert add(caller).status_code == 201


def test_notices_of_a_private_channel_look_missing_to_all_who_do_not_read_it(
    private_channel: ChannelAddress, acme: Organization, owner: Person, caller: Caller
) -> None:
    add(caller, channel="secret")
    missing = ChannelAddress("acme", "missing").url("notices.json")

    answer = get(private_channel.url("notices.json"))

    assert answer.status_code == 404
    assert answer.body == get(missing).body
    token = owner.token("conda:download").secret
    shown = get(private_channel.url("notices.json"), token=token)
    assert shown.status_code == 200
    assert shown.headers["Cache-Control"].startswith("private")
    assert nobody().get(API).json()["results"] == []


def test_who_asks_without_credentials_is_no_attacker(private_channel: ChannelAddress) -> None:
    # More often than an address may fail to sign in.
    answers = {get(private_channel.url("notices.json")).status_code for _ in range(110)}

    assert answers == {404}


def test_clients_that_know_them_are_told_nothing_new(
    channel: ChannelAddress, caller: Caller
) -> None:
    add(caller)
    url = channel.url("notices.json")
    first = get(url)

    assert first.headers["Content-Type"] == "application/json"
    assert head(url).headers["ETag"] == first.headers["ETag"]
    assert get(url, If_None_Match=first.headers["ETag"]).status_code == 304
    add(caller, "Another")
    assert get(url, If_None_Match=first.headers["ETag"]).status_code == 200


def test_asking_is_cheap(
    channel: ChannelAddress,
    private_channel: ChannelAddress,
    owner: Person,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(3):
        add_notice(
            by=owner.identity, channel=channel.row, message=str(number),
            expires_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip

    with django_assert_num_queries(2):
        assert len(told(channel)) == 3
    # And one each for the former names of accounts and the former places of channels.
    with django_assert_num_queries(3):
        get(private_channel.url("notices.json"))


def test_the_pages_show_add_and_withdraw_them(channel: ChannelAddress, owner: Person) -> None:
    settings_page = "/acme/settings/channels/general/main"
    add_page = "/acme/settings/channels/notices/add/main"
    last_day = (timezone.now() + timedelta(days=3)).date().isoformat()
    form = {"message": "Moves\non <Monday>", "level": "critical", "expires_at": last_day}

    for wrong in ({"message": ""}, {"level": "loud"}, {"expires_at": "2001-01-01"}):
        refused = owner.client.post(add_page, {**form, **wrong})
        assert refused.status_code == 422
        assert 'aria-invalid="true"' in refused.content.decode()
    added = owner.client.post(add_page, form, follow=True)

    assert "Critical" in words(added)
    page = owner.client.get("/acme/channels/main").content.decode()
    assert "on &lt;Monday&gt;" in page
    assert told(channel)[0]["expires_at"] == f"{last_day}T23:59:59+00:00"
    notice = Notice.objects.get()
    withdraw = f"/acme/settings/channels/notices/{notice.pk}/withdraw/main"
    assert owner.client.get(withdraw)["Location"] == settings_page
    assert "withdrawn" in words(owner.client.post(withdraw, follow=True))
    assert told(channel) == []
    assert owner.client.post(withdraw).status_code == 404


def test_the_pages_keep_drafts_publish_and_archive(channel: ChannelAddress, owner: Person) -> None:
    notices = "/acme/settings/channels/notices"
    last_day = (timezone.now() + timedelta(days=3)).date().isoformat()
    form = {"message": "Moves", "level": "info", "expires_at": last_day, "is_draft": "on"}

    kept = owner.client.post(f"{notices}/add/main", form, follow=True)

    assert "Draft" in words(kept)
    assert told(channel) == []
    notice = Notice.objects.get()
    published = owner.client.post(f"{notices}/{notice.pk}/publish/main", follow=True)
    assert "conda shows it" in words(published)
    assert [each["message"] for each in told(channel)] == ["Moves"]
    archived = owner.client.post(f"{notices}/{notice.pk}/archive/main", follow=True)
    assert "Archived" in words(archived)
    assert told(channel) == []
    Notice.objects.update(expires_at=timezone.now())
    refused = owner.client.post(f"{notices}/{notice.pk}/publish/main", follow=True)
    assert "from now on" in words(refused)


def test_a_notice_of_another_channel_is_not_found(
    channel: ChannelAddress, private_channel: ChannelAddress, owner: Person, caller: Caller
) -> None:
    add(caller, channel="secret")
    notice = Notice.objects.get()

    answer = owner.client.post(f"/acme/settings/channels/notices/{notice.pk}/withdraw/main")

    assert answer.status_code == 404
    assert Notice.objects.exists()


def test_notices_go_with_their_channel(private_channel: ChannelAddress, caller: Caller) -> None:
    add(caller, channel="secret")

    assert caller.call("DELETE", "/accounts/acme/channels/secret").status_code == 204
    assert not Notice.objects.exists()
    assert not Channel.objects.filter(name="secret").exists()
