"""Labels and copying, as ``anaconda label``, ``move`` and ``copy`` ask for them."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Event, Organization
from registry import channels
from registry.models import Channel, ChannelFile, Package, PackageFile
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, run_pending_tasks
from tests.factories import make_organization, make_token
from tests.registry.dialects.anaconda.calls import NOTHING, call, error, said

HELLO = [
    build_conda("hello", "1.0", subdir="linux-64"),
    build_conda("hello", "1.0", subdir="noarch"),
    build_conda("hello", "1.1", subdir="noarch"),
]
OTHER = build_conda("other", "2.0", subdir="noarch")
BASENAME = "noarch/hello-1.0-0.conda"


@pytest.fixture
def files(owner: Person, channel: ChannelAddress) -> None:
    """hello 1.0 for two platforms, hello 1.1 and other 2.0, all in main of acme."""
    for built in [*HELLO, OTHER]:
        assert owner.upload(built, to=channel).status_code == 201


def make_label(owner: Person, name: str, account: str = "acme", **more: str) -> Channel:
    found = Channel.objects.get(account__name=account, name="main").account
    return channels.create_channel(by=owner.identity, account=found, name=name, **more)


def standing(label: str, account: str = "acme") -> list[str]:
    """What clients are offered under the label."""
    entries = ChannelFile.objects.filter(channel__account__name=account, channel__name=label)
    return sorted(f"{entry.subdir}/{entry.filename}" for entry in entries)


EVERYTHING = [
    "linux-64/hello-1.0-0.conda",
    "noarch/hello-1.0-0.conda",
    "noarch/hello-1.1-0.conda",
    "noarch/other-2.0-0.conda",
]
ALL_OF_HELLO, ALL_OF_1_0 = EVERYTHING[:3], EVERYTHING[:2]


def which(
    package: str | None = None, version: str | None = None, basename: str | None = None
) -> dict[str, str | None]:
    """What the client says of files; what it doesn't know is null."""
    return {"package": package, "version": version, "basename": basename}


# --- Looking at them ---------------------------------------------------------------------------


def test_labels_are_listed_with_whether_they_are_locked(owner: Person, files: None) -> None:
    make_label(owner, "release/xyz")
    channels.change_channel(
        by=owner.identity, channel=make_label(owner, "staged:4.1"), is_locked=True
    )

    assert said(call("GET", "/channels/acme", owner)) == {
        "main": {"is_locked": False},
        "release/xyz": {"is_locked": False},
        "staged:4.1": {"is_locked": True},
    }
    assert list(said(call("GET", "/channels/ACME"))) == ["main", "release/xyz", "staged:4.1"]


def test_a_label_is_shown_with_its_files(owner: Person, files: None) -> None:
    shown = said(call("GET", "/channels/acme/main", owner))

    assert shown["is_locked"] is False
    assert [file["full_name"] for file in shown["files"]] == [
        "acme/hello/1.0/linux-64/hello-1.0-0.conda",
        "acme/hello/1.0/noarch/hello-1.0-0.conda",
        "acme/hello/1.1/noarch/hello-1.1-0.conda",
        "acme/other/2.0/noarch/other-2.0-0.conda",
    ]
    make_label(owner, "a/b")
    assert said(call("GET", "/channels/acme/a/b"))["files"] == []


def test_what_is_private_is_shown_to_members_alone(
    owner: Person, reader: Person, stranger: Person, files: None
) -> None:
    Package.objects.filter(name="other").update(is_private=True)
    make_label(owner, "secret", visibility=Channel.Visibility.PRIVATE)

    assert len(said(call("GET", "/channels/acme/main", reader))["files"]) == 4
    assert len(said(call("GET", "/channels/acme/main", stranger))["files"]) == 3
    assert "secret" in said(call("GET", "/channels/acme", reader))
    assert "secret" not in said(call("GET", "/channels/acme", stranger))
    hidden = error(call("GET", "/channels/acme/secret", stranger), 404)
    assert hidden.replace("secret", "missing") == error(
        call("GET", "/channels/acme/missing", stranger), 404
    )
    said(call("GET", "/channels/acme/secret", reader))
    error(call("GET", "/channels/acme/secret", owner.token("api:write").secret), 404)


