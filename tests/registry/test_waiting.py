"""An upload that is answered when clients see what it brought."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from pytest_django import Settings

from portal import processes
from portal.errors import InvalidInput
from registry import indexing, waiting
from registry.models import PackageFile, StaleMark
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, run_pending_tasks

HELLO = build_conda("hello", "1.0")
LONG = 30


@dataclass(frozen=True)
class Face:
    """One way to upload to acme's main channel, and what it says the first time and again."""

    method: str
    path: str
    created: int = 201
    again: int = 409
    is_form: bool = False

    def send(
        self, token: str, package: BuiltPackage = HELLO, query: str = "", prefer: str = ""
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token}", **({"Prefer": prefer} if prefer else {})}
        body, content_type = package.data, "application/octet-stream"
        if self.is_form:
            body = (
                b'--edge\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'
                % package.filename.encode()
                + body
                + b"\r\n--edge--\r\n"
            )
            content_type = "multipart/form-data; boundary=edge"
        path = self.path.format(package.filename) + query
        return Client(headers=headers).generic(self.method, path, body, content_type)


FACES = {
    "conda": Face("PUT", "/conda/acme/noarch/{}", again=200),
    "prefix": Face("POST", "/api/v1/upload/acme", is_form=True),
    "forgejo": Face("PUT", "/api/packages/acme/conda/{}"),
    "quetz": Face("POST", "/quetz/api/channels/acme/upload/{}"),
}
each_face = pytest.mark.parametrize("face", FACES.values(), ids=FACES)


def asked(query: str = "", prefer: str | None = None, *, by_default: int = 0) -> int:
    headers = {} if prefer is None else {"Prefer": prefer}
    request = RequestFactory(headers=headers).put(f"/x{query}")
    return waiting.asked_seconds(request, by_default=by_default)


# --- Asking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "prefer", "seconds"),
    [
        ("", None, 0),
        ("?wait=0", None, 0),
        ("?wait=7", None, 7),
        ("?wait=61", None, 60),
        ("?wait=999999999", None, 60),
        ("", "wait=7", 7),
        ("", "WAIT = 7", 7),
        ("", 'wait="7"', 7),
        ("", "wait=7; because=tests", 7),
        ("", "respond-async, wait=7, return=minimal", 7),
        ("", 'x="a, wait=9", wait=7', 7),
        ("", "wait=7, wait=9", 7),
        ("", "wait=600", 60),
        # The address goes first.
        ("?wait=3", "wait=7", 3),
        ("?wait=0", "wait=7", 0),
    ],
)
def test_the_sender_says_how_long(query: str, prefer: str | None, seconds: int) -> None:
    assert asked(query, prefer) == seconds


@pytest.mark.parametrize(
    "prefer",
    [
        "",
        "wait",
        "wait=",
        "wait=soon",
        "wait=-1",
        "wait=1.5",
        "waits=7",
        "wait=7x",
        ",,;=",
        '"',
        "=7",
    ],
)
def test_a_preference_that_is_not_understood_is_ignored(prefer: str) -> None:
    assert asked("", prefer) == 0
    assert asked("", prefer, by_default=10) == 10


def test_a_preference_goes_before_what_a_face_does_by_default() -> None:
    assert asked("", "wait=3", by_default=10) == 3
    assert asked("", "wait=0", by_default=10) == 0
    assert asked("?wait=0", by_default=10) == 0


@pytest.mark.parametrize("wait", ["", "soon", "-1", "1.5", "+1", "٣", "1e3", "1" * 50])
def test_an_address_that_says_no_number_is_refused(wait: str) -> None:
    with pytest.raises(InvalidInput, match="a whole number of seconds is wanted, 60 at most"):
        asked(f"?wait={wait}".replace("+", "%2B"))


@each_face
def test_a_wrong_wait_is_refused_before_the_file_is_taken(
    face: Face, maintainer: Person, channel: ChannelAddress
) -> None:
    answer = face.send(maintainer.token().secret, query="?wait=soon")

    assert answer.status_code == 400
    assert "wait is 'soon'" in json.dumps(answer.content.decode())
    assert not PackageFile.objects.exists()


# --- Answering ---------------------------------------------------------------------------------


