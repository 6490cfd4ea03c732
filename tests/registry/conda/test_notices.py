import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from registry.conda.notices import InvalidNoticeError, Notice, NoticeLevel, notices_json

CREATED = datetime(2026, 11, 21, 10, 0, tzinfo=timezone(timedelta(hours=1)))
EXPIRES = datetime(2026, 12, 1, tzinfo=UTC)


def test_no_notices_are_an_empty_list() -> None:
    assert notices_json([]) == b'{"notices":[]}'


def test_a_notice_reads_as_clients_want_it() -> None:
    notice = Notice(
        id="n1",
        message="The channel moves.",
        created_at=CREATED,
        expires_at=EXPIRES,
        level=NoticeLevel.WARNING,
    )

    assert json.loads(notices_json([notice])) == {
        "notices": [
            {
                "id": "n1",
                "message": "The channel moves.",
                "level": "warning",
                "created_at": "2026-11-21T09:00:00+00:00",
                "expires_at": "2026-12-01T00:00:00+00:00",
                "expired_at": "2026-12-01T00:00:00+00:00",
            }
        ]
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"message": " "},
        {"created_at": CREATED.replace(tzinfo=None)},
        {"expires_at": EXPIRES.replace(tzinfo=None)},
    ],
)
def test_a_notice_that_clients_could_not_read_is_refused(changes: dict[str, object]) -> None:
    values = {"id": "n1", "message": "Hello", "created_at": CREATED, "expires_at": EXPIRES}

    with pytest.raises(InvalidNoticeError):
        Notice(**(values | changes))  # type: ignore[arg-type]  # wrong on purpose
