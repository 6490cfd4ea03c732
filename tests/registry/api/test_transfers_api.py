"""Giving a package away over the REST API, and revoking what was made before a moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Token
from portal.errors import NotFound
from registry import placement
from registry.models import Channel, ChannelFile, Package, PackageFile
from tests.cast import Person
from tests.registry.api.world import World

OFFER = "/api/v1/accounts/acme/packages/hello/transfer"


def program_of(person: Person) -> Client:
    return Client(headers={"Authorization": f"Bearer {person.token('all').secret}"})


def sent(program: Client, path: str, body: dict[str, object] | None = None) -> tuple[int, object]:
    answer = program.post(path, body or {}, content_type="application/json")
    return answer.status_code, answer.json() if answer.content else None


def test_a_package_is_offered_listed_and_taken_over(world: World, stranger: Person) -> None:
    giver, taker = program_of(world.owner), program_of(stranger)

    status, offered = sent(giver, OFFER, {"account": stranger.name})
    assert status == 201
    assert isinstance(offered, dict)
    assert giver.get(OFFER).json() == offered
    [waiting] = taker.get(f"/api/v1/accounts/{stranger.name}/transfers").json()["results"]
    assert waiting == offered
    key = offered["key"]
    # Who offers can't accept, and who has nothing to do with it knows of nothing.
    assert sent(giver, f"/api/v1/transfers/{key}/accept")[0] == 404
    assert sent(Client(), f"/api/v1/transfers/{key}/accept")[0] == 404

    status, taken = sent(taker, f"/api/v1/transfers/{key}/accept")

    assert status == 200
    assert isinstance(taken, dict)
    assert (taken["account"], taken["name"]) == (stranger.name, "hello")
    assert Package.objects.get(name="hello", deleted_at=None).account.name == stranger.name
    assert sent(taker, f"/api/v1/transfers/{key}/accept")[0] == 409


@pytest.mark.parametrize("end", ["withdraw", "decline"])
def test_an_offer_that_ends_leaves_the_package_where_it_is(
    world: World, stranger: Person, end: str
) -> None:
    giver, taker = program_of(world.owner), program_of(stranger)
    _, offered = sent(giver, OFFER, {"account": stranger.name})
    assert isinstance(offered, dict)

    if end == "withdraw":
        assert giver.delete(OFFER).status_code == 204
    else:
        assert sent(taker, f"/api/v1/transfers/{offered['key']}/decline")[0] == 204

    assert giver.get(OFFER).status_code == 404
    assert sent(taker, f"/api/v1/transfers/{offered['key']}/accept")[0] == 409
    assert taker.get(f"/api/v1/accounts/{stranger.name}/transfers").json()["results"] == []
    assert Package.objects.get(name="hello", deleted_at=None).account.name == "acme"


def test_a_channel_is_offered_listed_and_taken_over(world: World, stranger: Person) -> None:
    giver, taker = program_of(world.owner), program_of(stranger)
    offer = "/api/v1/accounts/acme/transfer-of-channel/dev"
    waiting = f"/api/v1/accounts/{stranger.name}/channel-transfers"

    status, offered = sent(giver, offer, {"account": stranger.name})
    assert status == 201
    assert isinstance(offered, dict)
    assert giver.get(offer).json() == offered
    assert taker.get(waiting).json()["results"] == [offered]
    assert sent(giver, f"/api/v1/channel-transfers/{offered['key']}/accept")[0] == 404
    assert sent(taker, f"/api/v1/channel-transfers/{offered['key']}/decline")[0] == 204
    assert giver.get(offer).status_code == 404
    assert sent(giver, offer, {"account": stranger.name})[0] == 201
    assert giver.delete(offer).status_code == 204
    assert sent(giver, offer.replace("/dev", "/main"), {"account": stranger.name})[0] == 409

    _, offered = sent(giver, offer, {"account": stranger.name})
    assert isinstance(offered, dict)
    status, taken = sent(taker, f"/api/v1/channel-transfers/{offered['key']}/accept")

    assert status == 200
    assert isinstance(taken, dict)
    assert (taken["account"], taken["name"]) == (stranger.name, "dev")
    assert Channel.objects.get(name="dev").account.name == stranger.name
    assert sent(taker, f"/api/v1/channel-transfers/{offered['key']}/accept")[0] == 409
    assert taker.get(waiting).json()["results"] == []


def test_who_found_a_channel_before_it_was_given_away_changes_nothing_of_it(
    world: World, stranger: Person
) -> None:
    owner = world.owner
    file = PackageFile.objects.select_related("account", "package__account").get(name="hello")
    found = Channel.objects.select_related("account")
    dev, main = found.get(name="dev"), found.get(name="main")
    placement.add_to_channel(by=owner.identity, file=file, channel=dev)
    # As when both acts began at once, and this one had to wait.
    Channel.objects.filter(pk=dev.pk).update(account=stranger.user.account)

    for act in (
        lambda: placement.remove_from_channel(by=owner.identity, file=file, channel=dev),
        lambda: placement.add_to_channel(by=owner.identity, file=file, channel=dev),
        lambda: placement.move_files(
            by=owner.identity, files=[file], from_channel=dev, to_channel=main
        ),
    ):
        with pytest.raises(NotFound):
            act()
    assert ChannelFile.objects.filter(channel=dev, file=file).exists()


def test_all_tokens_made_before_a_moment_are_revoked_and_told(world: World) -> None:
    owner = world.owner
    old, kept = owner.token("api:read"), owner.token("api:read")
    account = Account.objects.get(name=owner.name)
    moment = timezone.now() - timedelta(days=30)
    Token.objects.filter(pk=old.token.pk).update(created_at=moment - timedelta(days=1))
    program = program_of(owner)
    path = f"/api/v1/accounts/{account.name}/tokens/revoke-made-before"

    status, told = sent(program, path, {"made_before": moment.isoformat()})

    assert status == 200
    assert isinstance(told, dict)
    assert [row["id"] for row in told["results"]] == [old.token.pk]
    gone = Client(headers={"Authorization": f"Bearer {old.secret}"})
    assert gone.get("/api/v1/user").status_code == 401
    there = Client(headers={"Authorization": f"Bearer {kept.secret}"})
    assert there.get("/api/v1/user").status_code == 200
    assert sent(program, path, {"made_before": "yesterday"})[0] == 400
