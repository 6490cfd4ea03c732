"""Make ``.venv`` with the locked dependencies in it: ``python3 portal/bootstrap.py [--test]``.

Standard library only, and nothing at the top that an old Python can't read: it has to be able to
say so. A second run compares hashes and is done. An install that was interrupted is noticed and
made anew.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "condarium: Python 3.11 or newer is needed, this is %d.%d (%s). "
        "Name another one: make run PYTHON=python3.11"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

import argparse
import fcntl
import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Environment:
    """A venv, and the sets of locked dependencies of which one is in it; a later set holds all
    of those before it."""

    def __init__(self, folder: str, sets: list[str], *, with_project: bool) -> None:
        """The one with the project has the pip that fills the others."""
        self.folder = ROOT / folder
        self.python = self.folder / "bin" / "python"
        # There while an install runs; found at the start, it tells of one that didn't come to
        # its end.
        self.unfinished = self.folder / "condarium-unfinished"
        self.sets = sets
        self.with_project = with_project

    def ensure(self, wanted: str) -> None:
        if not self.is_there(wanted):
            self.make(wanted)

    def is_there(self, wanted: str) -> bool:
        """Whether the set is installed, or a larger one."""
        if self.unfinished.exists() or not self.python.exists():
            return False
        return any(
            self.stamp(one).is_file() and self.stamp(one).read_text() == self.fingerprint(one)
            for one in self.sets[self.sets.index(wanted) :]
        )

    def stamp(self, wanted: str) -> Path:
        return self.folder / f"condarium-{wanted}.sha256"

    def fingerprint(self, wanted: str) -> str:
        # The path, since it stands in every script of a venv; the interpreter, since a venv is
        # bound to it.
        digest = hashlib.sha256(f"{ROOT}\n{sys.version}\n".encode())
        for path in (lock(wanted), ROOT / "pyproject.toml"):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def make(self, wanted: str) -> None:
        try:
            import ensurepip  # noqa: F401, PLC0415 - Debian keeps it in a package of its own
            import venv  # noqa: PLC0415 - may be missing
        except ImportError:
            sys.exit("condarium: python3-venv is missing. Install it: apt install python3-venv")
        print(
            f"Installing the dependencies into {self.folder.name}; this is done once.",
            file=sys.stderr,
        )
        if self.unfinished.exists() or not self.is_usable():
            venv.create(self.folder, clear=True, symlinks=True)
            self.unfinished.touch()
            if self.with_project:
                run([str(self.python), "-m", "ensurepip", "--default-pip"], quiet=True)
        self.unfinished.touch()
        for one in self.sets:
            self.stamp(one).unlink(missing_ok=True)
        self.pip_install("--require-hashes", "--requirement", str(lock(wanted)))
        if self.with_project:
            # setuptools came with the lock, so nothing is fetched for this.
            self.pip_install(
                "--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)
            )
        self.stamp(wanted).write_text(self.fingerprint(wanted))
        self.unfinished.unlink()

    def is_usable(self) -> bool:
        """A venv of this very Python, at this very place; with a pip that starts, if it has one."""
        pip = "pip, " if self.with_project else ""
        question = f"import {pip}sys; print(sys.version, sys.prefix, sep='\\n')"
        try:
            answer = subprocess.run(  # noqa: S603 - a command of our own
                [self.python, "-c", question], capture_output=True, text=True, check=False
            )
        except OSError:
            return False
        return answer.stdout == f"{sys.version}\n{self.folder}\n"

    def pip_install(self, *arguments: str) -> None:
        into = [] if self.with_project else ["--python", str(self.python)]
        run([str(PROJECT.python), "-m", "pip", *into, "--quiet", "--disable-pip-version-check",
             "--no-input", "install", "--root-user-action=ignore", *arguments])  # fmt: skip


PROJECT = Environment(".venv", ["run", "test"], with_project=True)
# What the tests run as their users do, and what can't stand beside our own dependencies.
CLIENTS = Environment(".venv-clients", ["clients"], with_project=False)


def lock(wanted: str) -> Path:
    return ROOT / ("requirements.lock" if wanted == "run" else f"requirements-{wanted}.lock")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Make .venv as the lock files have it.")
    arguments.add_argument("--test", action="store_true", help="with what the tests need")
    is_for_tests = arguments.parse_args().test
    with (ROOT / "pyproject.toml").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # make run and make test may be started together
        PROJECT.ensure("test" if is_for_tests else "run")
        if is_for_tests:
            CLIENTS.ensure("clients")


def run(command: list[str], *, quiet: bool = False) -> None:
    result = subprocess.run(  # noqa: S603 - a command of our own
        command, check=False, capture_output=quiet, text=True, cwd=ROOT
    )
    if result.returncode:
        sys.stderr.write(result.stderr or "")
        sys.exit(
            "condarium: installing the dependencies failed, see above. "
            "Start it again when the reason is gone; nothing needs to be cleaned up."
        )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
