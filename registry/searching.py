"""Finding packages by words, the same way on the pages and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Concat

from registry.models import Package

MAX_WORDS = 8


def words_of(text: str) -> list[str]:
    return text.lower().split()[:MAX_WORDS]


def matching(packages: QuerySet[Package], words: Sequence[str]) -> QuerySet[Package]:
    """Packages with all these words, those that have them in their name first.

    ``account/name`` as the only word looks into one account. Each row has a ``place``: a value in
    the order of the list that differs for each package.
    """
    name = "-".join(words)
    if len(words) == 1 and words[0].count("/") == 1:
        account, _, name = words[0].partition("/")
        packages, words = packages.filter(account__name=account), [name]
    for word in words:
        packages = packages.filter(Q(name__contains=word) | Q(summary__icontains=word))
    rank = Case(
        When(name=name, then=Value("1")),
        When(name__startswith=name, then=Value("2")),
        When(name__contains=name, then=Value("3")),
        default=Value("4"),
    )
    place = Concat(
        rank, Value(" "), F("name"), Value(" "), F("account__name"), output_field=CharField()
    )
    return packages.annotate(place=place).order_by("place")
