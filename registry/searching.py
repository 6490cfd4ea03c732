"""Finding packages by words, the same way on the pages and for programs.

Candidates come from the database by their words, the best first and bounded; then one query
says which of them the viewer may know of. Asked the other way round, a word of three letters
would have the question who may see what answered for every third package.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import (
    Case,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identity import Identity
from registry import access, search_index
from registry.models import DownloadTotal, Package, PackageFile
from registry.models.package import beginning_of_name

MAX_WORDS = 8
MOST_FOUND = 200
"""Nobody reads on; better words find it sooner."""

# Of so many candidates one query says who may see them; of more only where too few may be seen.
# What platforms and dates leave of them is not looked for among the most.
_LOOKED_AT = (MOST_FOUND + 1, 1_000, 16_000)
_LOOKED_AT_TO_NARROW = _LOOKED_AT[:2]
_BEGINNING = 3  # letters, as far as `packages_by_beginning` knows names
_LOOKED_THROUGH = 20_000
_SIMILAR_LOOKED_AT = 300
# Of "umpi" and "numpy" one trigram of ten is the same; of longer names two, as of "nmupy". To ask
# for two has PostgreSQL leave out at once all that begin alike and have nothing else in common.
_SHORT = 4
_LEAST_OF_SHORT, _LEAST_SIMILARITY = 0.09, 0.17
_PARTS_OF_TWO_LETTERS = 6
_CLOSE_ENOUGH = 0.65


class Sort(models.TextChoices):
    BEST = "", _("Best match")
    DOWNLOADS = "downloads", _("Downloads")
    UPDATED = "updated", _("Last updated")
    NAME = "name", _("Name")


@dataclass(frozen=True, slots=True)
class Wanted:
    words: tuple[str, ...] = ()
    account: str = ""
    platform: str = ""
    license: str = ""
    updated_days: int = 0
    sort: Sort = Sort.BEST


@dataclass(frozen=True, slots=True)
class Found:
    ids: list[int]
    """The keys of packages that the viewer may know of, in their order."""
    is_cut: bool = False
    """Whether there may be more than were looked at."""
    accounts: dict[str, int] = field(default_factory=dict)
    licenses: dict[str, int] = field(default_factory=dict)


def words_of(text: str) -> list[str]:
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return printable.lower().split()[:MAX_WORDS]


def find(by: Identity, wanted: Wanted) -> Found:
    """Packages with all these words in name or summary, those first that have them in the name."""
    rows = _candidates(by, wanted)
    narrows = wanted.platform or wanted.updated_days
    asked_of, visible = set[int](), set[int]()
    found, is_cut = list[int](), False
    for most in _LOOKED_AT_TO_NARROW if narrows else _LOOKED_AT:
        ids = _best(rows, wanted.words, most)
        visible |= _visible(by, [pk for pk in ids if pk not in asked_of], wanted)
        asked_of.update(ids)
        found = [pk for pk in ids if pk in visible]
        is_cut = len(ids) == most
        if len(found) > MOST_FOUND or not is_cut:
            break
    return Found(_sorted(found[:MOST_FOUND], wanted.sort), is_cut or len(found) > MOST_FOUND)


def counted(found: Found) -> Found:
    """With how many there are of each account and license, most first."""

    rows = list(Package.objects.filter(pk__in=found.ids).values_list("account__name", "license"))

    def count(names: Iterable[str]) -> dict[str, int]:
        numbers = Counter(name for name in names if name)
        return dict(sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0])))

    return Found(
        found.ids,
        found.is_cut,
        count(account for account, _license in rows),
        count(terms for _account, terms in rows),
    )


def packages_of(ids: Sequence[int]) -> list[Package]:
    """The packages of some of what was found, in that order."""
    rows = Package.objects.select_related("account").in_bulk(ids)
    return [rows[pk] for pk in ids if pk in rows]


def in_this_order(ids: Sequence[int]) -> QuerySet[Package]:
    """The same as a queryset. Each row has a ``place``: a value in this order that differs for
    each."""
    places = [When(pk=pk, then=Value(at)) for at, pk in enumerate(ids, start=1)]
    place = Case(*places, output_field=IntegerField())
    rows = Package.objects.select_related("account").filter(pk__in=ids)
    return rows.annotate(place=place).order_by("place")


def suggest(by: Identity, words: Sequence[str]) -> str:
    """A name that somebody who typed this may have meant, or nothing."""
    name = "-".join(words)
    if len(name) < search_index.GRAM:
        return ""
    query, values = search_index.similar_names(name, _SIMILAR_LOOKED_AT)
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            if not search_index.has_trigrams():
                return ""
            cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)",
                           [f"{_similarity(name):.2f}"])  # fmt: skip
        cursor.execute(query, values)
        ids = [pk for (pk,) in cursor.fetchall()]
    seen = access.visible_packages(by, of_few=True).filter(pk__in=ids)
    names = sorted(set(seen.order_by().values_list("name", flat=True)))
    close = difflib.get_close_matches(name, names, n=1, cutoff=_CLOSE_ENOUGH)
    return close[0] if close else ""


def _similarity(name: str) -> float:
    """What share of their trigrams a name has in common with it when two letters are wrong, of
    which each stands in three. Asking for less has PostgreSQL look at thousands of long names."""
    parts = len(name) + 1
    left = (parts - _PARTS_OF_TWO_LETTERS) / (parts + _PARTS_OF_TWO_LETTERS)
    return max(_LEAST_OF_SHORT if len(name) <= _SHORT else _LEAST_SIMILARITY, left)


# --- Candidates --------------------------------------------------------------------------------


def _candidates(by: Identity, wanted: Wanted) -> QuerySet[Package]:
    rows = Package.objects.filter(access.perhaps_visible(by), deleted_at=None)
    if wanted.account:
        rows = rows.filter(account__name=wanted.account)
    if wanted.license:
        rows = rows.filter(license=wanted.license)
    return rows


def _best(rows: QuerySet[Package], words: Sequence[str], most: int) -> list[int]:
    """Those whose name begins with the words, then those with all words in the name, of each the
    shortest first, and where there are few of them, others as well.

    Each is asked for only if those before it are too few: a quarter of all names begin alike, and
    an index has them in this order already, when to sort them costs more than all else. A common
    word stands in a quarter of all summaries; so of those the oldest are taken.
    """
    asked = _asked(words)
    if asked.account is not None:
        rows = rows.filter(account__name=asked.account)
    ids = list[int]()
    if asked.name:
        beginning = _shortest_first(_beginning_with(rows, asked.name))
        ids += beginning.values_list("pk", flat=True)[:most]
    if len(ids) == most or (asked.name and not asked.within):
        return ids
    in_name = _with_words(rows, asked, in_name=True)
    if asked.name:
        in_name = _shortest_first(in_name.exclude(name__startswith=asked.name))
    else:
        in_name = in_name.order_by("name", "account")
    ids += in_name.values_list("pk", flat=True)[: most - len(ids)]
    if len(ids) == most or not asked.within:
        return ids
    others = _with_words(rows, asked).exclude(pk__in=ids).values_list("pk", "name")
    found = _oldest(others, most - len(ids))
    return ids + [pk for pk, _name in sorted(found, key=lambda row: (len(row[1]), row[1]))]


def _oldest(rows: QuerySet[Package, Any], most: int) -> list[Any]:
    """The first of them by key.

    PostgreSQL can't know how common a part of a word is: where it takes a rare one for a common
    one, it looks through all packages in the order of their keys. So it does that for some only,
    among which a common one is found often enough; and a rare one is asked for without an order
    that an index has.
    """
    in_order = rows.order_by("pk")
    if connection.vendor == "postgresql":
        found = list(in_order.filter(pk__lte=_LOOKED_THROUGH)[:most])
        if len(found) == most:
            return found
        in_order = rows.order_by(F("pk") + 0)
    return list(in_order[:most])


@dataclass(frozen=True, slots=True)
class _Asked:
    account: str | None
    name: str
    """What somebody meant who typed a name, or nothing if no name has all the words."""
    beginning: str
    """What a name begins with."""
    within: list[str]
    """The words that stand in names, or in summaries."""


def _asked(words: Sequence[str]) -> _Asked:
    account, within = None, list(words)
    if len(words) == 1 and words[0].count("/") == 1:
        account, _, name = words[0].partition("/")
        within = [name] if name else []
    name = "-".join(within)
    if "/" in name:
        name = ""
    if within and all(len(word) < search_index.GRAM for word in within):
        # What so few letters are a part of is nearly everything.
        return _Asked(account, name, within[0], within[1:])
    return _Asked(account, name, "", within)


def _beginning_with(rows: QuerySet[Package], beginning: str) -> QuerySet[Package]:
    """What follows from the beginning is said as well: of one letter, or of three, the database
    has an index with the shortest names first."""
    letters = _BEGINNING if len(beginning) >= _BEGINNING else 1
    rows = rows.alias(letters=beginning_of_name(letters)).filter(letters=beginning[:letters])
    return rows.filter(name__startswith=beginning)


def _with_words(
    rows: QuerySet[Package], asked: _Asked, *, in_name: bool = False
) -> QuerySet[Package]:
    if asked.beginning:
        rows = _beginning_with(rows, asked.beginning)
    words = asked.within
    long = [word for word in words if len(word) >= search_index.GRAM]
    if long and connection.vendor != "postgresql":
        query, values = search_index.with_words(long, in_name=in_name)
        rows = rows.filter(pk__in=RawSQL(query, values))  # noqa: S611 - values are given apart
        words = [word for word in words if word not in long]
    for word in words:
        found = Q(name__contains=word)
        rows = rows.filter(found if in_name else found | Q(summary__icontains=word))
    return rows


def _shortest_first(rows: QuerySet[Package]) -> QuerySet[Package]:
    """Of names that are alike, what was typed makes most of the shortest."""
    return rows.order_by(Length("name"), "name", "account")


def _visible(by: Identity, ids: Sequence[int], wanted: Wanted) -> set[int]:
    rows = access.visible_packages(by, of_few=True).filter(pk__in=ids)
    files = access.readable_files(by).filter(package=OuterRef("pk")).order_by()
    if wanted.platform:
        files = files.filter(subdir=wanted.platform)
    if wanted.updated_days:
        files = files.filter(uploaded_at__gte=timezone.now() - timedelta(days=wanted.updated_days))
    if wanted.platform or wanted.updated_days:
        rows = rows.filter(Exists(files))
    return set(rows.order_by().values_list("pk", flat=True))


def _sorted(ids: list[int], sort: Sort) -> list[int]:
    known: dict[int, Any]
    match sort:
        case Sort.DOWNLOADS:
            totals = DownloadTotal.objects.filter(file__package__in=ids).order_by()
            known = dict(totals.values_list("file__package").annotate(total=Sum("count")))
        case Sort.UPDATED:
            uploads = PackageFile.objects.staying().filter(package__in=ids).order_by()
            known = dict(uploads.values_list("package").annotate(last=Max("uploaded_at")))
        case Sort.NAME:
            rows = Package.objects.filter(pk__in=ids).order_by("name", "account__name")
            return list(rows.values_list("pk", flat=True))
        case _:
            return ids
    # The best match stays first among equals, and what nothing is known of comes last.
    ranked = sorted((pk for pk in ids if pk in known), key=known.__getitem__, reverse=True)
    return ranked + [pk for pk in ids if pk not in known]
