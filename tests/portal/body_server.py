"""A tiny application under the real web server: says what it understood of a body.

Run by test_body.py: ``body_server.py FD gunicorn|ours``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from portal import gunicorn_worker
from portal.body import BodyRefusal, open_body
from portal.webserver import WebServer

SECONDS = 1.0
THREADS = 3
canaries = 0


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    global canaries  # noqa: PLW0603 - what a smuggled request would leave behind
    status = "200 OK"
    answer: dict[str, Any] = {}
    path = environ["PATH_INFO"]
    if path == "/canary":
        canaries += 1
    elif path == "/canaries":
        answer = {"canaries": canaries}
    elif path == "/refuse":
        status = "401 Unauthorized"
    elif path == "/take":
        limit = environ.get("HTTP_X_LIMIT")
        try:
            answer = take(environ, limit_bytes=int(limit) if limit else None)
        except BodyRefusal as refusal:
            status, answer = f"{refusal.status} Refused", {"slug": refusal.slug}
    content = json.dumps(answer).encode()
    start_response(status, [("Content-Length", str(len(content)))])
    return [content]


def take(environ: dict[str, Any], *, limit_bytes: int | None) -> dict[str, Any]:
    body = open_body(environ, limit_bytes=limit_bytes)
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(100_000))
    while count := body.readinto(buffer):
        digest.update(buffer[:count])
    return {"bytes": body.received_bytes, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    gunicorn_worker.HEAD_SECONDS = gunicorn_worker.BODY_SECONDS = SECONDS
    server = WebServer(lambda: application, bind=f"fd://{sys.argv[1]}", threads=THREADS)
    if sys.argv[2] == "gunicorn":
        server.cfg.set("worker_class", "gthread")
    server.run()
