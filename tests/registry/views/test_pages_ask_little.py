"""Every page of the URL configuration: as few queries, whoever looks and however much there is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.identity import OPERATOR
from accounts.roles import Permission
from benchmarks.people import paths_of
from registry import indexing, placement, quotas
from registry.collaboration import set_collaborator
from registry.models import Channel, Package
from tests.cast import Person, proven
from tests.factories import make_user
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers
from tests.registry.views.test_lists import make_files

_MOST = 12


@pytest.fixture
def busy_world(world: World, owner: Person) -> World:
    """Some hundred files, of which a query for each would be seen as well as of ten thousand."""
    account = world.organization.account
    hello = Package.objects.get(account=account, name="hello")
    main = Channel.objects.get(account=account, name="main")
    make_files(account, hello, [f"2.{number}" for number in range(150)], main)
    packages = Package.objects.bulk_create(
        Package(account=account, name=f"package-{number:02}") for number in range(60)
    )
    for package in packages:
        make_files(account, package, ["1.0"], main)
    for name, needs in (("needed", []), ("users", ["needed", "hello"])):
        publish(owner, "acme", "main", name, depends=needs)
    indexing.run_overdue()
    placement.delete_file(by=owner.identity, file=publish(owner, "acme", "main", "gone"))
    quotas.set_quota(by=OPERATOR, account=account, max_bytes=1, max_files=1)
    return world


@pytest.mark.parametrize(
    ("who", "least"),
    [
        ("anonymous", 30),
        ("reader", 35),
        ("collaborator", 40),
        ("admin", 70),
        ("owner", 70),
        ("site admin", 40),
    ],
)
def test_each_page_of_each_role_asks_few_questions(
    busy_world: World, browsers: Browsers, stranger: Person, owner: Person, who: str, least: int
) -> None:
    values = {
        "account": "acme",
        "package": "hello",
        "version": "2.7",
        "subdir": "noarch",
        "filename": "hello-2.7-0.conda",
        "channel": "main",
        "group": "helpers",
        "token": busy_world.token.pk,
        "rule": busy_world.rule.pk,
        "user": "rita",
        "organization": "acme",
        "page": "publishing",
    }
    browser = _browser(who, browsers, stranger, owner)
    browser.get("/docs")  # the first view of a session notes it
    asked: dict[str, int] = {}
    for path in paths_of(values):
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(path)
        assert answer.status_code < 500, path
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            asked[path] = len(queries)

    assert {path: number for path, number in asked.items() if number > _MOST} == {}
    assert len(asked) >= least  # else it looked at other pages than it means to


def _browser(who: str, browsers: Browsers, stranger: Person, owner: Person) -> Client:
    if who == "collaborator":
        set_collaborator(
            by=owner.identity,
            package=Package.objects.get(name="hello"),
            user=stranger.user,
            permission=Permission.WRITE,
        )
        return stranger.client
    if who == "site admin":
        return proven(Person(make_user("root-of-all", is_superuser=True)))
    return browsers[who]
