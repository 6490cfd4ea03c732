"""The act of changing what an account says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import transaction

from accounts import audit, rights
from accounts.identity import Identity
from accounts.locales import is_time_zone
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import Forbidden, InvalidInput
from portal.sentences import gettext

MAX_LENGTHS = {"display_name": 128, "description": 2000, "website": 255}
MAX_LINKS = 5
_is_website = URLValidator(schemes=["http", "https"])


def _clean(field: str, text: str) -> str:
    text = text.strip()
    reason = ""
    if len(text) > MAX_LENGTHS[field]:
        reason = gettext("It has %(text)s characters; at most %(max_lengths)s are kept.") % {
            "text": len(text),
            "max_lengths": MAX_LENGTHS[field],
        }
    elif field == "display_name" and not text.isprintable():
        reason = gettext("Use printable characters only.")
    elif field == "website" and text:
        try:
            _is_website(text)
        except ValidationError:
            reason = gettext("%(text)r is not an address that begins with https:// or http://.") % {
                "text": text
            }
    if reason:
        name = field.replace("_", " ")
        raise InvalidInput(
            gettext("The %(name)s can't be kept. %(reason)s") % {"name": name, "reason": reason},
            {field: [reason]},
        )
    return text


def _clean_links(links: Sequence[str]) -> list[str]:
    kept = [_clean("website", link) for link in links if link.strip()]
    if len(kept) > MAX_LINKS:
        reason = gettext("These are %(kept)s links; at most %(max_links)s are kept.") % {
            "kept": len(kept),
            "max_links": MAX_LINKS,
        }
        raise InvalidInput(reason, {"links": [reason]})
    return kept


def _clean_public(account: Account, address: str) -> str:
    """An address to show: of a person one that is proven theirs."""
    if not address:
        return address
    try:
        validate_email(address)
    except ValidationError:
        reason = gettext("%(address)r is not an e-mail address.") % {"address": address}
        raise InvalidInput(reason, {"public_email": [reason]}) from None
    if not account.is_organization:
        own = EmailAddress.objects.filter(user=account.user, verified=True, email=address)
        if not own.exists():
            reason = gettext("Only a verified address of yours can be shown.")
            raise InvalidInput(reason, {"public_email": [reason]})
    return address


@transaction.atomic
def change_locale(*, by: Identity, time_zone: str, language: str) -> None:
    """Keep in which zone and language somebody reads; empty: as their browser says."""
    if by.user is None or by.token is not None:
        raise Forbidden(gettext("Only who is signed in may change how pages are shown to them."))
    if time_zone and not is_time_zone(time_zone):
        reason = gettext("There is no time zone %(time_zone)r.") % {"time_zone": time_zone[:64]}
        raise InvalidInput(reason, {"time_zone": [reason]})
    if language and language not in dict(settings.LANGUAGES):
        reason = gettext("There is no language %(language)r here.") % {"language": language[:8]}
        raise InvalidInput(reason, {"language": [reason]})
    by.user.time_zone, by.user.language = time_zone, language
    by.user.save(update_fields=["time_zone", "language"])
    audit.record(
        by=by,
        account=by.user.account,
        action="user.locale",
        target=by.user.username,
        detail={"time_zone": time_zone, "language": language},
    )


@transaction.atomic
def change_profile(
    *,
    by: Identity,
    account: Account,
    display_name: str | None = None,
    description: str | None = None,
    website: str | None = None,
    links: Sequence[str] | None = None,
    public_email: str | None = None,
) -> Account:
    """Change what is given, and log what changed; no change writes no event."""
    rights.require_admin(by, account, Ability.MODIFY_GROUPS)
    wanted = {"display_name": display_name, "description": description, "website": website}
    changes: dict[str, object] = {}
    for field, text in wanted.items():
        if text is None:
            continue
        kept = _clean(field, text)
        if getattr(account, field) != kept:
            changes[field] = [getattr(account, field), kept]
            setattr(account, field, kept)
    if links is not None and account.links != (kept_links := _clean_links(links)):
        changes["links"] = [account.links, kept_links]
        account.links = kept_links
    if public_email is not None and public_email != account.public_email:
        changes["public_email"] = [account.public_email, _clean_public(account, public_email)]
        account.public_email = public_email
    if changes:
        account.save(update_fields=list(changes))
        audit.record(
            by=by, account=account, action="account.change", target=account.name, detail=changes
        )
    return account
