"""The audit log: one event per change, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from accounts.identity import Identity
from accounts.models import Account, Event


def record(
    *,
    by: Identity,
    account: Account | None,
    action: str,
    target: str = "",
    detail: Mapping[str, object] | None = None,
) -> Event:
    """Add one line to the log of ``account``; ``action`` reads ``thing.act``."""
    event = _event(by, account, action, target, detail)
    event.save(force_insert=True)
    return event


def record_all(
    *,
    by: Identity,
    account: Account,
    action: str,
    lines: Iterable[tuple[str, Mapping[str, object]]],
) -> None:
    """`record` for what one act did to many things: their targets and details."""
    Event.objects.bulk_create(
        (_event(by, account, action, target, detail) for target, detail in lines), batch_size=500
    )


def _event(
    by: Identity,
    account: Account | None,
    action: str,
    target: str,
    detail: Mapping[str, object] | None,
) -> Event:
    return Event(
        account=account,
        action=action,
        target=target[:400],
        detail=dict(detail or {}),
        actor=by.user,
        actor_name=by.name if not by.is_anonymous else "",
        token=by.token,
        token_name=by.token.name if by.token else "",
        ip_address=by.ip_address,
        user_agent=by.user_agent[:200],
    )
