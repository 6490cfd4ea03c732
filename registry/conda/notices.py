"""Short messages that conda shows to those who use a channel (CEP 6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec


class NoticeLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class InvalidNoticeError(ValueError):
    """A notice that clients could not read."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. Clients show it once for each ``id``, until it expires."""

    id: str
    message: str
    created_at: datetime
    expires_at: datetime
    level: NoticeLevel = NoticeLevel.INFO

    def __post_init__(self) -> None:
        for field, moment in (("created_at", self.created_at), ("expires_at", self.expires_at)):
            if moment.tzinfo is None:
                raise InvalidNoticeError(
                    f"{field} of notice {self.id!r} is {moment}, without a time zone; clients "
                    "would each read it as their own."
                )
        if not self.id or not self.message.strip():
            raise InvalidNoticeError("A notice needs an id and a message.")


def notices_json(notices: Iterable[Notice]) -> bytes:
    """The whole ``notices.json``, in the order given."""
    return msgspec.json.encode({"notices": [_entry(notice) for notice in notices]})


def _entry(notice: Notice) -> dict[str, str]:
    expires_at = _timestamp(notice.expires_at)
    return {
        "id": notice.id,
        "message": notice.message,
        "level": notice.level.value,
        "created_at": _timestamp(notice.created_at),
        "expires_at": expires_at,
        # conda looks for this name, CEP 6 says the other.
        "expired_at": expires_at,
    }


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
