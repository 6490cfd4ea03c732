"""Counting without a write for each: in memory first, every few seconds in one go."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from django.conf import settings
from django.db import DatabaseError, connection

log = logging.getLogger(__name__)

_Key = TypeVar("_Key")


class Buffer(Generic[_Key]):
    """What was counted and is not written yet, of this process.

    ``flush`` writes it, from a thread of its own; ``most`` is how many different things are kept
    between two writes: beyond that a count is lost, not memory.
    """

    def __init__(self, name: str, flush: Callable[[], object], *, most: int) -> None:
        self._name = name
        self._flush = flush
        self._most = most
        self._lock = threading.Lock()
        self._counts: Counter[_Key] = Counter()
        self._wake = threading.Event()
        self._stopping = False
        self._writer: threading.Thread | None = None
        self._writer_pid = 0

    def add(self, counts: Mapping[_Key, int]) -> None:
        with self._lock:
            before = len(self._counts)
            for key, number in counts.items():
                if key in self._counts or len(self._counts) < self._most:
                    self._counts[key] += number
            if before < self._most // 2 <= len(self._counts):
                self._wake.set()

    def take(self) -> Counter[_Key]:
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return taken

    def ensure_writer(self) -> None:
        # Started by the first count, not on import: threads don't live through a fork.
        if self._writer_pid == os.getpid() or not settings.COUNTS_FLUSH_SECONDS:
            return
        with self._lock:
            if self._writer_pid == os.getpid():
                return
            self._writer_pid, self._stopping = os.getpid(), False
            self._writer = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._writer.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the writer, once it has written what there is."""
        writer, self._writer, self._writer_pid = self._writer, None, 0
        self._stopping = True
        self._wake.set()
        if writer is not None:
            writer.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(settings.COUNTS_FLUSH_SECONDS)
            self._wake.clear()
            try:
                self._flush()
            except DatabaseError as error:
                log.warning("%s could not be written: %s", self._name, type(error).__name__)
            finally:
                connection.close()
