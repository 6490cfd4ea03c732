"""How a person signs in: second factors, recovery codes, and where they are signed in.

Proving, hashing and matching are allauth's; here is what the pages say of it, and the acts that
allauth has not.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.attention import Need
from accounts.identity import Identity
from accounts.models import User
from portal.errors import Forbidden, NotFound
from portal.sentences import gettext

_SAVED_AT = "saved_at"


@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    left: int
    of: int
    # Whether the person said that they keep them somewhere.
    are_saved: bool
    made_at: datetime


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What of a person's second factor the pages show; no secret is among it."""

    totp: Authenticator | None
    passkeys: tuple[Authenticator, ...]
    codes: RecoveryCodes | None

    @property
    def is_on(self) -> bool:
        return self.totp is not None or bool(self.passkeys)


def second_factor(user: User) -> SecondFactor:
    found = list(Authenticator.objects.filter(user=user).order_by("created_at", "pk"))
    totp = next((each for each in found if each.type == Authenticator.Type.TOTP), None)
    codes = next((each for each in found if each.type == Authenticator.Type.RECOVERY_CODES), None)
    return SecondFactor(
        totp=totp,
        passkeys=tuple(each for each in found if each.type == Authenticator.Type.WEBAUTHN),
        codes=_codes(codes) if codes is not None else None,
    )


def _codes(kept: Authenticator) -> RecoveryCodes:
    wrapped: Any = kept.wrap()
    return RecoveryCodes(
        left=len(wrapped.get_unused_codes()),
        of=len(wrapped.generate_codes()),
        are_saved=bool(kept.data.get(_SAVED_AT)),
        made_at=kept.created_at,
    )


@transaction.atomic
def confirm_codes_saved(*, by: Identity) -> bool:
    """Note that they keep their recovery codes somewhere; False when that was known."""
    codes = (
        Authenticator.objects.select_for_update()
        .filter(user=_person(by), type=Authenticator.Type.RECOVERY_CODES)
        .first()
    )
    if codes is None:
        raise NotFound
    if codes.data.get(_SAVED_AT):
        return False
    codes.data[_SAVED_AT] = time.time()
    codes.save(update_fields=["data"])
    audit.record(by=by, account=_person(by).account, action="security.codes-saved")
    return True


def _person(by: Identity) -> User:
    if by.user is None or by.token is not None:
        raise Forbidden(gettext("Only who is signed in may change how they sign in."))
    return by.user


def needs(by: Identity) -> list[Need]:
    """For the dashboard: recovery codes that nobody saved, or that are nearly used up."""
    if by.user is None:
        return []
    kept = Authenticator.objects.filter(
        user=by.user, type=Authenticator.Type.RECOVERY_CODES
    ).first()
    if kept is None:
        return []
    codes = _codes(kept)
    url = reverse("mfa_view_recovery_codes")
    if codes.of and not codes.are_saved:  # none, where what is kept of them can't be read
        return [
            Need(
                icon="key-round",
                title=gettext("Your recovery codes are not saved yet"),
                facts=gettext("Without them a lost phone locks you out."),
                url=url,
            )
        ]
    if codes.left <= 2:
        return [
            Need(
                icon="key-round",
                title=gettext("You have few recovery codes left"),
                facts=gettext("%(left)d of %(of)d are unused. Make new ones.")
                % {"left": codes.left, "of": codes.of},
                url=url,
            )
        ]
    return []


# --- Where they are signed in ------------------------------------------------------------------

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("FxiOS", "Firefox"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_HANDHELD = re.compile(r"Android|iPhone|iPad|Mobile")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser in which somebody is signed in."""

    id: int
    device: str
    is_handheld: bool
    user_agent: str
    ip_address: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


def device_words(user_agent: str) -> str:
    """``Firefox on Linux``, from what a browser says of itself."""
    browser = next((word for mark, word in _BROWSERS if f"{mark}/" in user_agent), "")
    system = next((word for mark, word in _SYSTEMS if mark in user_agent), "")
    if browser and system:
        return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or gettext("Another program")


def sessions(user: User, *, current_key: str | None) -> list[SignedIn]:
    """Where they are signed in, this browser first, then the one that was seen last."""
    known = list(UserSession.objects.filter(user=user).order_by("-last_seen_at"))
    alive = Session.objects.filter(
        session_key__in=[each.session_key for each in known], expire_date__gt=timezone.now()
    )
    # A session from before the password was changed is there, and opens nothing.
    proof = user.get_session_auth_hash()
    good = {row.session_key for row in alive if row.get_decoded().get(HASH_SESSION_KEY) == proof}
    found = [
        SignedIn(
            id=each.pk,
            device=device_words(each.user_agent),
            is_handheld=bool(_HANDHELD.search(each.user_agent)),
            user_agent=each.user_agent,
            ip_address=each.ip,
            began_at=each.created_at,
            seen_at=each.last_seen_at,
            is_this=each.session_key == current_key,
        )
        for each in known
        if each.session_key in good
    ]
    return sorted(found, key=lambda each: not each.is_this)


@transaction.atomic
def end_session(*, by: Identity, session_id: int) -> None:
    """Sign them out in one browser; its next request finds nobody signed in."""
    user = _person(by)
    session = UserSession.objects.filter(user=user, pk=session_id).first()
    if session is None:
        raise NotFound
    audit.record(
        by=by,
        account=user.account,
        action="security.sign-out",
        target=device_words(session.user_agent),
        detail={"from": session.ip},
    )
    _end([session])


@transaction.atomic
def end_other_sessions(*, by: Identity, current_key: str | None) -> int:
    """Sign them out everywhere but here; in how many browsers they were signed in."""
    user = _person(by)
    others = list(UserSession.objects.filter(user=user).exclude(session_key=current_key))
    if others:
        audit.record(
            by=by,
            account=user.account,
            action="security.sign-out",
            target="everywhere else",
            detail={"sessions": len(others)},
        )
        _end(others)
    return len(others)


def end_all_sessions(user: User) -> None:
    """Sign somebody out everywhere: part of other acts, which say who may and log it."""
    _end(list(UserSession.objects.filter(user=user)))


def _end(doomed: list[UserSession]) -> None:
    Session.objects.filter(session_key__in=[each.session_key for each in doomed]).delete()
    UserSession.objects.filter(pk__in=[each.pk for each in doomed]).delete()
