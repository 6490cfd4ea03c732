"""Requests as the stock client sends them."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from tests.cast import Person
from tests.conda_client import Answer

# What says nothing yet: None is JSON's null, which this API takes for a value.
NOTHING: Any = object()
STOCK_CLIENT = "Anaconda-Client/1.16.0 (+https://anaconda.org)"


def call(
    method: str,
    path: str,
    by: Person | str | None = None,
    body: object = NOTHING,
    *,
    agent: str = STOCK_CLIENT,
) -> Answer:
    """``by`` is a person, with a token that may do all they may, a token, or nobody."""
    headers = {"x-binstar-api-version": "1.16.0", "User-Agent": agent}
    if by is not None:
        secret = by if isinstance(by, str) else by.token().secret
        headers["Authorization"] = f"token {secret}"
    data = b"" if body is NOTHING else json.dumps(body)
    return Client(headers=headers, enforce_csrf_checks=True).generic(
        method, f"/api{path}", data, content_type="application/json"
    )


def said(answer: Answer, status: int = 200) -> Any:
    """The document that came with the status; nothing where nothing is to come."""
    assert answer.status_code == status, answer.getvalue()
    data = answer.getvalue()
    return json.loads(data) if data else None


def error(answer: Answer, status: int) -> str:
    """The sentence of a refusal, in the one form that the client shows."""
    assert answer["Content-Type"] == "application/json"
    body = said(answer, status)
    assert list(body) == ["error"]
    sentence = body["error"]
    assert isinstance(sentence, str)
    assert sentence.endswith(".")
    return sentence
