"""What every test stands on: the cast, a house of its own, and no network."""

from __future__ import annotations

import functools
import gc
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import hypothesis
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, connections, transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from accounts import switches
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


# --- The run -----------------------------------------------------------------------------------

# Who uses one of these waits for processes that start, and for others that work.
_LONG = {"browser", "postgres", "prepared_data", "redis", "s3"}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    # What is collected stays: looking through it for garbage, again and again, takes seconds.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        # Nor does it pay to look whenever 700 objects more are there: a request makes thousands.
        gc.set_threshold(20_000, 20, 50)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the modules that take long, otherwise in the random order that there is.

    Each worker is given an equal stretch of the list, and one without work takes from the end of
    another's. So each stretch begins with its share of what takes long, in which processes wait
    for each other; at the end of the run there are only short tests to share.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if _LONG & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("long"):
            long.setdefault(_what_is_shared(item), [])
    short: list[pytest.Item] = []
    for item in items:
        long.get(_what_is_shared(item), short).append(item)
    stretches: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for some in sorted(long.values(), key=len, reverse=True):
        min(stretches, key=len).extend(some)
    for number, stretch in enumerate(stretches):
        stretch.sort(key=lambda item: item.get_closest_marker("long") is None)
        # As the scheduler divides what is left among the workers that are left.
        wanted = (len(items) - sum(map(len, stretches[:number]))) // (workers - number)
        missing = max(0, wanted - len(stretch))
        stretch.extend(short[:missing])
        del short[:missing]
    items[:] = [item for stretch in stretches for item in stretch]


def _what_is_shared(item: pytest.Item) -> Path:
    """The module, whose tests share what they stand on; all clients share their deployments."""
    folder = item.path.parent
    return folder if folder.name == "clients" else item.path


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


@pytest.fixture(autouse=True, scope="session")
def nothing_slow_and_nothing_sent() -> Iterator[None]:
    """Settings for all tests: those of ``house`` are set anew for each, which costs."""
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "tests"}
    with (
        override_settings(
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
            CELERY_BROKER_URL="",
            WHITENOISE_AUTOREFRESH=True,  # looks files up when asked for, not at each start
            CACHES={"default": memory},
        ),
        pytest.MonkeyPatch.context() as patch,
    ):
        # What has to outlive a loss of power is shown by servers of their own.
        patch.setattr(os, "fsync", lambda _descriptor: None)
        # Each storage has a session of boto3, which would read the same files of botocore anew.
        load = functools.cache(botocore.session.create_loader)
        patch.setattr(botocore.session, "create_loader", load)
        yield


@pytest.fixture(autouse=True)
def house(tmp_path: Path) -> Iterator[None]:
    """A data folder and a cache for this test alone."""
    cache.clear()
    # Nothing is closed, and nobody looks in the database; throwing a switch ends that.
    switches._known = switches._Known(float("inf"), {})
    with (
        override_settings(**settings_of(tmp_path / "data")),
        connection.execute_wrapper(_refuse_what_postgresql_refuses),
    ):
        yield
    cache.clear()


class NotForPostgreSQL(Exception):
    """The database was given a text that PostgreSQL doesn't take, and SQLite does."""


def _refuse_what_postgresql_refuses(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    # A fault there, and nothing noticed here: what was sent has to be looked at before.
    if many:
        params = list(params)
    for row in params if many else [params]:
        values = row.values() if isinstance(row, Mapping) else row or ()
        if any(isinstance(value, str) and "\0" in value for value in values):
            raise NotForPostgreSQL(f"A text holds NUL, for {sql[:200]}")
    return execute(sql, params, many, context)


def settings_of(data: Path) -> dict[str, Any]:
    return {
        "DATA_FOLDER": data,
        "FILES_FOLDER": data / "files",
        "INCOMING_FOLDER": data / "files" / "incoming",
        "STORAGES": {
            "default": {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": data / "files"},
            },
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
    }


@pytest.fixture(scope="module")
def ground(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """Rows and files that a fixture of the module's scope makes on it last for the whole module.

    For what is costly to make and the same for dozens of tests. The transaction of each test lies
    within this one, so what it changes is gone after it; files have to be copied from this data
    folder to the test's. The rows are there for every test of such a module.
    """
    data = tmp_path_factory.mktemp("ground") / "data"
    with (
        override_settings(**settings_of(data)),
        django_db_blocker.unblock(),
        transaction.atomic(),
    ):
        yield data
        transaction.set_rollback(True)


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
