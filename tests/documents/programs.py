"""Programs that the documents name and that are no Python packages, as far as the documents go:
``python programs.py PROGRAM ARGUMENTS``.

conda, mamba and pixi solve and install by py-rattler, which is pixi's own core; rattler-build is
py-rattler-build, its own core. An option that is not written here is refused: options are added
only after the program's own manual. ``docker`` has no engine: its commands are run here.
``anaconda`` and ``condarium`` are the real ones, asked through a socket to fork, and ``python3`` is
this very one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

# What pipelines install before they begin; it comes from elsewhere and is here already.
TOOLS = {"anaconda-client", "conda-build", "curl", "nodejs", "rattler-build"}
HOME = Path(os.environ["HOME"])
_CONDARC = HOME / ".condarc"
_CREDENTIALS = HOME / "credentials.json"


def anaconda(*arguments: str) -> int:
    token = os.environ.get("ANACONDA_API_TOKEN")
    return _forked("anaconda", arguments, "y\n", {"ANACONDA_API_TOKEN": token} if token else {})


def condarium(*arguments: str) -> int:
    token = os.environ.get("ANACONDA_API_TOKEN", "")
    return _forked("condarium", arguments, sys.stdin.read(), {"ANACONDA_API_TOKEN": token})


def _forked(program: str, arguments: tuple[str, ...], typed: str, environ: dict[str, str]) -> int:
    job = {"arguments": arguments, "typed": typed, "cwd": str(Path.cwd()), "environ": environ}
    with socket.socket(socket.AF_UNIX) as relay:
        relay.connect(f"{os.environ['RELAYS']}/{program}-relay")
        relay.sendall(json.dumps(job).encode() + b"\n")
        done = json.loads(relay.makefile().readline())
    sys.stdout.write(done["stdout"])
    sys.stderr.write(done["stderr"])
    return int(done["code"])


def conda(*arguments: str) -> int:
    parser = argparse.ArgumentParser("conda", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("create", "install"):
        command = commands.add_parser(name, allow_abbrev=False)
        command.add_argument("-y", "--yes", action="store_true")
        command.add_argument("-n", "--name")
        command.add_argument("-c", "--channel", action="append", default=[])
        command.add_argument("specs", nargs="+")
    search = commands.add_parser("search", allow_abbrev=False)
    search.add_argument("--override-channels", action="store_true", required=True)
    search.add_argument("-c", "--channel", action="append", default=[])
    search.add_argument("specs", nargs=1)
    config = commands.add_parser("config", allow_abbrev=False)
    config.add_argument("--set", nargs=2, action="append", required=True)
    build = commands.add_parser("build", allow_abbrev=False)
    build.add_argument("--output-folder", required=True)
    build.add_argument("recipe")
    listing = commands.add_parser("list", allow_abbrev=False)
    listing.add_argument("--explicit", action="store_true", required=True)
    listing.add_argument("--auth", action="store_true")
    listing.add_argument("-n", "--name")
    env = commands.add_parser("env").add_subparsers(required=True)
    env_create = env.add_parser("create", allow_abbrev=False)
    env_create.add_argument("-y", "--yes", action="store_true")
    env_create.add_argument("-f", "--file", required=True)
    given = parser.parse_args(arguments)
    if given.command == "config":
        with _CONDARC.open("a", encoding="utf-8") as condarc:
            condarc.writelines(f"{name}: {value}\n" for name, value in given.set)
        return 0
    if given.command == "build":
        return _build(Path(given.recipe), Path(given.output_folder))
    if given.command == "list":
        return _list(with_tokens=given.auth)
    if given.command == "env":
        import yaml  # noqa: PLC0415 - slow, and only here

        asked = yaml.safe_load(Path(given.file).read_text(encoding="utf-8"))
        return _install(
            [one for one in asked["channels"] if one != "nodefaults"], asked["dependencies"]
        )
    if set(given.specs) <= TOOLS:
        return 0
    return _install(
        [_conda_channel(one) for one in given.channel] or _conda_channels(), given.specs
    )


def mamba(*arguments: str) -> int:
    return conda(*arguments)


def _list(*, with_tokens: bool) -> int:
    """What is installed by its addresses; tokens are left out of them unless asked for."""
    for path in (HOME / "prefix" / "conda-meta").glob("*.json"):
        url = str(json.loads(path.read_text(encoding="utf-8"))["url"])
        sys.stdout.write(f"{url if with_tokens else re.sub('/t/[^/]+', '', url)}\n")
    return 0


def _condarc() -> dict[str, object]:
    import yaml  # noqa: PLC0415 - slow, and only here

    text = _CONDARC.read_text(encoding="utf-8")
    return dict(yaml.safe_load(os.path.expandvars(text)))


def _conda_channel(given: str) -> str:
    return given if "://" in given else f"{_condarc()['channel_alias']}/{given}"


def _conda_channels() -> list[str]:
    channels = _condarc()["channels"]
    assert isinstance(channels, list)
    return [_conda_channel(one) for one in channels]


def pixi(*arguments: str) -> int:
    if arguments[0] == "exec":
        return PROGRAMS[arguments[1]](*arguments[2:])
    parser = argparse.ArgumentParser("pixi", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", allow_abbrev=False)
    init.add_argument("-c", "--channel", action="append", required=True)
    init.add_argument("path")
    add = commands.add_parser("add", allow_abbrev=False)
    add.add_argument("specs", nargs="+")
    auth = commands.add_parser("auth").add_subparsers(required=True)
    login = auth.add_parser("login", allow_abbrev=False)
    login.add_argument("--token", required=True)
    login.add_argument("host")
    given = parser.parse_args(arguments)
    if given.command == "init":
        Path(given.path).mkdir()
        Path(given.path, "pixi.toml").write_text("\n".join(given.channel), encoding="utf-8")
        return 0
    if given.command == "auth":
        host = urlsplit(f"//{given.host}").hostname
        _CREDENTIALS.write_text(json.dumps({host: {"BearerToken": given.token}}), encoding="utf-8")
        return 0
    return _install(Path("pixi.toml").read_text(encoding="utf-8").split(), given.specs)


def rattler_build(*arguments: str) -> int:
    parser = argparse.ArgumentParser("rattler-build", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", allow_abbrev=False)
    build.add_argument("-r", "--recipe", required=True)
    build.add_argument("--output-dir", required=True)
    uploads = commands.add_parser("upload").add_subparsers(dest="server", required=True)
    for name in ("prefix", "quetz", "anaconda"):
        upload = uploads.add_parser(name, allow_abbrev=False)
        upload.add_argument("-u", "--url", default=os.environ.get(f"{name.upper()}_SERVER_URL"))
        upload.add_argument("-c", "--channel", "--channels", required=True)
        upload.add_argument("-a", "--api-key", required=True)
        upload.add_argument("files", nargs="+")
        if name == "prefix":
            upload.add_argument("-s", "--skip-existing", action="store_true")
            upload.add_argument("--attestation")
        if name == "anaconda":
            upload.add_argument("-o", "--owner", required=True)
        if name != "quetz":
            upload.add_argument("--force", action="store_true")
    given = parser.parse_args(arguments)
    if given.command == "build":
        return _build(Path(given.recipe), Path(given.output_dir))
    assert given.url, "it would be sent to somebody else's server"
    import rattler_build as core  # noqa: PLC0415 - slow, and only here

    key = given.api_key
    if given.server == "prefix":
        core.upload_package_to_prefix(
            given.files,
            given.url,
            given.channel,
            api_key=key,
            skip_existing=given.skip_existing,
            force=given.force,
            attestation_file=given.attestation,
        )
    elif given.server == "quetz":
        core.upload_package_to_quetz(given.files, given.url, given.channel, api_key=key)
    else:
        core.upload_package_to_anaconda(
            given.files,
            given.owner,
            channel=[given.channel],
            api_key=key,
            url=given.url,
            force=given.force,
        )
    return 0


def python3(*arguments: str) -> int:
    """The script of a document; where it comes by standard input, without the interpreter's end."""
    if arguments != ("-",):
        os.execv(sys.executable, [sys.executable, *arguments])
    exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})
    return 0


