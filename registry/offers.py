"""What is the same whatever one account offers to another: to whom, who answers, and how it ends.

`registry.transfers` gives packages away and `registry.channel_transfers` channels: what that means,
what is in its way and who may is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import audit, rights
from accounts.emails import send_transfer_offered
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import Conflict, InvalidInput, NotFound
from portal.sentences import gettext, together
from registry.models.transfer import ChannelTransfer, Offer, Transfer

_Offer = TypeVar("_Offer", bound=Offer)
_ACTS = {
    Offer.State.ACCEPTED: "accept",
    Offer.State.DECLINED: "decline",
    Offer.State.WITHDRAWN: "withdraw",
}


# --- Offering ------------------------------------------------------------------------------------


def recipient(source: Account, name: str) -> Account:
    """The account to which ``source`` can offer anything."""
    wanted = name.strip().lower()
    rows = Account.objects.select_related("user", "organization")
    target = rows.filter(name=wanted, deleted_at=None).first()
    if target is None:
        said = gettext("There is no account %(name)s. Look at how it is written.")
    elif target == source:
        said = gettext("%(name)s has it already. Name another account.")
    elif target.suspended_at is not None:
        said = gettext("%(name)s is suspended and takes nothing. Name another account.")
    else:
        return target
    raise no_recipient(said % {"name": wanted[:64]})


def no_recipient(words: str) -> InvalidInput:
    return InvalidInput(words, {"target": [words]})


def require_offerable(offers: QuerySet[_Offer], obstacles: Sequence[str]) -> None:
    """Refuse to offer again what waits for an answer, or can't be given away. ``offers`` are those
    of the thing, which is held; one that is overdue ends."""
    waiting = offers.filter(state=Offer.State.WAITING)
    waiting.filter(expires_at__lte=timezone.now()).update(
        state=Offer.State.EXPIRED, ended_at=F("expires_at")
    )
    known = waiting.select_related("target").first()
    if known is not None:
        raise Conflict(
            gettext("It is offered to %(name)s already. Withdraw that offer first.")
            % {"name": known.target.name}
        )
    if obstacles:
        raise Conflict(together(obstacles))


def announce(by: Identity, made: Offer, detail: Mapping[str, object]) -> None:
    """Tell both sides of an offer that was just made."""
    _tell_both(by, made, "offer", detail)
    send_transfer_offered(
        made.target,
        source=made.source.name,
        thing=made.thing.name,
        by=by,
        until=made.expires_at,
        path=f"{made.PATH}{made.key}",
    )


# --- Finding and ending --------------------------------------------------------------------------


def find(
    offers: QuerySet[_Offer],
    by: Identity,
    key: str,
    *,
    decides_for_source: Callable[[Identity, _Offer], bool],
) -> tuple[_Offer, bool]:
    """The offer, and whether it is theirs to accept; only who decides on either side knows of
    it."""
    row = offers.filter(key=key).first()
    if row is None:
        raise NotFound
    if rights.may_administer(by, row.target):
        return row, True
    if decides_for_source(by, row):
        return row, False
    raise NotFound


def hold(offers: QuerySet[_Offer], offer: _Offer) -> _Offer:
    """The offer as it is now, which still waits; nobody else ends it."""
    held = offers.select_related("offered_by").select_for_update(of=("self",)).get(pk=offer.pk)
    require_open(held)
    return held


def require_open(offer: Offer) -> None:
    if not offer.is_open:
        raise Conflict(gettext("This transfer doesn't wait any more."))


def decline(offers: QuerySet[_Offer], offer: _Offer, *, by: Identity) -> None:
    held = hold(offers, offer)
    rights.require_admin(by, held.target, Ability.ADMINISTER)
    end(held, Offer.State.DECLINED, by=by)


def end(
    held: Offer, state: Offer.State, *, by: Identity, detail: Mapping[str, object] | None = None
) -> None:
    held.end(state, by.name)
    _tell_both(by, held, _ACTS[state], detail or {})


def forget_all_of(account: Account) -> None:
    """Let go of every offer of or to an account that is deleted; logs keep what became of them."""
    of_account = Q(source=account) | Q(target=account)
    Transfer.objects.filter(of_account).delete()
    ChannelTransfer.objects.filter(of_account).delete()


def _tell_both(by: Identity, offer: Offer, act: str, detail: Mapping[str, object]) -> None:
    """A line for each side; where somebody is, and with what, is for the log of their own."""
    target = f"{offer.source.name}/{offer.thing.name}"
    said = {"to": offer.target.name, **offer.LOGGED, **detail}
    own = offer.source if act in {"offer", "withdraw"} else offer.target
    audit.record(by=by, account=own, action=f"transfer.{act}", target=target, detail=said)
    audit.record(
        by=Identity(user=by.user),
        account=offer.target if own == offer.source else offer.source,
        action=f"transfer.{act}",
        target=target,
        detail={**said, "by": by.name},
    )
