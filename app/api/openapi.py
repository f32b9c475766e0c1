"""The OpenAPI 3.1 document of an application, made from its routes, their permissions, contracts and models."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from typing_extensions import override
from werkzeug.routing import Rule

from app.api.contract import (
    ALWAYS,
    ANSWER_HEADERS,
    LIMITED,
    OPTIONAL,
    PROBLEMS,
    REQUEST_HEADERS,
    Contract,
    Gives,
    contract_of,
)
from app.api.guard import needed_permission
from app.api.http import JSON, MERGE_PATCH, PROBLEM, Strict, versioned
from app.api.schemas import MetaView, PageMetaView, ProblemView
from app.core.principals import PUBLIC, SELF

Json = dict[str, Any]

#: Of the API, not of a build.
API_VERSION = "1.0.0"

_PART = "Part"
_BEARER = "A token of `/v1/tokens` or of the external issuer, or an API key."
_EVENTS = "text/event-stream"
#: Statuses that every route may answer; the first three come from the server, before there is a route.
EVERYWHERE = (400, 414, 431, 500)
_DESCRIPTION = """\
Users, profiles, posts, courses and enrolments. A success is `{"data": ..., "meta": ...}`, an error a problem document
(RFC 9457). Routes with GET answer HEAD too, and every route OPTIONS. Beyond what is listed, a path that does not exist
is 404, and a method that it does not have 405 with `Allow`.
"""


class _Untitled(GenerateJsonSchema):
    """A field's name needs no second form of it."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class UndescribedError(Exception):
    """A route does not say what it promises."""


@dataclass(frozen=True)
class _Route:
    """One method of one path."""

    rule: Rule
    method: str
    view: Callable[..., Any]
    contract: Contract
    permission: str

    @property
    def path(self) -> str:
        return self.rule.rule.replace("<uuid:", "{").replace(">", "}")

    @property
    def versioned(self) -> bool:
        return versioned(self.path)

    @property
    def refused(self) -> list[int]:
        """The statuses of all problems that it may answer."""
        contract, refused = self.contract, {*EVERYWHERE, *self.contract.refuses}
        follows = (
            (self.versioned, {406, 429}),
            (self.permission != PUBLIC, {401, 403}),
            (contract.takes_turn, {503}),
            (contract.body is not None, {413, 415, 422}),
            (contract.query is not None or "Idempotency-Key" in contract.headers, {422}),
            (bool(self.rule.arguments), {404}),
            ("If-Match" in contract.headers, {412}),
        )
        return sorted(refused.union(*(statuses for holds, statuses in follows if holds)))


def document(app: Flask) -> Json:
    """Return the description of every route of `app`.

    Raises:
        UndescribedError: a route has no contract or no permission.
    """
    paths: Json = {}
    routes = list(_routes(app))
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    given = [gives for route in routes for gives in route.contract.gives.values() if gives.model is not None]
    models = {MetaView, PageMetaView, ProblemView, *(gives.model for gives in given if gives.model is not None)}
    models.update(route.contract.body for route in routes if route.contract.body is not None)
    parts = {gives.model.__name__ for gives in given if gives.model is not None and gives.partial}
    problems = sorted({status for route in routes for status in route.refused})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Payload", "version": API_VERSION, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": _schemas(models, parts),
            "responses": {f"Problem{status}": _problem(status) for status in problems},
            "headers": {name: _header(name, required=name not in OPTIONAL) for name in ANSWER_HEADERS},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": _BEARER},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of `/v1/keys`."},
            },
        },
    }


def _routes(app: Flask) -> Iterator[_Route]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, sorted(rule.methods or ()))):
        view = app.view_functions[rule.endpoint]
        contract, permission = contract_of(view), needed_permission(view)
        if contract is None or permission is None:
            raise UndescribedError(f"{rule.rule}: its view has no contract (@promises) or no permission (@needs)")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield _Route(rule, method, view, contract, permission)


