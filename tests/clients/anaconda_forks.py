"""anaconda's own client, run again and again: each time a process of its own, forked from one that
has imported it, which takes it most of a second.

Run by the Python of ``.venv-clients``. Reads what is to be run, a line of JSON each, and writes
what became of it.
"""

import gc
import importlib
import json
import os
import sys
import tempfile

# By its name: it is not there where types are checked.
app = importlib.import_module("anaconda_cli_base.cli").app


def main() -> None:
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
                sys.argv = ["anaconda", *job["arguments"]]
                sys.exit(app())
            _, status = os.waitpid(child, 0)
            printed = {}
            for name, stream in (("stdout", out), ("stderr", err)):
                stream.seek(0)
                printed[name] = stream.read().decode()
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"code": code, **printed}), flush=True)  # noqa: T201 - read by the tests


if __name__ == "__main__":
    main()
