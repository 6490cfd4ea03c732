"""nginx, as we ship its configuration, in front of Condarium: it sends the bytes itself, takes
uploads in, lets early refusals through, and keeps secrets out of its log."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.builders import BuiltPackage, build_conda
from tests.portal.front import NGINX, Front, free_front_port, make_ida, nginx_in_front
from tests.servers import LOOPBACK, LiveServer, PreparedData, S3Server

pytestmark = pytest.mark.skipif(
    NGINX is None and not os.environ.get("CI"),
    reason="nginx is not installed (apt install nginx-light)",
)
MIB = 2**20
BIG_BYTES = 64 * MIB


@dataclass(frozen=True)
class House:
    """A host behind nginx with the user ida, her tokens, and one package of hers."""

    front: Front
    writing: str
    reading: str
    package: BuiltPackage

    @property
    def url(self) -> str:
        return self.front.url

    @property
    def package_url(self) -> str:
        return f"{self.url}/conda/ida/noarch/{self.package.filename}"

    def ask_for_package(self, method: str = "GET", **headers: str) -> requests.Response:
        """With a credential, so that nginx asks Condarium for its yes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {self.reading}"
        return requests.request(method, self.package_url, headers=named, timeout=30)

    def put(self, package: BuiltPackage, token: str, **headers: str) -> requests.Response:
        return requests.put(
            f"{self.url}/conda/ida/noarch/{package.filename}",
            data=package.data,
            headers={"Authorization": f"Bearer {token}", **headers},
            timeout=60,
        )

    def wait_for(self, package: BuiltPackage) -> requests.Response:
        deadline = time.monotonic() + 20
        while True:
            repodata = requests.get(f"{self.url}/conda/ida/noarch/repodata.json", timeout=30)
            if package.filename in repodata.text or time.monotonic() > deadline:
                assert package.filename in repodata.text
                return repodata
            time.sleep(0.05)


@pytest.fixture(scope="module", params=["folder", "s3"])
def house(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    prepared_data: PreparedData,
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("front")
    s3: S3Server | None = request.getfixturevalue("s3") if request.param == "s3" else None
    port = free_front_port()
    env = {
        "CONDARIUM_URL": f"http://{LOOPBACK}:{port}",
        "CONDARIUM_TRUSTED_PROXIES": "1",
        "CONDARIUM_ACCEL_PREFIX": "/_files",
        **(s3.environ if s3 else {}),
    }
    with (
        LiveServer(folder / "host", env, data=prepared_data) as server,
        nginx_in_front(
            server, folder / "nginx", port=port, s3_endpoint=s3.endpoint if s3 else ""
        ) as front,
    ):
        writing, reading = make_ida(server, "api:write", "conda:download")
        package = build_conda("hello", "1.0", files={"share/hello.bin": os.urandom(2 * MIB)})
        made = House(front, writing, reading, package)
        assert made.put(package, writing).status_code == 201
        made.wait_for(package)
        yield made


# --- Bytes -------------------------------------------------------------------------------------


def test_package_bytes_come_from_nginx(house: House) -> None:
    answer = house.ask_for_package()

    assert answer.status_code == 200
    assert answer.content == house.package.data
    assert answer.headers["ETag"] == f'"{house.package.sha256}"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "X-Accel-Redirect" not in answer.headers
    assert not answer.history


@pytest.mark.parametrize(
    ("wanted", "start", "stop"), [("bytes=0-99", 0, 100), ("bytes=1000-", 1000, None)]
)
def test_a_range_of_a_package_is_sent(
    house: House, wanted: str, start: int, stop: int | None
) -> None:
    answer = house.ask_for_package(Range=wanted)

    data = house.package.data
    assert answer.status_code == 206
    assert answer.content == data[start:stop]
    last = (stop or len(data)) - 1
    assert answer.headers["Content-Range"] == f"bytes {start}-{last}/{len(data)}"


def test_the_end_of_a_package_can_be_asked_for(house: House) -> None:
    answer = house.ask_for_package(Range="bytes=-4096")

    assert (answer.status_code, answer.content) == (206, house.package.data[-4096:])


def test_a_range_beyond_the_end_is_416(house: House) -> None:
    answer = house.ask_for_package(Range="bytes=99999999-")

    assert answer.status_code == 416


def test_a_range_of_another_file_gets_the_whole_of_this_one(house: House) -> None:
    answer = house.ask_for_package(Range="bytes=10-19", If_Range='"another"')

    assert (answer.status_code, answer.content) == (200, house.package.data)


def test_head_says_what_get_would(house: House) -> None:
    head = house.ask_for_package("HEAD")

    assert head.status_code == 200
    assert head.headers["Content-Length"] == str(house.package.size)
    assert head.headers["ETag"] == f'"{house.package.sha256}"'


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.zst"])
def test_an_index_file_is_asked_for_again_by_its_etag(house: House, name: str) -> None:
    url = f"{house.url}/conda/ida/noarch/{name}"
    first = requests.get(url, headers={"Accept-Encoding": "gzip, zstd"}, timeout=30)
    again = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)

    assert first.status_code == 200
    assert "Content-Encoding" not in first.headers
    assert not first.headers["ETag"].startswith("W/")
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == first.headers["ETag"]


