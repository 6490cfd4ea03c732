"""What every test stands on: the cast, a house of its own, and no network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connections
from pytest_django import Settings

from accounts.models import Group, Organization
from accounts.roles import Permission, Role
from tests.cast import Person
from tests.factories import add_member, make_group, make_organization, make_user

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("patient", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("patient")

_HERE = Path(__file__).parent
pytest_plugins = [
    f"tests.{name}"
    for name in ("fixtures_servers", "fixtures_registry")
    if (_HERE / f"{name}.py").exists()
]


# --- The house ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """SQLite in a file of this worker's, since threads can't share one in memory as processes
    share a file; or the PostgreSQL that ``CONDARIUM_DATABASE_URL`` names."""
    # The database is made by our own migrate, which prepares a data folder: not the user's.
    settings.DATA_FOLDER = tmp_path_factory.mktemp("data")
    database = connections["default"].settings_dict
    options = database["OPTIONS"]
    if connections["default"].vendor == "sqlite":
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        options["init_command"] = options["init_command"].replace(
            "synchronous=FULL", "synchronous=OFF"
        )
    else:
        options.pop("pool", None)  # it would keep connections that dropping a database waits for


@pytest.fixture(autouse=True)
def house(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """A data folder, a cache and settings for this test alone; nothing slow, nothing sent."""
    data = tmp_path / "data"
    settings.DATA_FOLDER = data
    settings.FILES_FOLDER = data / "files"
    settings.INCOMING_FOLDER = data / "files" / "incoming"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.CELERY_BROKER_URL = ""
    settings.WHITENOISE_AUTOREFRESH = True  # looks files up when asked for, not at each start
    settings.STORAGES = {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": data / "files"},
        },
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "tests",
        }
    }
    cache.clear()
    yield
    cache.clear()


class NetworkIsOff(Exception):
    """A test tried to reach something beyond this machine."""


def _refuse_far_addresses(sock: socket.socket, address: Any) -> None:
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    host = str(address[0])
    try:
        near = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        near = host == "localhost"
    if not near:
        raise NetworkIsOff(f"A test tried to connect to {host}; only loopback is open to tests.")


@pytest.fixture(autouse=True, scope="session")
def network_off() -> Iterator[None]:
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def near_connect(sock: socket.socket, address: Any) -> None:
        _refuse_far_addresses(sock, address)
        connect(sock, address)

    def near_connect_ex(sock: socket.socket, address: Any) -> int:
        _refuse_far_addresses(sock, address)
        return connect_ex(sock, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", near_connect)
        patch.setattr(socket.socket, "connect_ex", near_connect_ex)
        yield


# --- The cast ----------------------------------------------------------------------------------


@pytest.fixture
def owner(db: None) -> Person:
    """Owner of the organization acme."""
    return Person(make_user("olga"))


@pytest.fixture
def acme(owner: Person) -> Organization:
    return make_organization("acme", owner=owner.user)


@pytest.fixture
def maintainer(maintainers: Group) -> Person:
    """Member of acme with write on all its packages, through a group."""
    user = maintainers.users.get()
    return Person(user)


@pytest.fixture
def maintainers(acme: Organization) -> Group:
    user = make_user("maria")
    add_member(acme, user)
    return make_group(
        acme, "maintainers", permission=Permission.WRITE, all_packages=True, members=[user]
    )


@pytest.fixture
def admin(acme: Organization) -> Person:
    """Admin of acme, but no owner."""
    user = make_user("adam")
    add_member(acme, user, role=Role.ADMIN)
    return Person(user)


@pytest.fixture
def reader(acme: Organization) -> Person:
    """Member of acme, in no group."""
    user = make_user("rita")
    add_member(acme, user)
    return Person(user)


@pytest.fixture
def stranger(db: None) -> Person:
    """Someone with an account and nothing to do with acme."""
    return Person(make_user("sven"))