def test_a_large_label_is_read_from_the_database_in_one_go(
    owner: Person, files: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    token = owner.token().secret

    with django_assert_max_num_queries(12):
        said(call("GET", "/channels/acme/main", token))


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/channels/missing", 404, '"missing"'),
        ("GET", "/channels/acme/missing", 404, '"missing" of acme'),
        ("PUT", "/channels/acme/main", 405, "PUT"),
        ("POST", "/channels/missing/dev", 404, '"missing"'),
        ("DELETE", "/channels/acme/missing", 404, '"missing"'),
        ("POST", "/channels/acme/missing/lock", 404, '"missing"'),
        ("DELETE", "/channels/acme/missing/lock", 404, '"missing"'),
        ("POST", "/channels/acme/missing/copy/dev", 404, '"missing"'),
        ("POST", "/channels/acme/main/copy/t", 400, "'t'"),
        ("POST", "/channels/acme/main/copy/main", 409, "itself"),
        ("DELETE", "/channels/acme/main", 409, "main can't be deleted"),
    ],
)
def test_what_is_wrong_about_a_label_is_named(
    method: str, path: str, status: int, reason: str, owner: Person, files: None
) -> None:
    assert reason in error(call(method, path, owner), status)
    assert standing("main") == EVERYTHING


# --- Files into them and out of them -----------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (which("hello", "1.0", BASENAME), [BASENAME]),
        (which("hello", "1.0", "hello-1.0-0.conda"), ALL_OF_1_0),
        (which("hello", "1.0"), ALL_OF_1_0),
        (which("hello"), ALL_OF_HELLO),
        (which(), EVERYTHING),
        (which("hello", None, BASENAME), [BASENAME]),
        ({"package": "hello"}, ALL_OF_HELLO),
    ],
)
def test_files_come_into_a_label_and_go(
    named: dict[str, str | None], expected: list[str], owner: Person, files: None
) -> None:
    for _ in range(2):
        assert said(call("POST", "/channels/acme/dev/1", owner, named), 201) is None

    assert standing("dev/1") == expected
    assert standing("main") == EVERYTHING
    if named == which():
        return  # without a word on files it is the label itself that goes
    for _ in range(2):
        assert said(call("DELETE", "/channels/acme/dev/1", owner, named), 201) is None
    assert standing("dev/1") == []
    assert standing("main") == EVERYTHING


def test_clients_are_offered_what_was_moved(owner: Person, files: None) -> None:
    """As `anaconda move` does it: look at the labels, add, remove."""
    make_label(owner, "dev")
    run_pending_tasks()

    said(call("GET", "/channels/acme", owner))
    said(call("POST", "/channels/acme/dev", owner, which("hello", "1.0")), 201)
    said(call("DELETE", "/channels/acme/main", owner, which("hello", "1.0")), 201)
    run_pending_tasks()

    moved = owner.repodata(ChannelAddress("acme", "dev"), "noarch")
    left = owner.repodata(ChannelAddress("acme"), "noarch")
    assert list(moved["packages.conda"]) == ["hello-1.0-0.conda"]
    assert sorted(left["packages.conda"]) == ["hello-1.1-0.conda", "other-2.0-0.conda"]
    assert "hello-1.0-0.conda" in left["removed"]
    actions = Event.objects.filter(action__in=["file.add", "file.remove"])
    assert sorted(actions.values_list("action", flat=True)) == [
        "file.add", "file.add", "file.remove", "file.remove",
    ]  # fmt: skip


def test_a_name_that_the_client_wrote_small_is_found(owner: Person, files: None) -> None:
    make_label(owner, "RC")

    said(call("POST", "/channels/acme/rc", owner, which("hello", "1.0")), 201)

    assert standing("RC") == ALL_OF_1_0
    make_label(owner, "rC")
    assert '"rc"' in error(call("DELETE", "/channels/acme/rc", owner, which("hello")), 404)


