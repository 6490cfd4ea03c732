"""Channels for the cast to publish to and install from."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.config import Config
from pytest_django import Settings

from accounts.models import Organization
from registry import channels, downloads, faults, publishing, storage
from registry.models import Channel
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.servers import S3Server
from tests.sigstore_world import Sigstore


@pytest.fixture(autouse=True)
def downloads_are_written_when_asked_to(settings: Settings) -> None:
    settings.COUNTS_FLUSH_SECONDS = 0
    downloads.forget()
    faults.forget()


@pytest.fixture
def channel(acme: Organization, owner: Person) -> ChannelAddress:
    """The public main channel of acme."""
    publishing.ensure_channel(by=owner.identity, account=acme.account, name="main")
    return ChannelAddress("acme")


@pytest.fixture
def private_channel(acme: Organization, owner: Person) -> ChannelAddress:
    """A private channel of acme, named secret."""
    channels.create_channel(
        by=owner.identity,
        account=acme.account,
        name="secret",
        visibility=Channel.Visibility.PRIVATE,
    )
    return ChannelAddress("acme", "secret")


@pytest.fixture(scope="session")
def sigstore_and_root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sigstore, Path]:
    sigstore = Sigstore()
    path = tmp_path_factory.mktemp("sigstore") / "trusted_root.json"
    path.write_text(sigstore.trusted_root)
    return sigstore, path


@pytest.fixture
def sigstore(sigstore_and_root: tuple[Sigstore, Path], settings: Settings) -> Sigstore:
    """A Sigstore that attestations are verified against."""
    settings.SIGSTORE_TRUSTED_ROOT = str(sigstore_and_root[1])
    return sigstore_and_root[0]


@pytest.fixture
def in_s3(s3: S3Server, settings: Settings) -> None:
    """Files lie in an S3 that checks signatures."""
    options = {
        "bucket_name": s3.bucket,
        "endpoint_url": s3.endpoint,
        "region_name": "us-east-1",
        "access_key": s3.access_key,
        "secret_key": s3.secret_key,
        "client_config": Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    }
    settings.S3_BUCKET = s3.bucket
    settings.S3_OPTIONS = options
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options},
    }
    storage._signing_client.cache_clear()
    storage._store.cache_clear()
