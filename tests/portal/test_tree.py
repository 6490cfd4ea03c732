"""Index files and package files of public channels as the front server sends them by itself, and
all that it must leave to Condarium. With nginx and with Caddy, as we ship their configurations."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import zstandard

from registry.delivery import INDEX_CACHE_SECONDS, SHARD_CACHE_SECONDS
from tests.builders import BuiltPackage, build_conda
from tests.portal.front import (
    CADDY,
    NGINX,
    Front,
    caddy_in_front,
    free_front_port,
    make_ida,
    nginx_in_front,
)
from tests.servers import LOOPBACK, LiveServer, PreparedData
from tests.sigstore_world import Sigstore, statement

INDEX_FILES = [
    "noarch/repodata.json",
    "noarch/repodata.json.zst",
    "noarch/current_repodata.json",
    "noarch/run_exports.json.zst",
    "noarch/repodata_shards.msgpack.zst",
    "channeldata.json",
]
TYPES = {"json": "application/json", "zst": "application/zstd"}


@dataclass
class House:
    """A host behind a front server, with the user ida and her token."""

    front: Front
    token: str
    tree: Path
    sigstore: Sigstore
    session: requests.Session = field(default_factory=requests.Session)

    def url(self, path: str) -> str:
        return f"{self.front.url}/conda/ida/{path}"

    def get(self, path: str, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(self.url(path), headers=named, timeout=30)

    def put(self, package: BuiltPackage, channel: str = "main") -> None:
        answer = self.session.put(
            self.url(f"label/{channel}/noarch/{package.filename}"),
            data=package.data,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text

    def change(self, path: str, method: str = "PATCH", **what: object) -> None:
        answer = self.session.request(
            method,
            f"{self.front.url}/api/v1/accounts/ida/{path}",
            json=what,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        assert answer.ok, answer.text

    def wait_until_in_tree(self, package: BuiltPackage, channel: str = "main") -> None:
        """Until the front server sends all files of the subdir, and they list the package."""
        deadline = time.monotonic() + 30
        folder = self.tree / "public/ida" / channel / "@/noarch"
        while time.monotonic() < deadline:
            answer = self.get(f"label/{channel}/noarch/repodata.json")
            if by_front(answer) and package.filename in answer.text:
                channeldata = self.get(f"label/{channel}/channeldata.json")
                current = folder / "current_repodata.json"
                name = f'"{package.filename.rsplit("-", 2)[0]}"'
                # Summaries come later; the next test must not see the index change under it.
                is_listed = name in channeldata.text and current.exists()
                if is_listed and by_front(channeldata) and name in current.read_text():
                    return
            time.sleep(0.05)
        raise AssertionError(f"{package.filename} did not come into the tree of {channel}")

    def raw(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        """A request whose path nobody puts in order before it is sent."""
        connection = http.client.HTTPConnection(LOOPBACK, self.front.port, timeout=30)
        with closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            with connection.getresponse() as answer:
                return answer.status, answer.read()


def by_front(answer: requests.Response) -> bool:
    return answer.status_code in {200, 206, 304} and "X-Request-Id" not in answer.headers


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            "nginx",
            marks=pytest.mark.skipif(
                NGINX is None and not os.environ.get("CI"),
                reason="nginx is not installed (apt install nginx-light)",
            ),
        ),
        pytest.param(
            "caddy",
            marks=pytest.mark.skipif(
                CADDY is None and not os.environ.get("CI"),
                reason="Caddy is not installed (apt install caddy)",
            ),
        ),
    ],
)
def house(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    prepared_data: PreparedData,
    sigstore_and_root: tuple[Sigstore, Path],
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("tree")
    port = free_front_port()
    sigstore, root = sigstore_and_root
    kind = {"CONDARIUM_ACCEL_PREFIX": "/_files"}
    if request.param == "caddy":
        kind = {"CONDARIUM_INDEX_TREE": "1"}
    env = {
        "CONDARIUM_URL": f"http://{LOOPBACK}:{port}",
        "CONDARIUM_TRUSTED_PROXIES": "1",
        "CONDARIUM_SIGSTORE_TRUSTED_ROOT": str(root),
        **kind,
    }
    put_in_front = {"nginx": nginx_in_front, "caddy": caddy_in_front}[request.param]
    with (
        LiveServer(folder / "host", env, data=prepared_data) as server,
        put_in_front(server, folder / "front", port=port) as front,
    ):
        (token,) = make_ida(server, "all")
        tree = Path(server.env["CONDARIUM_DATA"], "files", "tree")
        made = House(front, token, tree, sigstore)
        first = build_conda("first", "1.0")
        made.put(first)
        made.wait_until_in_tree(first)
        yield made


def shard_path(house: House) -> str:
    index = (
        zstandard.ZstdDecompressor()
        .decompressobj()
        .decompress(house.get("noarch/repodata_shards.msgpack.zst").content)
    )
    digest = msgspec.msgpack.decode(index)["shards"]["first"]
    return f"noarch/shards/{digest.hex()}.msgpack.zst"


def have_shards_in_tree(house: House, name: str) -> None:
    """An account without private packages again, whose shards lie in the tree."""
    after = build_conda(name, "1.0")
    house.put(after)
    house.wait_until_in_tree(after)
    deadline = time.monotonic() + 20
    while not by_front(house.get(shard_path(house))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- What is sent ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*INDEX_FILES, "a shard"])
def test_an_index_file_bears_the_headers_that_condarium_gives(house: House, path: str) -> None:
    is_shard = path == "a shard"
    path = shard_path(house) if is_shard else path
    answer = house.get(path, Accept_Encoding="gzip, deflate, zstd")
    whole_way = house.get(path, Authorization=f"Bearer {house.token}")

    assert by_front(answer)
    assert not by_front(whole_way)
    assert answer.content == whole_way.content
    assert answer.headers["Content-Type"] == TYPES[path.rpartition(".")[2]]
    assert answer.headers["Cache-Control"] == (
        f"public, max-age={SHARD_CACHE_SECONDS}, immutable"
        if is_shard
        else f"public, max-age={INDEX_CACHE_SECONDS}, must-revalidate"
    )
    for name in ("Content-Type", "Cache-Control", "X-Content-Type-Options", "Accept-Ranges"):
        assert answer.headers[name] == whole_way.headers[name], name
    assert answer.headers["Vary"] == "Authorization, Cookie"
    assert answer.headers["ETag"].startswith('"')
    assert "Content-Encoding" not in answer.headers
    # It may be ahead of the clock, so nobody is told.
    assert "Last-Modified" not in answer.headers


@pytest.mark.parametrize("path", INDEX_FILES)
def test_head_range_and_conditions_are_answered_without_condarium(house: House, path: str) -> None:
    url = house.url(path)
    whole = house.get(path)
    etag = whole.headers["ETag"]
    head = requests.head(url, timeout=30)
    part = house.get(path, Range="bytes=3-9")
    unchanged = house.get(path, If_None_Match=f'"another", {etag}')
    changed = house.get(path, If_None_Match='"another"')
    other = house.get(path, Range="bytes=3-9", If_Range='"another"')

    assert all(map(by_front, (head, part, unchanged, changed, other)))
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["ETag"] == etag
    assert (part.status_code, part.content) == (206, whole.content[3:10])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == etag
    assert "must-revalidate" in unchanged.headers["Cache-Control"]
    assert (changed.status_code, changed.content) == (200, whole.content)
    assert (other.status_code, other.content) == (200, whole.content)


@pytest.mark.parametrize("form", ["main/noarch", "label/main/noarch"])
def test_every_way_to_write_a_channel_leads_to_the_tree(house: House, form: str) -> None:
    answer = house.get(f"{form}/repodata.json")

    assert by_front(answer)
    assert answer.content == house.get("noarch/repodata.json").content


@pytest.mark.parametrize(
    "path",
    [
        "/conda/IDA/noarch/repodata.json",
        "/conda/ida/label/%6dain/noarch/repodata.json",
        "/conda/ida/noarch/repodata%2Ejson",
        "/conda/ida/noarch/repodata.json?fresh",
    ],
)
def test_what_is_written_in_another_way_is_answered_by_condarium(house: House, path: str) -> None:
    answer = requests.get(house.front.url + path, timeout=30)

    assert answer.status_code == 200
    assert answer.content == house.get("noarch/repodata.json").content


def test_a_channel_with_slashes_and_colons_is_in_the_tree(house: House) -> None:
    package = build_conda("nested", "1.0")
    house.change("channels", "POST", name="dev/x.y:1")
    house.put(package, "dev/x.y:1")

    house.wait_until_in_tree(package, "dev/x.y:1")


@pytest.mark.parametrize("file", ["noarch/repodata.json", "channeldata.json"])
def test_no_channel_is_meant_where_its_name_is_missing(house: House, file: str) -> None:
    """None is called ``label``, and the default channel is not what somebody asks for who says
    that a name follows."""
    answer = house.get(f"label/{file}")

    assert answer.status_code == 404
    assert not by_front(answer)


def test_what_is_not_in_the_tree_is_answered_by_condarium(house: House) -> None:
    made = house.get("noarch/repodata.json.bz2")
    missing = house.get("linux-64/repodata.json")

    assert (made.status_code, by_front(made)) == (200, False)
    assert missing.status_code == 404
    assert missing.headers["Content-Type"] == "application/problem+json"


# --- What is left to Condarium -----------------------------------------------------------------


def test_attestations_are_sent_beside_their_package_with_their_type(house: House) -> None:
    package = build_conda("signed", "1.0")
    # In a channel of its own: what other tests read must not change under them.
    house.put(package, "signed")
    url = house.url(f"label/signed/noarch/{package.filename}.sigs")
    missing = requests.get(url, timeout=30)
    bundle = house.sigstore.sign(statement(package, f"{house.front.url}/conda/ida/signed"))
    taken = requests.post(
        f"{house.front.url}/api/v1/accounts/ida/files/noarch/{package.filename}/attestations",
        data=bundle,
        headers={"Authorization": f"Bearer {house.token}", "Content-Type": "application/json"},
        timeout=60,
    )
    assert (missing.status_code, taken.status_code) == (404, 201), taken.text

    whole = b"[" + bundle + b"]"
    digest = hashlib.sha256(whole).hexdigest()
    for address, freshness in (
        (url, "public, no-cache"),
        (f"{url}.{digest}", "public, max-age=31536000, immutable"),
    ):
        answer = requests.get(address, headers={"Accept-Encoding": "gzip, zstd"}, timeout=30)
        assert (answer.status_code, answer.content) == (200, whole)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == freshness
        assert answer.headers["ETag"] == f'"{digest}"'
        assert "Content-Encoding" not in answer.headers
        again = requests.get(address, headers={"If-None-Match": f'"{digest}"'}, timeout=30)
        assert (again.status_code, again.content) == (304, b"")
        head = requests.head(address, timeout=30)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(whole)))
    assert requests.get(f"{url}.{'0' * 64}", timeout=30).status_code == 404


@pytest.mark.parametrize("path", ["noarch/repodata.json", "channeldata.json"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer cph-wrong"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "nonsense"},
        {"X_API_Key": "cph-wrong"},
    ],
    ids=str,
)
def test_a_wrong_credential_is_refused_on_a_public_channel(
    house: House, path: str, headers: dict[str, str]
) -> None:
    etag = house.get(path).headers["ETag"]

    assert house.get(path, **headers).status_code == 401
    assert house.get(path, If_None_Match=etag, **headers).status_code == 401


@pytest.mark.parametrize("form", ["/conda/t/{}/ida/", "/t/{}/conda/ida/"])
def test_a_token_in_the_path_is_judged_by_condarium(house: House, form: str) -> None:
    path = house.front.url + form + "noarch/repodata.json"
    right = requests.get(path.format(house.token), timeout=30)
    wrong = requests.get(path.format("cph-wrong"), timeout=30)

    assert (right.status_code, wrong.status_code) == (200, 401)
    assert "private" in right.headers["Cache-Control"]


def test_a_browser_with_a_cookie_is_asked_about(house: House) -> None:
    answer = house.get("noarch/repodata.json", Cookie="condarium-session=nothing")

    assert (answer.status_code, by_front(answer)) == (200, False)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_other_methods_are_refused_in_condariums_words(house: House, method: str) -> None:
    status, body = house.raw("/conda/ida/noarch/repodata.json", method, b"x")

    assert status in {401, 405}
    assert json.loads(body)["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/conda/ida/main/@/noarch/repodata.json",
        "/conda/ida/@/noarch/repodata.json",
        "/conda/ida/noarch/../../../../../../condarium.sqlite3",
        "/conda/ida/noarch/..%2f..%2f..%2f..%2f..%2f..%2fcondarium.sqlite3",
        "/conda/ida/%2e%2e/%2e%2e/%2e%2e/index/1/noarch/repodata.json",
        "/conda/ida/label/../../public/ida/main/@/noarch/repodata.json",
        "/conda/ida/_/channeldata.json",
        "/conda/ida/noarch/shards/repodata.json",
        "/conda/ida/noarch/shards/../repodata.json/",
        "/conda/ida/label/noarch/repodata.json",
        "/conda/ida/noarch.new/repodata.json",
        "/public/ida/main/@/noarch/repodata.json",
        "/tree/public/ida/main/@/noarch/repodata.json",
        "/_files/tree/public/ida/main/@/noarch/repodata.json",
        "/conda/.ida/noarch/repodata.json",
        "/conda/ida/noarch/.repodata.json",
        "/conda/ida/noarch/repodata.json%00",
    ],
)
def test_nothing_else_can_be_reached(house: House, path: str) -> None:
    status, body = house.raw(path)

    assert status in {400, 404}
    assert b"first-1.0-0" not in body
    assert b"SQLite" not in body


def test_no_set_can_be_named(house: House) -> None:
    names = [path.name for path in (house.tree / "public/ida/main/@").iterdir()]
    assert any(name.startswith("noarch.") for name in names)

    for name in names:
        if name != "noarch":
            assert house.raw(f"/conda/ida/{name}/repodata.json")[0] == 404


# --- Private -----------------------------------------------------------------------------------


def test_a_private_channel_is_never_in_the_tree(house: House) -> None:
    package = build_conda("secret", "1.0")
    house.change("channels", "POST", name="closed", visibility="private")
    house.put(package, "closed")
    path, bearer = "label/closed/noarch/repodata.json", f"Bearer {house.token}"
    deadline = time.monotonic() + 20
    while package.filename not in (mine := house.get(path, Authorization=bearer)).text:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert house.get(path).status_code == 404
    assert house.get(path, If_None_Match=mine.headers["ETag"]).status_code == 404
    again = house.get(path, Authorization=bearer, If_None_Match=mine.headers["ETag"])
    assert again.status_code == 304
    assert mine.headers["Cache-Control"].startswith("private")
    assert not (house.tree / "public/ida/closed").exists()


def test_who_makes_a_channel_private_is_obeyed_at_once(house: House) -> None:
    package = build_conda("turning", "1.0")
    house.change("channels", "POST", name="turning")
    house.put(package, "turning")
    for _ in range(3):
        house.wait_until_in_tree(package, "turning")
        etag = house.get("label/turning/noarch/repodata.json").headers["ETag"]
        house.change("channels/turning", visibility="private")

        answer = house.get("label/turning/noarch/repodata.json", If_None_Match=etag)
        assert answer.status_code == 404
        assert house.get("label/turning/channeldata.json").status_code == 404
        house.change("channels/turning", visibility="public")


# --- Package files -----------------------------------------------------------------------------

# Caddy has no way to tell what it sent, so Condarium sends and counts.
with_nginx = pytest.mark.parametrize(
    "house",
    [
        pytest.param(
            "nginx",
            marks=pytest.mark.skipif(
                NGINX is None and not os.environ.get("CI"),
                reason="nginx is not installed (apt install nginx-light)",
            ),
        )
    ],
    indirect=True,
)


def put_in_tree(house: House, name: str, channel: str) -> tuple[BuiltPackage, str]:
    """A package in a new channel of its own, and its path below the account."""
    built = build_conda(name, "1.0", files={"share/data.bin": os.urandom(100_000)})
    house.change("channels", "POST", name=channel)
    house.put(built, channel)
    path = f"label/{channel}/noarch/{built.filename}"
    deadline = time.monotonic() + 20
    while not by_front(house.get(path)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return built, path


@with_nginx
def test_a_package_bears_the_headers_that_condarium_gives(house: House) -> None:
    built, path = put_in_tree(house, "plain", "plain")
    answer = house.get(path, Accept_Encoding="gzip, deflate, zstd")
    whole_way = house.get(path, Cookie="condarium-session=nothing")

    assert by_front(answer)
    assert not by_front(whole_way)
    assert answer.content == whole_way.content == built.data
    for name in (
        "Content-Type",
        "Content-Length",
        "Content-Disposition",
        "Cache-Control",
        "X-Content-Type-Options",
        "Accept-Ranges",
    ):
        assert answer.headers[name] == whole_way.headers[name], name
    assert answer.headers["ETag"].startswith('"')
    assert "Last-Modified" not in answer.headers
    assert "Content-Encoding" not in answer.headers


@with_nginx
def test_parts_and_conditions_of_a_package_are_answered_without_condarium(house: House) -> None:
    built, path = put_in_tree(house, "parts", "parts")
    etag = house.get(path).headers["ETag"]
    head = requests.head(house.url(path), timeout=30)
    part = house.get(path, Range="bytes=3-9", If_Range=etag)
    end = house.get(path, Range="bytes=-100")
    other = house.get(path, Range="bytes=3-9", If_Range='"another"')
    beyond = house.get(path, Range="bytes=99999999-")
    unchanged = house.get(path, If_None_Match=etag)

    assert all(map(by_front, (head, part, end, other, unchanged)))
    assert head.headers["Content-Length"] == str(len(built.data))
    assert (part.status_code, part.content) == (206, built.data[3:10])
    assert (end.status_code, end.content) == (206, built.data[-100:])
    assert (other.status_code, other.content) == (200, built.data)
    assert beyond.status_code == 416
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@with_nginx
def test_the_front_server_notes_what_is_a_download(house: House) -> None:
    _, path = put_in_tree(house, "noted", "noted")
    etag = house.get(path).headers["ETag"]
    folder = house.tree.parent / "downloads"

    def noted() -> int:
        lines = (line for file in folder.iterdir() for line in file.read_text().splitlines())
        return sum(line.endswith(f" /conda/ida/{path}") for line in lines)

    before = noted()
    assert before >= 1
    for number, headers in enumerate([{}, {"Range": "bytes=0-"}, {"Range": "bytes=0-99"}], 1):
        house.get(path, **headers)
        assert noted() == before + number, headers
    requests.head(house.url(path), timeout=30)
    for headers in (
        {"Range": "bytes=10-"},
        {"Range": "bytes=-100"},
        {"Range": "bytes=99999999-"},
        {"If_None_Match": etag},
        # Who is asked about is counted by Condarium.
        {"Cookie": "condarium-session=nothing"},
    ):
        house.get(path, **headers)
    house.get(path.replace("1.0", "2.0"))
    assert noted() == before + 3


@with_nginx
def test_who_changes_a_package_is_obeyed_at_once(house: House) -> None:
    built, path = put_in_tree(house, "changing", "changing")
    etag = house.get(path).headers["ETag"]
    for _ in range(3):
        house.change("packages/changing", is_private=True)
        assert house.get(path, If_None_Match=etag).status_code == 404
        assert house.get(path, Authorization=f"Bearer {house.token}").content == built.data
        house.change("packages/changing", is_private=False)
        assert house.get(path).content == built.data
        house.change("channels/changing", visibility="private")
        assert house.get(path, If_None_Match=etag).status_code == 404
        house.change("channels/changing", visibility="public")
        assert house.get(path).content == built.data
    house.change(f"files/noarch/{built.filename}", "DELETE")
    assert house.get(path, If_None_Match=etag).status_code == 404
    assert house.get(path).status_code == 404
    have_shards_in_tree(house, "after-changing")


@with_nginx
def test_replaced_bytes_are_sent_at_once_and_have_another_etag(house: House) -> None:
    first, path = put_in_tree(house, "replaced", "replaced")
    seen = {house.get(path).headers["ETag"]: first.data}
    for _ in range(3):
        built = build_conda("replaced", "1.0", files={"share/data.bin": os.urandom(100_000)})
        answer = requests.put(
            f"{house.url(path)}?force=true",
            data=built.data,
            headers={"Authorization": f"Bearer {house.token}"},
            timeout=60,
        )
        assert answer.ok, answer.text
        deadline = time.monotonic() + 20
        while True:
            got = house.get(path)
            assert got.content == built.data
            if by_front(got):
                break
            assert time.monotonic() < deadline
        assert seen.setdefault(got.headers["ETag"], built.data) == built.data
    assert len(seen) == 4


@with_nginx
def test_a_package_of_an_immutable_channel_is_kept_for_good(house: House) -> None:
    _, path = put_in_tree(house, "kept", "kept")
    house.change("channels/kept", is_immutable=True)
    house.put(build_conda("kept-too", "1.0"), "kept")
    deadline = time.monotonic() + 20
    while "immutable" not in house.get(path).headers["Cache-Control"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    answer, whole_way = house.get(path), house.get(path, Cookie="condarium-session=nothing")

    assert by_front(answer)
    assert not by_front(whole_way)
    assert answer.headers["Cache-Control"] == whole_way.headers["Cache-Control"]
    house.change("channels/kept", is_immutable=False)
    assert "must-revalidate" in house.get(path).headers["Cache-Control"]


@with_nginx
@pytest.mark.parametrize(
    "path",
    [
        "/conda/ida/label/noarch/first-1.0-0.conda",
        "/conda/ida/noarch/first/first-1.0-0.conda",
        "/conda/ida/noarch/.whole",
        "/conda/ida/.immutable",
        "/conda/ida/@/noarch/first-1.0-0.conda",
        "/conda/ida/main/@/noarch/first/first-1.0-0.conda",
        "/conda/ida/linux-64/first-1.0-0.conda",
        "/conda/ida/noarch/../noarch/first/first-1.0-0.conda",
        "/conda/ida/noarch/first%2f..%2ffirst-1.0-0.conda",
        "/conda/ida/noarch/first-1.0-0.conda/",
        "/conda/ida/noarch/first-1.0-0.conda%00",
        "/tree/packages/ida/main/@/noarch/first/first-1.0-0.conda",
        "/downloads/2026-11-23T05:16.log",
    ],
)
def test_no_package_is_reached_in_another_way(house: House, path: str) -> None:
    status, body = house.raw(path)

    assert status in {302, 400, 404}
    assert not body.startswith(b"PK")


@with_nginx
@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer cph-wrong"}, {"X_API_Key": "cph-wrong"}], ids=str
)
def test_a_wrong_credential_is_refused_for_a_package(house: House, headers: dict[str, str]) -> None:
    assert house.get("noarch/first-1.0-0.conda", **headers).status_code == 401


@with_nginx
def test_a_package_is_sent_from_the_tree_however_the_channel_is_written(house: House) -> None:
    for form in ("", "main/", "label/main/"):
        answer = house.get(f"{form}noarch/first-1.0-0.conda")
        assert by_front(answer), form
        assert answer.content.startswith(b"PK")
    for url in (
        house.url("noarch/first-1.0-0.conda?x"),
        house.front.url + "/conda/IDA/noarch/first-1.0-0.conda",
    ):
        answer = requests.get(url, timeout=30)
        assert (answer.status_code, by_front(answer)) == (200, False), url


# --- Generations -------------------------------------------------------------------------------


@dataclass
class Reader:
    """Somebody who asks for the same file without a pause."""

    house: House
    path: str
    seen: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    by_front: int = 0
    faults: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                answer = session.get(self.house.url(self.path), timeout=30)
                self.by_front += by_front(answer)
                try:
                    assert answer.status_code == 200, answer.status_code
                    self.seen.append((answer.headers["ETag"], _listed(self.path, answer.content)))
                except Exception as error:  # noqa: BLE001 - shown by the test
                    self.faults.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        self._stop.set()


def _listed(path: str, content: bytes) -> frozenset[str]:
    if path.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    read: Any = msgspec.msgpack.decode(content) if "msgpack" in path else json.loads(content)
    return frozenset(read["shards"] if "msgpack" in path else read["packages.conda"])


def test_each_generation_is_whole_and_none_goes_back(house: House) -> None:
    paths = ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"]
    readers = [Reader(house, f"label/busy/noarch/{path}") for path in paths]
    house.change("channels", "POST", name="busy")
    first = build_conda("busy-0", "1.0")
    house.put(first, "busy")
    house.wait_until_in_tree(first, "busy")
    threads = [threading.Thread(target=reader.read) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 16):
            last = build_conda(f"busy-{number}", "1.0")
            house.put(last, "busy")
        house.wait_until_in_tree(last, "busy")
        time.sleep(0.3)
    finally:
        for reader in readers:
            reader.stop()
        for thread in threads:
            thread.join(30)

    for reader in readers:
        assert not reader.faults
        assert reader.by_front > 0
        contents: dict[str, frozenset[str]] = {}
        for (_, before), (etag, after) in zip(reader.seen, reader.seen[1:], strict=False):
            assert before <= after
            assert contents.setdefault(etag, after) == after
        assert len(reader.seen[-1][1]) == 16


def test_generations_of_one_second_and_one_size_have_different_etags(house: House) -> None:
    house.change("channels", "POST", name="even")
    twins = [build_conda(name, "1.0") for name in ("twin-a", "twin-b")]
    for twin in twins:
        house.put(twin, "even")
    house.wait_until_in_tree(twins[1], "even")
    house.change("packages/twin-b", is_private=True)
    path = "label/even/noarch/repodata.json"
    seen: dict[str, bytes] = {}
    sizes: dict[int, set[bytes]] = {}
    shown = 0
    for number in range(6):
        hidden, open_ = ("a", "b") if number % 2 == 0 else ("b", "a")
        house.change(f"packages/twin-{hidden}", is_private=True)
        house.change(f"packages/twin-{open_}", is_private=False)
        deadline = time.monotonic() + 20
        while True:
            answer = house.get(path)
            listed = set(answer.json()["packages.conda"])
            if by_front(answer) and listed == {f"twin-{open_}-1.0-0.conda"}:
                break
            assert time.monotonic() < deadline, listed
        assert seen.setdefault(answer.headers["ETag"], answer.content) == answer.content
        sizes.setdefault(len(answer.content), set()).add(answer.content)
        shown += 1

    assert len(seen) == shown
    assert any(len(contents) == 2 for contents in sizes.values())
    for name in ("twin-a", "twin-b"):
        house.change(f"packages/{name}", is_private=False)
    have_shards_in_tree(house, "after-twins")
