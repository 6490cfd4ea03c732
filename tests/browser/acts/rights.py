"""Who of the cast may do what: read from the tables that ask by requests, and from nowhere else.

The cast is theirs, and four more: cora, cleo and cade are collaborators of one package and no
members of acme, with read, write and admin; rosa runs the site, and has nothing to do with acme.
"""

from __future__ import annotations

from typing import Final

from accounts.roles import Permission
from tests.accounts.views.test_who_sees_settings import PAGES as SETTINGS
from tests.registry.api.test_who_may import TABLE, Row
from tests.registry.api.world import ROLES
from tests.registry.views.browsers import WHO
from tests.registry.views.test_who_sees_pages import PAGES

Names = frozenset[str]

COLLABORATORS: Final = {
    "cora": Permission.READ,
    "cleo": Permission.WRITE,
    "cade": Permission.ADMIN,
}
CAST: Final = (*ROLES, *COLLABORATORS, "rosa")
"""nobody, a stranger, a member, a maintainer, an admin, an owner; collaborators; a site admin."""
EVERYBODY: Final = frozenset(CAST)
SIGNED_IN: Final = EVERYBODY - {"nobody"}
# The pages for those who run the site: tests/registry/views/test_site.py says for
# whom they are there.
# Settings that admins see and only owners change, or that are for owners alone:
# tests/accounts/views/test_policy.py and tests/registry/views/test_account_ends.py say so.
OWNERS: Final = frozenset({"olga"})
SITE_ADMINS: Final = frozenset({"rosa"})

_OUTSIDE = ("cora", "cleo", "cade", "rosa")
_SETTINGS_COLUMNS = ("nobody", "sven", "rita", "adam", "olga")


def by_api(method: str, path: str, body: object = None) -> Names:
    """Whoever the REST API lets do it; for it, collaborators and site admins are strangers."""
    return _completed(_row(method, f"/accounts/acme{path}", body).expected)


def on_package(method: str, path: str, body: object = None) -> Names:
    """The same for what concerns one package: collaborators are asked for what maintainers hold.

    A maintainer has write on all packages. So what they may, takes write; what they may not and
    admins may, takes admin.
    """
    members = by_api(method, path, body) - set(_OUTSIDE)
    least = Permission.WRITE if "maria" in members else Permission.ADMIN
    enough = {Permission.WRITE: {"cleo", "cade"}, Permission.ADMIN: {"cade"}}[least]
    return members | enough


def by_page(path: str) -> Names:
    """Whoever is shown a page of acme's; it is 200 or leads on to somewhere else than signing in.

    Who may see settings may change them, where the page itself doesn't say otherwise.
    """
    for rows, columns in ((dict(SETTINGS), _SETTINGS_COLUMNS), (PAGES, _people_of_pages())):
        if path in rows:
            return _completed(dict(zip(columns, rows[path], strict=True)))
    raise AssertionError(f"No table has {path}.")


def _row(method: str, path: str, body: object) -> Row:
    rows = [row for row in TABLE if (row.method, row.path) == (method, path)]
    if body is not None:
        rows = [row for row in rows if row.body == body]
    assert len(rows) == 1, f"{len(rows)} rows say who may {method} {path}."
    return rows[0]


def _people_of_pages() -> tuple[str, ...]:
    names = {
        "anonymous": "nobody", "stranger": "sven", "reader": "rita", "maintainer": "maria",
        "admin": "adam", "owner": "olga",
    }  # fmt: skip
    return tuple(names[who] for who in WHO)


def _completed(answers: dict[str, int]) -> Names:
    """Those who are let in: nobody signed in is sent to sign in first, which is 302 too."""
    refused = {401, 403, 404}
    may = {
        name
        for name, status in answers.items()
        if name in CAST and status not in refused and (name, status) != ("nobody", 302)
    }
    return frozenset(may | (set(_OUTSIDE) if "sven" in may else set()))
