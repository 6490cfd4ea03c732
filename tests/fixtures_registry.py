"""Channels for the cast to publish to and install from."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from accounts.models import Organization
from registry import channels, downloads, publishing
from registry.models import Channel
from tests.cast import Person
from tests.conda_client import ChannelAddress


@pytest.fixture(autouse=True)
def downloads_are_written_when_asked_to(settings: Settings) -> None:
    settings.DOWNLOADS_FLUSH_SECONDS = 0
    downloads.forget()


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