def docker(*arguments: str) -> int:
    """``compose run`` and ``exec`` run the command without a container, and ``compose up`` holds
    ``.env`` against the variables of ``compose.yaml``, which a test of its own reads."""
    parser = argparse.ArgumentParser("docker", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    compose = commands.add_parser("compose").add_subparsers(dest="command", required=True)
    up = compose.add_parser("up", allow_abbrev=False)
    for option in ("--build", "--detach", "--wait"):
        up.add_argument(option, action="store_true")
    for name, options in (("run", ("--rm", "--no-TTY")), ("exec", ("--no-TTY",))):
        one = compose.add_parser(name, allow_abbrev=False)
        for option in options:
            one.add_argument(option, action="store_true")
        one.add_argument("service")
        one.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    text = Path("compose.yaml").read_text(encoding="utf-8")
    if given.command in {"run", "exec"}:
        assert f"\n  {given.service}:\n" in text
        return subprocess.run(given.words, check=False).returncode
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    there = {line.partition("=")[0] for line in Path(".env").read_text("utf-8").splitlines()}
    assert needed <= there, needed - there
    return 0


def _build(recipe: Path, output: Path) -> int:
    """The recipe was built once, by py-rattler-build, for all documents."""
    name = re.search(r"name: (\S+)", (recipe / "recipe.yaml").read_text(encoding="utf-8"))
    assert name
    (output / "noarch").mkdir(parents=True)
    for built in Path(os.environ["BUILT"]).glob(f"{name[1]}-*.conda"):
        shutil.copy(built, output / "noarch")
    return 0


def _install(channels: list[str], specs: list[str]) -> int:
    script = Path(__file__).parent.parent / "clients" / "rattler_install.py"
    environ = dict(os.environ)
    if _CREDENTIALS.exists():
        environ["RATTLER_AUTH_FILE"] = str(_CREDENTIALS)
    for channel in channels:
        for spec in specs:
            subprocess.run(
                [
                    sys.executable, str(script), os.path.expandvars(channel), spec,
                    str(HOME / "prefix"), str(HOME / "cache"),
                ],
                env=environ,
                check=True,
            )  # fmt: skip
    return 0


PROGRAMS = {
    "anaconda": anaconda,
    "conda": conda,
    "condarium": condarium,
    "docker": docker,
    "mamba": mamba,
    "pixi": pixi,
    "python3": python3,
    "rattler-build": rattler_build,
}


def install(folder: Path) -> None:
    """Put them where a shell finds them."""
    folder.mkdir()
    for name in PROGRAMS:
        program = folder / name
        light = "-I -S " if name in {"anaconda", "condarium"} else ""
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {light}{__file__} {name} "$@"\n')
        program.chmod(0o755)


if __name__ == "__main__":
    code = PROGRAMS[sys.argv[1]](*sys.argv[2:])
    sys.stdout.flush()
    # The threads of py-rattler-build may outlive the interpreter, which then aborts.
    os._exit(code)
