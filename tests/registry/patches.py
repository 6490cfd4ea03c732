"""Patching a channel as an admin does, and looking at it as its clients do."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import zstandard

from registry import patching
from registry.models import PackageFile, Patch
from registry.patching import Effect
from tests.builders import BuiltPackage
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks

SUBDIR = "noarch"
HELLO = "hello-1.0-0.conda"
WORLD = "world-1.0-0.conda"
NEW_DEPENDS = {"packages.conda": {HELLO: {"depends": ["python >=3.10", "xz"]}}}


def publish(person: Person, channel: ChannelAddress, package: BuiltPackage) -> PackageFile:
    assert person.upload(package, to=channel).status_code == 201
    return PackageFile.objects.select_related("account", "package").get(
        account__name=channel.account, filename=package.filename
    )


def body(document: object) -> io.BytesIO:
    return io.BytesIO(json.dumps(document).encode())


def apply(person: Person, channel: ChannelAddress, document: object, **how: Any) -> Effect:
    made = patching.upload_instructions(
        by=person.identity, channel=channel.row, subdir=SUBDIR, body=body(document), **how
    )
    run_pending_tasks()
    return made.effect


def edit(person: Person, channel: ChannelAddress, file: PackageFile, **how: Any) -> Patch:
    made = patching.edit_record(by=person.identity, channel=channel.row, file=file, **how)
    run_pending_tasks()
    return made.patch


def undo(person: Person, patch: Patch | None = None) -> Effect:
    newest = patch or Patch.objects.filter(undone_at=None).latest("pk")
    made = patching.undo_patch(by=person.identity, patch=newest)
    run_pending_tasks()
    return made.effect


def index(channel: ChannelAddress, name: str = "repodata.json", subdir: str = SUBDIR) -> Any:
    run_pending_tasks()
    answer = get(channel.url(f"{subdir}/{name}"))
    assert answer.status_code == 200, name
    return json.loads(answer.body)


def records(channel: ChannelAddress, name: str = "repodata.json") -> dict[str, dict[str, Any]]:
    read = index(channel, name)
    return {**read["packages"], **read["packages.conda"]}


def depends(channel: ChannelAddress, filename: str = HELLO) -> list[str]:
    found: list[str] = records(channel)[filename]["depends"]
    return found


def shard(channel: ChannelAddress, name: str = "hello") -> dict[str, Any]:
    run_pending_tasks()
    answer = get(channel.url(f"{SUBDIR}/repodata_shards.msgpack.zst"))
    digest = msgspec.msgpack.decode(zstandard.decompress(answer.body))["shards"][name]
    packed = get(channel.url(f"{SUBDIR}/shards/{digest.hex()}.msgpack.zst")).body
    read: dict[str, Any] = msgspec.msgpack.decode(zstandard.decompress(packed))
    return read
