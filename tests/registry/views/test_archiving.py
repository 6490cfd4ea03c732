"""Archived packages: they say so, take no files, and can be read."""

from __future__ import annotations

from django.test import Client

from accounts.models import Event
from registry.models import Package
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

ADMIN = "/acme/hello/settings/admin"


def test_an_archived_package_says_so_and_takes_no_files_until_it_is_unarchived(
    world: World, owner: Person, anonymous: Client
) -> None:
    assert "Archive hello" in text_of(owner.client.get(ADMIN))
    note = {"note": "Use hallo instead."}
    answer = owner.client.post(f"{ADMIN}/archive", note, follow=True)
    assert "hello is archived." in text_of(answer)

    shown = text_of(anonymous.get("/acme/hello"))
    assert "Archived" in shown
    assert "Use hallo instead." in shown
    for path in ("/acme", "/search?q=hello"):
        assert "Archived" in text_of(anonymous.get(path)), path
    assert anonymous.get("/conda/acme/noarch/hello-1.0-0.conda").getvalue()

    built = build_conda("hello", "2.0")
    refused = owner.upload(built, to=ChannelAddress("acme"))
    assert refused.status_code == 403
    assert "hello of acme is archived: “Use hallo instead.”" in refused.json()["detail"]
    assert not Package.objects.filter(files__version="2.0").exists()

    owner.client.post(f"{ADMIN}/unarchive")
    assert "Archived" not in text_of(anonymous.get("/acme/hello"))
    assert owner.upload(built, to=ChannelAddress("acme")).status_code == 201
    acts = Event.objects.filter(action__endswith="archive").values_list("action", flat=True)
    assert sorted(acts) == ["package.archive", "package.unarchive"]


def test_only_admins_of_a_package_archive_it(
    world: World, maintainer: Person, reader: Person, stranger: Person
) -> None:
    for person in (maintainer, reader, stranger):
        assert person.client.get(ADMIN).status_code == 403
        for act in ("archive", "unarchive"):
            assert person.client.post(f"{ADMIN}/{act}").status_code == 403
    assert not Package.objects.exclude(archived_at=None).exists()
