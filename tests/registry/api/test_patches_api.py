"""Patches over the REST API."""

from __future__ import annotations

import json
from typing import Any

from registry import indexing
from registry.models import Patch
from tests.conda_client import get
from tests.registry.api.world import API, Caller, World

HELLO = "hello-1.0-0.conda"
ENTRY = f"/accounts/acme/files/noarch/{HELLO}/channels/main"
PATCHES = "/accounts/acme/patches"
APPLY = f"{PATCHES}?channel=main&subdir=noarch"
DEPENDS = {"packages.conda": {HELLO: {"depends": ["python >=3.10"], "size": 1}}, "remove": ["x"]}


def told() -> dict[str, Any]:
    """What a client is told of hello."""
    indexing.run_overdue()
    read = json.loads(get("/conda/acme/noarch/repodata.json").body)
    record: dict[str, Any] = read["packages.conda"][HELLO]
    return record


def test_a_set_is_looked_at_applied_listed_and_undone(world: World, olga: Caller) -> None:
    original = told()

    looked = olga.call("POST", f"{APPLY}&dry_run=1", DEPENDS)
    applied = olga.call("POST", f"{APPLY}&note=needs+3.10", DEPENDS)

    assert (looked.status_code, applied.status_code) == (200, 201)
    assert looked.json()["patch"] is None
    effect = applied.json()["effect"]
    assert looked.json()["effect"] == effect
    assert effect == {
        "changed": 1,
        "withdrawn": 0,
        "restored": 0,
        "revoked": 0,
        "unmatched": 1,
        "unmatched_names": ["x"],
        "ignored": {"size": 1},
        "diffs": [
            {
                "filename": HELLO,
                "is_withdrawn": False,
                "is_restored": False,
                "keys": [{"key": "depends", "before": [], "after": ["python >=3.10"]}],
            }
        ],
    }
    assert told() == {**original, "depends": ["python >=3.10"]}

    patch = applied.json()["patch"]
    assert (patch["note"], patch["applied_by"], patch["undone_at"]) == ("needs 3.10", "olga", None)
    assert patch["summary"]["changed"] == 1
    listed = olga.get(f"{PATCHES}?channel=main").json()["results"]
    assert [row["id"] for row in listed] == [patch["id"], world.patch.pk]
    assert olga.get(f"{PATCHES}/{patch['id']}").json() == patch

    undone = olga.call("POST", f"{PATCHES}/{patch['id']}/undo")
    assert undone.status_code == 200
    assert undone.json()["patch"]["undone_by"] == "olga"
    assert undone.json()["effect"]["changed"] == 1
    assert told() == original
    again = olga.call("POST", f"{PATCHES}/{patch['id']}/undo")
    assert again.status_code == 409
    assert "undone already" in again.json()["detail"]


def test_a_record_is_edited_and_shown_beside_the_original(world: World, olga: Caller) -> None:
    before = olga.get(ENTRY).json()
    assert before["record"] == before["original"]
    assert before["record"]["run_exports"] == {}

    edited = olga.call("PATCH", ENTRY, {"constrains": ["xz <6"], "note": "breaks with 6"})

    assert edited.status_code == 200
    assert edited.json()["record"] == {**before["record"], "constrains": ["xz <6"]}
    assert edited.json()["original"] == before["original"]
    assert told()["constrains"] == ["xz <6"]
    patch = Patch.objects.get(kind=Patch.Kind.EDIT)
    assert (patch.filename, patch.note) == (HELLO, "breaks with 6")


def test_what_cannot_be_used_is_refused_with_its_reason(world: World, olga: Caller) -> None:
    for document, words in (
        ([], "holds a list"),
        ({"packages": {"x-1-0.conda": {"depends": 1}}}, "x-1-0.conda gives depends as 1"),
        ({"patch_instructions_version": 3}, "We read 1 to 2"),
    ):
        answer = olga.call("POST", APPLY, document)
        assert answer.status_code == 400
        assert answer.json()["type"] == "/docs/problems#invalid-patch"
        assert words in answer.json()["detail"]
    for body, status in (
        ({"depends": ["=1"]}, 400),
        ({"depends": "python"}, 400),
        ({"license": "MIT"}, 400),
        ({}, 409),
    ):
        assert olga.call("PATCH", ENTRY, body).status_code == status, body
    for query in (
        "channel=main",
        "subdir=noarch",
        "channel=main&subdir=a/b",
        "channel=main&subdir=",
    ):
        assert olga.call("POST", f"{PATCHES}?{query}", {}).status_code == 400, query
    assert Patch.objects.get() == world.patch


def test_a_set_that_is_no_json_is_not_read(world: World, olga: Caller) -> None:
    form = olga.client.post(API + APPLY, {"packages": "x"}, headers=olga.headers)
    assert form.status_code == 415
    assert form.headers["Content-Type"] == "application/problem+json"


def test_a_locked_channel_is_not_patched(world: World, olga: Caller) -> None:
    olga.call("PATCH", "/accounts/acme/channels/main", {"is_locked": True})
    for method, path, body in (
        ("POST", APPLY, DEPENDS),
        ("POST", f"{APPLY}&dry_run=1", DEPENDS),
        ("PATCH", ENTRY, {"depends": ["x"]}),
        ("POST", f"{PATCHES}/{world.patch.pk}/undo", None),
    ):
        answer = olga.call(method, path, body)
        assert answer.status_code == 403
        assert answer.json()["type"] == "/docs/problems#channel-locked"
