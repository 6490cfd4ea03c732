"""The pages of one file: what lies in it, folder by folder, and what it says of itself."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registry import contents, storage
from registry.models import PackageFile
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers, active_parts, text_of

_PAGE = "/acme/tool/files/noarch/tool-1.0-0.conda"
_FILES: dict[str, bytes | str] = {
    "lib/python3.13/site-packages/tool/__init__.py": "import os  # <script>alert(1)</script>\n",
    "lib/python3.13/site-packages/tool/data.bin": b"\x00\x01",
    "share/tool/readme.txt": "Read me\n",
    "share/<b>odd & long.txt": "",
    "info/licenses/LICENSE": "Do as you like.\n",
    "info/recipe/meta.yaml": 'name: "tool"  # <img src=x onerror=alert(1)>\n',
}
_ABOUT: dict[str, object] = {
    "summary": "A tool",
    "extra": {"remote_url": "https://github.com/acme/tool", "sha": "5" * 40, "flow_run_id": "a_1"},
    "hostile": ["<script>alert(1)</script>", {"<b>": "</ul>"}],
}


@pytest.fixture
def tool(world: World, owner: Person) -> PackageFile:
    contents.forget()
    return publish(
        owner, "acme", "main", "tool", files=_FILES, about=_ABOUT,
        depends=["python >=3.13,<3.14.0a0"], run_exports={"weak": ["tool >=1"]},
    )  # fmt: skip


def test_the_first_page_says_what_it_is(tool: PackageFile, anonymous: Client) -> None:
    answer = anonymous.get(_PAGE)
    words = text_of(answer)

    assert f"echo '{tool.sha256} tool-1.0-0.conda' | sha256sum -c" in words
    assert "pkg:conda/tool@1.0?build=0&repository_url=" in words
    assert "https://github.com/acme/tool" in words
    assert "0 in 30 days, 0 in 90 days, 0 in all" in words
    assert "tool >=1" in words
    assert active_parts(answer) == []


def test_there_is_a_column_of_acts_for_those_who_have_some(
    tool: PackageFile, owner: Person, anonymous: Client
) -> None:
    heads = [
        re.findall(r"<th scope=.col.", browser.get(_PAGE).content.decode())
        for browser in (owner.client, anonymous)
    ]

    assert [len(one) for one in heads] == [4, 3]


def test_contents_are_looked_into_folder_by_folder(tool: PackageFile, anonymous: Client) -> None:
    def at(path: str = "", **query: str) -> str:
        answer = anonymous.get(f"{_PAGE}/contents", {"path": path, **query})
        assert answer.status_code == 200
        assert active_parts(answer) == []
        return text_of(answer)

    top = at()
    # What holds nothing but one folder is one step.
    assert "lib/python3.13/site-packages/tool/" in top
    assert "share/" in top
    assert "readme.txt" not in top
    assert "<b>odd & long.txt" in at("share")
    assert "readme.txt" in at("share/tool")
    assert "Read me" in at("share/tool/readme.txt")
    assert "<script>alert(1)</script>" in at("lib/python3.13/site-packages/tool/__init__.py")
    assert "It is no text." in at("lib/python3.13/site-packages/tool/data.bin")
    assert "share/tool/readme.txt" in at(q="READ")
    assert "No path matches this filter." in at(q="nothing")
    assert anonymous.get(f"{_PAGE}/contents", {"path": "share/nowhere"}).status_code == 404


def test_every_file_of_the_metadata_is_shown(tool: PackageFile, anonymous: Client) -> None:
    def at(path: str) -> str:
        answer = anonymous.get(f"{_PAGE}/metadata", {"path": path})
        assert answer.status_code == 200
        assert active_parts(answer) == []
        return text_of(answer)

    assert "tool" in at("info/index.json")
    assert "Do as you like." in at("info/licenses/LICENSE")
    assert "<script>alert(1)</script>" in at("info/about.json")
    assert "<img src=x" in at("info/recipe/meta.yaml")
    assert anonymous.get(f"{_PAGE}/metadata?path=info/nothing").status_code == 404
    raw = anonymous.get(f"{_PAGE}/metadata?path=info/about.json&raw=1")
    assert json.loads(raw.content) == _ABOUT
    assert raw["Content-Type"] == "text/plain; charset=utf-8"
    assert raw["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("page", ["contents", "metadata", "metadata?path=info/index.json&raw=1"])
def test_what_is_hidden_is_not_looked_into(world: World, browsers: Browsers, page: str) -> None:
    given = [
        browser.get(f"/acme/buried/files/noarch/buried-1.0-0.conda/{page}").status_code
        for browser in browsers.values()
    ]

    assert given == [404, 404, 200, 200, 200, 200]


def test_ten_thousand_files_are_a_page(world: World, owner: Person, anonymous: Client) -> None:
    contents.forget()
    files = {f"share/data/{number:05}.txt": "" for number in range(10_000)}
    publish(owner, "acme", "main", "many", files=files)
    page = "/acme/many/files/noarch/many-1.0-0.conda/contents"

    with CaptureQueriesContext(connection) as queries:
        answer = anonymous.get(page, {"path": "share/data"})

    assert len(queries) <= 12
    assert "10,000 files" in text_of(answer)
    assert answer.content.count(b'<th scope="row">') == 500
    following = anonymous.get(page, {"path": "share/data", "after": "share/data/00499.txt"})
    assert b">00500.txt</a>" in following.content


def test_an_archive_that_cannot_be_read_is_a_sentence(
    tool: PackageFile, anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_SECONDS", -1)
    for page in ("contents", "metadata"):
        answer = anonymous.get(f"{_PAGE}/{page}")
        assert answer.status_code == 200
        assert "Download the file to look into it." in text_of(answer)
    storage.store().delete(storage.blob_key(tool.sha256))
    assert "cannot be read" in text_of(anonymous.get(f"{_PAGE}/contents"))


def test_who_asks_while_others_are_read_is_told_to_come_again(
    tool: PackageFile, anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_WAIT_SECONDS", 0.01)
    taken = [contents._readers.acquire() for _ in range(2)]
    try:
        answer = anonymous.get(f"{_PAGE}/contents")
    finally:
        contents._readers.release(len(taken))

    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert anonymous.get(f"{_PAGE}/contents").status_code == 200


def test_what_lies_elsewhere_is_fetched_piece_by_piece(tool: PackageFile) -> None:
    store, key = storage.store(), storage.blob_key(tool.sha256)
    whole = b"".join(store.blocks(key, start=0, length=tool.size_bytes))

    remote = contents._Remote(store, key, tool.size_bytes)

    assert remote.read() == whole
    assert remote.seek(-20, io.SEEK_END) == tool.size_bytes - 20
    assert remote.read(50) == whole[-20:]
    assert remote.seek(7) == remote.tell() == 7
    assert remote.read(100) == whole[7:107]
    assert remote.seek(tool.size_bytes + 5) > tool.size_bytes
    assert remote.read(1) == b""
