"""``condarium serve``: the whole host in one process tree."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db.utils import OperationalError
from whitenoise.storage import (  # type: ignore[import-untyped]  # has no types
    CompressedManifestStaticFilesStorage,
)

from portal import checks, env, webserver
from portal.supervisor import Child, Supervisor, exit_code_of

_NEVER_SERVED = ["redoc"]  # megabytes to compress; the API is shown by Swagger


class Command(BaseCommand):
    help = "Set up what is missing and serve: web and worker, until Ctrl-C."
    requires_system_checks = ()  # each start would pay for them; `make lint` runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--web-only", action="store_true", help="the worker runs elsewhere, or as Celery"
        )

    def handle(self, *args: Any, web_only: bool, **options: Any) -> None:
        checks.refuse_unsafe_start()
        # First of all, so that a second start by mistake touches nothing.
        listener = listen(settings.LISTEN_HOST, settings.LISTEN_PORT)
        prepare_data_folder()
        # Here there is no connection to the database yet, and none before the children are there.
        if code := exit_code_of(self._prepare):
            sys.exit(code)
        use_collected_static_files()

        children = [
            Child("web", partial(webserver.run, f"fd://{listener.fileno()}", supervised=True))
        ]
        if not web_only:
            children.append(Child("worker", partial(call_command, "worker")))
        Supervisor(children).run()

    def _prepare(self) -> None:
        try:
            prepare_database()
            prepare_static_files()
            self._say_where()
        except CommandError as error:
            self.stderr.write(f"CommandError: {error}")
            sys.exit(error.returncode)
        except KeyboardInterrupt:
            sys.exit(130)

    def _say_where(self) -> None:
        # Named in a string: the portal stands below the accounts and imports nothing of them.
        first_account_link: Callable[[], str | None] = importlib.import_module(
            "accounts.first_account"
        ).first_account_link
        link = first_account_link()
        self.stdout.write(f"Condarium: {settings.BASE_URL}")
        self.stdout.write(f"Data:      {settings.DATA_FOLDER}")
        if link:
            self.stdout.write("Make the first account, the site's admin; the link works once:")
            self.stdout.write(f"           {link}")
        self.stdout.write("Ctrl-C stops it.")
        self.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, or one line that says why not."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        match error:
            case OSError(errno=errno.EADDRINUSE):
                reason = (
                    f"Port {port} on {host} is in use. "
                    f"Choose another: CONDARIUM_PORT={port + 1} make run"
                )
            case OSError(errno=errno.EACCES):
                reason = f"Port {port} is not ours to use. Choose one from 1024 on: CONDARIUM_PORT"
            case OverflowError():
                reason = f"CONDARIUM_PORT is {port}; a port is a number up to 65535."
            case _:
                reason = f"CONDARIUM_HOST is {host!r}; that is no address of this machine."
        raise CommandError(reason) from error


def prepare_data_folder() -> None:
    """Make the data folder and its secret key; nobody else on the machine may read them."""
    try:
        settings.DATA_FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not settings.SECRET_KEY_GIVEN:
            env.make_secret_key(settings.DATA_FOLDER)
            # The settings were read before there was a key; links made here must hold there.
            settings.SECRET_KEY = env.stored_secret_key(settings.DATA_FOLDER)
    except OSError as error:
        raise CommandError(
            f"CONDARIUM_DATA is {settings.DATA_FOLDER}: {error.strerror}."
        ) from error


def prepare_database() -> None:
    try:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("createcachetable", verbosity=0)
    except OperationalError as error:
        what = str(error).strip().partition("\n")[0]
        raise CommandError(f"The database can't be used: {what}") from error


def prepare_static_files() -> None:
    """Collect, hash and compress what the pages load, when it differs from the last time."""
    if settings.DEBUG:
        return
    root = Path(settings.STATIC_ROOT)
    stamp = root / "collected.sha256"
    wanted = _static_fingerprint()
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_name(f"{root.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # hosts with other data may be started at the same time
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        # The settings name this storage only where its manifest is there already.
        collect = collectstatic.Command()
        collect.storage = CompressedManifestStaticFilesStorage()
        call_command(
            collect, verbosity=0, interactive=False, clear=True, ignore_patterns=_NEVER_SERVED
        )
        stamp.write_text(wanted)


def use_collected_static_files() -> None:
    """At the very first start the settings were read before there were any."""
    if settings.DEBUG or not settings.WHITENOISE_USE_FINDERS:
        return
    kind = CompressedManifestStaticFilesStorage
    settings.WHITENOISE_USE_FINDERS = False
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": f"{kind.__module__}.{kind.__qualname__}"},
    }


def _static_fingerprint() -> str:
    digest = hashlib.sha256()
    folders = [Path(folder) for folder in settings.STATICFILES_DIRS]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    # The lock stands for the files that come with the dependencies.
    for path in [settings.BASE_DIR / "requirements.lock", *sorted(files)]:
        digest.update(f"{path}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
