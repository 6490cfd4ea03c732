"""Uploads that were refused: told to those who can mend it, and to nobody else."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry import refused_uploads
from registry.models import RefusedUpload
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, put
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

PAGE = "/acme/settings/refused-uploads"


def put_package(built: BuiltPackage, to: ChannelAddress, *, token: str) -> int:
    status: int = put(to.url(f"noarch/{built.filename}"), built.data, token=token).status_code
    return status


def send(person: Person, built: BuiltPackage) -> int:
    token = person.token("all", name="ci-hello")
    return put_package(built, ChannelAddress("acme"), token=token.secret)


def test_a_refused_upload_is_told_to_whose_token_it_was_and_to_admins_of_where_it_went(
    world: World, owner: Person, maintainer: Person, reader: Person, stranger: Person
) -> None:
    other = build_conda("hello", "1.0", files={"else.txt": b"else"})
    assert send(maintainer, other) == 409
    for person in (maintainer, owner):
        shown = text_of(person.client.get("/dashboard"))
        assert f"An upload of {maintainer.name} to acme/main was refused" in shown
        assert "already has noarch/hello-1.0-0.conda with other content" in shown
    page = text_of(owner.client.get(PAGE))
    assert "with the token “ci-hello”" in page
    assert "hello-1.0-0.conda" in page
    assert reader.client.get(PAGE).status_code == 403
    assert "was refused" not in text_of(stranger.client.get("/dashboard"))


def test_strangers_and_unknown_credentials_fill_no_page_of_others(
    world: World, owner: Person, stranger: Person
) -> None:
    built = build_conda("hello", "2.0")
    assert send(stranger, built) == 403
    assert put_package(built, ChannelAddress("acme"), token="cph-wrong") == 401
    assert "No upload was refused" in text_of(owner.client.get(PAGE))
    [row] = RefusedUpload.objects.all()
    assert (row.account.name, row.target) == (stranger.name, None)
    assert "may not publish to acme" in text_of(stranger.client.get("/dashboard"))


def test_the_same_refusal_is_one_row_and_nobody_fills_the_table(
    world: World, owner: Person
) -> None:
    built = build_conda("hello", "2.0")
    token = owner.token("all", channels=["dev"]).secret
    for _ in range(3):
        put_package(built, ChannelAddress("acme"), token=token)
    [row] = RefusedUpload.objects.all()
    assert (row.count, row.slug) == (1, "forbidden")
    RefusedUpload.objects.update(refused_at=timezone.now() - timedelta(minutes=2))
    put_package(built, ChannelAddress("acme"), token=token)
    row.refresh_from_db()
    assert row.count == 2
    for number in range(30):
        put_package(built, ChannelAddress("acme", f"c{number}"), token=token)
    assert RefusedUpload.objects.count() == refused_uploads.MAX_A_MINUTE
    assert token not in str(list(RefusedUpload.objects.values()))

    RefusedUpload.objects.update(refused_at=timezone.now() - refused_uploads.KEPT)
    assert refused_uploads.sweep() == refused_uploads.MAX_A_MINUTE


def test_a_flood_of_the_same_refusals_writes_nothing(world: World, owner: Person) -> None:
    other = build_conda("hello", "1.0", files={"else.txt": b"else"})
    token = owner.token("all").secret
    assert put_package(other, ChannelAddress("acme", "dev"), token=token) == 409

    with CaptureQueriesContext(connection) as asked:
        assert put_package(other, ChannelAddress("acme", "dev"), token=token) == 409

    about = [query["sql"] for query in asked if "refusedupload" in query["sql"]]
    assert [sql.split()[0] for sql in about] == ["SELECT"]


def test_who_is_refused_is_told_so_though_it_can_not_be_noted(world: World, owner: Person) -> None:
    other = build_conda("hello", "1.0", files={"else.txt": b"else"})
    token = owner.token("all").secret
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX nothing_twice ON registry_refusedupload (account_id)")
    assert put_package(other, ChannelAddress("acme", "dev"), token=token) == 409
    assert put_package(other, ChannelAddress("acme"), token=token) == 409

    assert RefusedUpload.objects.count() == 1
