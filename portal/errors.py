"""Saying no, once for every face of the product.

An act raises a `Refusal`; the API words it as a problem document, a page as a notice, a dialect
as its clients expect it. None of them decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.utils import formats, timezone
from django.utils.translation import gettext, ngettext

# The other one asks for the settings, and the web server reads bodies without any.
from django.utils.translation.trans_null import gettext_noop

from portal.sentences import in_english


class Refusal(Exception):
    """One reason to say no.

    The message is a sentence for the person at the other end: what we got, what we wanted,
    what to do. It never holds a secret, a path of the server, or a library's own words.
    """

    slug = "refused"
    title = gettext_noop("Refused")
    status = 400

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})


NOT_HERE = gettext_noop("There is nothing here, or you may not see it.")


class NotFound(Refusal):
    """Missing, or not to be known of: the two are told apart by nobody."""

    slug = "not-found"
    title = gettext_noop("Not found")
    status = 404

    def __init__(self) -> None:
        super().__init__(in_english(NOT_HERE))


class Forbidden(Refusal):
    """Known to the one who asks, but not theirs to do.

    ``ask`` are names of people who can give the right, where the one who asks may know them;
    ``url`` and ``label`` are a page on which they can help themselves.
    """

    slug = "forbidden"
    title = gettext_noop("You may not do this")
    status = 403

    def __init__(
        self, detail: str = "", *, ask: Sequence[str] = (), url: str = "", label: str = ""
    ) -> None:
        super().__init__(detail)
        self.ask = tuple(ask)
        self.url = url
        self.label = label


class InvalidCredential(Refusal):
    """A credential was sent and is wrong, expired or revoked: on public routes too."""

    slug = "invalid-credential"
    title = gettext_noop("The credential is not valid")
    status = 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Basic realm="Condarium"'})


class CredentialNeeded(Refusal):
    """The act needs to know who is asking, and nobody said."""

    slug = "credential-needed"
    title = gettext_noop("A credential is needed")
    status = 401

    def __init__(self, detail: str = "Send a token: Authorization: Bearer <token>.") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Basic realm="Condarium"'})


class InvalidInput(Refusal):
    """What was sent is not what was asked for; ``errors`` names the fields."""

    slug = "invalid-input"
    title = gettext_noop("The input is not valid")
    status = 400

    def __init__(self, detail: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(detail)
        self.errors = dict(errors or {})


class Conflict(Refusal):
    """The state of things stands against it."""

    slug = "conflict"
    title = gettext_noop("This is in the way")
    status = 409


class ServerFault(Refusal):
    """A bug of ours. It says nothing but where to find it in the log."""

    slug = "server-fault"
    title = gettext_noop("Something went wrong here")
    status = 500

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Something went wrong here. Quote {request_id or 'the time'} to ask why.")


def too_many_attempts(opens_at: datetime) -> str:
    """The sentence for people: when they may try again, by the clock and from now."""
    left = opens_at - timezone.now()
    minutes = max(1, -(-left // timedelta(minutes=1)))
    distance = ngettext("in %(n)d minute", "in %(n)d minutes", minutes) % {"n": minutes}
    clock = formats.date_format(timezone.localtime(opens_at), "H:i")
    return gettext("Too many attempts. Try again at %(clock)s (%(distance)s).") % {
        "clock": clock,
        "distance": distance,
    }


class TooManyRequests(Refusal):
    """Too many attempts; the answer says when to try again."""

    slug = "too-many-requests"
    title = gettext_noop("Too many attempts")
    status = 429

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__(
            f"Too many attempts. Try again in {retry_after_seconds} seconds.",
            headers={"Retry-After": str(retry_after_seconds)},
        )
        self.opens_at = timezone.now() + timedelta(seconds=retry_after_seconds)


class Unavailable(Refusal):
    """Not now: a part is missing or busy, and trying again helps."""

    slug = "unavailable"
    title = gettext_noop("Not available right now")
    status = 503

    def __init__(self, detail: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})
