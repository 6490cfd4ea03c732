"""A program run again and again: each time a process of its own, forked from one that has imported
it, which takes most of a second.

``python -P forks.py PROGRAM``, by the Python that has the program. Reads what is to be run, a line
of JSON each, and writes what became of it.
"""

import gc
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def anaconda() -> Callable[[], Any]:
    # By its name: it is not there where types are checked.
    main: Callable[[], Any] = importlib.import_module("anaconda_cli_base.cli").app
    return main


def condarium() -> Callable[[], Any]:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    importlib.import_module("django").setup()
    # What they import is what takes long.
    management = importlib.import_module("django.core.management")
    for name, app in management.get_commands().items():
        if app in {"accounts", "registry"}:
            management.load_command_class(app, name)
    main: Callable[[], Any] = importlib.import_module("portal.command").main
    return main


def run(program: str, main: Callable[[], Any]) -> None:
    # A child that ends looks through all there is for garbage, and copies it by that.
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            tempfile.TemporaryFile() as typed,
        ):
            typed.write(job["typed"].encode())
            typed.seek(0)
            child = os.fork()
            if child == 0:
                for stream, number in ((typed, 0), (out, 1), (err, 2)):
                    os.dup2(stream.fileno(), number)
                os.chdir(job["cwd"])
                os.environ.update(job["environ"])
                sys.argv = [program, *job["arguments"]]
                sys.exit(main())
            _, status = os.waitpid(child, 0)
            printed = {}
            for name, stream in (("stdout", out), ("stderr", err)):
                stream.seek(0)
                printed[name] = stream.read().decode()
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"code": code, **printed}), flush=True)  # noqa: T201 - read by the tests


if __name__ == "__main__":
    run(sys.argv[1], {"anaconda": anaconda, "condarium": condarium}[sys.argv[1]]())
