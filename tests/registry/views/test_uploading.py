"""Uploading from a browser."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from accounts.identity import OPERATOR
from registry import quotas
from registry.models import Channel, PackageFile
from tests.accounts.views.pages import words
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import stored_files
from tests.registry.api.world import World


def sent(built: BuiltPackage, name: str = "") -> SimpleUploadedFile:
    return SimpleUploadedFile(name or built.filename, built.data)


def test_each_of_several_files_is_answered_for_itself(world: World, maintainer: Person) -> None:
    new = build_conda("xz", "5.6.3", subdir="linux-64")
    old_format = build_tar_bz2("xz", "5.6.2", subdir="linux-64")
    known = build_conda("hello", "1.0", about={"summary": "Says hello"})
    other = build_conda("hello", "1.0", about={"summary": "Says something else"})
    files = [sent(new, "xz (1).conda"), sent(old_format), sent(known), sent(other)]
    files.append(SimpleUploadedFile("bad-1.0-0.conda", b"no archive"))

    answer = maintainer.client.post("/acme/upload", {"files": files})

    said = words(answer)
    assert answer.status_code == 422
    assert "3 done, 2 not taken." in said
    assert "xz-5.6.3-0.conda linux-64" in said
    assert "Already there, unchanged" in said
    assert "already has noarch/hello-1.0-0.conda with other content" in said
    assert "bad-1.0-0.conda" in said
    assert PackageFile.objects.filter(name="xz").count() == 2
    assert PackageFile.objects.filter(uploaded_by=maintainer.user).count() == 2
    assert not [name for name in stored_files() if name.startswith("incoming")]


def test_files_go_into_the_channel_of_the_address(world: World, maintainer: Person) -> None:
    known = build_conda("hello", "1.0", about={"summary": "Says hello"})
    files = [sent(build_conda("xz", "5.6.3")), sent(known)]

    answer = maintainer.client.post("/acme/upload?channel=dev", {"files": files})

    assert answer.status_code == 200
    assert "2 files stand in dev." in words(answer)
    assert "It was here already, and now also stands in dev" in words(answer)
    assert "xz" in words(maintainer.client.get("/acme/channels/dev"))


def test_a_form_without_a_file_is_shown_again(world: World, maintainer: Person) -> None:
    answer = maintainer.client.post("/acme/upload", {})

    assert answer.status_code == 422
    assert "No file was chosen." in words(answer)


class _Unread(io.RawIOBase):
    """A body that nobody may read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        raise AssertionError("the body was read before it was known who may send it")


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("stranger", "/acme/upload", 403),
        ("reader", "/acme/upload", 403),
        ("maintainer", "/acme/upload?channel=not-there", 404),
        ("maintainer", "/acme/upload?channel=linux-64", 400),
        ("maintainer", "/nobody/upload", 404),
        ("anonymous", "/acme/upload", 302),
    ],
)
def test_who_may_not_upload_is_told_before_the_body_is_read(
    world: World, browsers: dict[str, Client], who: str, path: str, status: int
) -> None:
    environ: dict[str, Any] = {"wsgi.input": _Unread(), "CONTENT_LENGTH": "1000000"}

    answer = browsers[who].generic(
        "POST", path, content_type="multipart/form-data; boundary=x", **environ
    )

    assert answer.status_code == status


def test_a_form_without_its_secret_publishes_nothing(world: World, maintainer: Person) -> None:
    browser = Client(enforce_csrf_checks=True, HTTP_ACCEPT="text/html")
    browser.force_login(maintainer.user)

    answer = browser.post("/acme/upload", {"files": [sent(build_conda("xz", "5.6.3"))]})

    assert answer.status_code == 403
    assert not PackageFile.objects.filter(name="xz").exists()


