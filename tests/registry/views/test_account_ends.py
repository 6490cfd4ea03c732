"""Renaming and deleting accounts, and what clients of the old name meet."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Event, FormerName, Membership, Token, User
from accounts.roles import Role
from registry import endings, indexing
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile
from tests.cast import Person
from tests.factories import PASSWORD, add_member, make_organization
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

ADMIN = "/acme/settings/admin"


@pytest.fixture
def confirmed(owner: Person) -> Person:
    answer = owner.client.post("/account/reauthenticate/?next=/dashboard", {"password": PASSWORD})
    assert answer.status_code == 302
    return owner


def rename(person: Person, name: str, *, to: str) -> int:
    posted = {"name": to, "understood": "on"}
    return int(person.client.post(f"/{name}/settings/admin/rename", posted).status_code)


def test_a_renamed_account_is_found_under_both_names(world: World, confirmed: Person) -> None:
    browser = Client(HTTP_ACCEPT="text/html")
    program = Client(HTTP_ACCEPT="*/*")

    assert rename(confirmed, "acme", to="acme-labs") == 302

    assert browser.get("/acme-labs/hello").status_code == 200
    old = browser.get("/acme/hello?tab=1")
    assert (old.status_code, old.headers["Location"]) == (308, "/acme-labs/hello?tab=1")
    for path in (
        "/conda/{}/noarch/repodata.json",
        "/conda/{}/label/main/noarch/repodata.json",
        "/conda/{}/noarch/hello-1.0-0.conda",
        "/api/v1/accounts/{}/packages/hello",
    ):
        new = program.get(path.format("acme-labs"))
        assert new.status_code == 200, path
        before = program.get(path.format("acme"))
        assert before.status_code == 200, path
        assert before.getvalue() == new.getvalue(), path
    event = Event.objects.get(action="account.rename")
    assert (event.target, event.detail) == ("acme-labs", {"before": "acme"})


def test_all_that_is_wrong_with_a_new_name_is_told_at_once(world: World, confirmed: Person) -> None:
    answer = confirmed.client.post(f"{ADMIN}/rename", {"name": "!! acme"})

    assert answer.status_code == 422
    told = text_of(answer)
    assert "New name: Use small letters, digits, dots, dashes and underscores" in told
    assert "Uploads to the old name are refused: say that you know." in told


def test_private_channels_are_read_by_the_old_name_with_a_token_in_the_path(
    world: World, confirmed: Person
) -> None:
    secret = confirmed.token("conda:download").secret
    rename(confirmed, "acme", to="acme-labs")

    program = Client(HTTP_ACCEPT="*/*")
    there = program.get(f"/conda/t/{secret}/acme/label/secret/noarch/repodata.json")
    assert there.status_code == 200
    assert b"buried" in there.getvalue()
    assert program.get("/conda/acme/label/secret/noarch/repodata.json").status_code == 404


def test_uploads_to_the_old_name_are_told_the_new_one(world: World, confirmed: Person) -> None:
    secret = confirmed.token("all").secret
    rename(confirmed, "acme", to="acme-labs")

    answer = Client(HTTP_ACCEPT="*/*").put(
        "/conda/acme/main/noarch/x-1-0.conda", b"x", HTTP_AUTHORIZATION=f"Bearer {secret}"
    )

    assert answer.status_code == 409
    assert "acme is now called acme-labs." in answer.json()["detail"]


def test_a_former_name_stays_the_accounts_own(
    world: World, confirmed: Person, stranger: Person
) -> None:
    assert rename(confirmed, "acme", to="acme-labs") == 302
    taken = stranger.client.post("/-/organizations/new", {"name": "acme"})
    assert taken.status_code == 422
    assert "The name acme is taken" in text_of(taken)
    assert rename(confirmed, "acme-labs", to="api") == 422

    assert rename(confirmed, "acme-labs", to="acme") == 302

    assert not FormerName.objects.filter(name="acme").exists()
    assert Client(HTTP_ACCEPT="text/html").get("/acme-labs").headers["Location"] == "/acme"


def test_a_name_that_is_too_long_is_told_so_once(world: World, confirmed: Person) -> None:
    posted = {"name": "x" * 65, "understood": "on"}
    told = text_of(confirmed.client.post(f"{ADMIN}/rename", posted))

    assert "New name: The name has 65 characters; at most 64 are allowed." in told
    assert "Ensure this value" not in told
    assert 'maxlength="64"' in confirmed.client.get(f"{ADMIN}/rename").content.decode()


def test_a_person_who_is_renamed_signs_in_by_the_new_name(confirmed: Person) -> None:
    assert rename(confirmed, "olga", to="olga-2") == 302

    assert User.objects.get(pk=confirmed.user.pk).username == "olga-2"
    login = Client().post("/account/login/", {"login": "olga-2", "password": PASSWORD})
    assert login.status_code == 302


@pytest.mark.parametrize("act", ["", "/rename", "/delete"])
def test_only_owners_end_an_account(
    world: World, admin: Person, reader: Person, stranger: Person, act: str
) -> None:
    for person in (admin, reader, stranger):
        posted = {"typed": "acme", "name": "x", "understood": "on"}
        assert person.client.get(f"{ADMIN}{act}").status_code == 403
        if act:
            assert person.client.post(f"{ADMIN}{act}", posted).status_code == 403
    assert Account.objects.filter(name="acme", deleted_at=None).exists()


def test_a_deleted_organization_is_gone_at_once_and_its_bytes_with_the_sweeps(
    world: World, confirmed: Person, reader: Person
) -> None:
    secret = confirmed.token("all").secret
    page = confirmed.client.get(f"{ADMIN}/delete")
    assert "The name stays reserved for 90 days." in text_of(page)
    wrong = confirmed.client.post(f"{ADMIN}/delete", {"typed": "acmee"})
    assert wrong.status_code == 422
    assert Account.objects.filter(name="acme").exists()

    assert confirmed.client.post(f"{ADMIN}/delete", {"typed": "acme"}).status_code == 302

    program = Client(HTTP_ACCEPT="*/*", HTTP_AUTHORIZATION=f"Bearer {secret}")
    for client in (Client(HTTP_ACCEPT="text/html"), reader.client, confirmed.client, program):
        for path in (
            "/acme",
            "/acme/hello",
            "/conda/acme/noarch/repodata.json",
            "/conda/acme/noarch/hello-1.0-0.conda",
        ):
            assert client.get(path).status_code == 404, path
    assert "/acme/hello" not in Client().get("/search?q=hello").content.decode()
    taken = reader.client.post("/-/organizations/new", {"name": "acme"})
    assert "The name acme is taken" in text_of(taken)

    assert endings.sweep() > 0
    assert not Channel.objects.exists()
    assert not Package.objects.exists()
    assert not PackageFile.objects.exists()
    assert not ChannelFile.objects.exists()
    assert Blob.objects.filter(files=None).exists()
    assert endings.sweep() == 0
    lines = Event.objects.filter(action="account.delete")
    assert [(line.target, line.detail["packages"]) for line in lines] == [("acme", 3)]
    indexing.run_overdue()

    FormerName.objects.update(reserved_until=timezone.now() - timedelta(seconds=1))
    assert reader.client.post("/-/organizations/new", {"name": "acme"}).status_code == 302


def test_a_person_who_is_the_only_owner_somewhere_can_not_go(
    world: World, confirmed: Person
) -> None:
    page = confirmed.client.get("/olga/settings/admin/delete")
    assert "you are the only owner of these organizations" in text_of(page)

    answer = confirmed.client.post("/olga/settings/admin/delete", {"typed": "olga"})

    assert answer.status_code == 422
    assert "You are the only owner of acme." in text_of(answer)
    assert User.objects.filter(username="olga").exists()


def test_a_deleted_person_leaves_what_they_did_for_others(
    world: World, confirmed: Person, admin: Person
) -> None:
    add_member(make_organization("globex", owner=admin.user), confirmed.user)
    Membership.objects.filter(organization=world.organization).filter(user=admin.user).update(
        role=Role.OWNER
    )
    secret = confirmed.token("all").secret

    answer = confirmed.client.post("/olga/settings/admin/delete", {"typed": "olga"}, follow=True)

    assert "olga is deleted." in text_of(answer)
    assert not User.objects.filter(username="olga").exists()
    assert confirmed.client.get("/dashboard").status_code == 302
    refused = Client().get("/api/v1/accounts/acme", HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert refused.status_code == 401
    assert not Token.objects.filter(account__name="olga").exists()
    for path in ("/acme/hello", "/acme/hello/files", "/acme/settings/members"):
        assert admin.client.get(path).status_code == 200, path
    log = admin.client.get("/acme/settings/log")
    assert log.status_code == 200
    assert Event.objects.filter(actor_name="olga", actor=None).exists()


def test_all_files_of_an_account_can_be_taken_along(
    world: World, owner: Person, maintainer: Person, tmp_path: Path
) -> None:
    file = PackageFile.objects.get(filename="hello-1.0-0.conda")
    lines = owner.client.get(f"{ADMIN}/files.csv").getvalue().decode().splitlines()
    assert lines[0] == "subdir,filename,bytes,sha256,address"
    assert any(
        line.startswith(f"noarch,hello-1.0-0.conda,{file.size_bytes},{file.sha256},http")
        and line.endswith("/conda/acme/noarch/hello-1.0-0.conda")
        for line in lines
    )
    assert any("/conda/acme/label/secret/noarch/buried-1.0-0.conda" in line for line in lines)
    assert maintainer.client.get(f"{ADMIN}/files.csv").status_code == 403

    # The script, with a curl that copies what it is asked for by its last segment.
    script = tmp_path / "files.sh"
    script.write_bytes(owner.client.get(f"{ADMIN}/files.sh").getvalue())
    bearer = {"Authorization": f"Bearer {owner.token('all').secret}"}
    for built in PackageFile.objects.all():
        body = owner.client.get(f"/conda/acme/noarch/{built.filename}", headers=bearer)
        if body.status_code == 200:
            (tmp_path / built.filename).write_bytes(body.getvalue())
    curl = tmp_path / "curl"
    curl.write_text(
        '#!/bin/sh\nmkdir -p acme/noarch\nfor last; do :; done\ncp "$(basename "$last")" "$6"\n'
    )
    curl.chmod(0o755)
    (tmp_path / "buried-1.0-0.conda").touch()  # other bytes than were announced
    run = subprocess.run(
        ["/bin/sh", "files.sh"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "CONDARIUM_TOKEN": "cph-of-hers"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert "buried" in run.stdout + run.stderr
    assert not (tmp_path / "acme/noarch/buried-1.0-0.conda").exists()
    (tmp_path / "acme/noarch/buried-1.0-0.conda").touch()
    again = subprocess.run(
        ["/bin/sh", "files.sh"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "CONDARIUM_TOKEN": "cph-of-hers"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    fetched = tmp_path / "acme/noarch/hello-1.0-0.conda"
    assert hashlib.sha256(fetched.read_bytes()).hexdigest() == file.sha256
