"""Stage, form, commit: what is published, by whom, how often, and what is left of the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts import tokens
from accounts.models import Event, Membership
from registry import channels, housekeeping, stages
from registry.models import Blob, ChannelFile, PackageFile, Stage
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks, stored_files
from tests.factories import make_token
from tests.registry.dialects.anaconda.calls import call, error, said
from tests.registry.dialects.anaconda.staging import (
    commit,
    path_of,
    send,
    stage,
    staged,
    upload,
)

HELLO = build_conda("hello", "1.0", subdir="linux-64")
OTHER = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})

pytestmark = pytest.mark.usefixtures("channel")


def channels_of(built: BuiltPackage) -> list[str]:
    entries = ChannelFile.objects.filter(filename=built.filename)
    return sorted(entries.values_list("channel__name", flat=True))


def nothing_is_left() -> bool:
    return not (Stage.objects.exists() or PackageFile.objects.exists() or stored_files())


# --- Publishing --------------------------------------------------------------------------------


def test_three_steps_publish_a_file(maintainer: Person, channel: ChannelAddress) -> None:
    answer = upload(maintainer, HELLO)

    assert answer["url"] == "http://127.0.0.1:8080/acme/hello"
    assert answer["basename"] == f"linux-64/{HELLO.filename}"
    assert answer["sha256"] == HELLO.sha256
    run_pending_tasks()
    records = maintainer.repodata(channel, "linux-64")["packages.conda"]
    assert records[HELLO.filename]["sha256"] == HELLO.sha256
    assert get(channel.url(f"linux-64/{HELLO.filename}")).body == HELLO.data
    event = Event.objects.get(action="file.publish")
    assert (event.target, event.actor) == (f"linux-64/{HELLO.filename}", maintainer.user)


def test_what_a_stage_is_answered_with_is_what_clients_read(maintainer: Person) -> None:
    document = staged(maintainer, HELLO)

    assert document["post_url"] == "http://testserver/api/-/staged"
    assert len(document["dist_id"]) == 24
    assert int(document["dist_id"], 16)
    assert all(isinstance(value, str) for value in document["form_data"].values())
    assert next(iter(document["form_data"])) == "key"


def test_the_form_is_sent_where_the_site_says_it_is(maintainer: Person, settings: Settings) -> None:
    settings.BASE_URL = "https://testserver"  # and a proxy in front that does not say so

    assert staged(maintainer, HELLO)["post_url"] == "https://testserver/api/-/staged"


@pytest.mark.parametrize(
    "built",
    [
        build_tar_bz2("hello", "1.0", subdir="noarch"),
        build_conda("hello", "1!2.0+g1", subdir="noarch"),
        build_conda("_hello-world.x", "2024a", subdir="osx-arm64", build="h1_0"),
    ],
)
def test_names_of_all_kinds_are_published(maintainer: Person, built: BuiltPackage) -> None:
    upload(maintainer, built)

    assert PackageFile.objects.get().sha256 == built.sha256


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((), ["main"]),
        (("main",), ["main"]),
        (("rc",), ["rc"]),
        (("rc", "dev", "rc"), ["dev", "rc"]),
        (("release/1.0:x",), ["release/1.0:x"]),
    ],
)
def test_labels_are_channels(owner: Person, labels: tuple[str, ...], expected: list[str]) -> None:
    upload(owner, HELLO, *labels)

    assert channels_of(HELLO) == expected


def test_a_user_may_upload_to_their_own_account(stranger: Person) -> None:
    upload(stranger, HELLO, owner="sven")
    upload(stranger, build_conda("world"), owner="SVEN")

    assert {file.account.name for file in PackageFile.objects.all()} == {"sven"}


def test_the_token_of_an_organization_uploads(channel: ChannelAddress) -> None:
    secret = make_token(channel.row.account, "api:write").secret

    upload(secret, HELLO)

    assert PackageFile.objects.get().uploaded_with is not None


def test_members_that_are_not_read_may_be_left_out(maintainer: Person) -> None:
    document = staged(
        maintainer,
        HELLO,
        members=dict.fromkeys(
            ("distribution_type", "description", "attrs", "dependencies", "channels", "sha256")
        ),
    )
    assert send(document, HELLO).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200
    assert PackageFile.objects.get().sha256 == HELLO.sha256


def test_an_upload_can_wait_until_clients_see_it(maintainer: Person) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)

    answer = call(
        "POST",
        f"/commit/{path_of(HELLO)}?wait=0",
        maintainer,
        {"dist_id": document["dist_id"]},
    )

    assert answer.status_code == 200
    path = f"/commit/{path_of(HELLO)}?wait=soon"
    assert "wait" in error(call("POST", path, maintainer, {"dist_id": "0" * 24}), 400)


# --- Again, and at once ------------------------------------------------------------------------


def test_the_same_commit_again_has_the_same_answer(maintainer: Person) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)
    first = said(commit(maintainer, HELLO, document))

    assert said(commit(maintainer, HELLO, document)) == first
    assert Event.objects.filter(action="file.publish").count() == 1
    assert stored_files() == [f"blobs/{HELLO.sha256[:2]}/{HELLO.sha256}"]


def test_the_same_file_can_be_uploaded_again(maintainer: Person) -> None:
    first = upload(maintainer, HELLO)

    assert upload(maintainer, HELLO) == first
    assert Event.objects.filter(action="file.publish").count() == 1


def test_the_same_file_can_be_given_another_label(owner: Person) -> None:
    upload(owner, HELLO)
    upload(owner, HELLO, "rc", "main")

    assert channels_of(HELLO) == ["main", "rc"]


def test_the_same_form_can_be_sent_again(maintainer: Person) -> None:
    document = staged(maintainer, HELLO)

    assert [send(document, HELLO).status_code for _ in range(2)] == [201, 201]
    assert commit(maintainer, HELLO, document).status_code == 200


def test_other_bytes_under_a_known_name_are_refused_before_they_are_sent(
    maintainer: Person,
) -> None:
    upload(maintainer, HELLO)

    for sha256 in (OTHER.sha256, None):
        assert HELLO.filename in error(stage(maintainer, OTHER, members={"sha256": sha256}), 409)
    assert PackageFile.objects.get().sha256 == HELLO.sha256


def test_of_two_files_of_one_name_the_first_commit_counts(maintainer: Person) -> None:
    first, second = staged(maintainer, HELLO), staged(maintainer, OTHER)
    assert send(first, HELLO).status_code == 201
    assert send(second, OTHER).status_code == 201

    assert commit(maintainer, OTHER, second).status_code == 200
    assert HELLO.filename in error(commit(maintainer, HELLO, first), 409)
    assert PackageFile.objects.get().sha256 == OTHER.sha256
    assert stored_files() == [f"blobs/{OTHER.sha256[:2]}/{OTHER.sha256}"]


@pytest.fixture
def at_once() -> Iterator[list[BaseException]]:
    failures: list[BaseException] = []
    yield failures
    assert failures == []


@pytest.mark.django_db(transaction=True)
def test_the_same_file_by_eight_clients_at_once_is_one_file(
    maintainer: Person, at_once: list[BaseException]
) -> None:
    secret = maintainer.token("api:write").secret
    start = threading.Barrier(8)

    def run() -> None:
        try:
            start.wait(timeout=10)
            upload(secret, HELLO)
        except BaseException as failure:  # noqa: BLE001 - shown by the fixture
            at_once.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert at_once == []
    assert PackageFile.objects.count() == 1
    assert Event.objects.filter(action="file.publish").count() == 1
    assert stored_files() == [f"blobs/{HELLO.sha256[:2]}/{HELLO.sha256}"]


@pytest.mark.django_db(transaction=True)
def test_the_same_commit_many_times_at_once_is_one_publish(
    owner: Person, at_once: list[BaseException]
) -> None:
    secret = owner.token("api:write").secret
    document = staged(secret, HELLO, "new", "newer")
    assert send(document, HELLO).status_code == 201
    start = threading.Barrier(6)
    answers: list[object] = []

    def run() -> None:
        try:
            start.wait(timeout=10)
            answers.append(said(commit(secret, HELLO, document)))
        except BaseException as failure:  # noqa: BLE001 - shown by the fixture
            at_once.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert at_once == []
    assert len(answers) == 6
    assert all(answer == answers[0] for answer in answers)
    assert Event.objects.filter(action="file.publish").count() == 1


# --- By force ----------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["anaconda", "rattler-build"])
def test_force_leaves_no_gap(maintainer: Person, channel: ChannelAddress, client: str) -> None:
    """One looks at the file before it deletes it, the other is refused over it."""
    secret = maintainer.token("api:read", "api:write").secret
    dist = f"/dist/{path_of(HELLO)}"
    upload(secret, HELLO)

    if client == "anaconda":
        said(call("GET", dist, secret))
    else:
        error(stage(secret, OTHER), 409)
    said(call("DELETE", dist, secret))
    error(call("GET", dist, secret), 404)
    document = staged(secret, OTHER)
    send(document, OTHER)
    assert sha256_in_the_index(maintainer, channel) == HELLO.sha256

    assert commit(secret, OTHER, document).status_code == 200
    assert sha256_in_the_index(maintainer, channel) == OTHER.sha256
    assert Event.objects.filter(action="file.replace").count() == 1


def sha256_in_the_index(person: Person, channel: ChannelAddress) -> str:
    run_pending_tasks()
    records = person.repodata(channel, "linux-64")["packages.conda"]
    return str(records[HELLO.filename]["sha256"])


def test_a_file_stays_readable_while_the_upload_that_replaces_it_waits(
    maintainer: Person, channel: ChannelAddress
) -> None:
    secret = maintainer.token("api:read", "api:write").secret
    upload(secret, HELLO)
    error(stage(secret, OTHER), 409)
    said(call("DELETE", f"/dist/{path_of(HELLO)}", secret))
    document = staged(secret, OTHER)

    leaving = PackageFile.objects.get()
    assert leaving.leaving_until == Stage.objects.get(key=document["dist_id"]).expires_at


# --- Who may -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "scopes", "limits", "status"),
    [
        (None, (), {}, 401),
        ("stranger", ("all",), {}, 403),
        ("reader", ("all",), {}, 403),
        ("maintainer", ("api:read",), {}, 401),
        ("maintainer", ("conda",), {}, 401),
        ("maintainer", ("all",), {"channels": ["dev"]}, 403),
        ("maintainer", ("all",), {"packages": ["world*"]}, 403),
    ],
)
def test_who_may_not_publish_is_refused_at_both_ends(
    request: pytest.FixtureRequest,
    maintainer: Person,
    reader: Person,
    stranger: Person,
    who: str | None,
    scopes: tuple[str, ...],
    limits: dict[str, list[str]],
    status: int,
) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)
    person = request.getfixturevalue(who) if who else None
    secret = person.token(*scopes, **limits).secret if person else None

    assert error(stage(secret, HELLO), status)
    assert error(commit(secret, HELLO, document), status)
    assert Stage.objects.count() == 1
    assert not PackageFile.objects.exists()


def test_each_label_must_be_open_to_the_uploader(
    maintainer: Person, owner: Person, channel: ChannelAddress
) -> None:
    stable = channels.create_channel(by=owner.identity, account=channel.row.account, name="stable")
    channels.change_channel(by=owner.identity, channel=stable, is_locked=True, lock_note="frozen")
    limited = maintainer.token("api:write", channels=["main"]).secret

    assert "frozen" in error(stage(maintainer, HELLO, "main", "stable"), 403)
    assert "main" in error(stage(limited, HELLO, "main", "stable"), 403)
    assert error(stage(maintainer, HELLO, "main", "no-such-channel"), 404)
    assert "1x" in error(stage(maintainer, HELLO, "1x"), 400)
    assert "channels" in error(stage(maintainer, HELLO, *[f"c{n}" for n in range(60)]), 400)
    assert nothing_is_left()


def test_a_channel_that_was_locked_meanwhile_takes_nothing(
    maintainer: Person, owner: Person, channel: ChannelAddress
) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)
    channels.change_channel(by=owner.identity, channel=channel.row, is_locked=True)

    assert error(commit(maintainer, HELLO, document), 403)
    assert not PackageFile.objects.exists()
    channels.change_channel(by=owner.identity, channel=channel.row, is_locked=False)
    assert commit(maintainer, HELLO, document).status_code == 200


def test_rights_that_ended_between_the_steps_end_the_upload(maintainer: Person) -> None:
    token = maintainer.token("api:write")
    document = staged(token.secret, HELLO)
    assert send(document, HELLO).status_code == 201

    tokens.revoke_token(by=maintainer.identity, token=token.token)
    assert error(commit(token.secret, HELLO, document), 401)

    Membership.objects.filter(user=maintainer.user).delete()
    maintainer.user.group_memberships.all().delete()
    assert error(commit(maintainer, HELLO, document), 403)
    assert not PackageFile.objects.exists()


def test_whoever_may_publish_the_file_may_commit_it(maintainer: Person, owner: Person) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)

    assert commit(owner, HELLO, document).status_code == 200
    assert PackageFile.objects.get().uploaded_by == owner.user


# --- What is no upload -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pypi", "r", "file", "ipynb", "env", "project", "installer"])
def test_only_conda_packages_are_hosted(maintainer: Person, kind: str) -> None:
    answer = stage(
        maintainer,
        HELLO,
        path="acme/demo/0.1/demo-0.1-py3-none-any.whl",
        members={"distribution_type": kind},
    )

    assert "Only conda packages are hosted here" in error(answer, 400)
    assert nothing_is_left()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("acme/hello/1.0/hello-1.0-0.conda", 400, "subdir"),
        ("acme/hello/1.0/linux-64/hello-1.0-0.whl", 422, "hello-1.0-0.whl"),
        ("acme/hello/1.0/Linux_64/hello-1.0-0.conda", 422, "Linux_64"),
        ("acme/hello/1.0/a/b/hello-1.0-0.conda", 422, "a/b"),
        ("acme/hello/1.0/../hello-1.0-0.conda", 422, ".."),
        ("acme/hello/2.0/linux-64/hello-1.0-0.conda", 422, "2.0"),
        ("acme/world/1.0/linux-64/hello-1.0-0.conda", 422, "world"),
        ("acme/Hello/1.0/linux-64/Hello-1.0-0.conda", 422, "hello"),
        ("acme/hello/1.0/linux-64/hello-1.0-0%00.conda", 404, ""),
        ("nobody/hello/1.0/linux-64/hello-1.0-0.conda", 404, ""),
    ],
)
def test_a_path_that_names_no_package_file_is_refused(
    maintainer: Person, path: str, status: int, says: str
) -> None:
    assert says in error(stage(maintainer, HELLO, path=path), status)
    assert nothing_is_left()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("channels", "main"),
        ("channels", [1]),
        ("channels", {"main": True}),
        ("sha256", 5),
        ("sha256", "abc"),
        ("sha256", "g" * 64),
        ("distribution_type", ["conda"]),
    ],
)
def test_a_member_of_another_type_is_named(maintainer: Person, member: str, value: object) -> None:
    assert member in error(stage(maintainer, HELLO, members={member: value}), 400)
    assert nothing_is_left()


@pytest.mark.parametrize("body", [[], "x", {"dist_id": None}, {"dist_id": 1}, {}])
def test_a_commit_without_an_id_is_refused(maintainer: Person, body: object) -> None:
    assert error(call("POST", f"/commit/{path_of(HELLO)}", maintainer, body), 400)


@pytest.mark.parametrize("key", ["0" * 24, "", "x", "0" * 5000, "\0", "../../blobs", "%"])
def test_an_id_that_stands_for_nothing_is_404(maintainer: Person, key: str) -> None:
    answer = call("POST", f"/commit/{path_of(HELLO)}", maintainer, {"dist_id": key})

    assert "Upload the file again" in error(answer, 404)


def test_a_commit_before_the_form_is_refused_and_may_come_again(maintainer: Person) -> None:
    document = staged(maintainer, HELLO)

    assert "Send the form" in error(commit(maintainer, HELLO, document), 409)
    assert send(document, HELLO).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200


def test_a_commit_must_be_about_the_file_of_its_stage(maintainer: Person, owner: Person) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)
    world = build_conda("world", "1.0", subdir="linux-64")

    assert "not about" in error(commit(maintainer, world, document), 400)
    assert error(commit(owner, HELLO, document, owner="olga"), 404)
    assert commit(maintainer, HELLO, document).status_code == 200


@pytest.mark.parametrize(
    ("built", "announced"),
    [
        (build_conda("hello", "1.0", subdir="osx-64"), "linux-64/hello-1.0-0.conda"),
        (build_conda("world", "1.0"), "noarch/hello-1.0-0.conda"),
        (build_conda("hello", "1.1"), "noarch/hello-1.0-0.conda"),
        (build_conda("hello", "1.0", build="1"), "noarch/hello-1.0-0.conda"),
        (build_conda("hello", "1.0"), "noarch/hello-1.0-0.tar.bz2"),
        (BuiltPackage("hello-1.0-0.conda", b"no package"), "noarch/hello-1.0-0.conda"),
        (BuiltPackage("hello-1.0-0.conda", b""), "noarch/hello-1.0-0.conda"),
        (BuiltPackage("hello-1.0-0.conda", HELLO.data[:-1]), "linux-64/hello-1.0-0.conda"),
    ],
)
def test_an_archive_that_is_another_than_was_announced_ends_the_upload(
    maintainer: Person, built: BuiltPackage, announced: str
) -> None:
    path = f"acme/hello/1.0/{announced}"
    document = staged(maintainer, built, path=path)
    assert send(document, built).status_code == 201

    assert len(error(commit(maintainer, built, document, path=path), 422)) > 20
    assert error(commit(maintainer, built, document, path=path), 404)
    assert not Blob.objects.exists()
    assert nothing_is_left()


# --- What is not finished ----------------------------------------------------------------------


def test_what_is_not_committed_in_time_is_swept(maintainer: Person) -> None:
    left, waiting = staged(maintainer, HELLO), staged(maintainer, OTHER)
    send(left, HELLO)
    send(waiting, OTHER)
    assert housekeeping.sweep_stages() == 0
    assert len(stored_files()) == 2
    yesterday = timezone.now() - timedelta(seconds=1)
    Stage.objects.filter(key=left["dist_id"]).update(expires_at=yesterday)

    assert error(commit(maintainer, HELLO, left), 404)
    assert send(left, HELLO).status_code == 403
    assert housekeeping.sweep_stages() == 1

    assert stored_files() == [f"staged/{waiting['dist_id']}"]
    assert commit(maintainer, OTHER, waiting).status_code == 200
    assert housekeeping.sweep_stages() == 0
    assert Stage.objects.count() == 1


def test_bytes_that_no_upload_waits_for_are_swept(maintainer: Person, settings: Settings) -> None:
    document = staged(maintainer, HELLO)
    send(document, HELLO)
    Stage.objects.all().delete()

    assert housekeeping.keep_house()["staged uploads"] == 1
    assert stored_files() == []


def test_an_upload_is_not_swept_from_under_its_commit(maintainer: Person) -> None:
    # A commit reads for a while: it has a name of its own for the bytes.
    document = staged(maintainer, HELLO)
    send(document, HELLO)
    with stages._bytes_of(Stage.objects.get()) as incoming:
        Stage.objects.update(expires_at=timezone.now())
        housekeeping.sweep_stages()
        housekeeping.sweep_abandoned_uploads()
        assert incoming.path.read_bytes() == HELLO.data
        assert incoming.file.read() == HELLO.data
    assert stored_files() == []
