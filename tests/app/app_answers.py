"""A client that holds each answer against what OpenAPI promises."""

import functools
from typing import Any

import jsonschema
from app_settings import KEY
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app import openapi
from app.compatibility import resolved


class KeyedClient(FlaskClient):
    """A client that sends the bootstrap key unless a test sends something else, and knows what it may be answered."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", None) or {})
        if not {"X-API-Key", "Authorization"} & set(headers):
            headers["X-API-Key"] = KEY
        answer = super().open(*args, headers=headers, **kwargs)
        require_documented(self.application, answer)
        return answer


@functools.cache
def api() -> Any:
    return resolved(openapi.described())


def require_documented(app: Flask, answer: TestResponse) -> None:
    """Fail if an answer is not one of those that OpenAPI lists for its route: status, headers, form, body."""
    method = "GET" if answer.request.method == "HEAD" else answer.request.method
    try:
        rule, _ = app.url_map.bind("localhost").match(answer.request.path, method, return_rule=True)
    except HTTPException:
        return
    operation = api()["paths"].get(rule.rule.replace("<uuid:", "{").replace(">", "}"), {}).get(method.lower())
    if operation is None or method == "OPTIONS":
        return
    where = f"{method} {rule.rule}"
    promised = operation["responses"].get(str(answer.status_code))
    assert promised is not None, f"{where} answered {answer.status_code}, which is not documented"
    for name, header in promised["headers"].items():
        assert not header["required"] or name in answer.headers, f"{where}, {answer.status_code}: no header {name}"
    if "content" not in promised or answer.request.method == "HEAD":
        assert answer.data == b"", f"{where}, {answer.status_code} has a body, which is not documented"
        return
    schema = promised["content"][answer.mimetype]["schema"]
    body = answer.json if answer.is_json else answer.text
    jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)