def test_a_new_generation_has_another_etag(house: House) -> None:
    url = f"{house.url}/conda/ida/noarch/repodata.json"
    before = requests.get(url, timeout=30)
    package = build_conda("later", "1.0")
    assert house.put(package, house.writing).status_code == 201
    house.wait_for(package)

    after = requests.get(url, headers={"If-None-Match": before.headers["ETag"]}, timeout=30)

    assert after.status_code == 200
    assert after.headers["ETag"] != before.headers["ETag"]


def test_the_place_of_the_files_is_closed(house: House) -> None:
    key = f"blobs/{house.package.sha256[:2]}/{house.package.sha256}"

    assert requests.get(f"{house.url}/_files/{key}", timeout=30).status_code == 404
    assert requests.get(f"{house.url}/-/upload-check", timeout=30).status_code == 404
    assert requests.get(f"{house.url}/metrics", timeout=30).status_code == 404


# --- Uploads -----------------------------------------------------------------------------------


def curl(command: list[str], body: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: install Debian's package curl.")
    with body.open("rb") as file:
        return subprocess.run(
            command, stdin=file, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_an_upload_comes_through(house: House, tmp_path: Path, how: str) -> None:
    package = build_conda(f"uploaded-{how}", "1.0", files={"share/x": os.urandom(3 * MIB)})
    path = tmp_path / package.filename
    path.write_bytes(package.data)
    command = ["curl", "--silent", "--fail-with-body"]
    command += ["-H", f"Authorization: Bearer {house.writing}"]
    command += ["-T", str(path) if how == "length" else "-"]
    answer = curl([*command, f"{house.url}/conda/ida/noarch/{package.filename}"], path)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    house.wait_for(package)


@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize(
    "path",
    [
        "/conda/ida/noarch/x-1.0-0.conda",
        "/api/v1/upload/ida",
        "/quetz/api/channels/ida%2Fdev/upload/x-1.0-0.conda",
    ],
)
def test_an_early_refusal_never_becomes_a_502(
    house: House, tmp_path: Path, how: str, path: str
) -> None:
    body = tmp_path / "body"
    with body.open("wb") as file:
        file.truncate(BIG_BYTES)
    command = ["curl", "--silent", "-X", "PUT" if path.startswith("/conda") else "POST"]
    command += ["-T", str(body) if how == "length" else "-", "-H", "Expect:"]
    command += ["-o", str(tmp_path / "answer"), "-w", "%{http_code}", house.url + path]
    seen = [curl(command, body).stdout for _ in range(12)]

    assert seen == ["401"] * 12
    assert "credential" in (tmp_path / "answer").read_text(encoding="utf-8")


def test_a_refused_form_never_becomes_a_502(house: House) -> None:
    """What is wrong with it stands in the form, so its body is on its way when that is known."""
    package = build_conda("refused", "1.0")
    stage = requests.post(
        f"{house.url}/api/stage/ida/refused/1.0/noarch/{package.filename}",
        json={"sha256": package.sha256},
        headers={"Authorization": f"token {house.writing}"},
        timeout=60,
    ).json()
    fields = {**stage["form_data"], "signature": "0" * 64}
    noise = os.urandom(20 * MIB)

    for _ in range(8):
        answer = requests.post(
            stage["post_url"], data=fields, files={"file": ("x", noise)}, timeout=60
        )
        assert answer.status_code == 403, answer.text
        assert "<Code>SignatureDoesNotMatch</Code>" in answer.text


def test_a_refusal_says_through_nginx_what_it_says_without(house: House) -> None:
    answer = house.put(house.package, house.reading)

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "conda:download" in answer.json()["detail"]


def test_an_unknown_account_stays_404(house: House) -> None:
    answer = requests.put(
        f"{house.url}/conda/nobody/noarch/{house.package.filename}",
        data=house.package.data,
        headers={"Authorization": f"Bearer {house.writing}"},
        timeout=30,
    )

    assert answer.status_code == 404


def test_a_client_that_waits_to_be_told_is_not_asked_for_a_refused_body(house: House) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, house.front.port, timeout=10)
    with closing(connection):
        connection.putrequest("PUT", "/conda/ida/noarch/x-1.0-0.conda")
        connection.putheader("Content-Length", str(BIG_BYTES))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        with connection.getresponse() as answer:
            assert answer.status == 401


def test_nobody_can_ask_in_the_name_of_nginx(house: House) -> None:
    package = build_conda("marked", "1.0")
    answer = house.put(package, house.writing, **{"X-Upload-Check": "1"})

    assert answer.status_code == 201
    house.wait_for(package)


def test_an_upload_in_steps_comes_through(house: House) -> None:
    package = build_conda("steps", "1.0", files={"share/data": os.urandom(2 * MIB)})
    end = f"ida/steps/1.0/noarch/{package.filename}"
    headers = {"Authorization": f"token {house.writing}"}
    announced = {"sha256": package.sha256}

    stage = requests.post(
        f"{house.url}/api/stage/{end}", json=announced, headers=headers, timeout=60
    ).json()
    # Also with an S3, which clients don't see behind nginx.
    assert stage["post_url"] == f"{house.url}/api/-/staged"
    file = {"file": (f"noarch/{package.filename}", package.data)}
    form = requests.post(stage["post_url"], data=stage["form_data"], files=file, timeout=60)
    finished = {"dist_id": stage["dist_id"]}
    commit = requests.post(
        f"{house.url}/api/commit/{end}", json=finished, headers=headers, timeout=60
    )

    assert (form.status_code, commit.status_code) == (201, 200), (form.text, commit.text)
    house.wait_for(package)


# --- The log -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "/conda/t/{token}/ida/noarch/repodata.json?form=conda",
        "/t/{token}/conda/ida/noarch/repodata.json?form=pixi",
        "/conda%2Ft%2F{token}%2Fida/noarch/repodata.json?form=encoded",
        "/conda/%74/{token}/ida/noarch/repodata.json?form=letter",
        "/conda/ida/noarch/repodata.json?form=query&token={token}",
    ],
)
def test_no_token_stands_in_the_access_log(house: House, form: str) -> None:
    requests.get(
        house.url + form.format(token=house.reading),
        headers={"Authorization": f"Bearer {house.reading}", "Referer": f"/t/{house.reading}/"},
        timeout=30,
    )

    mark = re.search(r"form=\w+", form)
    assert mark is not None
    assert house.front.lines_of(mark[0])
    assert house.reading not in house.front.log()
    assert house.reading[4:30] not in house.front.log()


