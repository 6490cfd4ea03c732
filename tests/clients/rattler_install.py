"""Solve and install with py-rattler, the core of pixi, as a process of its own.

``python rattler_install.py CHANNEL SPEC PREFIX CACHE``: exit code 1 and the client's own words on
stderr where it can't. ``RATTLER_AUTH_FILE`` names credentials, as for pixi. With ``WITHOUT_SHARDS``
set it reads repodata.json as a whole.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from rattler import Gateway, SourceConfig, install, solve
from rattler.networking import Client


async def main(channel: str, spec: str, prefix: str, cache: str) -> None:
    client = Client.default_client()
    sources = SourceConfig(sharded_enabled="WITHOUT_SHARDS" not in os.environ)
    gateway = Gateway(cache_dir=Path(cache, "repodata"), default_config=sources, client=client)
    records = await solve(
        [channel],
        [spec],
        platforms=["linux-64", "noarch"],
        gateway=gateway,
        virtual_packages=[],
    )
    await install(records, target_prefix=prefix, cache_dir=Path(cache, "packages"), client=client)
    for record in records:
        print(f"{record.subdir}/{record.file_name}")  # noqa: T201 - read by the test


if __name__ == "__main__":
    # py-rattler's threads may outlive the interpreter, which then aborts: leave without its end.
    try:
        asyncio.run(main(*sys.argv[1:5]))
    except Exception as error:  # noqa: BLE001 - the client's words are what the test reads
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - read by tests
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
