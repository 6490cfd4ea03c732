"""Places where a test may end the process as ``kill -9`` would.

A promise about crashes is worth what was tried: `tests/test_durability.py` walks through all of
these. ``CONDARIUM_FAILPOINT`` names a file; the process that comes to the place whose name is in
it takes the file away and ends. Without that variable a call costs one comparison.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from django.conf import settings

NAMES: Final = (
    "received",  # the temporary file is whole, nothing is stored
    "claimed",  # the blob's row is committed, its bytes are not stored
    "stored",  # the bytes are durable, the file is not registered
    "before-commit",  # the file, its channel entry, event and mark are in the open transaction
    "after-commit",  # the client has no answer yet
    "index-started",  # the lease is taken
    "shards-written",  # and their index, which is not served yet
    "shards-switched",  # clients see them, and the documents of before
    "generation-written",  # all files of the next generation lie there, the old one is served
    "generation-switched",  # marks are gone, the lease is still held
    "summaries-written",  # nobody waits for them; their lease is held
    "stage-received",  # the temporary file of a form is whole, the stage knows nothing of it
    "stage-stored",  # its bytes are durable, the sender has no answer
    "stage-ended",  # it is published, and its bytes still lie in the staging area
    "job-advanced",  # a part of a job is done, and its worker holds it
)


def reach(name: str) -> None:
    if not settings.FAILPOINT:
        return
    order = Path(settings.FAILPOINT)
    with suppress(FileNotFoundError):
        if order.read_text(encoding="ascii").strip() == name:
            order.unlink()
            os._exit(137)
