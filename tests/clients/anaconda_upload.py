"""Upload as rattler-build does to anaconda.org, into the labels ``rc`` and ``dev``:
``python anaconda_upload.py FILE URL OWNER KEY [force]``."""

from __future__ import annotations

import os
import sys

import rattler_build


def main(file: str, url: str, owner: str, api_key: str, force: str = "") -> None:
    rattler_build.upload_package_to_anaconda(
        [file], owner, channel=["rc", "dev"], api_key=api_key, url=url, force=bool(force)
    )


if __name__ == "__main__":
    # py-rattler's threads may outlive the interpreter, which then aborts: leave without its end.
    try:
        main(*sys.argv[1:6])
    except Exception as error:  # noqa: BLE001 - the client's words are what the test reads
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - read by tests
        os._exit(1)
    os._exit(0)