@pytest.mark.parametrize(
    ("named", "status", "reason"),
    [
        (which("missing"), 404, '"acme/missing"'),
        (which("hello", "3.0"), 404, '"acme/hello/3.0"'),
        (which("hello", "1.0", "noarch/x-1.0-0.conda"), 404, "noarch/x-1.0-0.conda"),
        (which(None, "1.0"), 400, "without its package"),
        ({"package": 3}, 400, "package"),
        ([], 400, "JSON"),
        ("hello", 400, "JSON"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_files_that_are_not_there_are_named(
    named: object, status: int, reason: str, method: str, owner: Person, files: None
) -> None:
    make_label(owner, "dev")

    assert reason in error(call(method, "/channels/acme/dev", owner, named), status)


def test_broken_json_is_refused(owner: Person, files: None) -> None:
    for body in ["x" * 2_000_000, {"package": "x" * 2_000_000}]:
        assert call("POST", "/channels/acme/dev", owner, body).status_code in {400, 413}
    assert not Channel.objects.filter(name="dev").exists()


def test_all_of_a_widened_request_is_refused_or_none(
    owner: Person, stranger: Person, files: None
) -> None:
    """A collaborator on hello alone puts nothing of other into a label."""
    make_label(owner, "dev")
    said(call("PUT", "/packages/acme/hello/collaborators/sven", owner), 201)

    assert "other" in error(call("POST", "/channels/acme/dev", stranger, which()), 403)
    assert standing("dev") == []
    said(call("POST", "/channels/acme/dev", stranger, which("hello")), 201)
    assert standing("dev") == ALL_OF_HELLO
    assert "admins of acme" in error(call("DELETE", "/channels/acme/dev", stranger, which()), 403)
    error(call("POST", "/channels/acme/new", stranger, which("hello")), 404)


def test_strangers_change_no_label(
    reader: Person, stranger: Person, owner: Person, files: None
) -> None:
    make_label(owner, "dev")
    asked = [
        ("POST", "/channels/acme/dev", which("hello")),
        ("DELETE", "/channels/acme/main", which("hello")),
        ("DELETE", "/channels/acme/dev", which()),
        ("POST", "/channels/acme/main/copy/dev", NOTHING),
        ("POST", "/channels/acme/dev/lock", {}),
        ("DELETE", "/channels/acme/dev/lock", {}),
    ]

    for method, path, body in asked:
        error(call(method, path, None, body), 401)
        error(call(method, path, reader, body), 403)
        error(call(method, path, stranger, body), 403)
        reading = owner.token("api:read").secret
        assert call(method, path, reading, body).status_code in {401, 403}
    assert (standing("main"), standing("dev")) == (EVERYTHING, [])
    assert not Channel.objects.filter(is_locked=True).exists()


def test_a_token_for_one_label_stays_within_it(owner: Person, files: None) -> None:
    make_label(owner, "dev")
    token = owner.token("all", channels=["dev"]).secret

    said(call("POST", "/channels/acme/dev", token, which("hello")), 201)

    assert "dev" in error(call("DELETE", "/channels/acme/main", token, which("hello")), 403)
    assert standing("main") == EVERYTHING


def test_a_locked_label_says_why(owner: Person, files: None) -> None:
    label = make_label(owner, "dev")
    said(call("POST", "/channels/acme/dev", owner, which("other")), 201)
    channels.change_channel(by=owner.identity, channel=label, is_locked=True, lock_note="released")

    for method, body in [("POST", which("hello")), ("DELETE", which("other"))]:
        assert "locked: “released”" in error(call(method, "/channels/acme/dev", owner, body), 403)
    assert "locked" in error(call("DELETE", "/channels/acme/dev", owner, which()), 409)
    assert "locked" in error(call("POST", "/channels/acme/main/copy/dev", owner), 403)
    assert standing("dev") == ["noarch/other-2.0-0.conda"]


def test_what_could_not_be_moved_stays_where_it_is(owner: Person, files: None) -> None:
    """The client goes on with the second half of a move when the first was refused."""
    label = make_label(owner, "dev")
    channels.change_channel(by=owner.identity, channel=label, is_locked=True)
    token = owner.token().secret
    named = which("hello", "1.0")
    error(call("POST", "/channels/acme/dev", token, named), 403)

    sentence = error(call("DELETE", "/channels/acme/main", token, named), 409)

    assert "dev" in sentence
    assert standing("main") == EVERYTHING
    # Who asks again means it, and so does whoever did not try to move it.
    said(call("DELETE", "/channels/acme/main", token, named), 201)
    assert standing("main") == EVERYTHING[2:]


def test_a_move_that_was_refused_once_is_not_remembered_when_it_succeeds(
    owner: Person, files: None
) -> None:
    label = make_label(owner, "dev")
    channels.change_channel(by=owner.identity, channel=label, is_locked=True)
    token = owner.token().secret
    named = which("hello", "1.0")
    error(call("POST", "/channels/acme/dev", token, named), 403)
    said(call("DELETE", "/channels/acme/dev/lock", token), 201)

    said(call("POST", "/channels/acme/dev", token, named), 201)
    said(call("DELETE", "/channels/acme/main", token, named), 201)

    assert (standing("dev"), standing("main")) == (ALL_OF_1_0, EVERYTHING[2:])


def test_others_remove_what_somebody_could_not_move(
    owner: Person, admin: Person, files: None
) -> None:
    error(call("POST", "/channels/acme/t", owner, which("hello", "1.0")), 400)

    said(call("DELETE", "/channels/acme/main", admin, which("hello", "1.0")), 201)


# --- Whole labels ------------------------------------------------------------------------------


def test_a_label_is_removed_and_its_files_stay(owner: Person, files: None) -> None:
    make_label(owner, "dev")
    said(call("POST", "/channels/acme/dev", owner, which("hello")), 201)

    assert said(call("DELETE", "/channels/acme/dev", owner, which()), 201) is None

    assert not Channel.objects.filter(name="dev").exists()
    assert PackageFile.objects.present().count() == 4
    assert '"dev"' in error(call("DELETE", "/channels/acme/dev", owner, which()), 404)


def test_a_label_is_copied(owner: Person, files: None) -> None:
    said(call("POST", "/channels/acme/rc/1", owner, which("hello")), 201)
    make_label(owner, "dev")
    said(call("POST", "/channels/acme/dev", owner, which("other")), 201)

    for _ in range(2):
        assert said(call("POST", "/channels/acme/rc/1/copy/dev", owner), 201) is None
    assert said(call("POST", "/channels/acme/dev/copy/new/one", owner), 201) is None

    assert standing("dev") == standing("new/one") == EVERYTHING
    assert standing("rc/1") == ALL_OF_HELLO


def test_many_files_are_copied_in_a_few_queries(
    owner: Person,
    channel: ChannelAddress,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(12):
        owner.upload(build_conda("hello", f"1.{number}"), to=channel)
    make_label(owner, "dev")
    token = owner.token().secret

    with django_assert_max_num_queries(70):
        said(call("POST", "/channels/acme/main/copy/dev", token), 201)

    assert len(standing("dev")) == 12


def test_a_label_is_locked_and_unlocked(owner: Person, maintainer: Person, files: None) -> None:
    make_label(owner, "rc/1")

    for _ in range(2):
        assert said(call("POST", "/channels/acme/rc/1/lock", owner), 201) is None
    assert said(call("GET", "/channels/acme/rc/1"))["is_locked"] is True
    error(call("DELETE", "/channels/acme/rc/1/lock", maintainer), 403)
    for _ in range(2):
        assert said(call("DELETE", "/channels/acme/rc/1/lock", owner), 201) is None
    assert said(call("GET", "/channels/acme/rc/1"))["is_locked"] is False


def test_labels_may_be_called_as_acts_are(owner: Person, files: None) -> None:
    """Who says which files are meant, means the label of that name."""
    for name in ["dev/lock", "dev/copy/x"]:
        said(call("POST", f"/channels/acme/{name}", owner, which("other")), 201)
        assert standing(name) == ["noarch/other-2.0-0.conda"]

    said(call("POST", "/channels/acme/dev/lock/lock", owner), 201)
    assert Channel.objects.get(name="dev/lock").is_locked
    said(call("POST", "/channels/acme/dev/copy/x/copy/y", owner), 201)
    assert standing("y") == ["noarch/other-2.0-0.conda"]


# --- Copying between labels and accounts -------------------------------------------------------


@pytest.fixture
def globex(owner: Person) -> Organization:
    return make_organization("globex", owner=owner.user)


def places(
    to_owner: str | None = "globex", from_channel: str = "main", to_channel: str = "main"
) -> dict[str, str | None]:
    return {"to_owner": to_owner, "from_channel": from_channel, "to_channel": to_channel}


def test_a_release_is_copied_to_another_account(
    owner: Person, files: None, globex: Organization
) -> None:
    copied = said(call("POST", "/copy/package/acme/hello/1.0/", owner, places()))

    assert [each["basename"] for each in copied] == ALL_OF_1_0
    assert standing("main", "globex") == ALL_OF_1_0
    run_pending_tasks()
    offered = owner.repodata(ChannelAddress("globex"), "noarch")["packages.conda"]
    assert list(offered) == ["hello-1.0-0.conda"]
    assert len(said(call("POST", "/copy/package/acme/hello/1.0/", owner, places()))) == 2
    assert said(call("PATCH", "/copy/package/acme/hello/1.0/", owner, places())) == []


def test_one_file_is_copied_into_a_label(owner: Person, files: None, globex: Organization) -> None:
    path = f"/copy/package/acme/hello/1.0/{BASENAME}"

    said(call("POST", path, owner, places(to_channel="rc/1")))

    assert standing("rc/1", "globex") == [BASENAME]
    assert standing("main", "globex") == []


def test_without_an_owner_it_is_copied_to_the_own_account(
    owner: Person, acme: Organization, files: None
) -> None:
    said(call("POST", "/copy/package/acme/hello/1.0", owner, {}))
    assert standing("main", "olga") == ALL_OF_1_0

    organizations = make_token(acme.account, "all").secret
    body = places(to_owner=None, to_channel="dev")
    said(call("POST", "/copy/package/acme/hello/1.1/", organizations, body))
    assert standing("dev") == ["noarch/hello-1.1-0.conda"]


def test_within_one_account_it_is_put_into_the_label(owner: Person, files: None) -> None:
    path = "/copy/package/acme/hello/1.0/"

    copied = said(call("POST", path, owner, places("acme", to_channel="dev")))

    assert [each["basename"] for each in copied] == ALL_OF_1_0
    assert standing("dev") == ALL_OF_1_0
    assert PackageFile.objects.count() == 4


def test_versions_are_taken_as_they_are_written(
    owner: Person, channel: ChannelAddress, globex: Organization
) -> None:
    owner.upload(build_conda("odd", "1!2.0+g1"), to=channel)

    said(call("POST", "/copy/package/acme/odd/1!2.0+g1/", owner, places()))

    assert standing("main", "globex") == ["noarch/odd-1!2.0+g1-0.conda"]


@pytest.fixture
def other_hello(owner: Person, globex: Organization) -> None:
    """globex has another noarch/hello-1.0-0.conda."""
    built = build_conda("hello", "1.0", subdir="noarch", files={"x": "other"})
    assert owner.upload(built, to=ChannelAddress("globex")).status_code == 201


def sha256(account: str) -> str:
    return PackageFile.objects.get(
        account__name=account, subdir="noarch", filename="hello-1.0-0.conda"
    ).sha256


def test_other_bytes_are_in_the_way_replaced_or_left(
    owner: Person, files: None, other_hello: None
) -> None:
    path = "/copy/package/acme/hello/1.0/"
    before = sha256("globex")

    assert "hello-1.0-0.conda" in error(call("POST", path, owner, places()), 409)
    assert standing("main", "globex") == ["noarch/hello-1.0-0.conda"]
    updated = said(call("PATCH", path, owner, places()))
    assert [each["basename"] for each in updated] == ["linux-64/hello-1.0-0.conda"]
    assert sha256("globex") == before
    replaced = said(call("PUT", path, owner, places()))
    assert "noarch/hello-1.0-0.conda" in [each["basename"] for each in replaced]
    assert sha256("globex") == sha256("acme") != before


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("acme/hello/3.0/", {}, 404, '"acme/hello/3.0"'),
        ("acme/missing/1.0/", {}, 404, '"acme/missing/1.0"'),
        ("missing/hello/1.0/", {}, 404, '"missing"'),
        ("acme/hello/1.0/noarch/x-1.0-0.conda", {}, 404, "noarch/x-1.0-0.conda"),
        ("acme/hello/1.0/", {"to_owner": "whoever"}, 404, '"whoever"'),
        ("acme/hello/1.0/", {"from_channel": "nightly"}, 404, '"nightly" of acme'),
        ("acme/hello/1.0/", {"to_channel": "linux-64"}, 400, "subdir"),
        ("acme/hello/1.0/", {"to_channel": 3}, 400, "to_channel"),
        ("acme/hello/1.0/", {"from_channel": "empty"}, 404, "in the label empty"),
    ],
)
def test_what_can_not_be_copied_is_named(
    path: str, body: dict[str, object], status: int, reason: str, owner: Person, files: None
) -> None:
    make_label(owner, "empty")

    for method in ("POST", "PUT", "PATCH"):
        assert reason in error(call(method, f"/copy/package/{path}", owner, body), status)
    assert not PackageFile.objects.exclude(account__name="acme").exists()


def test_copying_needs_a_right_to_both_ends(
    owner: Person, reader: Person, stranger: Person, files: None, globex: Organization
) -> None:
    path = "/copy/package/acme/hello/1.0/"

    error(call("POST", path, None, places()), 401)
    assert "globex" in error(call("POST", path, reader, places()), 403)
    assert call("POST", path, owner.token("api:read").secret, places()).status_code in {401, 403}
    Package.objects.update(is_private=True)
    assert '"acme/hello/1.0"' in error(call("POST", path, stranger, places("sven")), 404)
    assert not PackageFile.objects.exclude(account__name="acme").exists()


def test_a_locked_label_takes_no_copies(owner: Person, files: None, globex: Organization) -> None:
    said(call("POST", "/copy/package/acme/hello/1.1/", owner, places()))
    said(call("POST", "/channels/globex/main/lock", owner), 201)

    assert "locked" in error(call("POST", "/copy/package/acme/hello/1.0/", owner, places()), 403)
    assert standing("main", "globex") == ["noarch/hello-1.1-0.conda"]