def _operation(route: _Route) -> Json:
    contract, words = route.contract, route.path.strip("/").split("/")
    operation: Json = {
        "operationId": route.rule.endpoint.replace(".", "_"),
        "summary": (inspect.getdoc(route.view) or "").partition("\n")[0],
        "tags": [words[1] if route.versioned else "service"],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": _uuid()}
                for name in sorted(route.rule.arguments)
            ),
            *_query(contract),
            *(
                {"name": name, "in": "header", "description": what, "schema": dict(schema)}
                for name, (what, schema) in REQUEST_HEADERS.items()
                if name in contract.headers
            ),
        ],
        "responses": {
            **{str(status): _success(route, gives) for status, gives in sorted(contract.gives.items())},
            **{str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in route.refused},
        },
        "security": _security(route.permission),
    }
    if contract.body is not None:
        forms = (JSON, MERGE_PATCH) if route.method == "PATCH" else (JSON,)
        content = {form: {"schema": _reference(contract.body)} for form in forms}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _security(permission: str) -> list[Json]:
    """None for what is open to everybody; the role is the permission that a route needs."""
    roles = [] if permission == SELF else [permission]
    return [] if permission == PUBLIC else [{name: roles} for name in ("token", "key")]


def _query(contract: Contract) -> Iterable[Json]:
    if contract.query is None:
        return
    for name, schema in contract.query.model_json_schema(schema_generator=_Untitled)["properties"].items():
        several = name == "fields"
        parameter: Json = {"name": name, "in": "query", "schema": _without_null(schema)}
        if name in contract.choices:
            choice = {"type": "string", "enum": list(contract.choices[name])}
            default = {"default": schema["default"]} if schema.get("default") is not None else {}
            parameter["schema"] = {"type": "array", "items": choice, "minItems": 1} if several else choice | default
        # `fields=id,name`
        yield parameter | ({"style": "form", "explode": False} if several else {})


def _without_null(schema: Json) -> Json:
    """A parameter that may be left out cannot be null: a query string has only texts."""
    kept = {name: value for name, value in schema.items() if name != "anyOf"}
    if kept.get("default", "") is None:
        del kept["default"]
    for choice in schema.get("anyOf", ()):
        if choice != {"type": "null"}:
            kept |= choice
    return kept


def _success(route: _Route, gives: Gives) -> Json:
    names = (*ALWAYS, *gives.headers, *(LIMITED if route.versioned else ()))
    sometimes = {name: _header(name, required=False) for name in gives.sometimes}
    response: Json = {"description": gives.what, "headers": _headers(names) | sometimes}
    if gives.model is not None:
        data = _reference(gives.model, _PART if gives.partial else "")
        if not gives.bare:
            data = {
                "type": "object",
                "required": ["data", "meta"],
                "properties": {
                    "data": {"type": "array", "items": data} if gives.many else data,
                    "meta": _reference(PageMetaView if gives.paged else MetaView),
                },
            }
        response["content"] = {JSON: {"schema": data}}
    elif gives.forms:
        # A schema beside a stream is about each of its events, and readers differ in what one is.
        response["content"] = {form: {"schema": {} if form == _EVENTS else {"type": "string"}} for form in gives.forms}
    return response


def _problem(status: int) -> Json:
    what, headers = PROBLEMS[status]
    return {
        "description": what,
        "headers": _headers((*ALWAYS, *headers)),
        "content": {PROBLEM: {"schema": _reference(ProblemView)}},
    }


def _header(name: str, *, required: bool) -> Json:
    what, schema = ANSWER_HEADERS[name]
    return {"description": what, "required": required, "schema": dict(schema)}


def _headers(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(names)}


def _reference(model: type[BaseModel], suffix: str = "") -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}{suffix}"}


def _uuid() -> Json:
    return {"type": "string", "format": "uuid"}


def _schemas(models: Iterable[type[BaseModel]], parts: Iterable[str]) -> Json:
    """The schemas of models by name; those in `parts` also as what a client gets that asked for some fields only."""
    inputs: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation" if issubclass(model, Strict) else "serialization") for model in models
    ]
    reference = "#/components/schemas/{model}"
    schemas: Json = models_json_schema(inputs, ref_template=reference, schema_generator=_Untitled)[1]["$defs"]
    for name in sorted(parts):
        schemas[name + _PART] = {key: value for key, value in schemas[name].items() if key != "required"}
    return dict(sorted(schemas.items()))
