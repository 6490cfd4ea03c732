"""What is done to package files: uploading, placing, replacing, deleting and bringing back."""

from __future__ import annotations

import re

from playwright.sync_api import FilePayload, expect

from registry import placement
from registry.models import Channel, PackageFile
from tests.browser.acts.frame import Doing, act
from tests.browser.acts.rights import by_api, by_page, on_package
from tests.builders import BuiltPackage, build_conda
from tests.registry.api.test_who_may import EDIT, TO_DEV
from tests.registry.api.world import publish

_FILE = "/accounts/acme/files/noarch/hello-1.0-0.conda".removeprefix("/accounts/acme")
_PAGE = "/{account}/{package}/files/{subdir}/{filename}"
_LIST = "/{account}/{package}/files"
_ALL = "package=hello&all=1"
_BIN = "/{account}/settings/bin"
_MAY_PUT = on_package("PUT", f"{_FILE}/channels/dev")
_MAY_REMOVE = on_package("DELETE", f"{_FILE}/channels/main")
_MAY_COPY = on_package("POST", f"{_FILE}/copies", TO_DEV)
_MAY_DELETE = on_package("DELETE", _FILE)
_MAY_USE_THE_BIN = by_api("GET", "/bin")


def payload(built: BuiltPackage) -> FilePayload:
    return {"name": built.filename, "mimeType": "application/octet-stream", "buffer": built.data}


def _where(file: PackageFile) -> dict[str, object]:
    return {"package": file.name, "subdir": file.subdir, "filename": file.filename}


def _args(file: PackageFile) -> tuple[str, ...]:
    return "acme", file.name, file.subdir, file.filename


def _channels(do: Doing, file: PackageFile) -> set[str]:
    rows = do.api(f"/accounts/acme/files/{file.subdir}/{file.filename}/channels")["results"]
    return {row["channel"] for row in rows}


def _is_there(do: Doing, file: PackageFile) -> bool:
    """Whether clients get it: the page of a deleted file is gone, too."""
    return do.status(f"/acme/{file.name}/files/{file.subdir}/{file.filename}") == 200


# --- Uploading ---------------------------------------------------------------------------------


@act("registry:upload", at="/{account}/upload", may=by_page("/acme/upload") | {"cleo", "cade"})
def upload_several_files(do: Doing) -> None:
    do.realm.package(do.name)
    good = [build_conda(do.name, version) for version in ("2.0", "2.1")]
    broken: FilePayload = {"name": "bad-1.0-0.conda", "mimeType": "", "buffer": b"no archive"}
    do.start()
    do.page.set_input_files("#files", [*map(payload, good), broken])
    do.page.get_by_role("button", name="Publish").click()
    expect(do.page.get_by_text("2 of 3 done · 1 failed")).to_be_visible()
    do.realm.index()
    records = do.realm.olga.repodata(do.address("main"), "noarch")["packages.conda"]
    assert {built.filename for built in good} <= set(records)


# --- One file ----------------------------------------------------------------------------------


@act("registry:file-put", at=_PAGE, may=_MAY_PUT)
def put_a_file_into_another_channel(do: Doing) -> None:
    file = do.realm.package(do.name)
    do.start(**_where(file))
    do.press(*_args(file), channel="dev")
    assert _channels(do, file) == {"main", "dev"}


@act("registry:file-remove", at=_PAGE, may=_MAY_REMOVE)
def take_a_file_out_of_a_channel(do: Doing) -> None:
    file = do.realm.package(do.name)
    do.start(**_where(file))
    do.press(*_args(file), "main")
    assert _channels(do, file) == set()


@act("registry:file-replace", at=_PAGE, may=_MAY_DELETE)
def replace_the_bytes_of_a_file(do: Doing) -> None:
    file = do.realm.package(do.name)
    anew = build_conda(do.name, "1.0", about={"summary": "Anew"})
    assert anew.filename == file.filename
    do.start(**_where(file))
    do.press(*_args(file), file=payload(anew), typed=file.filename)
    assert do.api(f"/accounts/acme/files/{file.subdir}/{file.filename}")["sha256"] != file.sha256


@act("registry:file-delete", at=_PAGE, may=_MAY_DELETE)
def delete_a_file_that_another_needs(do: Doing) -> None:
    file = do.realm.package(do.name)
    needing = publish(
        do.realm.olga, "acme", "main", f"{do.name}-user", depends=[f"{do.name} ==1.0"]
    )
    do.realm.index()
    do.start(**_where(file))
    do.follow('[href$="/delete"]')
    expect(do.page.locator("main").get_by_text(needing.name).first).to_be_visible()
    do.press(*_args(file), reason="Built with the wrong compiler", typed=file.filename)
    assert not _is_there(do, file)


@act("registry:version-delete", at="/{account}/{package}/{version}", may=_MAY_DELETE)
def delete_a_version(do: Doing) -> None:
    file = do.realm.package(do.name)
    do.start(package=file.name)
    do.press("acme", file.name, "1.0", typed=f"{file.name} 1.0")
    assert not _is_there(do, file)


