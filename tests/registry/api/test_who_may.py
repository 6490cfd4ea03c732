"""Each operation of the REST API by each of the cast and with tokens of each scope.

The numbers are written by hand. An operation that is missing from the table fails the run, so
none can be added without saying who may.
"""

# ruff: noqa: E501 - the table reads in columns, so its lines are longer than others

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from rest_framework.views import APIView

from accounts.api.endpoint import Endpoint
from tests.cast import Person
from tests.registry.api.world import API, NOT_FOUND, ROLES, TOKENS, Caller, World, by_session

HELLO = "/accounts/acme/files/noarch/hello-1.0-0.conda"
BURIED = "/accounts/acme/files/noarch/buried-1.0-0.conda"
HIDDEN = "/accounts/acme/files/noarch/hidden-1.0-0.conda"

ORG = {"name": "fresh"}
MEMBER = {"user": "sven"}
ROLE = {"role": "admin"}
GUEST = {"email_or_name": "new@example.org"}
GROUP = {"name": "testers"}
TOKEN = {"name": "n", "scopes": ["api:read"]}
TEXT = {"description": "x"}
HIDE = {"is_private": True}
WRITE = {"permission": "write"}
TO_DEV = {"account": "acme", "channel": "dev"}
TO_SVEN = {"account": "sven"}
TRANSFER = {"account": "sven", "keeps_collaborators": True}
CHANNEL_TRANSFER = {"account": "sven"}
LONG_AGO = {"made_before": "2020-01-01T00:00:00Z"}
NEXT_WEEK = (datetime.now(UTC) + timedelta(days=7)).isoformat()
EDIT = {"depends": ["python >=3.10"]}
NOTICE = {"channel": "main", "message": "Moves on Monday", "expires_at": NEXT_WEEK}

LOUD = {"level": "critical"}
RULE = {"channel": "main", "keep_newest": 3}
KEEP = {"keep_newest": 5}


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    body: object
    roles: str
    tokens: str

    @property
    def expected(self) -> dict[str, int]:
        statuses = [int(status) for status in f"{self.roles} {self.tokens}".split()]
        columns = dict(zip((*ROLES, *TOKENS), statuses, strict=True))
        # What opens nothing is refused on public routes too.
        return columns | {"expired": 401, "revoked": 401, "unknown": 401}


