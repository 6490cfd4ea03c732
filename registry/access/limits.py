"""What tokens are limited to: some channels, or some packages."""

from __future__ import annotations

import fnmatch

from accounts.identity import Identity
from portal.errors import Forbidden
from portal.sentences import gettext


def within_channel_limit(identity: Identity, channel_name: str) -> bool:
    limits = identity.token.channels if identity.token else []
    return not limits or channel_name in limits


def within_package_limit(identity: Identity, package_name: str) -> bool:
    patterns = identity.token.packages if identity.token else []
    return not patterns or any(fnmatch.fnmatchcase(package_name, p) for p in patterns)


def require_within_limits(identity: Identity, channel: str | None, package: str | None) -> None:
    token = identity.token
    if token is None:
        return
    if channel is not None and not within_channel_limit(identity, channel):
        raise Forbidden(
            gettext(
                "This token is limited to the channels %(channels)s; this is %(channel)s. "
                "Use another token."
            )
            % {"channels": ", ".join(token.channels), "channel": channel}
        )
    if package is not None and not within_package_limit(identity, package):
        raise Forbidden(
            gettext(
                "This token is limited to the packages %(packages)s; the file is "
                "%(package)s. Use another token."
            )
            % {"packages": ", ".join(token.packages), "package": package}
        )


def refuse_package_limits(identity: Identity) -> None:
    token = identity.token
    if token is not None and token.packages:
        raise Forbidden(
            gettext(
                "This token is limited to the packages %(packages)s, and a channel concerns "
                "all that stand in it. Use another token."
            )
            % {"packages": ", ".join(token.packages)}
        )
