"""Archives whose unpacking takes much memory."""

from __future__ import annotations

import threading

import pytest
import zstandard
from django.db import connection

from registry import reading
from tests.builders import conda_of, tar_of
from tests.cast import Person
from tests.conda_client import ChannelAddress, put

pytestmark = pytest.mark.django_db(transaction=True)
URL = "noarch/hello-1.0-0.conda"


def packed_with_window(log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=log)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(tar_of({"lib/x": "x"})) + packer.flush()


def test_packages_that_need_much_memory_are_read_one_at_a_time(
    owner: Person, channel: ChannelAddress
) -> None:
    token = owner.token().secret
    large, ordinary = (conda_of(payload=packed_with_window(log)) for log in (27, 23))
    answers: list[int] = []

    def send(data: bytes) -> None:
        answers.append(put(channel.url(URL), data, token=token).status_code)

    def send_aside(data: bytes) -> None:
        try:
            send(data)
        finally:
            connection.close()  # a thread has one of its own, which a PostgreSQL waits for

    with reading.large_window:  # as another upload holds it
        waiting = threading.Thread(target=send_aside, args=(large,))
        waiting.start()
        send(ordinary)
        waiting.join(timeout=1)
        assert answers == [201]
        assert waiting.is_alive()
    waiting.join(timeout=30)
    assert answers == [201, 409]


def test_a_window_that_no_client_allows_is_refused(owner: Person, channel: ChannelAddress) -> None:
    data = conda_of(payload=packed_with_window(28))

    answer = put(channel.url(URL), data, token=owner.token().secret)

    assert answer.status_code == 422
    assert "zstd window" in answer.json()["detail"]
    assert not reading.large_window.locked()