_A = "/accounts/acme"
# fmt: off
TABLE = [Row(*row) for row in (
    #                                                nobody sven rita maria adam olga    read write people api all down dev org
    ("GET",    "/user", None,                             "401 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    "/search?q=hel", None,                     "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    "/accounts", None,                         "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    "/accounts/acme", None,                    "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    "/accounts/missing", None,                 "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("PATCH",  "/accounts/acme", TEXT,                    "401 403 403 403 200 200", "403 403 200 200 200 403 403 200"),
    ("PATCH",  "/accounts/olga", TEXT,                    "401 403 403 403 403 200", "403 403 200 200 200 403 403 403"),
    ("GET",    "/organizations", None,                    "401 200 200 200 200 200", "200 403 403 200 200 403 200 200"),
    ("POST",   "/organizations", ORG,                     "401 201 201 201 201 201", "403 403 201 201 201 403 201 403"),
    ("GET",    f"{_A}/members", None,                     "401 403 200 200 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    "/accounts/olga/members", None,            "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("POST",   f"{_A}/members", MEMBER,                   "401 403 403 403 201 201", "403 403 201 201 201 403 403 201"),
    ("PATCH",  f"{_A}/members/rita", ROLE,                "401 403 403 403 200 200", "403 403 200 200 200 403 403 200"),
    ("DELETE", f"{_A}/members/rita", None,                "401 403 204 403 204 204", "403 403 204 204 204 403 403 204"),
    ("GET",    f"{_A}/invitations", None,                 "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("POST",   f"{_A}/invitations", GUEST,                "401 403 403 403 201 201", "403 403 201 201 201 403 403 201"),
    ("DELETE", f"{_A}/invitations/{{invitation}}", None,  "401 403 403 403 204 204", "403 403 204 204 204 403 403 204"),
    ("GET",    f"{_A}/groups", None,                      "401 403 200 200 200 200", "200 403 403 200 200 403 200 200"),
    ("POST",   f"{_A}/groups", GROUP,                     "401 403 403 403 201 201", "403 403 201 201 201 403 403 201"),
    ("GET",    f"{_A}/groups/helpers", None,              "401 403 200 200 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    f"{_A}/groups/missing", None,              "401 403 404 404 404 404", "404 403 403 404 404 403 404 404"),
    ("PATCH",  f"{_A}/groups/helpers", TEXT,              "401 403 403 403 200 200", "403 403 200 200 200 403 403 200"),
    ("DELETE", f"{_A}/groups/helpers", None,              "401 403 403 403 204 204", "403 403 204 204 204 403 403 204"),
    ("GET",    f"{_A}/groups/helpers/members", None,      "401 403 200 200 200 200", "200 403 403 200 200 403 200 200"),
    ("POST",   f"{_A}/groups/helpers/members", {"user": "rita"},
                                                          "401 403 403 403 201 201", "403 403 201 201 201 403 403 201"),
    ("DELETE", f"{_A}/groups/maintainers/members/maria", None,
                                                          "401 403 403 403 204 204", "403 403 204 204 204 403 403 204"),
    ("GET",    f"{_A}/tokens", None,                      "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("POST",   f"{_A}/tokens", TOKEN,                     "401 403 403 403 201 201", "403 403 403 201 201 403 403 201"),
    ("DELETE", f"{_A}/tokens/{{token}}", None,            "401 403 403 403 204 204", "403 403 403 204 204 403 403 204"),
    ("POST",   f"{_A}/tokens/{{token}}/rotate", {},       "401 403 403 403 201 201", "403 403 403 201 201 403 403 201"),
    ("POST",   f"{_A}/tokens/revoke-made-before", LONG_AGO,
                                                          "401 403 403 403 200 200", "403 403 403 200 200 403 200 200"),
    ("GET",    "/accounts/olga/tokens", None,             "401 403 403 403 403 200", "200 403 403 200 200 403 200 403"),
    ("POST",   "/accounts/olga/tokens", TOKEN,            "401 403 403 403 403 201", "403 403 403 201 201 403 403 403"),
    ("GET",    f"{_A}/events", None,                      "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    "/accounts/olga/events", None,             "401 403 403 403 403 200", "200 403 403 200 200 403 200 403"),
    #                                                nobody sven rita maria adam olga    read write people api all down dev org
    ("GET",    f"{_A}/channels", None,                    "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("POST",   f"{_A}/channels", {"name": "rc/1"},        "401 403 403 403 201 201", "403 201 403 201 201 403 403 201"),
    ("GET",    f"{_A}/channels/main", None,               "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{_A}/channels/secret", None,             "404 404 200 200 200 200", "200 404 404 200 200 200 404 200"),
    ("GET",    f"{_A}/channels/missing", None,            "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("PATCH",  f"{_A}/channels/main", TEXT,               "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("PATCH",  f"{_A}/channels/dev", TEXT,                "401 403 403 403 200 200", "403 200 403 200 200 403 200 200"),
    ("PATCH",  f"{_A}/channels/secret", TEXT,             "404 404 403 403 200 200", "403 404 404 200 200 403 404 200"),
    ("DELETE", f"{_A}/channels/dev", None,                "401 403 403 403 204 204", "403 204 403 204 204 403 204 204"),
    ("DELETE", f"{_A}/channels/main", None,               "401 403 403 403 409 409", "403 409 403 409 409 403 403 409"),
    ("DELETE", f"{_A}/channels/secret", None,             "404 404 403 403 204 204", "403 404 404 204 204 403 404 204"),
    ("GET",    f"{_A}/notices", None,                     "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("POST",   f"{_A}/notices", NOTICE,                   "401 403 403 403 201 201", "403 201 403 201 201 403 403 201"),
    ("DELETE", f"{_A}/notices/{{notice}}", None,          "401 403 403 403 204 204", "403 204 403 204 204 403 403 204"),
    ("DELETE", f"{_A}/notices/{{hidden_notice}}", None,   "404 404 403 403 204 204", "403 404 404 204 204 403 404 204"),
    ("GET",    f"{_A}/notices?status=draft", None,        "401 403 403 403 200 200", "200 403 403 200 200 403 403 200"),
    ("PATCH",  f"{_A}/notices/{{notice}}", LOUD,          "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("PATCH",  f"{_A}/notices/{{hidden_notice}}", LOUD,   "404 404 403 403 200 200", "403 404 404 200 200 403 404 200"),
    ("GET",    f"{_A}/retention", None,                   "401 403 403 403 200 200", "200 403 403 200 200 403 403 200"),
    ("POST",   f"{_A}/retention", RULE,                   "401 403 403 403 201 201", "403 201 403 201 201 403 403 201"),
    ("GET",    f"{_A}/retention/{{rule}}", None,          "401 403 403 403 200 200", "200 403 403 200 200 403 403 200"),
    ("PATCH",  f"{_A}/retention/{{rule}}", KEEP,          "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("DELETE", f"{_A}/retention/{{rule}}", None,          "401 403 403 403 204 204", "403 204 403 204 204 403 403 204"),
    ("GET",    f"{_A}/retention/{{rule}}/preview", None,  "401 403 403 403 200 200", "200 403 403 200 200 403 403 200"),
    ("POST",   f"{_A}/retention/{{rule}}/run", None,      "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("GET",    f"{_A}/bin", None,                         "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("DELETE", f"{_A}/bin/noarch/gone-1-0.conda", None,   "401 403 403 403 404 404", "403 404 403 404 404 403 404 404"),
    ("POST",   f"{_A}/bin/noarch/gone-1-0.conda/restore", None,
                                                          "401 403 403 403 404 404", "403 404 403 404 404 403 404 404"),
    ("GET",    f"{_A}/storage", None,                     "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    f"{_A}/storage/packages", None,            "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    f"{_A}/storage/unlisted", None,            "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    f"{_A}/patches?channel=main", None,        "401 403 403 403 200 200", "200 403 403 200 200 403 403 200"),
    ("GET",    f"{_A}/patches?channel=secret", None,      "404 404 403 403 200 200", "200 404 404 200 200 403 404 200"),
    ("POST",   f"{_A}/patches?channel=main&subdir=noarch", {},
                                                          "401 403 403 403 201 201", "403 201 403 201 201 403 403 201"),
    ("POST",   f"{_A}/patches?channel=main&subdir=noarch&dry_run=1", {},
                                                          "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("GET",    f"{_A}/patches/{{patch}}", None,           "401 403 403 403 200 200", "200 403 403 200 200 403 403 200"),
    ("POST",   f"{_A}/patches/{{patch}}/undo", None,      "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("GET",    f"{_A}/packages", None,                    "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{_A}/packages/hello", None,              "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{_A}/packages/hidden", None,             "404 404 200 200 200 200", "200 404 404 200 200 200 200 200"),
    ("GET",    f"{_A}/packages/missing", None,            "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("GET",    f"{_A}/packages/hello/latest-version", None,
                                                          "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{_A}/packages/hidden/latest-version", None,
                                                          "404 404 200 200 200 200", "200 404 404 200 200 200 200 200"),
    ("GET",    f"{_A}/packages/buried/latest-version", None,
                                                          "404 404 200 200 200 200", "200 404 404 200 200 200 404 200"),
    ("GET",    f"{_A}/packages/hello/total-downloads", None,
                                                          "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{_A}/packages/hidden/total-downloads", None,
                                                          "404 404 200 200 200 200", "200 404 404 200 200 200 200 200"),
    ("PATCH",  f"{_A}/packages/hello", HIDE,              "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("PATCH",  f"{_A}/packages/hello", TEXT,              "401 403 403 200 200 200", "403 200 403 200 200 403 403 200"),
    ("DELETE", f"{_A}/packages/hello", None,              "401 403 403 403 204 204", "403 204 403 204 204 403 403 204"),
    ("PATCH",  f"{_A}/packages/hidden", HIDE,             "404 404 403 403 200 200", "403 404 404 200 200 403 403 200"),
    ("GET",    f"{_A}/packages/hello/transfer", None,     "401 403 403 403 404 404", "403 403 403 403 404 403 403 404"),
    ("POST",   f"{_A}/packages/hello/transfer", TRANSFER, "401 403 403 403 201 201", "403 403 403 403 201 403 403 201"),
    ("POST",   f"{_A}/packages/hidden/transfer", TRANSFER,
                                                          "404 404 403 403 201 201", "403 404 404 403 201 403 403 201"),
    ("DELETE", f"{_A}/packages/hello/transfer", None,     "401 403 403 403 404 404", "403 403 403 403 404 403 403 404"),
    ("GET",    f"{_A}/transfers", None,                   "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    f"{_A}/transfer-of-channel/dev", None,     "401 403 403 403 404 404", "403 403 403 403 404 403 404 404"),
    ("POST",   f"{_A}/transfer-of-channel/dev", CHANNEL_TRANSFER, "401 403 403 403 201 201", "403 403 403 403 201 403 201 201"),
    ("POST",   f"{_A}/transfer-of-channel/secret", CHANNEL_TRANSFER,
                                                          "404 404 403 403 201 201", "403 404 404 403 201 403 404 201"),
    ("DELETE", f"{_A}/transfer-of-channel/dev", None,     "401 403 403 403 404 404", "403 403 403 403 404 403 404 404"),
    ("GET",    f"{_A}/channel-transfers", None,           "401 403 403 403 200 200", "200 403 403 200 200 403 200 200"),
    ("POST",   "/channel-transfers/missing/accept", None, "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("POST",   "/channel-transfers/missing/decline", None,
                                                          "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("POST",   "/transfers/missing/accept", None,         "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("POST",   "/transfers/missing/decline", None,        "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("GET",    f"{_A}/packages/hello/collaborators", None,
                                                          "401 403 200 200 200 200", "200 403 403 200 200 403 200 200"),
    ("GET",    f"{_A}/packages/hidden/collaborators", None,
                                                          "404 404 200 200 200 200", "200 404 404 200 200 403 200 200"),
    ("PUT",    f"{_A}/packages/hello/collaborators/users/sven", WRITE,
                                                          "401 403 403 403 201 201", "403 403 201 201 201 403 403 201"),
    ("DELETE", f"{_A}/packages/hello/collaborators/users/cora-acme", None,
                                                          "401 403 403 403 204 204", "403 403 204 204 204 403 403 204"),
    ("PUT",    f"{_A}/packages/hello/collaborators/groups/helpers", WRITE,
                                                          "401 403 403 403 200 200", "403 403 200 200 200 403 403 200"),
    ("PUT",    f"{_A}/packages/hello/collaborators/groups/missing", WRITE,
                                                          "401 403 403 403 404 404", "403 403 404 404 404 403 403 404"),
    ("DELETE", f"{_A}/packages/hello/collaborators/groups/helpers", None,
                                                          "401 403 403 403 204 204", "403 403 204 204 204 403 403 204"),
    ("GET",    f"{_A}/files", None,                       "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{_A}/files?channel=secret", None,        "404 404 200 200 200 200", "200 404 404 200 200 200 404 200"),
    ("GET",    HELLO, None,                               "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    HIDDEN, None,                              "404 404 200 200 200 200", "200 404 404 200 200 200 200 200"),
    ("GET",    BURIED, None,                              "404 404 200 200 200 200", "200 404 404 200 200 200 404 200"),
    ("DELETE", HELLO, None,                               "401 403 403 204 204 204", "403 204 403 204 204 403 403 204"),
    ("DELETE", BURIED, None,                              "404 404 403 204 204 204", "403 404 404 204 204 403 404 204"),
    ("GET",    f"{HELLO}/channels", None,                 "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{BURIED}/channels", None,                "404 404 200 200 200 200", "200 404 404 200 200 200 404 200"),
    ("GET",    f"{HELLO}/channels/main", None,            "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{HELLO}/channels/dev", None,             "404 404 404 404 404 404", "404 404 404 404 404 404 404 404"),
    ("GET",    f"{BURIED}/channels/secret", None,         "404 404 200 200 200 200", "200 404 404 200 200 200 404 200"),
    ("PATCH",  f"{HELLO}/channels/main", EDIT,            "401 403 403 403 200 200", "403 200 403 200 200 403 403 200"),
    ("PATCH",  f"{BURIED}/channels/secret", EDIT,         "404 404 403 403 200 200", "403 404 404 200 200 403 404 200"),
    ("PUT",    f"{HELLO}/channels/dev", None,             "401 403 403 201 201 201", "403 201 403 201 201 403 201 201"),
    ("PUT",    f"{HELLO}/channels/main", None,            "401 403 403 200 200 200", "403 200 403 200 200 403 403 200"),
    ("PUT",    f"{HELLO}/channels/secret", None,          "404 404 403 201 201 201", "403 404 404 201 201 403 404 201"),
    ("DELETE", f"{HELLO}/channels/main", None,            "401 403 403 204 204 204", "403 204 403 204 204 403 403 204"),
    ("GET",    f"{HELLO}/attestations", None,             "200 200 200 200 200 200", "200 200 200 200 200 200 200 200"),
    ("GET",    f"{HIDDEN}/attestations", None,            "404 404 200 200 200 200", "200 404 404 200 200 200 200 200"),
    ("POST",   f"{HELLO}/attestations", {},               "401 403 403 422 422 422", "403 422 403 422 422 403 403 422"),
    ("POST",   f"{BURIED}/attestations", {},              "404 404 403 422 422 422", "403 404 404 422 422 403 404 422"),
    ("POST",   f"{HELLO}/copies", TO_DEV,                 "401 403 403 200 200 200", "403 200 403 200 200 403 200 200"),
    ("POST",   f"{HELLO}/copies", TO_SVEN,                "401 201 403 403 403 403", "403 403 403 403 403 403 403 403"),
)]
# fmt: on


def _name(row: Row) -> str:
    return f"{row.method} {row.path}"


@pytest.mark.parametrize("row", TABLE, ids=_name)
def test_each_of_the_cast_gets_what_the_table_says(
    row: Row, world: World, callers: dict[str, Caller]
) -> None:
    path = row.path.format(**world.ids)
    got = {}
    for name, caller in callers.items():
        before = transaction.savepoint()
        answer = caller.call(row.method, path, row.body)
        transaction.savepoint_rollback(before)
        got[name] = answer.status_code
        if answer.status_code == 404:
            assert answer.content == NOT_FOUND
    assert got == row.expected


# --- The table is whole ------------------------------------------------------------------------

# Routes under /api/v1 that are no endpoints of the REST API; their own tests say who may.
OTHERS = {
    "api/v1/openapi.json",
    "api/v1/docs",
}
DIALECTS = ("^api/v1/upload/", "^api/v1/packages/")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def _routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route)
        else:
            yield route, pattern


def _endpoints() -> dict[str, type[Endpoint]]:
    found = {}
    for route, pattern in _routes(get_resolver()):
        view = getattr(pattern.callback, "view_class", None)
        if isinstance(view, type) and issubclass(view, Endpoint):
            found[route] = view
    return found


ENDPOINTS = _endpoints()


def test_the_table_has_every_operation_of_the_api() -> None:
    offered = {
        (method.upper(), route)
        for route, view in ENDPOINTS.items()
        for method in view.http_method_names
        if hasattr(view, method) and method != "options"
    }
    ids = dict.fromkeys(("token", "invitation", "notice", "hidden_notice", "patch", "rule"), 1)
    listed = {
        (row.method, resolve(API + row.path.partition("?")[0].format(**ids)).route) for row in TABLE
    }
    assert listed == offered
    assert {route for _, route in offered} == set(ENDPOINTS)


def test_nothing_else_lies_under_the_api() -> None:
    strange = [
        route
        for route, _ in _routes(get_resolver())
        if "api/v1" in route
        and route not in ENDPOINTS
        and route not in OTHERS
        and not route.startswith(DIALECTS)
    ]
    assert strange == []


# Longest first, and one that looks like what follows it.
EXAMPLES = {
    "<str:account>": ["acme", "files", "packages", "user", "search"],
    "<str:user>": ["rita", "members"],
    "<str:group>": ["helpers", "members"],
    "<int:invitation>": ["1"],
    "<int:token>": ["1"],
    "<int:notice>": ["1"],
    "<int:patch>": ["1"],
    "<int:rule>": ["1"],
    "<str:package>": ["hello", "collaborators", "channels"],
    "<str:subdir>": ["noarch", "channels"],
    "<str:filename>": ["hello-1.0-0.conda", "copies", "channels"],
    "<path:channel>": ["main", "rc/1", "a/b/c", "channels", "copies"],
}


def _examples(route: str) -> list[str]:
    paths = [route]
    for part, values in EXAMPLES.items():
        paths = [path.replace(part, value) for path in paths for value in values]
    return sorted(set(paths))


@pytest.mark.parametrize("route", sorted({*ENDPOINTS, *OTHERS}))
def test_no_route_lies_over_another(route: str) -> None:
    for path in _examples(route):
        assert resolve(f"/{path}").route == route


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/upload/acme",
        "/api/v1/upload/accounts/main",
        "/api/v1/packages/acme",
        "/api/v1/packages/accounts/conda/hello/1.0",
    ],
)
def test_the_paths_of_the_dialects_are_not_ours(path: str) -> None:
    assert resolve(path).route not in ENDPOINTS


@pytest.mark.parametrize(("route", "view"), sorted(ENDPOINTS.items()), ids=str)
def test_other_methods_are_refused_with_a_problem(
    route: str, view: type[Endpoint], owner: Person
) -> None:
    olga = by_session(owner)
    offered = {method.upper() for method in view.http_method_names if hasattr(view, method)}
    offered -= {"OPTIONS"}
    if "GET" in offered:
        offered.add("HEAD")
    path = f"/{_examples(route)[0]}"
    for method in METHODS:
        if method in offered:
            continue
        answer = olga.call(method, path)
        assert answer.status_code == 405, method
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert set(answer.headers["Allow"].split(", ")) >= offered - {"HEAD"}


def test_every_endpoint_asks_who_is_there() -> None:
    for view in ENDPOINTS.values():
        assert view.authentication_classes == APIView.authentication_classes
