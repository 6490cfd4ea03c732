"""Figures that take long to count, kept for as long as they are worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar, cast

from django.core.cache import cache

Figure = TypeVar("Figure")

# What is counted is kept for so many times as long as it took to count.
_TIMES = 200
# To keep it is a write: for less than that, counting again is cheaper.
_LEAST_SECONDS = 10.0


def remembered(key: str, count: Callable[[], Figure], *, at_least_seconds: float = 0.0) -> Figure:
    """What ``count`` gives, or gave lately; None is not remembered.

    With ``key`` goes what it was counted from, where that is known for little, such as the last
    line of a log: then nobody is shown what has changed since.
    """
    known = cache.get(key)
    if known is not None:
        return cast(Figure, known)
    started = time.monotonic()
    figure = count()
    seconds = max(at_least_seconds, _TIMES * (time.monotonic() - started))
    if seconds >= _LEAST_SECONDS:
        cache.set(key, figure, seconds)
    return figure
