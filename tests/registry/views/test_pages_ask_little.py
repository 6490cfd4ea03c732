"""Every page of the URL configuration: as few queries, whoever looks and however much there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.identity import OPERATOR
from accounts.models import User
from accounts.roles import Permission, Role
from benchmarks.channel import Channel as MadeUp
from benchmarks.fill import fill
from benchmarks.people import a_file_of_the_largest_package, paths_of, under_way
from registry import indexing, placement, quotas
from registry.collaboration import set_collaborator
from registry.models import Binned
from tests.cast import Person, proven
from tests.factories import add_member, make_user
from tests.registry.api.world import World, copy_of, publish

_MOST = 12
_FILES = 10_000
_CHANNEL = "builds"
_ROLES = ("anonymous", "reader", "collaborator", "admin", "owner", "site admin")
# Where a page is for those only whom something waits for.
_SOURCE = ("/-/jobs/", "/-/transfers/", "/-/channel-transfers/")
_INVITED = ("/-/transfers/", "/-/channel-transfers/", "/-/invitations/", "/-/package-invitations/")


@pytest.fixture(scope="module")
def great_world(lasting_world: World) -> tuple[World, dict[str, User | None], list[str]]:
    """acme with ten thousand files in a channel, who looks at its pages, and where these are."""
    acme, owner = lasting_world.organization, lasting_world.owner
    fill("acme", _CHANNEL, MadeUp(_FILES, seed=_FILES))
    publish(owner, "acme", "main", "users", depends=["hello"])
    indexing.run_overdue()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # it would plan for tables without rows
    placement.delete_file(by=owner.identity, file=publish(owner, "acme", "main", "gone"))
    quotas.set_quota(by=OPERATOR, account=acme.account, max_bytes=1, max_files=1)
    file = a_file_of_the_largest_package(acme)
    reader, collaborator, admin = (make_user(name) for name in ("rita", "sven", "adam"))
    add_member(acme, reader)
    add_member(acme, admin, role=Role.ADMIN)
    given, _is_new = set_collaborator(
        by=owner.identity, package=file.package, user=collaborator, permission=Permission.WRITE
    )
    group = lasting_world.group
    set_collaborator(
        by=owner.identity, package=file.package, group=group, permission=Permission.READ
    )
    site_admin = make_user("root-of-all", is_superuser=True)
    people = (None, reader, collaborator, admin, owner.user, site_admin)
    values = {
        "account": "acme",
        "package": file.name,
        "version": file.version,
        "subdir": file.subdir,
        "filename": file.filename,
        "channel": _CHANNEL,
        "group": group.name,
        "token": lasting_world.token.pk,
        "rule": lasting_world.rule.pk,
        "invitation": lasting_world.invitation.pk,
        "notice": lasting_world.notice.pk,
        "patch": lasting_world.patch.pk,
        "collaborator": given.pk,
        "file": Binned.objects.get().file_id,
        "field": "summary",
        "name": "uploads",
        "user": "rita",
        "organization": "acme",
        "page": "publishing",
    }
    waiting = under_way(acme, file, _CHANNEL, [reader, collaborator])
    return lasting_world, dict(zip(_ROLES, people, strict=True)), paths_of(values, waiting)


@pytest.mark.parametrize(
    ("who", "least", "under_way"),
    [
        ("anonymous", 30, ()),
        ("reader", 35, ()),
        ("collaborator", 40, _INVITED),
        ("admin", 70, _SOURCE),
        ("owner", 70, _SOURCE),
        ("site admin", 40, ("/-/site/jobs/",)),
    ],
)
def test_each_page_of_each_role_asks_few_questions(
    db: None,
    ground: Path,
    great_world: tuple[World, dict[str, User | None], list[str]],
    who: str,
    least: int,
    under_way: tuple[str, ...],
) -> None:
    world, people, paths = great_world
    copy_of(world, ground)
    user = people[who]
    browser = Client(HTTP_ACCEPT="text/html") if user is None else proven(Person(user))
    browser.get("/docs")  # the first view of a session notes it
    asked: dict[str, int] = {}
    for path in paths:
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(path)
        assert answer.status_code < 500, path
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            asked[path] = len(queries)

    assert {path: number for path, number in asked.items() if number > _MOST} == {}
    assert len(asked) >= least  # else it looked at other pages than it means to
    for beginning in under_way:
        assert any(path.startswith(beginning) for path in asked), beginning
