"""What ``current_repodata.json`` lists, after one publish after the other."""

from __future__ import annotations

import json

import pytest

from accounts.models import Organization
from registry import collaboration, indexing, patching, placement
from registry.models import Channel, CurrentVersion, Package, PackageFile, StaleMark
from tests.builders import build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks


def current(channel: ChannelAddress, *, by: Person | None = None) -> list[str]:
    """The dists that are listed, as they are now and as they would be if all were made anew."""
    url = channel.url("noarch/current_repodata.json")
    token = by.token("conda:download").secret if by else None
    run_pending_tasks()
    found = json.loads(get(url, token=token).body)
    indexing.mark_everything(Channel.objects.all())
    run_pending_tasks()
    assert json.loads(get(url, token=token).body) == found
    return sorted(
        filename.removesuffix(".conda").removesuffix("-0")
        for part in ("packages", "packages.conda")
        for filename in found[part]
    )


def publish(owner: Person, channel: ChannelAddress, *dists: str, **depends: list[str]) -> None:
    """Publish ``name-version`` each; what it depends on is given for ``name_version``."""
    for dist in dists:
        name, version = dist.split("-")
        specs = depends.get(dist.replace("-", "_").replace(".", "_"), [])
        answer = owner.upload(build_conda(name, version, depends=specs), to=channel)
        assert answer.status_code == 201
        run_pending_tasks()


def test_a_pin_keeps_an_older_version_as_long_as_it_is_there(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, "lib-1", "lib-2", "app-1", app_1=["lib <2"])
    assert current(channel) == ["app-1", "lib-1", "lib-2"]
    publish(owner, channel, "app-2", app_2=["lib >=2"])
    assert current(channel) == ["app-2", "lib-2"]


def test_a_new_version_of_what_is_asked_for_is_looked_at(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, "app-1", "lib-1", app_1=["lib <2", "lib-extra"])
    publish(owner, channel, "lib-3")
    assert current(channel) == ["app-1", "lib-1", "lib-3"]
    publish(owner, channel, "lib-1.5")
    assert current(channel) == ["app-1", "lib-1.5", "lib-3"]
    file = PackageFile.objects.get(name="lib", version="1.5")
    placement.delete_file(by=owner.identity, file=file)
    assert current(channel) == ["app-1", "lib-1", "lib-3"]


def test_pins_of_what_a_pin_keeps_are_followed(owner: Person, channel: ChannelAddress) -> None:
    publish(owner, channel, "a-1", "a-2", "b-1", "b-2", "c-1", "c-2", a_1=["c 1"], b_1=["a 1"])
    assert current(channel) == ["a-2", "b-2", "c-2"]
    publish(owner, channel, "d-1", d_1=["b 1", "elsewhere 1"])
    assert current(channel) == ["a-1", "a-2", "b-1", "b-2", "c-1", "c-2", "d-1"]


def test_old_versions_that_only_need_each_other_are_not_listed(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, "a-1", "a-2", "b-1", "b-2", a_1=["b 1"], b_1=["a 1"])
    assert current(channel) == ["a-2", "b-2"]
    publish(owner, channel, "c-1", c_1=["a 1"])
    assert current(channel) == ["a-1", "a-2", "b-1", "b-2", "c-1"]
    publish(owner, channel, "c-2")
    assert current(channel) == ["a-2", "b-2", "c-2"]
    assert not CurrentVersion.objects.filter(is_newest=False).exists()


def test_all_files_of_a_version_are_listed_however_it_is_spelled(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, "lib-0.9", "lib-1.0", "lib-1.0.0")
    owner.upload(build_tar_bz2("lib", "1.0"), to=channel)
    run_pending_tasks()
    assert current(channel) == ["lib-1.0", "lib-1.0-0.tar.bz2", "lib-1.0.0"]


def test_a_patch_of_what_a_file_depends_on_counts(owner: Person, channel: ChannelAddress) -> None:
    publish(owner, channel, "lib-1", "lib-2", "app-1", app_1=["lib"])
    assert current(channel) == ["app-1", "lib-2"]
    file = PackageFile.objects.select_related("account", "package").get(name="app")
    patching.edit_record(
        by=owner.identity, channel=channel.row, file=file, depends=["lib <2"], constrains=None
    )
    assert current(channel) == ["app-1", "lib-1", "lib-2"]


@pytest.mark.django_db(transaction=True)  # an index is read in a transaction of its own
def test_what_only_a_private_package_needs_is_listed_to_members_only(
    owner: Person, acme: Organization, channel: ChannelAddress
) -> None:
    publish(owner, channel, "lib-1", "lib-2", "app-1", app_1=["lib <2"])
    package = Package.objects.get(name="app")
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)
    assert current(channel) == ["lib-2"]
    assert current(channel, by=owner) == ["app-1", "lib-1", "lib-2"]
    collaboration.set_privacy(by=owner.identity, package=package, is_private=False)
    assert current(channel) == ["app-1", "lib-1", "lib-2"]


def test_very_many_changes_at_once_reach_what_they_lead_to(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(owner, channel, "lib-1", "lib-2", "app-1", app_1=["lib <2"])
    monkeypatch.setattr("registry.current._NAMES", 1)
    for name in ("app", "other"):
        owner.upload(build_conda(name, "2"), to=channel)
    assert current(channel) == ["app-2", "lib-2", "other-2"]


@pytest.mark.parametrize("step", ["noted", "written"])
def test_what_was_begun_and_not_ended_is_done_again(
    step: str, owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(owner, channel, "lib-1", "lib-2", "app-1", app_1=["lib <2"])

    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        target = "write_summaries" if step == "noted" else "write_document"
        broken.setattr(f"registry.summaries.{target}", fail)
        owner.upload(build_conda("app", "2"), to=channel)
        indexing.bring_up_to_date_for_clients(channel.row.pk, "noarch")
        with pytest.raises(OSError, match="disk"):
            indexing.publish_summaries(channel.row.pk, "noarch")
        assert StaleMark.objects.filter(package_name="lib").exists(), "lib-1 goes with app-1"
    run_pending_tasks()
    assert current(channel) == ["app-2", "lib-2"]
