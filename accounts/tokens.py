"""Making, hashing and matching tokens, and the acts on them.

A token reads ``cph-`` + a letter for its kind + 43 base62 characters + 6 of checksum. Letters,
digits and dashes only: conda masks ``/t/<token>`` up to the first other character and would print
the rest into its users' logs.
"""

from __future__ import annotations

import fnmatch
import hashlib
import secrets
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit, emails, policies
from accounts.identity import Identity
from accounts.models import Account, Token
from accounts.scopes import Scope, abilities
from portal.errors import Conflict, Forbidden, InvalidInput
from portal.prepared import Prepared
from portal.sentences import gettext

PREFIX = "cph-"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 43  # 256 bits
_CHECKSUM_LENGTH = 6
_LENGTH = len(PREFIX) + 1 + _SECRET_LENGTH + _CHECKSUM_LENGTH
_KINDS = {Account.Kind.USER: "u", Account.Kind.ORGANIZATION: "o"}
_LAST_USE_GRAIN = timedelta(minutes=1)
MAX_LIMITS = 100
# How long a token that was rotated works beside the new one, if nobody says otherwise.
ROTATION_OVERLAP = timedelta(days=7)
MAX_OVERLAP = timedelta(days=90)


def _checksum(text: str) -> str:
    """CRC-32 in base62: lets a scanner tell a token from its look-alikes without asking us."""
    number = zlib.crc32(text.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


class TokenExists(Conflict):
    """The account has a token of this name that is not revoked."""


def make_secret(kind: str) -> str:
    return secret_with(_KINDS[Account.Kind(kind)])


def secret_with(letter: str) -> str:
    """A new secret, whose form says by one letter what it is."""
    body = PREFIX + letter
    body += "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return body + _checksum(body)


def looks_like_token(text: str) -> bool:
    """Whether ``text`` is a token that we may have made: form and checksum, no look-up."""
    return (
        len(text) == _LENGTH
        and text.startswith(PREFIX)
        and text.isascii()
        and text[len(PREFIX) :].isalnum()
        and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]
    )


def digest(secret: str) -> str:
    # 256 random bits need no salt and no slow hash, and equality in an index leaks no timing.
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def find(secret: str) -> Token | None:
    """The token that ``secret`` opens, whatever state it is in."""
    if not looks_like_token(secret):
        return None
    try:
        return cast(Token, _BY_DIGEST.get(digest(secret)))
    except Token.DoesNotExist:
        return None


