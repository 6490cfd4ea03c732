"""The commands that pages show: how to get a package, how to use a channel."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext

from accounts.identity import Identity
from registry.models import Channel
from registry.models.channel import MAIN

_TOKEN = "TOKEN"  # noqa: S105 - where the reader's own goes
_PLAIN = re.compile(r"[A-Za-z0-9._+=-]+")


def channel_path(account_name: str, channel_name: str) -> str:
    label = "" if channel_name == MAIN else f"/label/{quote(channel_name, safe='/:')}"
    return f"/{quote(account_name)}{label}"


def channel_url(channel: Channel, *, needs_token: bool = False) -> str:
    """The address that clients are given; a secret goes where ``TOKEN`` stands."""
    token = f"/t/{_TOKEN}" if needs_token else ""
    return f"{settings.BASE_URL}/conda{token}{channel_path(channel.account.name, channel.name)}"


def download_url(channel: Channel, subdir: str, filename: str) -> str:
    """Where a browser fetches a file; who is signed in needs no token there."""
    place = channel_path(channel.account.name, channel.name)
    return f"/conda{place}/{quote(subdir)}/{quote(filename)}"


def _word(text: str) -> str:
    """As a shell takes it: '!' in a version would repeat an old command."""
    return text if _PLAIN.fullmatch(text) else f"'{text}'"


def _token_note(identity: Identity) -> dict[str, str]:
    note = {
        "note": gettext("It is private: put a token that may download in place of %(token)s.")
        % {"token": _TOKEN}
    }
    if identity.user is not None:
        url = reverse("accounts:access", args=[identity.user.username])
        note |= {"url": url, "link": gettext("Make a token")}
    return note


def install_variants(
    identity: Identity,
    channel: Channel,
    name: str,
    version: str = "",
    build: str = "",
    *,
    is_private: bool = False,
) -> list[dict[str, Any]]:
    """How to install a package from ``channel``, pinned as far as it is named."""
    needs_token = is_private or channel.is_private
    url = channel_url(channel, needs_token=needs_token)
    spec = "=".join(part for part in (name, version, build) if part)
    note = _token_note(identity) if needs_token else {}
    return [
        {"label": "conda", "command": f"conda install -c {url} {_word(spec)}", **note},
        {"label": "mamba", "command": f"mamba install -c {url} {_word(spec)}", **note},
        {
            "label": "pixi",
            "command": f"pixi workspace channel add {url}\npixi add {_word(_pixi(spec))}",
            "caption": gettext("In the folder of a workspace"),
            **note,
        },
        {
            "label": "environment.yml",
            "command": f"channels:\n  - {url}\ndependencies:\n  - {spec}",
            "caption": gettext("In environment.yml"),
            **note,
        },
    ]


def _pixi(spec: str) -> str:
    name, _, rest = spec.partition("=")
    return f"{name}=={rest}" if rest else name


def channel_variants(
    identity: Identity, channel: Channel, *, needs_token: bool = False
) -> list[dict[str, Any]]:
    """How to make clients look into ``channel``."""
    needs_token = needs_token or channel.is_private
    url = channel_url(channel, needs_token=needs_token)
    note = _token_note(identity) if needs_token else {}
    return [
        {"label": "conda", "command": f"conda config --add channels {url}", **note},
        {"label": "mamba", "command": f"mamba config prepend channels {url}", **note},
        {
            "label": "pixi",
            "command": f"pixi workspace channel add {url}",
            "caption": gettext("In the folder of a workspace"),
            **note,
        },
        {
            "label": ".condarc",
            "command": f"channels:\n  - {url}",
            "caption": gettext("In .condarc, for conda and mamba"),
            **note,
        },
        {
            "label": "pixi.toml",
            "command": f'[workspace]\nchannels = ["{url}"]',
            "caption": gettext("In pixi.toml, before other channels"),
            **note,
        },
        {
            "label": "environment.yml",
            "command": f"channels:\n  - {url}",
            "caption": gettext("In environment.yml"),
            **note,
        },
    ]
