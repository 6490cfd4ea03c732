"""The URLs of pages by their names, as the URL map has them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

_MODULES = ("accounts.views", "registry.views", "portal.views", "allauth.")


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """All that pages have, also what leads on or only takes a form; one without a name has none."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else prefix
            yield from routes(pattern.url_patterns, inner)
        elif pattern.name and _is_of_pages(pattern):
            yield f"{prefix}{pattern.name}", pattern


def _is_of_pages(pattern: URLPattern) -> bool:
    return getattr(pattern.callback, "__module__", "").startswith(_MODULES)


@cache
def route(name: str) -> URLPattern:
    """The first of that name."""
    return next(pattern for found, pattern in routes() if found == name)


@cache
def parts_of(name: str) -> tuple[str, ...]:
    """What the shortest URL of that name has to be told, also for what it is included under."""
    namespace, _, short = name.rpartition(":")
    resolver = get_resolver()
    if namespace:
        resolver = resolver.namespace_dict[namespace][1]
    found = [parts for ways, *_ in resolver.reverse_dict.getlist(short) for _, parts in ways]
    shortest = min(found, key=len)
    return tuple(shortest)


def takes_posts(pattern: URLPattern) -> bool:
    """Whether something may be posted there: what is not said to refuse it takes it."""
    view: Any = pattern.callback
    if hasattr(view, "view_class"):
        return hasattr(view.view_class, "post")
    while view is not None:
        free = view.__code__.co_freevars
        if "request_method_list" in free:  # of django's require_http_methods
            return "POST" in view.__closure__[free.index("request_method_list")].cell_contents
        view = getattr(view, "__wrapped__", None)
    return True