@act(
    "registry:file-patch",
    at=_PAGE,
    may=by_api("PATCH", f"{_FILE}/channels/main", EDIT),
)
def edit_the_record_of_a_file(do: Doing) -> None:
    file = do.realm.package(do.name)
    do.start(**_where(file))
    do.press(*_args(file), "main", depends="python >=3.10")
    do.realm.index()
    records = do.realm.olga.repodata(do.address("main"), "noarch")["packages.conda"]
    assert records[file.filename]["depends"] == ["python >=3.10"]


# --- Many files --------------------------------------------------------------------------------


def _chosen(do: Doing, act: str, file: PackageFile, **values: str) -> None:
    """Tick a file in the list, say what is to be done, and look what it would change."""
    do.start(package=file.name)
    do.page.get_by_label(f"Select {file.filename}").check()
    do.settled(do.page.locator(".bulk-bar").get_by_role("button", name=re.compile(rf"^{act}")))
    if values:
        asking = do.page.locator("main form:not([method=post])")
        do.fill(asking, **values)
        do.send(asking)


@act("registry:files-move", at=_LIST, may=_MAY_REMOVE, asked=_ALL)
def move_chosen_files(do: Doing) -> None:
    file = do.realm.package(do.name)
    _chosen(do, "Move", file, from_="main", to="dev")
    do.told("1 file goes from main to dev.")
    do.press("acme")
    assert _channels(do, file) == {"dev"}


@act("registry:files-copy", at=_LIST, may=_MAY_COPY, asked=_ALL)
def copy_chosen_files(do: Doing) -> None:
    file = do.realm.package(do.name)
    _chosen(do, "Copy", file, to="dev")
    do.told("1 file will also stand in acme/dev.")
    do.press("acme")
    assert _channels(do, file) == {"main", "dev"}


@act("registry:files-remove", at=_LIST, may=_MAY_REMOVE, asked=_ALL)
def take_chosen_files_out_of_a_channel(do: Doing) -> None:
    file = do.realm.package(do.name)
    _chosen(do, "Remove", file, from_="main")
    do.press("acme")
    assert _channels(do, file) == set()


@act("registry:files-delete", at=_LIST, may=_MAY_DELETE, asked=_ALL)
def delete_chosen_files(do: Doing) -> None:
    file = do.realm.package(do.name)
    _chosen(do, "Delete", file)
    do.press("acme", typed=file.name)
    assert not _is_there(do, file)


# Nobody has the key of an offer to somebody else, and whoever has none is led away.
@act("registry:files-undo", at=_LIST, may=_MAY_DELETE, refused_with=302)
def take_back_a_deletion(do: Doing) -> None:
    file = do.realm.package(do.name)
    _chosen(do, "Delete", file)
    do.press("acme", typed=file.name, view="registry:files-delete")
    do.settled(do.page.get_by_role("button", name="Undo"))
    do.told("Undone for 1 file.")
    assert _is_there(do, file)


# --- The bin -----------------------------------------------------------------------------------


def _deleted(do: Doing) -> PackageFile:
    file = do.realm.package(do.name)
    placement.delete_file(by=do.realm.olga.identity, file=file)
    return file


# The bin is for admins. Whoever may write is offered to take a deletion back right after it.
@act(
    "registry:files-restore",
    at=_BIN,
    may=_MAY_USE_THE_BIN,
    elsewhere=frozenset({"maria"}),
    sent={"file": "{binned}"},
)
def restore_a_file(do: Doing) -> None:
    file = _deleted(do)
    do.start()
    do.settled(do.page.get_by_role("button", name=f"Restore {file.filename}"))
    assert _channels(do, file) == {"main"}


@act("registry:bin-delete", at=_BIN, may=_MAY_USE_THE_BIN)
def delete_a_file_for_good(do: Doing) -> None:
    file = _deleted(do)
    do.start()
    do.press("acme", file.pk, typed=file.filename)
    assert file.filename not in str(do.api("/accounts/acme/bin"))


@act("registry:bin-empty", at=_BIN, may=_MAY_USE_THE_BIN)
def empty_the_bin(do: Doing) -> None:
    _deleted(do)
    do.start()
    do.press("acme", typed="acme")
    assert do.api("/accounts/acme/bin")["results"] == []


@act(
    "registry:storage-unlisted",
    at="/{account}/settings/storage/unlisted",
    may=by_api("GET", "/storage/unlisted"),
)
def delete_what_stands_in_no_channel(do: Doing) -> None:
    file = do.realm.package(do.name)
    main = Channel.objects.select_related("account").get(account=do.realm.account, name="main")
    placement.remove_from_channel(by=do.realm.olga.identity, file=file, channel=main)
    do.start()
    do.press("acme", typed="acme")
    assert not _is_there(do, file)