_BY_DIGEST = Prepared(
    lambda digest: Token.objects.select_related(
        "account", "account__user", "account__organization"
    ).filter(digest=digest),
    str,
)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made, with the secret that is shown once and kept nowhere."""

    token: Token
    secret: str


def _clean_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise InvalidInput(
            gettext("A token needs a name."), {"name": [gettext("Say what the token is for.")]}
        )
    if len(name) > 100 or not name.isprintable():
        reason = gettext("Use at most 100 printable characters.")
        raise InvalidInput(
            gettext("The token's name is not usable. %(reason)s") % {"reason": reason},
            {"name": [reason]},
        )
    return name


def _clean_scopes(scopes: Sequence[str]) -> list[str]:
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        known = ", ".join(Scope.values)
        got = (
            gettext("There is no scope %(unknown)r.") % {"unknown": unknown[0]}
            if unknown
            else gettext("Choose at least one scope.")
        )
        raise InvalidInput(
            gettext("%(got)s The scopes are: %(known)s.") % {"got": got, "known": known},
            {"scopes": [got]},
        )
    return [scope for scope in Scope.values if scope in set(scopes)]


def _clean_limits(field: str, limits: Sequence[str]) -> list[str]:
    cleaned = list(dict.fromkeys(limit.strip() for limit in limits if limit.strip()))
    if len(cleaned) > MAX_LIMITS or any(len(item) > 128 for item in cleaned):
        reason = gettext("At most %(max_limits)s entries of at most 128 characters.") % {
            "max_limits": MAX_LIMITS
        }
        raise InvalidInput(
            gettext("The %(field)s of the token can't be kept. %(reason)s")
            % {"field": field, "reason": reason},
            {field: [reason]},
        )
    return cleaned


def _clean_origin(field: str, text: str, max_length: int) -> str:
    text = text.strip()
    if len(text) > max_length or not (text.isprintable() or not text):
        reason = gettext("Use at most %(max_length)s printable characters.") % {
            "max_length": max_length
        }
        raise InvalidInput(
            gettext("The %(field)s of the token is not usable. %(reason)s")
            % {"field": field, "reason": reason},
            {field: [reason]},
        )
    return text


def _clean_expiry(account: Account, expires_at: datetime | None) -> datetime:
    now = timezone.now()
    longest = policies.longest_token_life(account)
    if expires_at is None:
        return now + min(settings.TOKEN_DEFAULT_LIFETIME, longest)
    if expires_at <= now:
        reason = gettext("The date has passed already.")
        raise InvalidInput(
            gettext("The token's expiry is not usable. %(reason)s") % {"reason": reason},
            {"expires_at": [reason]},
        )
    if expires_at > now + longest + timedelta(days=1):
        reason = gettext("A token of %(account)s lives for at most %(days)s days.") % {
            "account": account.name,
            "days": longest.days,
        }
        raise InvalidInput(
            gettext("The token's expiry is too far. %(reason)s") % {"reason": reason},
            {"expires_at": [reason]},
        )
    return expires_at


def _refuse_widening(by: Identity, scopes: Sequence[str]) -> None:
    """A token makes none that may do more than itself."""
    if by.token is not None and not abilities(scopes) <= abilities(by.token.scopes):
        raise Forbidden(
            gettext(
                "This token has %(scopes)s, so it may not make one with %(scopes2)s. Sign "
                "in, or use a token that has as much itself."
            )
            % {"scopes": ", ".join(by.token.scopes), "scopes2": ", ".join(scopes)}
        )


def _refuse_wider_limits(by: Identity, channels: Sequence[str], packages: Sequence[str]) -> None:
    """A token makes and revokes none that reaches further than itself."""
    own = by.token
    if own is None:
        return
    if own.channels and not (channels and set(channels) <= set(own.channels)):
        raise Forbidden(
            gettext(
                "This token is limited to the channels %(channels)s, so it may make and "
                "revoke only tokens that are limited to some of them."
            )
            % {"channels": ", ".join(own.channels)}
        )
    # Of a pattern it can't be told in general whether it says less than another one.
    inside = all(
        wanted in own.packages
        or (
            not set(wanted) & set("*?[")
            and any(fnmatch.fnmatchcase(wanted, p) for p in own.packages)
        )
        for wanted in packages
    )
    if own.packages and not (packages and inside):
        raise Forbidden(
            gettext(
                "This token is limited to the packages %(packages)s, so it may make and "
                "revoke only tokens that are limited to some of them."
            )
            % {"packages": ", ".join(own.packages)}
        )


def _expiry_within(by: Identity, account: Account, expires_at: datetime | None) -> datetime:
    """When the new token expires: a token makes none that outlives it."""
    last = by.token.expires_at if by.token is not None else None
    kept = _clean_expiry(account, expires_at)
    if last is None or kept <= last:
        return kept
    if expires_at is None:
        return last
    raise Forbidden(
        gettext(
            "This token expires at %(last)s UTC, so it may not make one that lives "
            "longer. Sign in, or choose an earlier date."
        )
        % {"last": f"{last:%Y-%m-%d %H:%M}"}
    )


@transaction.atomic
def create_token(
    *,
    by: Identity,
    account: Account,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    channels: Sequence[str] = (),
    packages: Sequence[str] = (),
    hostname: str = "",
    note_url: str = "",
    replaces: bool = False,
) -> NewToken:
    """Make a token of ``account``; without a date it expires after the default lifetime.

    Whether ``by`` may is asked of `registry.access` or `accounts.rights` before. ``channels`` are
    channel names and ``packages`` name patterns with ``*``; empty means no limit. A token makes
    none that may do more, reaches further or lives longer than itself.

    With ``replaces`` a live token of that name is revoked in the same step; else `TokenExists`.
    """
    new = _new_token(
        by=by,
        account=account,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        channels=channels,
        packages=packages,
        hostname=hostname,
        note_url=note_url,
    )
    token = new.token
    _take_name(by, account, token.name, replaces=replaces)
    token.save()
    audit.record(
        by=by, account=account, action="token.create", target=token.name, detail=_facts(token)
    )
    emails.send_token_created(token, by=by)
    return new


def _facts(token: Token) -> dict[str, object]:
    """What the log keeps of a token that was made."""
    return {
        "scopes": token.scopes,
        "channels": token.channels,
        "packages": token.packages,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }


def _new_token(
    *,
    by: Identity,
    account: Account,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    channels: Sequence[str],
    packages: Sequence[str],
    hostname: str,
    note_url: str,
) -> NewToken:
    """A token that may be made so by whoever asks; it isn't kept yet."""
    kept_scopes = _clean_scopes(scopes)
    kept_channels = _clean_limits("channels", channels)
    kept_packages = _clean_limits("packages", packages)
    _refuse_widening(by, kept_scopes)
    _refuse_wider_limits(by, kept_channels, kept_packages)
    secret = make_secret(account.kind)
    token = Token(
        account=account,
        name=_clean_name(name),
        digest=digest(secret),
        hint=secret[-4:],
        scopes=kept_scopes,
        channels=kept_channels,
        packages=kept_packages,
        hostname=_clean_origin("hostname", hostname, 255),
        note_url=_clean_origin("note_url", note_url, 500),
        created_by=by.user,
        expires_at=_expiry_within(by, account, expires_at),
    )
    return NewToken(token, secret)


