from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "portal" / "bootstrap.py"


def run(
    *arguments: str, script: Path = SCRIPT, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the script as ``python3 portal/bootstrap.py`` does, after ``before``, without network."""
    program = (
        f"import runpy, sys; sys.argv = ['bootstrap.py', *{arguments!r}]; {before}\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": os.defpath, "HOME": str(script.parents[1]), "PIP_NO_INDEX": "1"},
    )


def test_even_an_old_python_can_read_it() -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_a_python_that_is_too_old_is_one_clear_line() -> None:
    result = run(before="sys.version_info = (3, 9, 2, 'final', 0)")

    assert result.returncode == 1
    assert result.stderr.startswith("condarium: Python 3.11 or newer is needed, this is 3.9")
    assert result.stderr.count("\n") == 1


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the same script and one small dependency, found without a network."""
    wheel = small_wheel(tmp_path)
    (tmp_path / "portal").mkdir()
    shutil.copy(SCRIPT, tmp_path / "portal" / "bootstrap.py")
    (tmp_path / "pyproject.toml").write_text("# stands for the real one\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    line = f"{wheel.as_uri()} --hash=sha256:{digest}\n"
    (tmp_path / "requirements.lock").write_text(f"small @ {line}")
    (tmp_path / "requirements-test.lock").write_text(f"small @ {line}# and more\n")
    (tmp_path / "requirements-clients.lock").write_text(f"small @ {line}# beside it\n")
    return tmp_path / "portal" / "bootstrap.py"


def small_wheel(folder: Path) -> Path:
    wheel = folder / "small-1-py3-none-any.whl"
    tags = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        "small.py": b"answer = 42\n",
        "small-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: small\nVersion: 1\n",
        "small-1.dist-info/WHEEL": tags,
    }
    record = ""
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
            digest = urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(content)}\n"
        archive.writestr("small-1.dist-info/RECORD", record + "small-1.dist-info/RECORD,,\n")
    return wheel


def test_a_missing_python3_venv_is_one_clear_line(project: Path) -> None:
    result = run(script=project, before="sys.modules['ensurepip'] = None")

    assert result.returncode == 1
    assert result.stderr == (
        "condarium: python3-venv is missing. Install it: apt install python3-venv\n"
    )
    assert not (project.parents[1] / ".venv").exists()


# The editable install needs the project's own build backend; the rest is the same.
WITHOUT_THE_PROJECT = (
    "import subprocess; original = subprocess.run; subprocess.run = lambda command, **more: "
    "original(['true'] if '--editable' in command else command, **more)"
)


@pytest.mark.long
def test_a_venv_is_made_once_and_again_when_it_has_to_be(project: Path) -> None:
    folder = project.parents[1]
    python = folder / ".venv" / "bin" / "python"

    def bootstrap(*arguments: str) -> bool:
        """Whether anything was done; the dependency is there in the end in any case."""
        result = run(*arguments, script=project, before=WITHOUT_THE_PROJECT)
        assert result.returncode == 0, result.stderr
        assert subprocess.check_output([python, "-c", "import small; print(small.answer)"])
        return bool(result.stderr)

    assert bootstrap("--test")
    assert not bootstrap("--test")
    assert not bootstrap()  # what the tests need includes what a run needs

    with (folder / "requirements-test.lock").open("a") as lock:
        lock.write("# a new pin\n")
    assert bootstrap()
    assert not bootstrap()
    assert bootstrap("--test")

    # What the tests run is made beside it, and changes by itself.
    clients = folder / ".venv-clients"
    assert subprocess.check_output([clients / "bin" / "python", "-c", "import small"]) == b""
    with (folder / "requirements-clients.lock").open("a") as lock:
        lock.write("# a new pin\n")
    assert not bootstrap()
    assert bootstrap("--test")
    assert not bootstrap("--test")

    # As after Ctrl-C in the middle of an install.
    (folder / ".venv" / "condarium-unfinished").touch()
    next((folder / ".venv").rglob("small.py")).unlink()
    assert bootstrap()

    # As after Ctrl-C while the venv itself was made.
    shutil.rmtree(folder / ".venv" / "lib")
    for stamp in (folder / ".venv").glob("*.sha256"):
        stamp.unlink()
    assert bootstrap()


def test_bytes_other_than_the_locked_ones_are_not_installed(project: Path) -> None:
    lock = project.parents[1] / "requirements.lock"
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0")[:-2] + "\n")

    result = run(script=project, before=WITHOUT_THE_PROJECT)

    assert result.returncode == 1
    assert "HASHES" in result.stderr or "hash" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("condarium: installing the dependencies")
