"""``condarium demo`` fills an empty host with something to look at."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import Membership
from registry.models import Channel, PackageFile

# The index is written outside of the transaction that a test would be.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(settings: Settings) -> str:
    """What the command prints."""
    settings.SECRET_KEY_GIVEN = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    output = io.StringIO()
    call_command("demo", stdout=output)
    return output.getvalue()


def repodata(url: str) -> dict[str, Any]:
    response = Client().get(url)
    assert response.status_code == 200
    content: dict[str, Any] = json.loads(b"".join(response))
    return content


def test_there_are_a_dozen_packages_in_both_formats(told: str) -> None:
    names = PackageFile.objects.values_list("filename", flat=True)

    assert len(names) >= 12
    assert {name.rpartition("-")[2].partition(".")[2] for name in names} == {"conda", "tar.bz2"}
    subdirs = set(PackageFile.objects.values_list("subdir", flat=True))
    assert subdirs == {"noarch", "linux-64", "osx-arm64", "win-64"}


def test_clients_can_install_at_once(told: str) -> None:
    linux = repodata("/conda/neutrons/linux-64/repodata.json")
    noarch = repodata("/conda/neutrons/noarch/repodata.json")

    assert "diffraction-3.1.0-h77c2_0.conda" in linux["packages.conda"]
    assert "reflectometry-1.2.0-h91ab_1.tar.bz2" in linux["packages"]
    assert "tof-units-1.1.0-0.conda" in noarch["packages.conda"]


def test_nothing_was_found_odd_in_the_packages(told: str) -> None:
    assert not [file for file in PackageFile.objects.all() if file.findings]


def test_the_private_channel_opens_with_the_token_that_was_printed(told: str) -> None:
    url = re.search(r"\S+/conda/t/cph-\w+/neutrons/label/internal", told)
    assert url is not None
    path = url[0].partition("//")[2].partition("/")[2]

    assert Client().get("/conda/neutrons/label/internal/noarch/repodata.json").status_code == 404
    assert "detector-calibration" in json.dumps(repodata(f"/{path}/noarch/repodata.json"))


def test_the_upload_that_it_suggests_works(told: str) -> None:
    command = re.search(
        r'curl \S+ -T (\S+) -H "Authorization: (Bearer \S+)" \S+?//[^/]+(\S+)', told
    )
    assert command is not None
    sample = Path(command[1])

    answer = Client(HTTP_AUTHORIZATION=command[2]).put(
        command[3] + sample.name, sample.read_bytes(), content_type="application/octet-stream"
    )

    assert answer.status_code == 201


def test_people_sign_in_with_the_passwords_that_were_printed(told: str) -> None:
    for name, role, password in re.findall(
        r"^  (\w+) +(owner|admin|member) +(\S+)$", told, re.MULTILINE
    ):
        assert Client().login(username=name, password=password)
        assert Membership.objects.get(user__username=name).role == role
    assert Membership.objects.count() == 4


def test_each_of_them_has_another_password(told: str) -> None:
    assert len(set(re.findall(r"(?:owner|admin|member) +(\S{16})$", told, re.MULTILINE))) == 4


def test_there_are_public_and_private_channels(told: str) -> None:
    assert dict(Channel.objects.values_list("name", "visibility")) == {
        "main": "public",
        "dev": "public",
        "internal": "private",
    }


def test_a_second_time_it_refuses_with_one_line(told: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("demo", stdout=io.StringIO())

    assert "neutrons exists already" in str(refused.value)
    assert "\n" not in str(refused.value)
