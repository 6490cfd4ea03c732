"""What a token may be limited to, in anaconda.org's words.

A scope names a set of `Ability` values; what a token may do is the union over its scopes, cut
by what its owner may do at that moment.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy, gettext_noop


class Ability(enum.Enum):
    """A kind of act, as coarse as scopes can tell acts apart."""

    READ = gettext_noop("read what you can read")
    WRITE = gettext_noop("upload, move, remove and delete files, and edit packages and channels")
    MODIFY_GROUPS = gettext_noop("change groups, members and collaborators")
    MANAGE_TOKENS = gettext_noop("make and revoke tokens")
    ADMINISTER = gettext_noop("delete, rename and transfer")
    DOWNLOAD = gettext_noop("download private packages")
    CHANNEL_UPLOAD = gettext_noop("upload through channel addresses")


class Scope(models.TextChoices):
    """The scopes that can be given, with the sentence that pages show."""

    API_READ = (
        "api:read",
        gettext_lazy("Read what you can read: packages, files, members, settings"),
    )
    API_WRITE = (
        "api:write",
        gettext_lazy("Upload, move, remove and delete files; edit packages and channels"),
    )
    API_MODIFY_GROUP = "api:modify-group", gettext_lazy("Change groups, members and collaborators")
    API = "api", gettext_lazy("Everything the API offers, as you")
    CONDA_DOWNLOAD = (
        "conda:download",
        gettext_lazy("Download private packages (conda, mamba, pixi)"),
    )
    CONDA = (
        "conda",
        gettext_lazy("Download private packages and upload new ones through channel addresses"),
    )
    REPOS = "repos", gettext_lazy("Use all channel addresses, of every kind of package")
    ALL = "all", gettext_lazy("Everything you can do, including deleting")


_API = {Ability.READ, Ability.WRITE, Ability.MODIFY_GROUPS, Ability.MANAGE_TOKENS}
_CHANNELS = {Ability.DOWNLOAD, Ability.CHANNEL_UPLOAD}
_ABILITIES: dict[Scope, frozenset[Ability]] = {
    # Reading over the API includes the bytes: a CI that checks what it uploaded needs no more.
    Scope.API_READ: frozenset({Ability.READ, Ability.DOWNLOAD}),
    Scope.API_WRITE: frozenset({Ability.WRITE, Ability.CHANNEL_UPLOAD}),
    Scope.API_MODIFY_GROUP: frozenset({Ability.MODIFY_GROUPS}),
    Scope.API: frozenset(_API | _CHANNELS),
    Scope.CONDA_DOWNLOAD: frozenset({Ability.DOWNLOAD}),
    Scope.CONDA: frozenset(_CHANNELS),
    Scope.REPOS: frozenset(_CHANNELS),
    Scope.ALL: frozenset(Ability),
}


def abilities(scopes: Iterable[str]) -> frozenset[Ability]:
    """What tokens with these scopes may be used for; unknown scopes give nothing."""
    return frozenset().union(*(_ABILITIES[Scope(s)] for s in scopes if s in Scope.values))


def scopes_giving(ability: Ability) -> list[str]:
    """The scopes that would have been enough, the narrowest first."""
    giving = [scope for scope, given in _ABILITIES.items() if ability in given]
    return [scope.value for scope in sorted(giving, key=lambda scope: len(_ABILITIES[scope]))]
