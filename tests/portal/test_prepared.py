"""Queries whose words are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account
from portal.prepared import Prepared
from registry.models import Channel, PublishedIndex, Removal, StaleMark
from tests.factories import make_organization, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def channel() -> Channel:
    return Channel.objects.create(account=make_organization("acme").account, name="main")


def test_a_prepared_query_finds_what_the_query_finds(channel: Channel) -> None:
    for subdir in ("noarch", "linux-64", "noarch"):
        StaleMark.objects.create(channel=channel, subdir=subdir, package_name=f"of-{subdir}")
    prepared = Prepared(
        lambda channel_id, subdir: StaleMark.objects.filter(
            channel=channel_id, subdir=subdir
        ).values_list("package_name", "removed"),
        int,
        str,
    )
    assert prepared.rows(channel.pk, "noarch") == [("of-noarch", True)] * 2
    assert prepared.rows(channel.pk, "linux-64") == [("of-linux-64", True)]
    assert prepared.exists(channel.pk, "linux-64")
    assert not prepared.exists(channel.pk + 1, "linux-64")
    assert prepared.rows(channel.pk, "%s' OR 1=1 --") == []


def test_a_prepared_update_changes_the_rows_it_names(channel: Channel) -> None:
    index = PublishedIndex.objects.create(channel=channel, subdir="noarch")
    now = timezone.now()
    take = Prepared(
        lambda pk, before, *_: PublishedIndex.objects.filter(
            Q(lease_until=None) | Q(lease_until__lt=before), pk=pk
        ),
        int, type(now), str, type(now),
        changes=lambda _pk, _before, holder, until: {"lease_holder": holder, "lease_until": until},
    )  # fmt: skip
    until = now + timedelta(seconds=10)
    assert take.update(index.pk, now, "one", until) == 1
    assert take.update(index.pk, now, "two", until) == 0
    index.refresh_from_db()
    assert (index.lease_holder, index.lease_until) == ("one", until)
    assert take.update(index.pk, until + timedelta(seconds=1), "two", until) == 1


def test_the_words_are_worked_out_once(channel: Channel) -> None:
    asked: list[object] = []

    def make(channel_id: int) -> object:
        asked.append(channel_id)
        return StaleMark.objects.filter(channel=channel_id).values_list("pk")

    prepared = Prepared(make, int)  # type: ignore[arg-type]  # it notes what it was asked with
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            prepared.rows(channel.pk)
    assert len(asked) == 1
    assert len(queries) == 3


def test_a_value_that_does_not_stand_in_the_query_as_it_is_is_no_value() -> None:
    prepared = Prepared(
        lambda channel_id, _subdir: StaleMark.objects.filter(channel=channel_id), int, str
    )
    with pytest.raises(ValueError, match="as it is"):
        prepared.rows(1, "noarch")


def test_any_number_of_values_stands_in_a_list(channel: Channel) -> None:
    for name in ("one", "two", "three"):
        StaleMark.objects.create(channel=channel, subdir="noarch", package_name=name)
    prepared = Prepared(
        lambda channel_id, names, subdir: (
            StaleMark.objects.filter(channel=channel_id, package_name__in=names, subdir=subdir)
            .order_by("package_name")
            .values_list("package_name")
        ),
        int,
        list[str],
        str,
    )
    assert prepared.rows(channel.pk, ["one", "two", "%s"], "noarch") == [("one",), ("two",)]
    assert prepared.rows(channel.pk, ["three"], "noarch") == [("three",)]
    assert prepared.rows(channel.pk, ["three"], "linux-64") == []
    assert prepared.rows(channel.pk, [], "noarch") == []


def test_a_prepared_deletion_deletes_the_rows_it_names(channel: Channel) -> None:
    marks = [
        StaleMark.objects.create(channel=channel, subdir="noarch", package_name=name)
        for name in ("one", "two", "three")
    ]
    forget = Prepared(lambda keys: StaleMark.objects.filter(pk__in=keys), list[int], deletes=True)
    assert forget.update([]) == 0
    assert forget.update([mark.pk for mark in marks[:2]]) == 2
    assert list(StaleMark.objects.values_list("package_name", flat=True)) == ["three"]


def test_bytes_are_values_too(channel: Channel) -> None:
    for key in (b"\x05a", b"\x05b", b"\x1a"):
        Removal.objects.create(
            channel=channel, subdir="noarch", package_name="a", filename=key.hex(), repodata_key=key
        )
    prepared = Prepared(
        lambda start, keys: (
            Removal.objects.filter(repodata_key__gt=start, repodata_key__in=keys)
            .order_by("repodata_key")
            .values_list("repodata_key")
        ),
        bytes,
        list[bytes],
    )
    found = prepared.rows(b"\x05a", [b"\x05a", b"\x05b", b"\x1a"])
    assert [bytes(key) for (key,) in found] == [b"\x05b", b"\x1a"]


def test_a_prepared_query_gives_the_instance_that_the_query_gives(channel: Channel) -> None:
    made = PublishedIndex.objects.create(
        channel=channel,
        subdir="noarch",
        files={"repodata.json": {"key": "k", "size": 3}},
        record_count=7,
        documents_at=timezone.now(),
    )
    prepared = Prepared(lambda pk: PublishedIndex.objects.filter(pk=pk), int)

    found = prepared.get(made.pk)
    plain = PublishedIndex.objects.get(pk=made.pk)

    for column in PublishedIndex._meta.concrete_fields:
        value = getattr(found, column.attname)
        assert value == getattr(plain, column.attname)
        assert type(value) is type(getattr(plain, column.attname))
    found.record_count = 8
    found.save()
    assert PublishedIndex.objects.get().record_count == 8
    with pytest.raises(PublishedIndex.DoesNotExist):
        prepared.get(made.pk + 1)


def test_a_prepared_update_sets_a_column_of_json(channel: Channel) -> None:
    index = PublishedIndex.objects.create(channel=channel, subdir="noarch")
    keep = Prepared(
        lambda pk, _files: PublishedIndex.objects.filter(pk=pk), int, dict,
        changes=lambda _pk, files: {"files": files},
    )  # fmt: skip
    for files in ({"repodata.json": {"key": "ä", "size": 1}}, {}):
        assert keep.update(index.pk, files) == 1
        index.refresh_from_db()
        assert index.files == files


def test_instances_come_with_what_is_selected_along(channel: Channel) -> None:
    user = make_user("ada")
    by_names = Prepared(
        lambda names: (
            Account.objects.select_related("user", "organization")
            .filter(name__in=names)
            .order_by("name")
        ),
        list[str],
    )
    with CaptureQueriesContext(connection) as queries:
        acme, ada = by_names.instances(["ada", "acme"])
        assert (acme.name, ada.name) == ("acme", "ada")
        assert acme.organization.account is acme
        assert ada.user == user
        assert not hasattr(acme, "user")
        assert (ada.links, ada.deleted_at) == ([], None)
    assert len(queries) == 1
    assert ada.created_at == Account.objects.get(name="ada").created_at
    along = Prepared(lambda name: Channel.objects.select_related("account").filter(name=name), str)
    with CaptureQueriesContext(connection) as queries:
        assert along.get("main").account == channel.account
    assert len(queries) == 1
    with pytest.raises(Channel.DoesNotExist):
        along.get("dev")
