"""Notices, as ``anaconda channel notice`` manages them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Event, Organization
from registry.models import Channel, Notice
from registry.notices import MAX_LIVE
from tests.cast import Person
from tests.conda_client import ChannelAddress, get
from tests.registry.dialects.anaconda.calls import call, error, said

NOTICES = "/acme/notices"


def in_days(days: float) -> str:
    return (timezone.now() + timedelta(days=days)).isoformat()


def draft(by: Person, message: str = "Maintenance tonight", **more: object) -> dict[str, Any]:
    body = {"message": message, "level": "info", "expires_at": in_days(30), **more}
    made: dict[str, Any] = said(call("POST", NOTICES, by, body), 201)
    return made


def told() -> list[str]:
    """What conda is told."""
    notices = json.loads(get(ChannelAddress("acme").url("notices.json")).body)["notices"]
    return [notice["message"] for notice in notices]


def listed(by: Person, query: str = "") -> list[str]:
    return [item["message"] for item in said(call("GET", NOTICES + query, by))["items"]]


def test_a_notice_is_a_draft_until_it_is_published(owner: Person, channel: ChannelAddress) -> None:
    made = draft(owner, level="critical")

    assert (made["status"], made["level"], made["label"]) == ("draft", "critical", "main")
    assert told() == []
    one = f"{NOTICES}/{made['id']}"
    assert said(call("GET", one, owner)) == made
    published = said(call("POST", f"{one}/publish", owner))
    assert (published["id"], published["status"]) == (made["id"], "published")
    [shown] = json.loads(get(channel.url("notices.json")).body)["notices"]
    assert (shown["id"], shown["message"]) == (made["id"], "Maintenance tonight")
    assert said(call("POST", f"{one}/publish", owner))["status"] == "published"
    assert said(call("POST", f"{one}/archive", owner))["status"] == "archived"
    assert told() == []
    assert said(call("POST", f"{one}/publish", owner))["status"] == "published"
    assert said(call("DELETE", one, owner), 204) is None
    assert told() == []
    assert made["id"] in error(call("GET", one, owner), 404)
    actions = Event.objects.filter(action__startswith="notice.").order_by("pk")
    assert list(actions.values_list("action", flat=True)) == [
        "notice.add", "notice.publish", "notice.archive", "notice.publish", "notice.withdraw",
    ]  # fmt: skip


def test_a_notice_is_changed_as_far_as_is_said(owner: Person, channel: ChannelAddress) -> None:
    made = draft(owner)
    one = f"{NOTICES}/{made['id']}"

    changed = said(call("PATCH", one, owner, {"message": "Tomorrow", "status": "published"}))

    assert (changed["message"], changed["status"]) == ("Tomorrow", "published")
    assert changed["expires_at"] == made["expires_at"]
    assert changed["updated_at"] > made["updated_at"]
    assert said(call("PATCH", one, owner, {"level": "warning"}))["level"] == "warning"
    naive = said(call("PATCH", one, owner, {"expires_at": in_days(2)[:19]}))["expires_at"]
    assert naive.endswith("+00:00")
    assert told() == ["Tomorrow"]


def test_the_list_has_pages_and_states(owner: Person, channel: ChannelAddress) -> None:
    for number in range(3):
        last = draft(owner, f"Number {number}")
    said(call("POST", f"{NOTICES}/{last['id']}/publish", owner))

    assert said(call("GET", NOTICES, owner))["total_count"] == 3
    assert listed(owner) == ["Number 2", "Number 1", "Number 0"]
    assert listed(owner, "?offset=1&limit=1") == ["Number 1"]
    assert listed(owner, "?status=published") == ["Number 2"]
    assert listed(owner, "?status=deleted") == []


def test_notices_of_all_labels_are_listed_and_those_of_main_are_made(
    owner: Person, acme: Organization, private_channel: ChannelAddress
) -> None:
    """Also where there is no main yet."""
    Notice.objects.create(
        channel=private_channel.row,
        message="Of secret",
        expires_at=timezone.now() + timedelta(days=1),
    )

    made = draft(owner)

    assert Channel.objects.filter(account=acme.account, name="main").exists()
    assert listed(owner) == [made["message"], "Of secret"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"level": "info", "expires_at": "2027-01-01T00:00:00Z"}, "message"),
        ({"message": "", "expires_at": "soon"}, "expires_at"),
        ({"message": "x", "expires_at": 3}, "expires_at"),
        ({"message": "x", "expires_at": "2001-01-01T00:00:00Z"}, "from now on"),
        ({"message": "x\x1b[31m", "expires_at": "+3"}, "control characters"),
        ({"message": "", "expires_at": "+3"}, "1 to 1000 characters"),
        ({"message": "x", "level": "loud", "expires_at": "+3"}, "info, warning, critical"),
        ([], "JSON"),
    ],
)
def test_what_is_no_notice_is_refused(
    body: Any, reason: str, owner: Person, channel: ChannelAddress
) -> None:
    if isinstance(body, dict) and body.get("expires_at") == "+3":
        body = {**body, "expires_at": in_days(3)}

    assert reason in error(call("POST", NOTICES, owner, body), 400)
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": "draft"}, "Archive it"),
        ({"status": "deleted"}, "draft, published, archived"),
        ({"message": " "}, "characters"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "from now on"),
    ],
)
def test_a_change_that_can_not_be_is_refused(
    body: dict[str, object], reason: str, owner: Person, channel: ChannelAddress
) -> None:
    made = draft(owner)
    one = f"{NOTICES}/{made['id']}"
    published = said(call("POST", f"{one}/publish", owner))

    assert reason in error(call("PATCH", one, owner, body), 400)
    assert said(call("GET", one, owner)) == published


def test_only_a_handful_is_published(owner: Person, channel: ChannelAddress) -> None:
    ids = [draft(owner, f"Number {number}")["id"] for number in range(MAX_LIVE + 1)]
    for each in ids[:-1]:
        said(call("POST", f"{NOTICES}/{each}/publish", owner))

    assert "notices" in error(call("POST", f"{NOTICES}/{ids[-1]}/publish", owner), 409)
    said(call("POST", f"{NOTICES}/{ids[0]}/archive", owner))
    said(call("POST", f"{NOTICES}/{ids[-1]}/publish", owner))
    assert len(told()) == MAX_LIVE


def test_what_has_expired_is_published_with_a_new_expiry_alone(
    owner: Person, channel: ChannelAddress
) -> None:
    one = f"{NOTICES}/{draft(owner)['id']}"
    Notice.objects.update(expires_at=timezone.now() - timedelta(days=1))

    error(call("POST", f"{one}/publish", owner), 400)
    said(call("POST", f"{one}/archive", owner))
    body = {"status": "published", "expires_at": in_days(1)}
    assert said(call("PATCH", one, owner, body))["status"] == "published"
    assert told() == ["Maintenance tonight"]


def test_notices_are_managed_by_admins_alone(
    owner: Person, maintainer: Person, stranger: Person, channel: ChannelAddress
) -> None:
    one = f"{NOTICES}/{draft(owner)['id']}"
    body = {"message": "x", "expires_at": in_days(3)}
    asked = [
        ("GET", NOTICES, None), ("POST", NOTICES, body), ("GET", one, None),
        ("PATCH", one, {"message": "y"}), ("DELETE", one, None), ("POST", f"{one}/publish", None),
        ("POST", f"{one}/archive", None),
    ]  # fmt: skip

    for method, path, sent in asked:
        error(call(method, path, None, sent), 401)
        error(call(method, path, maintainer, sent), 403)
        error(call(method, path, stranger, sent), 403)
        if method != "GET":
            reading = owner.token("api:read").secret
            assert call(method, path, reading, sent).status_code in {401, 403}
    assert listed(owner) == ["Maintenance tonight"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/missing/notices", 404, '"missing"'),
        ("/acme/notices/00000000-0000-4000-8000-000000000000", 404, "notice"),
        ("/acme/notices/17", 404, "nothing here"),
        ("/acme/notices?status=odd", 400, "status"),
        ("/acme/notices?limit=0", 400, "limit"),
        ("/acme/notices?limit=101", 400, "limit"),
        ("/acme/notices?offset=-1", 400, "offset"),
        ("/acme/notices?offset=%C2%B2", 400, "offset"),
    ],
)
def test_what_is_asked_wrongly_is_named(
    path: str, status: int, reason: str, owner: Person, channel: ChannelAddress
) -> None:
    assert reason in error(call("GET", path, owner), status)


def test_a_notice_of_another_account_is_not_found(owner: Person, channel: ChannelAddress) -> None:
    made = draft(owner)

    error(call("GET", f"/olga/notices/{made['id']}", owner), 404)
