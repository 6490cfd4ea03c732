"""The bin over the REST API: what is listed, what comes back, what goes for good."""

from __future__ import annotations

from django.test import Client

from registry import placement
from registry.models import Binned, PackageFile
from tests.cast import Person
from tests.conda_client import ChannelAddress, run_pending_tasks
from tests.registry.api.world import World

BIN = "/api/v1/accounts/acme/bin"
FILE = f"{BIN}/noarch/hello-1.0-0.conda"


def deleted(owner: Person) -> Client:
    """A program of theirs, after the file was deleted."""
    file = PackageFile.objects.select_related("account", "package").get(
        filename="hello-1.0-0.conda"
    )
    placement.delete_files(by=owner.identity, files=[file], because={"reason": "broken"})
    return Client(headers={"Authorization": f"Bearer {owner.token('all').secret}"})


def test_a_deleted_file_is_listed_and_comes_back(world: World) -> None:
    owner = world.owner
    program = deleted(owner)
    [row] = program.get(BIN).json()["results"]
    assert (row["filename"], row["deleted_by"], row["reason"]) == (
        "hello-1.0-0.conda",
        owner.name,
        "broken",
    )
    answer = program.post(f"{FILE}/restore")
    assert answer.status_code == 200
    assert answer.json() == {
        "subdir": "noarch",
        "filename": "hello-1.0-0.conda",
        "channels": ["main"],
        "left_out": [],
    }
    run_pending_tasks()
    listed = owner.repodata(ChannelAddress("acme"), "noarch")["packages.conda"]
    assert "hello-1.0-0.conda" in listed
    assert program.post(f"{FILE}/restore").status_code == 404


def test_a_deleted_file_goes_for_good(world: World) -> None:
    program = deleted(world.owner)
    assert program.delete(FILE).status_code == 204
    assert not Binned.objects.exists()
    assert program.delete(FILE).status_code == 404
