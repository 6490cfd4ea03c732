"""The act of changing what an account says of itself."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction

from accounts import audit, rights
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import InvalidInput

MAX_LENGTHS = {"display_name": 128, "description": 2000, "website": 255}
_is_website = URLValidator(schemes=["http", "https"])


def _clean(field: str, text: str) -> str:
    text = text.strip()
    reason = ""
    if len(text) > MAX_LENGTHS[field]:
        reason = f"It has {len(text)} characters; at most {MAX_LENGTHS[field]} are kept."
    elif field == "display_name" and not text.isprintable():
        reason = "Use printable characters only."
    elif field == "website" and text:
        try:
            _is_website(text)
        except ValidationError:
            reason = f"{text!r} is not an address that begins with https:// or http://."
    if reason:
        name = field.replace("_", " ")
        raise InvalidInput(f"The {name} can't be kept. {reason}", {field: [reason]})
    return text


@transaction.atomic
def change_profile(
    *,
    by: Identity,
    account: Account,
    display_name: str | None = None,
    description: str | None = None,
    website: str | None = None,
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
    if changes:
        account.save(update_fields=list(changes))
        audit.record(
            by=by, account=account, action="account.change", target=account.name, detail=changes
        )
    return account
