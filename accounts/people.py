"""Acts that bring a person into being, and whether a name is still free."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account, FormerName, User
from accounts.names import MAX_LENGTH, check_account_name
from portal.errors import Conflict, InvalidInput
from portal.sentences import gettext


def name_taken(typed: str) -> str:
    """What to say of a taken name, with another one that is free."""
    name = typed.strip().lower()
    stem = name[: MAX_LENGTH - 3]
    candidates = [f"{stem}-{number}" for number in range(2, 30)]
    known = Account.objects.order_by().filter(name__in=candidates).values_list("name")
    former = FormerName.objects.order_by().filter(name__in=candidates).values_list("name")
    taken = {name for (name,) in known.union(former)}
    free = next((candidate for candidate in candidates if candidate not in taken), None)
    advice = gettext("Try %(free)s.") % {"free": free} if free else gettext("Choose another.")
    if typed.strip() != name:
        sentence = gettext(
            "The name %(typed)s is taken: capital letters don't make a difference. %(advice)s"
        )
    else:
        sentence = gettext("The name %(typed)s is taken. %(advice)s")
    return sentence % {"typed": typed.strip(), "advice": advice}


def is_taken(name: str, *, own: Account | None = None) -> bool:
    """Whether an account has the name, or had it: then only that one (``own``) may take it."""
    former = FormerName.objects.reserved().filter(name=name)
    if own is not None:
        former = former.exclude(account=own)
    return Account.objects.filter(name=name).exists() or former.exists()


def require_free_name(typed: str, *, field: str, own: Account | None = None) -> str:
    """The one spelling we keep of an account's name that nobody has yet."""
    try:
        name = check_account_name(typed)
    except ValidationError as error:
        raise InvalidInput(error.messages[0], {field: error.messages}) from None
    if is_taken(name, own=own):
        raise Conflict(name_taken(typed))
    return name


def _clean_email(typed: str) -> str:
    email = typed.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        reason = gettext("%(strip)r is not an e-mail address.") % {"strip": typed.strip()}
        raise InvalidInput(reason, {"email": [reason]}) from None
    if EmailAddress.objects.filter(email=email, verified=True).exists():
        raise Conflict(
            gettext("The address %(email)s belongs to another account here.") % {"email": email}
        )
    return email


def _check_password(password: str, *, username: str, email: str) -> None:
    try:
        validate_password(password, User(username=username, email=email))
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages), {"password": error.messages}) from None


def create_user(
    *, by: Identity, username: str, email: str, password: str, is_superuser: bool = False
) -> User:
    """Make a user whose address counts as verified: whoever calls this vouches for it."""
    with transaction.atomic():
        name = require_free_name(username, field="username")
        address = _clean_email(email)
        _check_password(password, username=name, email=address)
        make = User.objects.create_superuser if is_superuser else User.objects.create_user
        try:
            with transaction.atomic():
                user = make(name, address, password)
                EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
        except IntegrityError:
            # Someone else was faster: with the name or with the address.
            raise Conflict(name_taken(username)) from None
        audit.record(
            by=by,
            account=user.account,
            action="user.create",
            target=name,
            detail={"site_admin": is_superuser},
        )
        return user