@pytest.mark.parametrize(
    "path",
    [
        "/conda/t/{token}/ida/noarch/repodata.json",
        "/conda/T/{token}/ida/noarch/repodata.json",
        "/conda/ida/t/{token}/noarch/repodata.json",
        "/conda/ida/x{token}/noarch/repodata.json",
        "/conda/{token}/noarch/repodata.json",
    ],
)
def test_no_token_is_logged_as_the_name_of_a_channel(house: House, path: str) -> None:
    mark = f"path {path}"
    # Nothing beside the path: else nginx would not look for a file.
    requests.get(
        house.url + path.format(token=house.reading), headers={"User-Agent": mark}, timeout=30
    )

    assert house.front.lines_of(mark)
    assert house.reading[4:30] not in house.front.log()


def test_an_index_file_is_logged_as_it_was_asked_for(house: House) -> None:
    path = "/conda/ida/label/main/noarch/repodata.json"  # with an S3, Condarium answers
    requests.get(house.url + path, headers={"User-Agent": "an index, please"}, timeout=30)

    lines = [json.loads(line) for line in house.front.lines_of("an index, please")]
    assert {(line["uri"], line["status"]) for line in lines} == {(path, 200)}
    # Who reads the log need not know who answered.
    requests.get(f"{house.url}/livez", headers={"User-Agent": "whoever"}, timeout=30)
    [other] = map(json.loads, house.front.lines_of("whoever"))
    assert all(list(line) == list(other) for line in lines)


def test_no_user_name_stands_in_the_access_log(house: House) -> None:
    requests.get(
        f"{house.url}/conda/ida/noarch/repodata.json?form=basic",
        auth=(house.reading, ""),
        timeout=30,
    )

    assert house.front.lines_of("form=basic")
    assert house.reading not in house.front.log()


def test_the_error_log_stays_empty(house: House) -> None:
    # Its lines would repeat requests, and with them tokens.
    requests.get(f"{house.url}/conda/t/{house.reading}/ida/noarch/none.json", timeout=30)

    assert house.reading not in house.front.error_log.read_text(encoding="utf-8")
