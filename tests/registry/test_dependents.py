"""Who needs whom: what is noted of channels, and who may know of it."""

from __future__ import annotations

import pytest

from accounts.identity import Identity
from accounts.models import Organization
from registry import collaboration, dependents, indexing, placement
from registry.conda.current import constraint, exact_version
from registry.conda.version import sort_key
from registry.models import Channel, Dependency, Package, PackageFile
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, run_pending_tasks

NOBODY = Identity()


def publish(by: Person, channel: ChannelAddress, name: str, version: str, *needs: str) -> None:
    built = build_conda(name, version, depends=needs)
    assert by.upload(built, to=channel).status_code == 201
    run_pending_tasks()


def package(name: str) -> Package:
    return Package.objects.select_related("account").get(name=name)


def who_needs(name: str, viewer: Identity = NOBODY) -> dict[str, tuple[str, ...]]:
    found = dependents.dependents_of(viewer, package(name))
    assert dependents.count_dependents(viewer, package(name)).number == len(found)
    return {one.name: one.constraints for one in found}


def test_the_newest_version_says_what_a_package_needs(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, "xz", "5.6.3")
    publish(owner, channel, "tool", "1.0", "xz >=5", "zlib")
    publish(owner, channel, "other", "1.0", "zlib 1.3.*")
    assert who_needs("xz") == {"tool": (">=5",)}

    publish(owner, channel, "tool", "2.0", "zlib")
    assert who_needs("xz") == {}
    placement.delete_file(by=owner.identity, file=PackageFile.objects.get(version="2.0"))
    run_pending_tasks()
    assert who_needs("xz") == {"tool": (">=5",)}

    Dependency.objects.all().delete()
    indexing.mark_everything(Channel.objects.all())
    run_pending_tasks()
    assert who_needs("xz") == {"tool": (">=5",)}


def test_what_a_viewer_may_not_know_of_needs_nothing(
    owner: Person, reader: Person, stranger: Person, channel: ChannelAddress,
    private_channel: ChannelAddress,
) -> None:  # fmt: skip
    publish(owner, channel, "xz", "5.6.3")
    publish(owner, channel, "shown", "1.0", "xz >=5")
    publish(owner, private_channel, "shown", "2.0", "xz >=6", "secret-name")
    publish(owner, private_channel, "buried", "1.0", "xz 5.6.3")
    publish(owner, channel, "hidden", "1.0", "xz 5.6.3")
    collaboration.set_privacy(by=owner.identity, package=package("hidden"), is_private=True)

    for nobody in (NOBODY, stranger.identity):
        assert who_needs("xz", nobody) == {"shown": (">=5",)}
        assert dependents.exact_dependents_of(nobody, package("xz"), "5.6.3").names == []
        needed = dependents.dependencies_of(nobody, package("shown"))
        assert [one.name for one in needed] == ["xz"]
    assert who_needs("xz", reader.identity) == {
        "shown": (">=5", ">=6"), "buried": ("5.6.3",), "hidden": ("5.6.3",)
    }  # fmt: skip
    exact = dependents.exact_dependents_of(reader.identity, package("xz"), "5.6.3")
    assert (exact.names, exact.is_all) == (["buried", "hidden"], True)


def test_what_left_a_channel_needs_nothing_there(
    owner: Person, acme: Organization, channel: ChannelAddress
) -> None:
    publish(owner, channel, "xz", "5.6.3")
    publish(owner, channel, "tool", "1.0", "xz")
    file = PackageFile.objects.get(name="tool")
    placement.remove_from_channel(by=owner.identity, file=file, channel=file.entries.get().channel)
    run_pending_tasks()
    assert who_needs("xz") == {}
    assert who_needs("xz", owner.identity) == {}


def test_what_a_package_needs_is_looked_up_in_this_host(
    owner: Person, channel: ChannelAddress
) -> None:
    for version in ("1.2", "1.3", "2.0"):
        publish(owner, channel, "zlib", version)
    publish(owner, channel, "tool", "1.0", "zlib >=1.2,<2.0a0", "elsewhere", "__glibc >=2.17")

    needed = dependents.dependencies_of(NOBODY, package("tool"))

    assert [(one.name, one.constraints, one.newest, one.is_virtual) for one in needed] == [
        ("__glibc", (">=2.17",), "", True),
        ("elsewhere", (), "", False),
        ("zlib", (">=1.2,<2.0a0",), "1.3", False),
    ]
    assert needed[2].package == package("zlib")


def test_the_files_that_need_exactly_one_version_are_found(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, "lib", "1.0")
    publish(owner, channel, "lib", "1.0.1")
    publish(owner, channel, "pinned", "1.0", "lib 1.0 0")
    publish(owner, channel, "pinned", "2.0", "lib >=1.0")
    publish(owner, channel, "loose", "1.0", "lib =1.0")
    publish(owner, channel, "newer", "1.0", "lib ==1.0.1")

    exact = dependents.exact_dependents_of(owner.identity, package("lib"), "1.0")

    assert [file.filename for file in exact.files] == ["pinned-1.0-0.conda"]


@pytest.mark.parametrize(
    ("spec", "exact", "asked"),
    [
        ("xz", None, ""),
        ("xz 5.6", "5.6", "5.6"),
        ("xz 5.6 h0_1", "5.6", "5.6 h0_1"),
        ("xz ==5.6", "5.6", "==5.6"),
        ("xz=5.6=h0", "5.6", "=5.6=h0"),
        ("xz=5.6", None, "=5.6"),
        ("xz 5.6.*", None, "5.6.*"),
        ("xz >=5.6,<6", None, ">=5.6,<6"),
        ("xz 5.6|5.7", None, "5.6|5.7"),
        ('xz[version="==5.6",build="h0"]', "5.6", '[version="==5.6",build="h0"]'),
        ('xz[version=">=5.6"]', None, '[version=">=5.6"]'),
        ("conda-forge::xz 5.6", "5.6", "5.6"),
        ("xz ?!", None, "?!"),
    ],
)
def test_specs_are_read(spec: str, exact: str | None, asked: str) -> None:
    assert exact_version(spec) == (sort_key(exact) if exact else None)
    assert constraint(spec) == asked
