"""What an account may be called. Users and organizations share one namespace.

This module knows no models: allauth loads its validators while the apps are still starting.
"""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible

from portal.sentences import gettext

MAX_LENGTH = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_SUBDIR_LIKE = re.compile(r"(noarch|[a-z0-9]+-(32|64|aarch64|arm64|armv6l|armv7l|ppc64le|s390x|"
                          r"riscv64|wasm32|x86|x86_64))\Z")  # fmt: skip

# Every first segment of the URL map, and words that a visitor would take for ours.
_RESERVED_WORDS = """
    - about abuse account accounts admin anaconda anonymous api app assets auth authorize badge
    badges blog channel channels conda conda-forge condarium contact dashboard defaults download
    downloads docs error everyone explore favicon.ico feed files group groups health help home
    identity invitations jobs label labels livez login logout main mail media me members metrics
    new noarch nolabel none null oauth oidc organization organizations orgs owners package packages
    policies policy portal pricing privacy profile public quetz readyz register registry robots.txt
    root search security security.txt settings shards signin signout signup site sitemap.xml static
    status support system t terms token tokens undefined upload uploads user users v1 www
"""
RESERVED = frozenset(_RESERVED_WORDS.split())

# What look-alikes are folded to, before names are compared for confusion.
_LOOKALIKES = str.maketrans({"0": "o", "1": "l", "i": "l", "_": "-", ".": "-"})


def fold(name: str) -> str:
    """The form under which two names that a person may confuse are equal."""
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_LOOKALIKES)
    folded = folded.replace("rn", "m").replace("vv", "w")
    return re.sub(r"-+", "-", folded).strip("-")


_RESERVED_FOLDED = frozenset(map(fold, RESERVED))


def check_account_name(name: str) -> str:
    """Return ``name`` in the one spelling we keep; raise `ValidationError` with the reason."""
    name = name.strip().lower()
    if not name:
        raise ValidationError(gettext("Choose a name."), code="empty")
    if len(name) > MAX_LENGTH:
        raise ValidationError(
            gettext("The name has %(name)s characters; at most %(max_length)s are allowed.")
            % {"name": len(name), "max_length": MAX_LENGTH},
            code="long",
        )
    if not _NAME.match(name):
        raise ValidationError(
            gettext(
                "Use small letters, digits, dots, dashes and underscores, and begin with a letter "
                "or a digit."
            ),
            code="characters",
        )
    if name in RESERVED or fold(name) in _RESERVED_FOLDED or _SUBDIR_LIKE.match(name):
        raise ValidationError(
            gettext("The name %(name)s is reserved. Choose another.") % {"name": name},
            code="reserved",
        )
    return name


@deconstructible
class AccountNameValidator:
    """`check_account_name` in the shape that fields and allauth ask for."""

    def __call__(self, value: str) -> None:
        check_account_name(value)


username_validators = [AccountNameValidator()]