def _hold_tokens(account: Account) -> None:
    """Have those who make tokens of an account do so one after the other: what is read after
    this stays true until the end of the transaction."""
    list(Account.objects.select_for_update(no_key=True).filter(pk=account.pk))


def _take_name(by: Identity, account: Account, name: str, *, replaces: bool) -> None:
    """Free ``name`` for another token; one that is expired gives it back in any case."""
    _hold_tokens(account)
    taken = Token.objects.filter(account=account, name=name, revoked_at=None).first()
    if taken is None:
        return
    if not replaces and not taken.is_expired:
        raise TokenExists(
            gettext(
                "%(account)s already has a token named %(name)s. Choose another name, or "
                "revoke that one first."
            )
            % {"account": account.name, "name": name}
        )
    taken.account = account
    revoke_token(by=by, token=taken)


@transaction.atomic
def revoke_token(*, by: Identity, token: Token) -> bool:
    """Make ``token`` useless from the next request on; False when it was so already.

    Any token may revoke itself, whatever it is limited to.
    """
    if by.token is not None and by.token.pk != token.pk:
        _refuse_wider_limits(by, token.channels, token.packages)
    changed = Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    if changed:
        audit.record(by=by, account=token.account, action="token.revoke", target=token.name)
    return bool(changed)


# --- Rotating, and revoking many ---------------------------------------------------------------


class NotRotatable(Conflict):
    """The token opens nothing more, or another one has taken its place already."""


def _lifetime(token: Token) -> timedelta:
    """How long the token was made for, as far as that is still allowed."""
    if token.expires_at is None:
        return settings.TOKEN_DEFAULT_LIFETIME
    return min(token.expires_at - token.created_at, policies.longest_token_life(token.account))


