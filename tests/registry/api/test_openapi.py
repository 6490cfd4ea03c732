"""The OpenAPI document: valid, complete, and true of what the API answers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.openapi import document
from registry.models import Package
from registry.transfers import offer
from tests.registry.api.test_who_may import TABLE
from tests.registry.api.world import World

METHODS = {"get", "put", "post", "patch", "delete"}
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in document()["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
ENDPOINTS = {label: operation for label, operation in OPERATIONS.items() if "/upload/" not in label}


def test_the_document_is_served_and_valid(db: None) -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/vnd.oai.openapi+json")
    served = json.loads(answer.content)
    assert served["openapi"] == "3.1.1"
    OpenAPIV31SpecValidator(served).validate()
    assert served == json.loads(json.dumps(document()))


def test_nothing_about_the_document_needs_a_warning() -> None:
    call_command("spectacular", fail_on_warn=True, validate=True, stdout=io.StringIO())


def test_every_operation_of_the_table_is_documented() -> None:
    listed = {row.method for row in TABLE}
    assert listed == {label.partition(" ")[0] for label in ENDPOINTS}
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    assert "POST /api/v1/upload/{account}/{channel}" in OPERATIONS
    assert "POST /api/v1/upload/{account}" in OPERATIONS


@pytest.mark.parametrize("label", ENDPOINTS)
def test_every_operation_documents_how_it_says_no(label: str) -> None:
    operation = ENDPOINTS[label]
    statuses = {"400", "401", "403", "404", "429"}
    if not label.startswith("GET"):
        statuses.add("409")
    assert statuses <= operation["responses"].keys()
    for status in statuses:
        content = operation["responses"][status]["content"]
        assert content["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
    schemes = [set(way) for way in operation["security"]]
    assert {"bearer"} in schemes
    assert {"basic"} in schemes
    assert (set() in schemes) <= label.startswith("GET")


def test_what_is_sent_has_no_other_fields() -> None:
    for name, schema in document()["components"]["schemas"].items():
        if name.endswith("Request"):
            assert schema["additionalProperties"] is False


# --- The page ----------------------------------------------------------------------------------


def test_the_page_works_under_the_strict_policy(db: None) -> None:
    answer = Client().get("/api/v1/docs")
    assert answer.status_code == 200
    page = answer.content.decode()
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "script-src 'self'" in policy
    assert "<style" not in page
    assert ' style="' not in page
    assert all("src=" in part for part in page.split("<script")[1:])
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    script = Client().get("/api/v1/docs?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert "/api/v1/openapi.json" in script.content.decode()


# --- What it says is so ------------------------------------------------------------------------

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# What is there to be found: most made-up names lead no further than to 404.
REAL = {
    "account": "acme",
    "channel": "dev",
    "package": "hello",
    "subdir": "noarch",
    "filename": "hello-1.0-0.conda",
    "user": "cora-acme",
    "group": "helpers",
}


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(document())


@pytest.fixture
def app() -> Iterator[Any]:
    """The application, which leaves the connection of the test open as Django's client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield get_wsgi_application()
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_made_up_request_gets_an_answer_that_is_not_documented(
    label: str, world: World, schema: Any, app: Any
) -> None:
    method, _, path = label.partition(" ")
    operation = schema[path][method]
    headers = {"Authorization": f"Bearer {world.owner.token('all').secret}"}
    real: dict[str, object] = {**REAL, **world.ids}
    if "{key}" in path:
        package = Package.objects.get(account__name="acme", name="hello")
        owner = world.owner
        real["key"] = offer(by=owner.identity, package=package, target_name=owner.name).key

    def ask(examples: int, *, made_up_path: bool) -> None:
        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def each(case: Any) -> None:
            if not made_up_path:
                case.path_parameters = {name: real[name] for name in case.path_parameters or {}}
            before = transaction.savepoint()
            case.call_and_validate(app=app, headers=headers, checks=CHECKS)
            transaction.savepoint_rollback(before)

        each()

    ask(12, made_up_path=False)
    if "{" in path:  # most of these get no further than to 404
        ask(4, made_up_path=True)
