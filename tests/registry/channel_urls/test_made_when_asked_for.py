"""Forms of large documents that nobody made before somebody asked."""

from __future__ import annotations

import bz2
import json

import pytest
import zstandard
from django.conf import settings

from registry import generations
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, head, run_pending_tasks

FORMS = ["repodata.json", "repodata.json.bz2", "run_exports.json", "repodata_from_packages.json"]


@pytest.fixture
def large(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> ChannelAddress:
    """A channel that counts as large with one file."""
    monkeypatch.setattr(generations, "PLAIN_TWIN_BELOW_RECORDS", 1)
    owner.upload(build_conda("hello"), to=channel)
    run_pending_tasks()
    return channel


def derived_files() -> list[str]:
    folder = settings.FILES_FOLDER / "index"
    return [path.name for path in folder.rglob("*.zst.*") if not path.name.endswith(".map")]


def text_of(channel: ChannelAddress, name: str) -> bytes:
    compressed = get(channel.url(f"noarch/{name.removesuffix('.bz2')}.zst")).body
    return zstandard.decompress(compressed)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_says_what_the_zst_says(large: ChannelAddress, name: str) -> None:
    answer = get(large.url(f"noarch/{name}"))
    text = bz2.decompress(answer.body) if name.endswith(".bz2") else answer.body
    assert answer.status_code == 200
    assert text == text_of(large, name)
    assert int(answer["Content-Length"]) == len(answer.body)
    again = get(large.url(f"noarch/{name}"), Range="bytes=0-4")
    assert again.status_code == 206
    assert again.body == answer.body[:5]
    assert again["ETag"] == answer["ETag"]


@pytest.mark.parametrize("name", FORMS)
def test_looking_whether_it_is_there_makes_nothing(large: ChannelAddress, name: str) -> None:
    looked = head(large.url(f"noarch/{name}"))
    assert looked.status_code == 200
    assert "Content-Length" not in looked
    known = get(large.url(f"noarch/{name}"), If_None_Match=looked["ETag"])
    assert known.status_code == 304
    assert derived_files() == []
    answer = get(large.url(f"noarch/{name}"))
    assert answer["ETag"] == looked["ETag"]
    assert int(head(large.url(f"noarch/{name}"))["Content-Length"]) == len(answer.body)


def test_a_new_generation_has_forms_of_its_own(owner: Person, large: ChannelAddress) -> None:
    before = get(large.url("noarch/repodata.json"))
    owner.upload(build_conda("other"), to=large)
    run_pending_tasks()
    after = get(large.url("noarch/repodata.json"), If_None_Match=before["ETag"])
    assert after.status_code == 200
    assert sorted(json.loads(after.body)["packages.conda"]) == [
        "hello-1.0-0.conda",
        "other-1.0-0.conda",
    ]


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.bz2"])
def test_forgejos_clients_get_their_end_of_it(large: ChannelAddress, name: str) -> None:
    url = f"/api/packages/acme/conda/noarch/{name}"
    if name.endswith(".bz2"):
        assert head(url).status_code == 200
        assert derived_files() == []
    answer = get(url)
    text = bz2.decompress(answer.body) if name.endswith(".bz2") else answer.body
    document = json.loads(text)
    assert document["removed"] == {}
    assert list(document["packages.conda"]) == ["hello-1.0-0.conda"]
