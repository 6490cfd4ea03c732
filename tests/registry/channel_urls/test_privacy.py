"""Who is given what, and what the others learn: nothing."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import tokens
from accounts.models import Membership, Organization
from accounts.roles import Permission
from registry import channels, collaboration, generations, placement
from registry.models import Channel, Package, PackageFile, PublishedIndex
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, ask, get, run_pending_tasks
from tests.factories import PASSWORD


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def told(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    """All that somebody learns from an answer."""
    headers = {k: v for k, v in answer.headers.items() if k != "X-Request-Id"}
    return answer.status_code, answer.body, headers


def fill(person: Person, channel: ChannelAddress) -> None:
    built = build_conda("hidden", "1.0", subdir="linux-64")
    assert person.upload(built, to=channel).status_code == 201
    run_pending_tasks()


def shard_of(name: str, subdir: str, *, members_only: bool = False) -> str:
    row = PublishedIndex.objects.exclude(files={}).get(
        subdir=subdir, members_only=members_only, channel__visibility__isnull=False
    )
    digest = generations.read_shard_index(row.files[generations.SHARD_INDEX])[name]
    return f"{subdir}/shards/{digest.hex()}.msgpack.zst"


PATHS = [
    "noarch/repodata.json",
    "linux-64/repodata.json",
    "linux-64/repodata.json.zst",
    "linux-64/repodata.json.bz2",
    "linux-64/current_repodata.json",
    "linux-64/run_exports.json",
    "linux-64/repodata_shards.msgpack.zst",
    "linux-64/hidden-1.0-0.conda",
    "channeldata.json",
    "notices.json",
]


def test_a_private_channel_is_not_there_for_others(
    owner: Person, stranger: Person, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)
    tags = {path: get(private_channel.url(path), token=owner.token().secret) for path in PATHS}
    missing = ChannelAddress("acme", "public")  # of the same length, to compare Content-Length
    shard = shard_of("hidden", "linux-64")

    for path in [*PATHS, shard]:
        for method in ("GET", "HEAD"):
            for token in (None, stranger.token("all").secret):
                there = ask(method, private_channel.url(path), token=token)
                nowhere = ask(method, missing.url(path), token=token)
                assert there.status_code == 404
                assert told(there) == told(nowhere), path
    for path, seen in tags.items():
        assert seen.status_code == 200, path
        unchanged = get(private_channel.url(path), If_None_Match=seen.headers["ETag"])
        assert unchanged.status_code == 404
        assert get(private_channel.url(path), Range="bytes=0-0").status_code == 404


def test_members_are_given_what_no_shared_cache_may_keep(
    owner: Person, reader: Person, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)

    for path in [*PATHS, shard_of("hidden", "linux-64")]:
        answer = get(private_channel.url(path), token=reader.token("conda:download").secret)

        assert answer.status_code == 200, path
        assert answer.headers["Cache-Control"].startswith("private, max-age=")
        assert answer.headers["Vary"] == "Authorization, Cookie"


def test_every_form_in_which_clients_send_a_token_opens_a_private_channel(
    owner: Person, reader: Person, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)
    token = reader.token("conda:download").secret
    url = private_channel.url("linux-64/hidden-1.0-0.conda")
    below = url.removeprefix("/conda")

    answers = [
        get(url, Authorization=f"Bearer {token}"),
        get(url, Authorization=f"token {token}"),
        get(url, Authorization=basic("whoever", token)),
        get(url, Authorization=basic(token, "")),
        get(url, Authorization=basic(token, "x-oauth-basic")),
        get(url, Authorization=basic(reader.name, PASSWORD)),
        get(url, X_API_Key=token),
        get(f"/conda/t/{token}{below}"),
        get(f"/t/{token}{url}"),
    ]

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert len({answer.body for answer in answers}) == 1


def test_a_signed_in_browser_reads_and_no_page_of_another_site_uploads_with_it(
    owner: Person, reader: Person, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)
    url = private_channel.url("linux-64/hidden-1.0-0.conda")

    answer = reader.client.get(url)
    assert answer.status_code == 200
    answer.getvalue()
    assert answer.headers["Vary"] == "Authorization, Cookie"
    refused = owner.client.put(url, b"x", content_type="application/octet-stream")
    assert refused.status_code == 401


@pytest.mark.parametrize("path", ["noarch/repodata.json", "linux-64/nothing-1-0.conda", "x"])
def test_a_wrong_credential_is_401_on_public_addresses_too(
    maintainer: Person, channel: ChannelAddress, path: str
) -> None:
    revoked, expired = maintainer.token(), maintainer.token(expires_at=timezone.now())
    tokens.revoke_token(by=maintainer.identity, token=revoked.token)
    url = channel.url(path)
    below = url.removeprefix("/conda")

    answers = [
        get(url, token="cph-u" + "0" * 49),
        get(url, token=revoked.secret),
        get(url, token=expired.secret),
        get(url, Authorization=basic(maintainer.name, "wrong")),
        get(url, Authorization="Digest x"),
        get(f"/conda/t/{revoked.secret}{below}"),
        get(f"/t/nonsense{url}"),
    ]

    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Condarium"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_token_in_the_address_is_repeated_nowhere(
    maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token("conda").secret
    for path in ("noarch/repodata.json", "noarch/nothing-1-0.conda"):
        answer = get(f"/t/{token}{channel.url(path)}")

        assert token not in answer.body.decode() + str(dict(answer.headers))
        # Or a cache would keep it in its keys, and serve after the token was revoked.
        assert answer.headers["Cache-Control"].startswith(("private", "no-store"))


@pytest.mark.parametrize(
    ("scopes", "limits", "status"),
    [
        (["conda:download"], {}, 200),
        (["api:read"], {}, 200),
        (["api:write"], {}, 404),
        (["api:modify-group"], {}, 404),
        (["conda"], {"channels": ["secret"]}, 200),
        (["conda"], {"channels": ["main"]}, 404),
    ],
)
def test_a_token_opens_what_its_scopes_and_limits_say(
    owner: Person,
    private_channel: ChannelAddress,
    scopes: list[str],
    limits: dict[str, Any],
    status: int,
) -> None:
    fill(owner, private_channel)
    token = owner.token(*scopes, **limits).secret

    answer = get(private_channel.url("linux-64/hidden-1.0-0.conda"), token=token)

    assert answer.status_code == status


def test_a_removed_member_is_a_stranger_at_the_next_request(
    owner: Person, reader: Person, acme: Organization, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)
    url, token = private_channel.url("noarch/repodata.json"), reader.token().secret
    assert get(url, token=token).status_code == 200

    Membership.objects.filter(organization=acme, user=reader.user).delete()

    assert get(url, token=token).status_code == 404


# --- A private package in a public channel ------------------------------------------------------


@pytest.fixture
def mixed(owner: Person, channel: ChannelAddress) -> ChannelAddress:
    """A public channel with a package that is private."""
    for name in ("open", "hidden"):
        built = build_conda(name, "1.0", subdir="linux-64")
        assert owner.upload(built, to=channel).status_code == 201
    package = Package.objects.get(name="hidden")
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)
    run_pending_tasks()
    return channel


def test_only_members_see_a_private_package_in_the_index(
    mixed: ChannelAddress, reader: Person, stranger: Person
) -> None:
    url = mixed.url("linux-64/repodata.json")

    mine = get(url, token=reader.token().secret)
    theirs = [get(url), get(url, token=stranger.token().secret)]

    assert set(json.loads(mine.body)["packages.conda"]) == {
        "hidden-1.0-0.conda",
        "open-1.0-0.conda",
    }
    assert mine.headers["Cache-Control"].startswith("private,")
    for answer in theirs:
        assert b"hidden" not in answer.body
        assert answer.headers["ETag"] != mine.headers["ETag"]
        assert answer.headers["Cache-Control"].startswith("public,")
        assert answer.headers["Vary"] == "Authorization, Cookie"
        assert mine.headers["Vary"] == "Authorization, Cookie"


def test_the_bytes_and_the_shard_of_a_private_package_are_for_members(
    mixed: ChannelAddress, reader: Person, stranger: Person
) -> None:
    hidden_shard = shard_of("hidden", "linux-64", members_only=True)
    open_shard = shard_of("open", "linux-64", members_only=True)
    token, other = reader.token().secret, stranger.token().secret
    nowhere = get(mixed.url("linux-64/nothing-1.0-0.conda"))

    for path in ("linux-64/hidden-1.0-0.conda", hidden_shard):
        assert get(mixed.url(path), token=token).status_code == 200
        assert get(mixed.url(path), token=token).headers["Cache-Control"].startswith("private,")
        for answer in (get(mixed.url(path)), get(mixed.url(path), token=other)):
            assert told(answer)[:2] == told(nowhere)[:2]
    for path in ("linux-64/open-1.0-0.conda", open_shard):
        assert get(mixed.url(path)).status_code == 200
        assert get(mixed.url(path)).headers["Cache-Control"].startswith("public,")


def test_a_collaborator_fetches_a_private_package_of_a_public_channel(
    mixed: ChannelAddress, owner: Person, stranger: Person
) -> None:
    package = Package.objects.get(name="hidden")
    collaboration.set_collaborator(
        by=owner.identity, package=package, user=stranger.user, permission=Permission.READ
    )

    url = mixed.url("linux-64/hidden-1.0-0.conda")

    assert get(url, token=stranger.token("conda:download").secret).status_code == 200
    assert get(url, token=stranger.token("api:write").secret).status_code == 404


def test_a_session_is_only_asked_for_where_there_is_a_cookie(channel: ChannelAddress) -> None:
    assert "Vary" not in get(channel.url("noarch/repodata.json")).headers


def test_a_token_that_lives_on_does_not(private_channel: ChannelAddress, owner: Person) -> None:
    soon = owner.token(expires_at=timezone.now() + timedelta(hours=1))
    url = private_channel.url("noarch/repodata.json")
    assert get(url, token=soon.secret).status_code == 200

    soon.token.expires_at = timezone.now() - timedelta(seconds=1)
    soon.token.save()

    assert get(url, token=soon.secret).status_code == 401


LISTINGS = [
    "linux-64/repodata.json",
    "linux-64/repodata.json.bz2",
    "linux-64/current_repodata.json",
    "linux-64/run_exports.json",
    "linux-64/repodata_shards.msgpack.zst",
    "channeldata.json",
]


def test_a_private_channel_that_is_made_public_shows_no_private_package_at_any_moment(
    owner: Person, reader: Person, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)
    package = Package.objects.get(name="hidden")
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)
    run_pending_tasks()
    token = reader.token("conda:download").secret
    shard = shard_of("hidden", "linux-64")
    before = {path: get(private_channel.url(path), token=token) for path in [*LISTINGS, shard]}

    public = Channel.Visibility.PUBLIC
    channels.change_channel(by=owner.identity, channel=private_channel.row, visibility=public)

    for path, seen in before.items():
        answer = get(private_channel.url(path))
        assert answer.status_code == 404, path
        member = get(private_channel.url(path), token=token)
        assert (member.status_code, member.body) == (200, seen.body), path
        assert member.headers["Cache-Control"].startswith("private,")

    run_pending_tasks()

    assert json.loads(get(private_channel.url(LISTINGS[0])).body)["packages.conda"] == {}
    for path in (*LISTINGS, shard):
        assert b"hidden" not in get(private_channel.url(path)).body
    assert set(reader.repodata(private_channel, "linux-64")["packages.conda"]) == {
        "hidden-1.0-0.conda"
    }


def test_an_index_that_is_written_while_the_channel_becomes_public_is_not_switched_to(
    owner: Person, private_channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(owner, private_channel)
    package = Package.objects.get(name="hidden")
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)

    def meanwhile(name: str) -> None:
        if name == "shards-written" and private_channel.row.is_private:
            public = Channel.Visibility.PUBLIC
            channels.change_channel(
                by=owner.identity, channel=private_channel.row, visibility=public
            )

    monkeypatch.setattr("portal.failpoints.reach", meanwhile)
    run_pending_tasks()

    assert not private_channel.row.is_private
    assert b"hidden" not in get(private_channel.url("linux-64/repodata.json")).body
    monkeypatch.undo()
    run_pending_tasks()
    assert b"hidden" not in get(private_channel.url("linux-64/repodata.json")).body


def test_members_see_all_of_a_public_channel_that_becomes_private(
    mixed: ChannelAddress, owner: Person, reader: Person
) -> None:
    private = Channel.Visibility.PRIVATE
    channels.change_channel(by=owner.identity, channel=mixed.row, visibility=private)
    run_pending_tasks()

    assert len(reader.repodata(mixed, "linux-64")["packages.conda"]) == 2
    assert get(mixed.url("linux-64/repodata.json")).status_code == 404


@pytest.mark.parametrize("is_removed_first", [True, False])
def test_what_was_removed_of_a_private_package_is_named_to_members_only(
    mixed: ChannelAddress, owner: Person, is_removed_first: bool
) -> None:
    package = Package.objects.get(name="hidden")
    shard = shard_of("hidden", "linux-64", members_only=True)
    if is_removed_first:
        collaboration.set_privacy(by=owner.identity, package=package, is_private=False)
    file = PackageFile.objects.get(name="hidden")
    placement.remove_from_channel(by=owner.identity, file=file, channel=mixed.row)
    run_pending_tasks()
    assert (b"hidden" in get(mixed.url("linux-64/repodata.json")).body) is is_removed_first

    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)
    run_pending_tasks()

    for path in LISTINGS:
        assert b"hidden" not in get(mixed.url(path)).body, path
    assert get(mixed.url(shard)).status_code == 404
    assert get(mixed.url("linux-64/hidden-1.0-0.conda")).status_code == 404


def test_a_token_for_some_packages_fetches_no_others_from_a_private_channel(
    owner: Person, private_channel: ChannelAddress
) -> None:
    fill(owner, private_channel)
    url = private_channel.url("linux-64/hidden-1.0-0.conda")

    assert get(url, token=owner.token("conda", packages=["hid*"]).secret).status_code == 200
    assert get(url, token=owner.token("conda", packages=["open"]).secret).status_code == 404
