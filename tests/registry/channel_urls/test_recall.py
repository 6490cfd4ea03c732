"""A file asked for again: answered as before without the way through all of Django, and
never when anything that the answer stands on has changed."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from django.http import HttpResponse
from django.http.response import ResponseHeaders
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.models import Membership, Organization
from accounts.tokens import NewToken
from registry import channels, collaboration, downloads, placement
from registry.channel_urls.recall import Recall
from registry.channel_urls.wsgi import django_application
from registry.models import Channel, Download, Package, PackageFile
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, run_pending_tasks
from tests.factories import PASSWORD

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PATH = "linux-64/repodata.json"
PRIVATE, PUBLIC = Channel.Visibility.PRIVATE, Channel.Visibility.PUBLIC


class WSGIClient(Client):
    """Comes as the web server does: Django's own client goes past what stands in front of it."""

    def __init__(self, application: WSGIApplication) -> None:
        super().__init__()
        self._application = application

    def request(self, **request: Any) -> Any:
        said: list[tuple[str, dict[str, str]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], *_: object
        ) -> Callable[[bytes], object]:
            said.append((status, dict(headers)))
            return bytes  # the old way to write, which nobody takes

        environ = self._base_environ(**request)  # type: ignore[attr-defined] # not in its types
        # The connection that the test is in is not closed behind a request.
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        try:
            parts = self._application(environ, start_response)
            body = b"".join(parts)
            if hasattr(parts, "close"):
                parts.close()
        finally:
            for signal in (request_started, request_finished):
                signal.connect(close_old_connections)
        ((status, headers),) = said
        response = HttpResponse(body, status=int(status[:3]))
        response.headers = ResponseHeaders(headers)
        return response


