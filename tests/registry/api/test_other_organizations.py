"""What belongs to another organization is as if it weren't there, whoever asks within one's own."""

from __future__ import annotations

from collections import defaultdict

import pytest

from accounts.models import Event, Token
from registry.models import Collaborator
from tests.registry.api.world import NOT_FOUND, Caller, World, by_token

HELLO = "noarch/hello-1.0-0.conda"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/accounts/acme/tokens/{token}", None),
        ("POST", "/accounts/acme/tokens/{token}/rotate", {}),
        ("DELETE", "/accounts/acme/invitations/{invitation}", None),
        ("GET", "/accounts/acme/groups/testers", None),
        ("PATCH", "/accounts/acme/groups/testers", {"name": "mine"}),
        ("DELETE", "/accounts/acme/groups/testers", None),
        ("GET", "/accounts/acme/groups/testers/members", None),
        ("POST", "/accounts/acme/groups/testers/members", {"user": "olga"}),
        ("DELETE", "/accounts/acme/groups/testers/members/gwen", None),
        ("DELETE", "/accounts/acme/groups/helpers/members/gwen", None),
        ("PATCH", "/accounts/acme/members/gwen", {"role": "admin"}),
        ("DELETE", "/accounts/acme/members/gwen", None),
        (
            "PUT",
            "/accounts/acme/packages/hello/collaborators/groups/testers",
            {"permission": "admin"},
        ),
        ("DELETE", "/accounts/acme/packages/hello/collaborators/groups/testers", None),
        ("DELETE", "/accounts/acme/packages/hello/collaborators/users/cora-globex", None),
        ("GET", "/accounts/globex/channels/secret", None),
        ("PATCH", "/accounts/globex/channels/secret", {"visibility": "public"}),
        ("DELETE", "/accounts/globex/channels/secret", None),
        ("GET", "/accounts/globex/packages/hidden", None),
        ("PATCH", "/accounts/globex/packages/hidden", {"is_private": False}),
        ("GET", "/accounts/globex/packages/hidden/collaborators", None),
        ("GET", "/accounts/globex/packages/buried", None),
        ("GET", "/accounts/globex/files/noarch/hidden-1.0-0.conda", None),
        ("DELETE", "/accounts/globex/files/noarch/buried-1.0-0.conda", None),
        ("GET", "/accounts/globex/files/noarch/buried-1.0-0.conda/channels", None),
        ("PUT", "/accounts/globex/files/noarch/hidden-1.0-0.conda/channels/dev", None),
        (
            "POST",
            "/accounts/globex/files/noarch/hidden-1.0-0.conda/copies",
            {"account": "acme"},
        ),
        ("PUT", f"/accounts/acme/files/{HELLO}/channels/theirs", None),
        ("DELETE", f"/accounts/acme/files/{HELLO}/channels/theirs", None),
        ("GET", "/accounts/acme/files?channel=theirs", None),
        ("GET", "/accounts/acme/patches?channel=theirs", None),
        ("POST", "/accounts/acme/patches?channel=theirs&subdir=noarch", {}),
        ("GET", "/accounts/acme/patches/{patch}", None),
        ("POST", "/accounts/acme/patches/{patch}/undo", None),
        ("PATCH", "/accounts/globex/files/noarch/buried-1.0-0.conda/channels/secret", {}),
    ],
)
def test_a_name_or_id_of_another_organization_is_missing(
    method: str, path: str, body: object, olga: Caller, other_world: World
) -> None:
    theirs = other_world
    theirs.group.name = "testers"
    theirs.group.save()
    theirs.organization.account.channels.create(name="theirs")
    events = Event.objects.count()

    answer = olga.call(method, path.format(**theirs.ids), body)
    missing = olga.call(method, path.format_map(defaultdict(lambda: 10**9)), body)

    assert answer.status_code == 404
    assert answer.content == missing.content == NOT_FOUND
    assert Event.objects.count() == events
    assert Token.objects.filter(revoked_at=None).count() == 2
    assert Collaborator.objects.filter(package__account=theirs.organization.account).count() == 2


def test_a_token_of_an_organization_opens_no_other(world: World, other_world: World) -> None:
    caller = by_token(other_world.secret)
    assert caller.get("/accounts/acme/packages/hidden").status_code == 404
    assert caller.get("/accounts/acme/tokens").status_code == 403
    names = [row["name"] for row in caller.get("/accounts/acme/packages").json()["results"]]
    assert names == ["hello"]


@pytest.mark.parametrize("name", ["a\0b", "%00", "ÿ", "x" * 300, "'; --", "..", "a b"])
def test_no_name_in_a_path_breaks_anything(name: str, olga: Caller) -> None:
    for path in (
        f"/accounts/{name}",
        f"/accounts/acme/groups/{name}",
        f"/accounts/acme/members/{name}",
        f"/accounts/acme/channels/{name}",
        f"/accounts/acme/packages/{name}",
        f"/accounts/acme/files/noarch/{name}",
        f"/accounts/acme/files/{name}/x.conda",
    ):
        answer = olga.call("DELETE" if "members" in path else "GET", path)
        assert answer.status_code == 404, path
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("number", [0, 2**63, 10**30, "9" * 5000])
def test_no_number_in_a_path_breaks_anything(number: object, olga: Caller) -> None:
    assert olga.get(f"/accounts/acme/patches/{number}").status_code == 404
    for kind in ("tokens", "invitations"):
        assert olga.call("DELETE", f"/accounts/acme/{kind}/{number}").status_code == 404
