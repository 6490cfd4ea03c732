"""Every page, for everybody: what is hidden looks missing, what is not theirs says so."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.cast import Person
from tests.registry.api.world import World
from tests.registry.views.browsers import HELLO, HELLO_FILE, WHO, Browsers, text_of

OPEN = (200, 200, 200, 200, 200, 200)
MEMBERS = (404, 404, 200, 200, 200, 200)
ADMINS = (302, 403, 403, 403, 200, 200)
# Who does not know of the package is told nothing, also not that it has settings.
HIDDEN_ADMINS = (302, 404, 403, 403, 200, 200)
WRITERS = (302, 403, 403, 200, 200, 200)

PAGES = {
    "/": OPEN,
    "/search": OPEN,
    "/search?q=hello&account=acme&platform=noarch": OPEN,
    "/docs": OPEN,
    "/robots.txt": OPEN,
    "/.well-known/security.txt": OPEN,
    "/acme": OPEN,
    "/acme?q=hel": OPEN,
    "/acme/channels": OPEN,
    "/acme/channels/main": OPEN,
    "/acme/channels/dev": OPEN,
    "/acme/channels/secret": MEMBERS,
    "/acme/channels/missing": (404,) * 6,
    HELLO: OPEN,
    f"{HELLO}/versions": OPEN,
    f"{HELLO}/1.0": OPEN,
    f"{HELLO}/9.9": (404,) * 6,
    f"{HELLO}/files": OPEN,
    f"{HELLO}/channels": OPEN,
    f"{HELLO}/compare": OPEN,
    f"{HELLO}/badges": OPEN,
    f"{HELLO_FILE}/contents": OPEN,
    f"{HELLO_FILE}/metadata": OPEN,
    "/acme/compare": OPEN,
    "/acme/hidden/compare": MEMBERS,
    HELLO_FILE: OPEN,
    f"{HELLO_FILE}/delete": WRITERS,
    # It has collaborators, who lose their rights with it.
    f"{HELLO}/delete": ADMINS,
    f"{HELLO}/settings/collaborators": ADMINS,
    f"{HELLO}/settings/tokens": ADMINS,
    f"{HELLO}/settings/visibility": ADMINS,
    f"{HELLO}/settings/description": WRITERS,
    "/acme/hidden": MEMBERS,
    "/acme/hidden/files": MEMBERS,
    "/acme/hidden/1.0": MEMBERS,
    "/acme/hidden/files/noarch/hidden-1.0-0.conda": MEMBERS,
    "/acme/hidden/settings/collaborators": HIDDEN_ADMINS,
    "/acme/hidden/settings/visibility": HIDDEN_ADMINS,
    "/acme/buried": MEMBERS,
    "/acme/buried/files/noarch/buried-1.0-0.conda": MEMBERS,
    "/acme/missing": (404,) * 6,
    "/nobody": (404,) * 6,
    "/acme/settings/channels": ADMINS,
    "/acme/settings/channels/new": ADMINS,
    "/acme/settings/channels/general/dev": ADMINS,
    "/acme/settings/channels/delete/dev": ADMINS,
    "/acme/settings/channels/patches/dev": ADMINS,
    f"{HELLO_FILE}/patch/main": ADMINS,
    f"{HELLO_FILE}/patch/dev": (302, 404, 404, 404, 404, 404),
    "/acme/hidden/files/noarch/hidden-1.0-0.conda/patch/main": HIDDEN_ADMINS,
    "/acme/upload": WRITERS,
    "/acme/upload?channel=dev": WRITERS,
}


@pytest.mark.parametrize("who", WHO)
def test_who_is_given_which_page(world: World, browsers: Browsers, who: str) -> None:
    given = {path: browsers[who].get(path).status_code for path in PAGES}

    assert given == {path: statuses[WHO.index(who)] for path, statuses in PAGES.items()}


def test_a_page_that_is_no_page_looks_the_same_as_a_hidden_one(
    world: World, anonymous: Client
) -> None:
    hidden = anonymous.get("/acme/hidden").content
    no_page = anonymous.get("/acme/hello/no/hidden").content

    assert hidden == no_page.replace(b"/acme/hello/no/hidden", b"/acme/hidden")


def test_lists_name_nothing_that_is_hidden(world: World, browsers: Browsers) -> None:
    for path in ("/", "/search", "/acme", "/acme/channels", "/acme/channels/main"):
        for who in ("anonymous", "stranger"):
            said = text_of(browsers[who].get(path))
            assert "hidden" not in said
            assert "buried" not in said
            # The first page speaks of secrets of CI.
            assert "secret" not in said.replace("CI as a secret", "")


def test_counts_leave_out_what_is_hidden(world: World, browsers: Browsers) -> None:
    assert "1 file · 1 package" in text_of(browsers["anonymous"].get("/acme/channels/main"))
    assert "2 files · 2 packages" in text_of(browsers["reader"].get("/acme/channels/main"))
    assert "1 package 1 file" in text_of(browsers["anonymous"].get("/"))


CONTROLS = [
    ("/acme", "Upload", (False, False, False, True, True, True)),
    ("/acme", "/acme/settings", (False, False, False, False, True, True)),
    (HELLO, "/acme/hello/settings", (False, False, False, True, True, True)),
    (HELLO_FILE, f"{HELLO_FILE}/delete", (False, False, False, True, True, True)),
    (HELLO_FILE, f"{HELLO_FILE}/put", (False, False, False, True, True, True)),
    (HELLO_FILE, f"{HELLO_FILE}/patch/main", (False, False, False, False, True, True)),
    ("/acme/channels/dev", "/patches/dev", (False, False, False, False, True, True)),
    (HELLO_FILE, f"{HELLO_FILE}/remove/main", (False, False, False, True, True, True)),
]


def test_what_is_not_theirs_to_do_is_not_offered(world: World, browsers: Browsers) -> None:
    for path, control, expected in CONTROLS:
        offered = {}
        for who in WHO:
            page = browsers[who].get(path).content.decode()
            # The header's own links are the same on all pages.
            offered[who] = control in page[page.index("<main") :]
        assert offered == dict(zip(WHO, expected, strict=True)), control


POSTS: dict[str, dict[str, str]] = {
    f"{HELLO_FILE}/put": {"channel": "dev"},
    f"{HELLO_FILE}/remove/main": {},
    f"{HELLO_FILE}/delete": {"typed": "hello-1.0-0.conda"},
    f"{HELLO}/settings/collaborators/add-person": {"user": "sven", "permission": "admin"},
    f"{HELLO}/settings/collaborators/add-group": {"group": "helpers", "permission": "admin"},
    f"{HELLO}/settings/collaborators/1/change": {"permission": "admin"},
    f"{HELLO}/settings/collaborators/1/remove": {},
    f"{HELLO}/settings/collaborators/undo": {"removed": "x"},
    f"{HELLO}/settings/description": {"summary": "x"},
    f"{HELLO}/settings/description/follow/summary": {},
    f"{HELLO}/settings/visibility/hide": {},
    f"{HELLO}/settings/visibility/show": {"typed": "hello"},
    "/acme/settings/channels/new": {"name": "mine", "visibility": "public"},
    "/acme/settings/channels/general/dev": {"visibility": "private"},
    "/acme/settings/channels/lock/dev": {},
    "/acme/settings/channels/unlock/dev": {},
    "/acme/settings/channels/delete/dev": {"typed": "dev"},
    "/acme/settings/channels/apply-patches/dev": {"subdir": "noarch"},
    "/acme/settings/channels/undo-patch/1/main": {},
    f"{HELLO_FILE}/patch/main": {"depends": "x"},
    "/acme/upload": {},
}


def test_a_forged_post_is_refused(world: World, browsers: Browsers) -> None:
    for path, data in POSTS.items():
        for who, status in (("anonymous", 302), ("stranger", 403), ("reader", 403)):
            assert browsers[who].post(path, data).status_code == status, (who, path)
        hidden = path.replace("hello", "hidden")
        if hidden != path:
            assert browsers["stranger"].post(hidden, data).status_code == 404, path


def test_a_post_without_the_forms_secret_is_refused(world: World, owner: Person) -> None:
    browser = Client(enforce_csrf_checks=True, HTTP_ACCEPT="text/html")
    browser.force_login(owner.user)

    assert {path: browser.post(path, data).status_code for path, data in POSTS.items()} == (
        dict.fromkeys(POSTS, 403)
    )