@dataclass
class Asked:
    """One server process, and whether its last answer was a remembered one."""

    client: Client = field(default_factory=lambda: WSGIClient(Recall(django_application)))
    was_remembered: bool = False

    def __call__(
        self, url: str, token: str | None = None, *, method: str = "GET", **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        with CaptureQueriesContext(connection) as queries:
            response: Answer = self.client.generic(method, url, headers=named)
        response.body = response.getvalue()
        self.was_remembered = len(queries) == 0
        return response


@pytest.fixture
def ask() -> Asked:
    return Asked()


def publish(person: Person, channel: ChannelAddress, name: str = "hello") -> None:
    answer = person.upload(build_conda(name, "1.0", subdir="linux-64"), to=channel)
    assert answer.status_code == 201, answer.body
    run_pending_tasks()


def warm(ask: Asked, url: str, token: str | None = None) -> Answer:
    # The first use of a token is noted, and so changes what its own answer stands on.
    for _ in range(3):
        answer = ask(url, token)
        assert answer.status_code == 200, answer.body
    assert ask.was_remembered
    return answer


def told(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    headers = {k: v for k, v in answer.headers.items() if k != "X-Request-Id"}
    return answer.status_code, answer.body, headers


CONDITIONS = [
    {},
    {"Range": "bytes=5-20"},
    {"Range": "bytes=-7"},
    {"Range": "bytes=99999999-"},
    {"If_None_Match": "the etag"},
    {"If_None_Match": '"another"'},
    {"If_None_Match": "*"},
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", CONDITIONS, ids=str)
@pytest.mark.parametrize(
    "place",
    [PATH, f"{PATH}.zst", f"{PATH}.bz2", "channeldata.json", "linux-64/hello-1.0-0.conda"],
)
def test_what_is_remembered_is_answered_like_the_first_time(
    owner: Person,
    private_channel: ChannelAddress,
    ask: Asked,
    place: str,
    headers: dict[str, str],
    method: str,
) -> None:
    publish(owner, private_channel)
    url, token = private_channel.url(place), owner.token().secret
    etag = warm(ask, url, token).headers["ETag"]
    given = {name: etag if value == "the etag" else value for name, value in headers.items()}

    remembered = ask(url, token, method=method, **given)
    assert ask.was_remembered
    fresh = Asked()(url, token, method=method, **given)

    assert told(remembered) == told(fresh)


def test_a_shard_is_remembered_too(
    owner: Person, private_channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, private_channel)
    token = owner.token().secret
    row = private_channel.row.indexes.get(subdir="linux-64")
    from registry.generations import SHARD_INDEX, read_shard_index  # noqa: PLC0415 - read once

    (digest,) = read_shard_index(row.files[SHARD_INDEX]).values()
    url = private_channel.url(f"linux-64/shards/{digest.hex()}.msgpack.zst")
    warm(ask, url, token)

    assert ask(url).status_code == 404


def test_a_package_that_is_remembered_is_counted_each_time(
    owner: Person, channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, channel)
    url = channel.url("linux-64/hello-1.0-0.conda")
    warm(ask, url)
    ask(url, method="HEAD")
    ask(url, Range="bytes=-10")
    downloads.flush()

    assert sum(Download.objects.values_list("count", flat=True)) == 3


def test_a_deleted_package_file_is_gone_at_once(
    owner: Person, channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, channel)
    url = channel.url("linux-64/hello-1.0-0.conda")
    warm(ask, url)

    placement.delete_file(by=owner.identity, file=PackageFile.objects.get())

    assert ask(url).status_code == 404


# --- Nothing is taken on trust -----------------------------------------------------------------


def revoke(_: Person, made: NewToken) -> None:
    tokens.revoke_token(by=Person(made.token.account.user).identity, token=made.token)


def expire(_: Person, made: NewToken) -> None:
    made.token.expires_at = timezone.now() - timedelta(seconds=1)
    made.token.save()


def deactivate(_: Person, made: NewToken) -> None:
    made.token.account.user.is_active = False
    made.token.account.user.save()


def suspend(_: Person, made: NewToken) -> None:
    made.token.account.suspended_at = timezone.now()
    made.token.account.save()


def take_the_scope(_: Person, made: NewToken) -> None:
    made.token.scopes = ["api:write"]
    made.token.save()


def limit_to_another_channel(_: Person, made: NewToken) -> None:
    made.token.channels = ["other"]
    made.token.save()


def remove_the_member(_: Person, made: NewToken) -> None:
    Membership.objects.get(user=made.token.account.user).delete()


def suspend_the_organization(owner: Person, _: NewToken) -> None:
    account = Organization.objects.get().account
    account.suspended_at = timezone.now()
    account.save()


def delete_the_channel(owner: Person, _: NewToken) -> None:
    channel = Channel.objects.get(name="secret")
    channels.delete_channel(by=owner.identity, channel=channel)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (revoke, 401),
        (expire, 401),
        (deactivate, 401),
        (suspend, 401),
        (take_the_scope, 404),
        (limit_to_another_channel, 404),
        (remove_the_member, 404),
        (suspend_the_organization, 404),
        (delete_the_channel, 404),
    ],
)
def test_whoever_loses_a_right_has_lost_it_at_the_next_request(
    owner: Person,
    reader: Person,
    private_channel: ChannelAddress,
    ask: Asked,
    change: Callable[[Person, NewToken], None],
    status: int,
) -> None:
    publish(owner, private_channel)
    made = reader.token("conda:download")
    url = private_channel.url(PATH)
    etag = warm(ask, url, made.secret).headers["ETag"]

    change(owner, made)

    assert ask(url, made.secret, If_None_Match=etag).status_code == status
    assert ask(url, made.secret).status_code == status


def test_a_token_expires_while_it_is_remembered(
    owner: Person, private_channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, private_channel)
    url = private_channel.url(PATH)
    for seconds in (1, 30):  # on a machine that is too busy for the first
        expires_at = timezone.now() + timedelta(seconds=seconds)
        token = owner.token("conda:download", expires_at=expires_at).secret
        answers = [ask(url, token) for _ in range(3)]
        if timezone.now() < expires_at:
            break
    assert [answer.status_code for answer in answers] == [200] * 3
    assert ask.was_remembered
    time.sleep(max(0, (expires_at - timezone.now()).total_seconds()))

    assert ask(url, token).status_code == 401


def test_a_channel_that_is_made_private_is_gone_for_everybody_else(
    owner: Person, channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, channel)
    etag = warm(ask, channel.url(PATH)).headers["ETag"]

    channels.change_channel(by=owner.identity, channel=channel.row, visibility=PRIVATE)

    assert ask(channel.url(PATH), If_None_Match=etag).status_code == 404


def test_a_new_generation_is_seen_at_once(
    owner: Person, channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, channel)
    etag = warm(ask, channel.url(PATH)).headers["ETag"]

    publish(owner, channel, "other")

    answer = ask(channel.url(PATH), If_None_Match=etag)
    assert answer.status_code == 200
    assert b"other-1.0-0.conda" in answer.body


def test_members_and_others_are_not_mixed_up(
    owner: Person, channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, channel, "open")
    publish(owner, channel, "hidden")
    package = Package.objects.select_related("account").get(name="hidden")
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)
    run_pending_tasks()
    url, token = channel.url(PATH), owner.token().secret

    assert b"hidden" in warm(ask, url, token).body
    assert b"hidden" not in warm(ask, url).body
    assert ask(url, "cph-nothing").status_code == 401


