"""What a production host must not start with. `condarium check --deploy` says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from portal import env


def unsafe_settings() -> list[tuple[str, str]]:
    """Each unsafe thing as (id, sentence); empty when a production host may start."""
    found = []
    if not settings.PRODUCTION:
        return []
    if settings.DEBUG:
        found.append(("E001", "CONDARIUM_DEBUG is on. Production shows no tracebacks."))
    if not settings.SECURE:
        found.append(("E002", "CONDARIUM_URL must begin with https:// in production."))
    if not settings.SECRET_KEY_GIVEN:
        found.append(("E003", "CONDARIUM_SECRET_KEY is not set. Make one: openssl rand -base64 48"))
    elif len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5:
        found.append(("E004", "CONDARIUM_SECRET_KEY is too short: 50 characters at least."))
    if "*" in settings.ALLOWED_HOSTS or not settings.ALLOWED_HOSTS:
        found.append(("E005", "CONDARIUM_ALLOWED_HOSTS must name the hosts, not *."))
    if not settings.TRUSTED_PROXIES:
        found.append(
            (
                "E006",
                (
                    "CONDARIUM_TRUSTED_PROXIES must say how many proxies stand in front: one of "
                    "them ends TLS."
                ),
            )
        )
    return found


@register(Tags.security)
def production_is_safe(
    app_configs: Sequence[AppConfig] | None,
    **kwargs: Any,
) -> list[CheckMessage]:
    return [Error(sentence, id=f"condarium.{id_}") for id_, sentence in unsafe_settings()]


def refuse_unsafe_start() -> None:
    """End the start of a process in production mode with one line per unsafe setting."""
    found = unsafe_settings()
    if found:
        raise env.ConfigurationError("; ".join(sentence for _, sentence in found))
