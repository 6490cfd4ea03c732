"""How a channel stands to others (CEP 42).

A relation is written as the way from the channel's own address to the other's: clients resolve
``../dev`` against the address they were given. A channel has more than one address, with
``label/`` in it and without, behind ``/t/<token>`` and elsewhere, and what is written has to be
right for the one that is shown to users, which is what `related_channel` goes by. ``../<name>``
leads from a channel to another of the same account in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from registry.conda.errors import FormatError, gettext_noop, quote

MAIN = "main"
MAX_RELATION_LENGTH = 256

_RELATION = re.compile(r"(?:\.\./)*\.\.(?:/[A-Za-z0-9_][A-Za-z0-9_.:-]*)*")
_ROOT, _LABEL = "conda", "label"

Place = tuple[str, str]
"""The names of an account and of one of its channels."""


class InvalidRelationError(FormatError):
    """A relation that leads clients nowhere."""


def channel_relations(base: str, overrides: str) -> dict[str, str]:
    """``info.channel_relations`` of every index of the channel; empty without relations."""
    relations = {"base": base, "overrides": overrides}
    return {key: value for key, value in relations.items() if value}


def related_channel(relation: str, *, account: str, channel: str) -> Place:
    """The account and the channel that ``relation`` leads to from this channel's address.

    That is ``/conda/<account>`` for `main` and ``/conda/<account>/label/<channel>`` for another.
    Raises `InvalidRelationError`.
    """
    if (
        len(relation) > MAX_RELATION_LENGTH
        or not relation.startswith("../")
        or _RELATION.fullmatch(relation) is None
    ):
        raise InvalidRelationError(
            gettext_noop(
                "%(relation)s is not a way from one channel to another. It must begin with '../', "
                "such as '../%(main)s', and have at most %(most)s characters."
            ),
            relation=quote(relation),
            main=MAIN,
            most=MAX_RELATION_LENGTH,
        )
    here = [_ROOT, account, *([] if channel == MAIN else [_LABEL, *channel.split("/")])]
    steps = relation.split("/")
    up = steps.count("..")
    if up > len(here):
        raise InvalidRelationError(
            gettext_noop("%(relation)s leads out of this host."), relation=relation
        )
    there = [*here[: len(here) - up], *steps[up:]]
    address = "/" + "/".join(there)
    match there:
        case [root, name] if root == _ROOT:
            return name.lower(), MAIN
        case [root, name, label, *names] if root == _ROOT and label == _LABEL and names:
            return name.lower(), "/".join(names)
        case [root, name, *names] if root == _ROOT and names[0] != _LABEL:
            return name.lower(), "/".join(names)
    raise InvalidRelationError(
        gettext_noop("%(relation)s leads to %(address)s, where there is no channel."),
        relation=relation,
        address=address,
    )


def has_circle(before: Mapping[Place, Iterable[Place]], start: Place) -> bool:
    """Whether who comes after ``start`` comes before it as well: clients give up on that.

    ``before`` says of each channel which ones come right after it.
    """
    seen: set[Place] = set()
    waiting = list(before.get(start, ()))
    while waiting:
        place = waiting.pop()
        if place == start:
            return True
        if place not in seen:
            seen.add(place)
            waiting.extend(before.get(place, ()))
    return False