@each_face
def test_without_being_asked_to_only_quetz_waits(
    face: Face, maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    face.send(token, query="?wait=0")
    run_pending_tasks()

    applied = face.send(token).headers.get("Preference-Applied")

    assert applied == ("wait=10" if "quetz" in face.path else None)


@each_face
def test_what_is_visible_is_answered_at_once(
    face: Face, maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    assert face.send(token, query="?wait=0").status_code == face.created
    run_pending_tasks()

    started = time.monotonic()
    answer = face.send(token, prefer=f"wait={LONG}")

    assert answer.status_code == face.again
    assert answer.headers["Preference-Applied"] == f"wait={LONG}"
    assert time.monotonic() - started < LONG / 2


@each_face
def test_an_upload_that_is_not_visible_in_time_succeeds_all_the_same(
    face: Face, maintainer: Person, channel: ChannelAddress
) -> None:
    started = time.monotonic()
    answer = face.send(maintainer.token().secret, query="?wait=1")

    assert answer.status_code == face.created
    assert "Preference-Applied" not in answer.headers
    assert time.monotonic() - started >= 1
    assert PackageFile.objects.get().filename == HELLO.filename


def test_the_rest_of_the_answer_is_the_same(maintainer: Person, channel: ChannelAddress) -> None:
    token = maintainer.token().secret
    first = FACES["conda"].send(token, build_conda("hello", "2.0"))
    second = FACES["conda"].send(token, query="?wait=1")

    assert second.headers["Location"] == "/conda/acme/noarch/" + HELLO.filename
    assert first.json().keys() == second.json().keys()


@pytest.fixture
def published(maintainer: Person, channel: ChannelAddress) -> None:
    FACES["conda"].send(maintainer.token().secret)
    run_pending_tasks()


def mark(channel: ChannelAddress, **fields: Any) -> None:
    known: dict[str, Any] = {
        "subdir": "noarch",
        "package_name": "hello",
        "filename": HELLO.filename,
        "stage": StaleMark.Stage.SHARDS,
    }
    StaleMark.objects.create(channel=channel.row, **(known | fields))


@pytest.mark.parametrize(
    ("fields", "visible"),
    [
        ({}, False),
        ({"stage": StaleMark.Stage.DOCUMENTS}, False),
        # What no installing client reads.
        ({"stage": StaleMark.Stage.SUMMARIES}, True),
        ({"subdir": "", "filename": "", "stage": StaleMark.Stage.SUMMARIES}, True),
        # What others published.
        ({"filename": "hello-9.0-0.conda"}, True),
        ({"package_name": "world", "filename": "world-1.0-0.conda"}, True),
        ({"subdir": "linux-64"}, True),
    ],
)
def test_only_what_installing_clients_lack_is_waited_for(
    fields: dict[str, Any],
    visible: bool,
    published: None,
    maintainer: Person,
    channel: ChannelAddress,
) -> None:
    mark(channel, **fields)

    answer = FACES["conda"].send(maintainer.token().secret, query="?wait=1")

    assert ("Preference-Applied" in answer.headers) is visible


def test_who_finds_no_place_to_wait_is_answered_at_once(
    settings: Settings, maintainer: Person, channel: ChannelAddress
) -> None:
    settings.UPLOAD_WAITERS = 0
    token = maintainer.token().secret
    started = time.monotonic()

    answer = FACES["conda"].send(token, query=f"?wait={LONG}")

    assert answer.status_code == 201
    assert "Preference-Applied" not in answer.headers
    assert time.monotonic() - started < LONG / 2
    run_pending_tasks()
    again = FACES["conda"].send(token, query=f"?wait={LONG}")
    assert again.headers["Preference-Applied"] == f"wait={LONG}"


def test_a_server_that_is_told_to_end_does_not_wait_on(
    monkeypatch: pytest.MonkeyPatch, maintainer: Person, channel: ChannelAddress
) -> None:
    monkeypatch.setattr(processes, "_ending", threading.Event())
    processes.note_ending()
    started = time.monotonic()

    answer = FACES["conda"].send(maintainer.token().secret, query=f"?wait={LONG}")

    assert answer.status_code == 201
    assert "Preference-Applied" not in answer.headers
    assert time.monotonic() - started < LONG / 2


# --- While others work -------------------------------------------------------------------------


@contextmanager
def in_a_thread(act: Callable[[], object]) -> Iterator[None]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(LONG)
        assert not thread.is_alive()
        assert not failures, failures


@pytest.mark.django_db(transaction=True)
@each_face
def test_publish_then_install_without_a_pause_in_between(
    face: Face, maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            indexing.run_overdue()

    with in_a_thread(work):
        try:
            answer = face.send(token, query=f"?wait={LONG}")
            repodata = maintainer.repodata(channel, "noarch")
        finally:
            ended.set()

    assert answer.status_code == face.created
    assert answer.headers["Preference-Applied"] == f"wait={LONG}"
    assert list(repodata["packages.conda"]) == [HELLO.filename]


@pytest.mark.django_db(transaction=True)
def test_who_waits_holds_no_place_of_those_who_upload(
    settings: Settings, maintainer: Person, channel: ChannelAddress
) -> None:
    settings.UPLOAD_SLOTS = 1
    token = maintainer.token().secret
    waited: list[Answer] = []

    with in_a_thread(lambda: waited.append(FACES["conda"].send(token, query=f"?wait={LONG}"))):
        deadline = time.monotonic() + LONG
        while not PackageFile.objects.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # The slot is given back between the commit and the wait.
        answers: list[int] = []
        while not answers or (answers[-1] == 503 and time.monotonic() < deadline):
            answers.append(FACES["conda"].send(token, build_conda("world", "1.0")).status_code)
        assert not waited
        indexing.run_overdue()

    assert answers[-1] == 201
    assert waited[0].headers["Preference-Applied"] == f"wait={LONG}"
