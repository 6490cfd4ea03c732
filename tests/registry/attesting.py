"""A package file, and giving it attestations as clients do."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.test import Client

from registry.models import PackageFile
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get
from tests.registry.dialects.prefix.test_upload import Part, encoded, file_part, post

HELLO = build_conda("hello", "1.0", depends=["python"])
OTHER = build_conda("hello", "1.0", depends=["python"], files={"x": "other"})
PLACE = f"noarch/{HELLO.filename}"
API = f"/api/v1/accounts/acme/files/{PLACE}/attestations"
MAIN = f"{django_settings.BASE_URL}/conda/acme"


def the_file(account: str = "acme") -> PackageFile:
    return PackageFile.objects.select_related("account", "package").get(account__name=account)


def upload(
    person: Person, bundle: bytes | None, *, built: BuiltPackage = HELLO, path: str = "acme"
) -> Answer:
    """As rattler-build does it; the attestation comes behind the file."""
    parts = [file_part(built.data, filename=built.filename, sha256=built.sha256)]
    if bundle is not None:
        parts.append(Part("attestation", bundle))
    return post(path, encoded(*parts), token=person.token().secret)


def attach(person: Person, bundle: bytes, url: str = API) -> Answer:
    return Client(headers={"Authorization": f"Bearer {person.token().secret}"}).post(
        url, bundle, content_type="application/json"
    )


def sidecar(channel: ChannelAddress, digest: str = "", **how: Any) -> Answer:
    return get(channel.url(f"{PLACE}.sigs{'.' if digest else ''}{digest}"), **how)
