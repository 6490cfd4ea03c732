"""How the web process is configured and started: ``python -m portal.webserver``.

Behind nginx or Caddy on an open network; bare on loopback or a network whose people are trusted.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.servers.basehttp import get_internal_wsgi_application
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from portal import checks, logs
from portal.gunicorn_worker import Worker
from portal.sqlite.line import stand_in_line_with_other_processes

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only asked whether it's there


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own lines, in the form and at the place of all others. No access log: URLs can
    hold tokens, and the application writes its own."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.setLevel("WARNING")

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Nothing; gunicorn's would look through its settings each time to see that it is off."""


class WebServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(
        self,
        load: Callable[[], Any],
        *,
        bind: str,
        threads: int,
        processes: int = 1,
        supervised: bool = False,
    ) -> None:
        self._load = load
        self._options: dict[str, Any] = {
            "bind": bind,
            "threads": threads,
            "workers": processes,
            "worker_class": Worker,
            "worker_connections": 1000,
            # The heartbeat file; on a disk a busy moment would look like a dead worker.
            "worker_tmp_dir": str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
            "preload_app": True,
            "logger_class": Log,
            "accesslog": None,
            "keepalive": 30,
            "timeout": 60,
            "graceful_timeout": 30,
            "limit_request_line": 8190,
            "limit_request_fields": 100,
            # Whom to believe about addresses and schemes is decided by Django's settings alone.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "forwarder_headers": "",
            "control_socket_disable": True,
            "proc_name": "condarium-web",
        }
        if supervised:
            self._options["when_ready"] = _leave_ctrl_c_to_the_supervisor
        if processes > 1:
            self._options["post_fork"] = _stand_in_line
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._load()


def _stand_in_line(_server: Any, _worker: Any) -> None:
    stand_in_line_with_other_processes()


def _leave_ctrl_c_to_the_supervisor(_server: Any) -> None:
    # Ctrl-C reaches the whole group; here it would cut the requests that are running.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def allow_many_connections() -> None:
    """A flood of idle connections must not use up the descriptors that accepting needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(bind: str, *, supervised: bool = False) -> None:
    """Serve until told to stop; somebody else starts it again."""
    allow_many_connections()
    logs.make_ready()
    WebServer(
        get_internal_wsgi_application,
        bind=bind,
        threads=settings.WEB_THREADS,
        processes=settings.WEB_PROCESSES,
        supervised=supervised,
    ).run()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    checks.refuse_unsafe_start()
    host = f"[{settings.LISTEN_HOST}]" if ":" in settings.LISTEN_HOST else settings.LISTEN_HOST
    run(f"{host}:{settings.LISTEN_PORT}")


if __name__ == "__main__":
    main()