@transaction.atomic
def rotate_token(
    *,
    by: Identity,
    token: Token,
    keep_old: timedelta = ROTATION_OVERLAP,
    expires_at: datetime | None = None,
) -> NewToken:
    """Make a token with the name and rights of ``token``, which works on for ``keep_old``.

    The new one has the name, since that is what people know; the old one is called after its
    last day. Without a date the new one lives as long as the old one was made for.
    """
    account = token.account
    if not timedelta(0) <= keep_old <= MAX_OVERLAP:
        reason = gettext("The old token can work on for 0 to %(days)s days.") % {
            "days": MAX_OVERLAP.days
        }
        raise InvalidInput(reason, {"keep_old": [reason]})
    _hold_tokens(account)
    old = Token.objects.get(pk=token.pk)
    old.account = account
    if old.revoked_at is not None or old.is_expired:
        raise NotRotatable(
            gettext("%(old)s opens nothing any more. Make a new token instead.") % {"old": old.name}
        )
    if Token.objects.filter(replaces=old).exists():
        raise NotRotatable(
            gettext("%(old)s was rotated already. Rotate the token that replaced it.")
            % {"old": old.name}
        )
    name, asked = old.name, expires_at
    if asked is None:
        ends = [timezone.now() + _lifetime(old)]
        if by.token is not None and by.token.expires_at is not None:
            ends.append(by.token.expires_at)
        asked = min(ends)
    new = _new_token(
        by=by,
        account=account,
        name=name,
        scopes=old.scopes,
        expires_at=asked,
        channels=old.channels,
        packages=old.packages,
        hostname=old.hostname,
        note_url=old.note_url,
    )
    _end_old(by, old, keep_old)
    new.token.replaces = old
    new.token.save()
    audit.record(
        by=by,
        account=account,
        action="token.rotate",
        target=name,
        detail={**_facts(new.token), "old": old.name, "old_ends": _end_of(old).isoformat()},
    )
    emails.send_token_created(new.token, by=by)
    return new


def _end_of(token: Token) -> datetime:
    return token.revoked_at or token.expires_at or timezone.now()


def _end_old(by: Identity, old: Token, keep: timedelta) -> None:
    """Have a rotated token give its name away, and end soon, or now."""
    if not keep:
        revoke_token(by=by, token=old)
        old.refresh_from_db(fields=["revoked_at"])
        return
    end = timezone.now() + keep
    old.expires_at = min(old.expires_at, end) if old.expires_at else end
    # A mail about the end would come too late to help: whoever rotates knows it.
    old.warned_at = timezone.now()
    old.name = _name_until(old, old.expires_at)
    old.save(update_fields=["name", "expires_at", "warned_at"])


def _name_until(old: Token, end: datetime) -> str:
    """A name for a token that ends, which no live token of the account has."""
    day = f" until {end:%Y-%m-%d}"
    live = Token.objects.filter(account_id=old.account_id, name__contains=day, revoked_at=None)
    taken = set(live.values_list("name", flat=True))
    numbers = ["", *(f" ({number})" for number in range(2, len(taken) + 2))]
    names = (old.name[: 100 - len(day + number)] + day + number for number in numbers)
    return next(name for name in names if name not in taken)


def made_before(account: Account, border: datetime) -> QuerySet[Token]:
    """The tokens of the account that still open something and are older than ``border``."""
    return Token.objects.filter(account=account, created_at__lt=border).usable()


@transaction.atomic
def revoke_made_before(*, by: Identity, account: Account, border: datetime) -> list[Token]:
    """Revoke all tokens of the account made before ``border``; which ones they were."""
    _hold_tokens(account)
    found = list(made_before(account, border).order_by("id"))
    for token in found:
        _refuse_wider_limits(by, token.channels, token.packages)
    now = timezone.now()
    Token.objects.filter(pk__in=[token.pk for token in found]).update(revoked_at=now)
    lines = [(token.name, {"made_before": border.isoformat()}) for token in found]
    audit.record_all(by=by, account=account, action="token.revoke", lines=lines)
    return found


def note_use(token: Token, ip_address: str | None, user_agent: str = "") -> None:
    """Remember when the token was used, at most once a minute: reads must not cost a write."""
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < _LAST_USE_GRAIN:
        return
    Token.objects.filter(pk=token.pk).update(
        last_used_at=now, last_used_ip=ip_address, last_used_agent=user_agent[:200]
    )