def test_a_file_beyond_the_limit_is_refused(
    world: World, maintainer: Person, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 500

    answer = maintainer.client.post("/acme/upload", {"files": [sent(build_conda("xz", "5.6.3"))]})

    assert answer.status_code == 413
    assert "larger than 500 bytes" in words(answer)


def test_who_has_no_room_is_led_to_the_page_that_says_what_takes_it(
    world: World, maintainer: Person
) -> None:
    account = world.organization.account
    quotas.set_quota(by=OPERATOR, account=account, max_bytes=1, max_files=None)

    answer = maintainer.client.post("/acme/upload", {"files": [sent(build_conda("xz", "5.6.3"))]})

    address = f"{settings.BASE_URL}/acme/settings/storage"
    assert f'(<a href="{address}">{address}</a> tells which there are)' in answer.text


def test_the_start_offers_the_accounts_one_may_publish_to(
    world: World, maintainer: Person, stranger: Person
) -> None:
    offered = words(maintainer.client.get("/upload"))
    assert "acme" in offered
    assert "maria" in offered

    alone = stranger.client.get("/upload")
    assert alone["Location"] == "/sven/upload"
    chosen = maintainer.client.get("/upload", {"account": "acme", "channel": "dev"})
    assert chosen["Location"] == "/acme/upload?channel=dev"
    refused = maintainer.client.get("/upload", {"account": "globex", "channel": "dev"})
    assert "Select a valid choice" in words(refused)


def test_a_file_of_the_same_name_is_replaced_when_that_is_asked_for(
    world: World, maintainer: Person
) -> None:
    other = build_conda("hello", "1.0", about={"summary": "Says something else"})

    refused = maintainer.client.post("/acme/upload", {"files": [sent(other)]})
    assert refused.status_code == 422
    assert "Here that is “Replace files of the same name”." in words(refused)

    answer = maintainer.client.post("/acme/upload", {"files": [sent(other)], "replace": "on"})

    assert answer.status_code == 200
    assert "In place of the file that had its name" in words(answer)
    assert PackageFile.objects.get(name="hello").sha256 == other.sha256


def test_a_script_is_answered_file_by_file_in_words(world: World, maintainer: Person) -> None:
    known = build_conda("hello", "1.0", about={"summary": "Says hello"})
    files = [sent(build_conda("xz", "5.6.3")), sent(known), SimpleUploadedFile("b.conda", b"no")]

    answer = maintainer.client.post(
        "/acme/upload", {"files": files}, headers={"Accept": "application/json"}
    )

    done, unchanged, failed = answer.json()["results"]
    assert (done["state"], done["words"]) == ("done", "Published")
    assert done["facts"] == "xz 5.6.3 · 0 · noarch"
    assert done["url"] == "/acme/xz/files/noarch/xz-5.6.3-0.conda"
    assert (unchanged["state"], unchanged["words"]) == ("unchanged", "Already there, unchanged")
    assert failed["state"] == "failed"
    assert failed["words"]
    nobody = maintainer.client.post("/sven/upload", headers={"Accept": "application/json"})
    assert nobody.status_code == 404
    assert nobody.json()["detail"]


def test_a_file_is_replaced_when_its_name_is_typed(
    world: World, maintainer: Person, reader: Person
) -> None:
    page = "/acme/hello/files/noarch/hello-1.0-0.conda/replace"
    before = PackageFile.objects.get(name="hello")
    other = build_conda("hello", "1.0", about={"summary": "Says something else"})
    assert before.sha256 in maintainer.client.get(page).content.decode()
    assert reader.client.get(page).status_code == 403
    assert (
        reader.client.post(page, {"file": sent(other), "typed": other.filename}).status_code == 403
    )

    for wrong, said in (
        ({"typed": "hello"}, "That is 'hello'; type hello-1.0-0.conda."),
        ({"typed": other.filename, "sha256": "0" * 64}, "sha256"),
        ({"typed": other.filename, "sha256": "x"}, "64 hexadecimal digits are wanted."),
        ({"typed": other.filename, "file": sent(build_conda("hello", "2.0"))}, "hello-2.0"),
    ):
        answer = maintainer.client.post(page, {"file": sent(other), **wrong})
        assert answer.status_code == 422, wrong
        assert said in words(answer)
    assert maintainer.client.post(page, {"typed": other.filename}).status_code == 422
    assert PackageFile.objects.get(name="hello").sha256 == before.sha256

    done = maintainer.client.post(
        page, {"file": sent(other), "typed": other.filename, "sha256": other.sha256}, follow=True
    )

    assert f"sha256 {before.sha256[:12]}… before, {other.sha256[:12]}… now." in words(done)
    assert PackageFile.objects.get(name="hello").sha256 == other.sha256
    again = {"file": sent(other), "typed": other.filename}
    assert "Nothing changed." in words(maintainer.client.post(page, again, follow=True))
    Channel.objects.update(is_immutable=True)
    assert "<form class" not in maintainer.client.get(page).content.decode().split("facts", 1)[1]
    assert (
        maintainer.client.post(
            page, {**again, "file": sent(build_conda("hello", "1.0"))}
        ).status_code
        == 422
    )
