"""What the same upload costs in a plain WSGI application under gunicorn as it comes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

BLOCK_BYTES = 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Hash and store the body, without a look at what it is."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    descriptor, _ = tempfile.mkstemp(dir=os.environ["BENCHMARKS_FOLDER"])
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - no path, a descriptor
        while block := environ["wsgi.input"].read(BLOCK_BYTES):
            sha256.update(block)
            md5.update(block)
            file.write(block)
        os.fsync(file.fileno())
    body = f"{sha256.hexdigest()} {md5.hexdigest()}\n".encode()
    start_response("201 Created", [("Content-Length", str(len(body)))])
    return [body]
