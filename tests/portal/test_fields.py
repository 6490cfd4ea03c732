"""Columns of more than one model: what they promise in either database."""

from __future__ import annotations

from django.apps import apps
from django.db import models

from accounts.models import Organization
from portal.fields import BY_BYTES
from registry.models import Channel

_NAMES = {"name", "username", "subdir", "filename", "package_name", "version", "build"}
# What people or our own code called something: no list of names beside those of the format.
_OF_PEOPLE = {"accounts.token", "accounts.switch", "registry.chorerun"}


def test_every_name_sorts_by_its_bytes() -> None:
    others = [
        str(field)
        for model in apps.get_models()
        if model._meta.app_label in {"accounts", "registry"}
        and model._meta.label_lower not in _OF_PEOPLE
        for field in model._meta.local_fields
        if field.name in _NAMES and isinstance(field, models.CharField)
        if field.db_collation != BY_BYTES
    ]

    assert others == []


def test_a_list_of_names_is_in_one_order_everywhere(acme: Organization) -> None:
    names = ["Zlib", "_libgcc", "a-b", "a.c", "a_a", "ab", "b"]
    Channel.objects.bulk_create(Channel(account=acme.account, name=name) for name in names)

    assert list(Channel.objects.order_by("name").values_list("name", flat=True)) == sorted(names)
    after = Channel.objects.filter(name__gt="a-b").order_by("name")
    assert [channel.name for channel in after] == ["a.c", "a_a", "ab", "b"]