# --- What it knows a request by ----------------------------------------------------------------


def test_a_token_in_the_path_makes_no_public_answer_and_no_log_line(
    owner: Person, channel: ChannelAddress, ask: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    publish(owner, channel)
    token = owner.token().secret
    urls = (f"/conda/t/{token}/acme/{PATH}", f"/t/{token}/conda/acme/{PATH}")
    with caplog.at_level(logging.DEBUG):
        answers = [warm(ask, url) for url in urls]

    for answer in answers:
        assert answer.headers["Cache-Control"].startswith("private")
    assert token not in caplog.text
    assert f"/conda/acme/{PATH}" in [getattr(record, "path", "") for record in caplog.records]
    assert warm(ask, channel.url(PATH)).headers["Cache-Control"].startswith("public")


@pytest.mark.parametrize("how", ["session", "password"])
def test_sessions_and_passwords_are_not_remembered(
    owner: Person, private_channel: ChannelAddress, ask: Asked, how: str
) -> None:
    publish(owner, private_channel)
    given: dict[str, str] = {}
    if how == "session":
        ask.client.force_login(owner.user)
    else:
        login = base64.b64encode(f"{owner.name}:{PASSWORD}".encode()).decode()
        given = {"Authorization": f"Basic {login}"}
    for _ in range(3):
        assert ask(private_channel.url(PATH), **given).status_code == 200
        assert not ask.was_remembered
    assert Asked()(private_channel.url(PATH)).status_code == 404


@pytest.mark.parametrize("form", ["Bearer {}", "token {}", "basic", "X-API-Key"])
def test_every_form_of_a_token_is_remembered(
    owner: Person, private_channel: ChannelAddress, ask: Asked, form: str
) -> None:
    publish(owner, private_channel)
    token = owner.token().secret
    basic = base64.b64encode(f"x:{token}".encode()).decode()
    given = (
        {"X_API_Key": token}
        if form == "X-API-Key"
        else {"Authorization": f"Basic {basic}" if form == "basic" else form.format(token)}
    )
    for _ in range(3):
        assert ask(private_channel.url(PATH), **given).status_code == 200
    assert ask.was_remembered


def test_another_host_name_is_refused_as_ever(
    owner: Person, channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, channel)
    warm(ask, channel.url(PATH))

    assert ask(channel.url(PATH), Host="elsewhere.example").status_code == 400


def test_the_use_of_a_token_is_still_noted(
    owner: Person, private_channel: ChannelAddress, ask: Asked
) -> None:
    publish(owner, private_channel)
    made = owner.token()
    warm(ask, private_channel.url(PATH), made.secret)
    made.token.refresh_from_db()
    assert made.token.last_used_at is not None
    long_ago = timezone.now() - timedelta(minutes=5)
    made.token.last_used_at = long_ago
    made.token.save()

    ask(private_channel.url(PATH), made.secret)

    made.token.refresh_from_db()
    assert made.token.last_used_at > long_ago
