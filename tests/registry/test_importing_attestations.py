"""``condarium import`` takes attestations along, each verified as if it were uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from accounts.models import Organization
from registry.conda.attestation import MAX_SIDECAR_BYTES, sidecar
from registry.models import Attestation, PackageFile
from tests.builders import BuiltPackage
from tests.conda_client import ChannelAddress, get, subdir_of
from tests.registry.sources import GOOD, HELLO, NEWER, OLD_KIND, Site, folder_of, run, serving
from tests.sigstore_world import Sigstore, statement

MAIN = f"{django_settings.BASE_URL}/conda/acme"
ALL_IN = "3 published, 0 added to the channel, 0 were there, 0 conflicts, 0 refused"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(Site(tmp_path / "site")) as served:
        served.folder.mkdir()
        yield served


def attach(folder: Path, built: BuiltPackage, data: bytes, *, flat: bool = False) -> None:
    place = folder if flat else folder / subdir_of(built)
    (place / f"{built.filename}.sigs").write_bytes(data)


def read(built: BuiltPackage) -> bytes | None:
    """What clients are given as the attestations of a file."""
    answer = get(ChannelAddress("acme").url(f"{subdir_of(built)}/{built.filename}.sigs"))
    return answer.body if answer.status_code == 200 else None


@pytest.mark.parametrize("flat", [False, True])
def test_what_lies_beside_a_file_of_a_folder_comes_along(
    flat: bool, acme: Organization, sigstore: Sigstore, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD, flat=flat)
    both = sidecar([sigstore.sign(statement(HELLO)), sigstore.sign(statement(HELLO, MAIN))])
    attach(source, HELLO, both, flat=flat)
    attach(source, OLD_KIND, sidecar([sigstore.sign(statement(OLD_KIND))]), flat=flat)
    (source / "nobody-1.0-0.conda.sigs").write_bytes(both)

    done = run(str(source), "acme")

    assert done.code == 0, done.err
    assert ALL_IN in done.out
    assert "3 attestations came along, 0 were not taken." in done.out
    assert read(HELLO) == both
    assert read(NEWER) is None
    again = run(str(source), "acme")
    assert again.code == 0
    assert "attestations" not in again.out
    # One that came later is taken though its file is there.
    attach(source, NEWER, sidecar([sigstore.sign(statement(NEWER))]), flat=flat)
    assert "1 attestation came along, 0 were not taken." in run(str(source), "acme").out
    assert read(NEWER) is not None


def test_what_does_not_hold_is_told_and_stops_no_file(
    acme: Organization, sigstore: Sigstore, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "source", *GOOD)
    good = sigstore.sign(statement(HELLO))
    elsewhere = sigstore.sign(statement(HELLO, "https://elsewhere.example.org/name"))
    attach(source, HELLO, sidecar([elsewhere, sigstore.sign(statement(NEWER)), good]))
    attach(source, NEWER, b"[" * 10_000)
    attach(source, OLD_KIND, b" " * MAX_SIDECAR_BYTES + b"[]")

    done = run(str(source), "acme")

    assert done.code == 1
    assert ALL_IN in done.out
    assert "1 attestation came along, 4 were not taken." in done.out
    assert read(HELLO) == sidecar([good])
    assert Attestation.objects.count() == 1
    hello = f"noarch/{HELLO.filename}.sigs: The attestation is "
    for words in (
        f"{hello}for the channel 'https://elsewhere.example.org/name'",
        f"{hello}about '{NEWER.filename}', and the file is '{HELLO.filename}'",
        f"noarch/{NEWER.filename}.sigs: The attestations are no JSON array",
        f"linux-64/{OLD_KIND.filename}.sigs: The attestations have more than {MAX_SIDECAR_BYTES}",
    ):
        assert words in done.err


def test_a_refused_file_has_none(acme: Organization, sigstore: Sigstore, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", HELLO)
    (source / "noarch" / HELLO.filename).write_bytes(b"no archive")
    attach(source, HELLO, sidecar([sigstore.sign(statement(HELLO))]))

    done = run(str(source), "acme")

    assert done.code == 1
    assert "1 refused" in done.out
    assert "attestations" not in done.out
    assert not PackageFile.objects.exists()


def test_those_that_an_index_names_are_mirrored(
    acme: Organization, sigstore: Sigstore, site: Site
) -> None:
    site.publish(*GOOD)
    # Signed for the channel that is read, and one for another.
    theirs = sigstore.sign(statement(HELLO, site.url))
    attach(site.folder, HELLO, sidecar([theirs, sigstore.sign(statement(HELLO, MAIN + "/x"))]))
    attach(site.folder, OLD_KIND, sidecar([sigstore.sign(statement(OLD_KIND))]))
    records = {built.filename: record_of(built) for built in (HELLO, NEWER)}
    for record in records.values():
        record["attestations_sha256"] = "0" * 64
    site.write("noarch", records)

    done = run(site.url, "acme")

    assert done.code == 1
    assert ALL_IN in done.out
    assert "1 attestation came along, 2 were not taken." in done.out
    assert f"noarch/{NEWER.filename}.sigs: It could not be fetched: the answer was 404." in done.err
    assert read(HELLO) == sidecar([theirs])
    # Nobody is asked of each file whether it has some.
    asked = [path for path, _ in site.asked if path.endswith(".sigs")]
    assert sorted(asked) == sorted(f"/noarch/{b.filename}.sigs" for b in (HELLO, NEWER))


def record_of(built: BuiltPackage) -> dict[str, object]:
    return {"sha256": built.sha256, "size": built.size}
