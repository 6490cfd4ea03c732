"""Run by a test: sets a database up, fills it with names, and prints what searching finds in it.

``python -m tests.registry.search_by_trigrams WORDS…`` prints a line of JSON.
"""

# ruff: noqa: PLC0415 - models are there only once Django is set up

from __future__ import annotations

import json
import sys

import django


def main(questions: list[str]) -> None:
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from accounts.identity import ANONYMOUS
    from accounts.models import Account
    from registry import search_index, searching
    from registry.models import Channel, Package
    from registry.models.channel import Removal

    call_command("migrate", verbosity=0)
    search_index.set_up()  # once more changes nothing
    account = Account.objects.create(name="acme", kind=Account.Kind.USER)
    main, _ = Channel.objects.get_or_create(account=account, name="main")
    names = ["numpy", "numpy-base", "scikit-learn", *(f"other-{number}" for number in range(3000))]
    for name in names:
        summary = "Built on NumPy" if name == "other-7" else ""
        Package.objects.create(account=account, name=name, summary=summary)
    # They stood there, so everybody may know of them.
    Removal.objects.bulk_create(
        Removal(channel=main, subdir="noarch", package_name=name, filename=f"{name}-1-0.conda",
                repodata_key=name.encode())
        for name in names
    )  # fmt: skip
    answers = {}
    for question in questions:
        words = searching.words_of(question)
        found = searching.find(ANONYMOUS, searching.Wanted(words=tuple(words)))
        shown = [package.name for package in searching.packages_of(found.ids[:5])]
        answers[question] = [shown, searching.suggest(ANONYMOUS, words)]
    with connection.cursor() as cursor:
        # Of so few rows it would read all. What counts is that the ORM asks as the indexes say.
        cursor.execute("SET enable_seqscan = off")
        beginning = Account.objects.filter(name__startswith="nu").values("name").explain()
        cursor.execute("SET enable_indexscan = off")
    plans = {
        "beginning": beginning,
        "name": Package.objects.filter(name__contains="cikit").explain(),
        "summary": Package.objects.filter(summary__icontains="NumPy").explain(),
    }
    json.dump({"answers": answers, "plans": plans}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
