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
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# There while an install runs; found at the start, it tells of one that didn't come to its end.
UNFINISHED = VENV / "condarium-unfinished"
LOCKS = {"run": ROOT / "requirements.lock", "test": ROOT / "requirements-test.lock"}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Make .venv as the lock files have it.")
    arguments.add_argument("--test", action="store_true", help="with what the tests need")
    wanted = "test" if arguments.parse_args().test else "run"
    with (ROOT / "pyproject.toml").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # make run and make test may be started together
        if not is_there(wanted):
            make(wanted)


def is_there(wanted: str) -> bool:
    """Whether the set is installed; the test set holds all of the run set."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    return any(
        stamp(one).is_file() and stamp(one).read_text() == fingerprint(one)
        for one in {wanted, "test"}
    )


def stamp(wanted: str) -> Path:
    return VENV / f"condarium-{wanted}.sha256"


def fingerprint(wanted: str) -> str:
    # The path, since it stands in every script of a venv; the interpreter, since a venv is bound
    # to it.
    digest = hashlib.sha256(f"{ROOT}\n{sys.version}\n".encode())
    for path in (LOCKS[wanted], ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make(wanted: str) -> None:
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian keeps it in a package of its own
        import venv  # noqa: PLC0415 - may be missing
    except ImportError:
        sys.exit("condarium: python3-venv is missing. Install it: apt install python3-venv")
    print("Installing the dependencies into .venv; this is done once.", file=sys.stderr)
    if UNFINISHED.exists() or not is_usable():
        venv.create(VENV, clear=True, symlinks=True)
        UNFINISHED.touch()
        run([str(PYTHON), "-m", "ensurepip", "--default-pip"], quiet=True)
    UNFINISHED.touch()
    for one in LOCKS:
        stamp(one).unlink(missing_ok=True)
    pip_install("--require-hashes", "--requirement", str(LOCKS[wanted]))
    # setuptools came with the lock, so nothing is fetched for this.
    pip_install("--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    stamp(wanted).write_text(fingerprint(wanted))
    UNFINISHED.unlink()


def is_usable() -> bool:
    """A venv of this very Python, at this very place, with a pip that starts."""
    question = "import pip, sys; print(sys.version, sys.prefix, sep='\\n')"
    try:
        answer = subprocess.run(  # noqa: S603 - a command of our own
            [PYTHON, "-c", question], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return answer.stdout == f"{sys.version}\n{VENV}\n"


def pip_install(*arguments: str) -> None:
    run([str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input",
         "install", "--root-user-action=ignore", *arguments])  # fmt: skip


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
