"""Ends a shared server when those who used it are gone without having stopped it.

A run that is killed, or a job that a CI cancels, tears nothing down. Run as a script, by its
path and without site packages, so that it is small:

    server_guard.py <file locked by users> <state file> <pid> <signal> [<folder to delete>]
"""

import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path


def main(users: str, state: str, pid: str, sign: str, *folders: str) -> None:
    with Path(users).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # waits as long as anybody uses the server
        try:
            stored = json.loads(Path(state).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return  # The last user stopped it.
        if stored["pid"] != int(pid):
            return  # It was stopped, and this is the next one, with a guard of its own.
        Path(state).unlink()
        os.kill(int(pid), int(sign))
        time.sleep(2)  # until it has written its last
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
