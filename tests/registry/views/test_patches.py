"""The pages of patches: looking first, applying, editing one file, undoing."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registry import indexing
from registry.models import Patch
from tests.cast import Person
from tests.conda_client import get
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO_FILE, active_parts, text_of

PAGE = "/acme/settings/channels/patches/main"
APPLY = "/acme/settings/channels/apply-patches/main"
EDIT = f"{HELLO_FILE}/patch/main"
FILENAME = "hello-1.0-0.conda"
SET = {
    "packages.conda": {
        FILENAME: {"depends": ["python >=3.10"], "constrains": ["b <6"], "md5": "x"},
        "gone-1.0-0.conda": {"license": "MIT"},
    }
}


def send(person: Person, document: object, **fields: str) -> Any:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    upload = SimpleUploadedFile("patch_instructions.json", data)
    return person.client.post(APPLY, {"subdir": "noarch", "document": upload, **fields})


def depends() -> list[str]:
    indexing.run_overdue()
    read = json.loads(get("/conda/acme/noarch/repodata.json").body)
    found: list[str] = read["packages.conda"][FILENAME]["depends"]
    return found


def test_a_set_is_shown_first_and_changes_nothing(world: World, owner: Person) -> None:
    answer = send(owner, SET, dry_run="on", note="needs 3.10")

    said = text_of(answer)
    assert answer.status_code == 200
    assert "Nothing was changed yet. The index would say otherwise of 1 file." in said
    assert f"{FILENAME} constrains b <6 depends python >=3.10" in said
    assert "gone-1.0-0.conda" in said
    assert "md5 × 1" in said
    assert 'value="needs 3.10"' in answer.content.decode()
    assert Patch.objects.get() == world.patch
    assert depends() == []


def test_a_set_is_applied_listed_and_undone(world: World, owner: Person) -> None:
    applied = send(owner, SET, note="needs 3.10")
    assert (applied.status_code, applied["Location"]) == (302, PAGE)
    said = text_of(owner.client.get(PAGE))
    assert "The index says otherwise of 1 file." in said
    assert "Set for noarch needs 3.10 1 file · just now by olga" in said
    assert depends() == ["python >=3.10"]

    patch = Patch.objects.get(note="needs 3.10")
    undone = owner.client.post(f"/acme/settings/channels/undo-patch/{patch.pk}/main", follow=True)
    assert "The patch is undone. The index says otherwise of 1 file." in text_of(undone)
    assert "undone just now by olga" in text_of(undone)
    assert depends() == []

    again = owner.client.post(f"/acme/settings/channels/undo-patch/{patch.pk}/main", follow=True)
    assert "This patch was undone already, by olga." in text_of(again)
    other = f"/acme/settings/channels/undo-patch/{patch.pk}/dev"
    assert owner.client.post(other).status_code == 404


def test_what_is_no_set_is_told_beside_the_file(world: World, owner: Person) -> None:
    for document, words in (
        (b"", "not valid JSON"),
        (b"PK", "not valid JSON"),
        ({"packages": {"x-1-0.tar.bz2": {"depends": 1}}}, "gives depends as 1"),
    ):
        answer = send(owner, document)
        assert answer.status_code == 422
        assert words in text_of(answer)
    without = owner.client.post(APPLY, {"subdir": "noarch"})
    assert without.status_code == 422
    assert "File: This field is required." in text_of(without)
    astray = owner.client.post(APPLY, {"subdir": "../x", "document": io.BytesIO(b"{}")})
    assert astray.status_code == 422
    assert Patch.objects.get() == world.patch


def test_what_a_file_depends_on_is_edited(world: World, owner: Person, anonymous: Client) -> None:
    publish(owner, "acme", "main", "tool", depends=["hello"], constrains=["xz <6"])
    page = "/acme/tool/files/noarch/tool-1.0-0.conda"
    form = owner.client.get(f"{page}/patch/main").content.decode()
    assert ">\nhello</textarea>" in form
    assert ">\nxz &lt;6</textarea>" in form

    fields = {"depends": "hello >=1\n\n  python\n", "constrains": "xz <6", "note": "by hand"}
    saved = owner.client.post(f"{page}/patch/main", fields, follow=True)
    assert "main says otherwise of tool-1.0-0.conda. It can be undone." in text_of(saved)

    for browser in (owner.client, anonymous):
        said = text_of(browser.get(page))
        assert "main says otherwise depends hello hello >=1 python" in said
        assert "Patched" in said
    edited = text_of(owner.client.get(f"{page}/patch/main"))
    assert "Now it differs from the file depends hello hello >=1 python" in edited
    assert "by hand just now by olga" in edited

    same = owner.client.post(f"{page}/patch/main", fields)
    assert same.status_code == 422
    assert "main says just that of tool-1.0-0.conda." in text_of(same)
    wrong = owner.client.post(f"{page}/patch/main", {"depends": "=1"})
    assert wrong.status_code == 422
    assert "The edit holds '=1' in depends." in text_of(wrong)

    patch = Patch.objects.get(kind=Patch.Kind.EDIT)
    owner.client.post(f"/acme/settings/channels/undo-patch/{patch.pk}/main")
    assert "says otherwise" not in text_of(anonymous.get(page))


def test_all_can_be_taken_away_from_a_file(world: World, owner: Person) -> None:
    publish(owner, "acme", "main", "tool", depends=["hello"], constrains=["xz <6"])
    page = "/acme/tool/files/noarch/tool-1.0-0.conda"
    owner.client.post(f"{page}/patch/main", {"depends": "", "constrains": "", "note": ""})
    assert "main says otherwise constrains xz <6 depends hello" in text_of(owner.client.get(page))


def test_a_locked_channel_offers_no_patches(world: World, owner: Person) -> None:
    owner.client.post("/acme/settings/channels/lock/main", {"lock_note": "freeze"})

    page = owner.client.get(PAGE).content.decode()
    assert "apply-patches" not in page
    assert "undo-patch" not in page
    assert "is locked: “freeze”" in text_of(send(owner, SET))
    undone = owner.client.post(
        f"/acme/settings/channels/undo-patch/{world.patch.pk}/main", follow=True
    )
    assert "is locked: “freeze”" in text_of(undone)
    assert "is locked: “freeze”" in text_of(owner.client.post(EDIT, {"depends": "x"}))


def test_hostile_words_stay_words(world: World, owner: Person) -> None:
    evil = "<script>alert(1)</script>"
    hostile = {
        "packages.conda": {FILENAME: {"license": evil, evil: [evil, {"a": evil}]}},
        "remove": [evil],
    }
    shown = send(owner, hostile, dry_run="on", note=evil)
    send(owner, hostile, note=evil)

    for answer in (shown, owner.client.get(PAGE), owner.client.get(HELLO_FILE)):
        assert active_parts(answer) == []
        assert evil in text_of(answer)


def test_the_list_costs_the_same_however_long_it_is(world: World, owner: Person) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert owner.client.get(PAGE).status_code == 200
        return len(asked)

    questions()  # the first one after signing in asks more
    few = questions()
    for number in range(30):
        Patch.objects.create(
            channel=world.patch.channel,
            subdir="noarch",
            kind=Patch.Kind.INSTRUCTIONS,
            note=f"note {number}",
            applied_by=owner.user,
            undone_by=owner.user,
        )
    assert questions() == few
