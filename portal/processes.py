"""Telling whether a process of this machine still runs, and whether this one is to end.

Leases and temporary files name the process they belong to, so that what a killed one held is
free at once instead of after a time-out.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import socket
import threading
import uuid
from typing import TYPE_CHECKING, Final

from django.db import connection, connections

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext

# As it may stand in a file's name, and short enough for a column.
HOST: Final = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:32] or "host"


_ending = threading.Event()


def note_ending() -> None:
    """This process was told to end: what only waits for something need not wait on."""
    _ending.set()


def is_ending() -> bool:
    return _ending.is_set()


def has_ended(host: str, pid: int) -> bool:
    """True only for a process of this machine that is certainly gone."""
    if host != HOST:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def copying() -> ForkContext | None:
    """How to start processes as copies of this one, which need not import everything again.

    None where a copy could not go on: with other threads, or with an open transaction. What
    connections there were to the database are closed, since copies would share them.
    """
    if connection.in_atomic_block or threading.active_count() > 1:
        return None
    connections.close_all()
    return multiprocessing.get_context("fork")


def new_holder() -> str:
    """A name to hold a lease under, which tells the process that it belongs to."""
    return f"{HOST}/{os.getpid()}/{uuid.uuid4().hex[:12]}"


def holder_has_ended(holder: str) -> bool:
    """Whether a lease belongs to a process of this machine that was killed."""
    host, _, rest = holder.partition("/")
    pid = rest.partition("/")[0]
    return pid.isdigit() and has_ended(host, int(pid))
