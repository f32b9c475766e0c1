"""The description of the API as a page for people: made here, without a script, a font or a picture from elsewhere."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from flask import render_template

Json = dict[str, Any]

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem }
h2 { margin: 2rem 0 .5rem; border-bottom: 1px solid #8886 }
code, pre { font: 14px/1.45 ui-monospace, monospace }
pre { overflow-x: auto; padding: .75rem; background: #8881; border-radius: 4px }
details { border: 1px solid #8884; border-radius: 4px; margin: .4rem 0; padding: 0 .8rem }
summary { cursor: pointer; padding: .5rem 0 }
summary b { display: inline-block; width: 4.6em }
summary span { opacity: .75; margin-left: .6em }
table { border-collapse: collapse; margin: .4rem 0 1rem; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-top: 1px solid #8883 }
nav a { margin-right: .9em }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
#: The one style that a browser applies is named by its hash; everything else stays forbidden.
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Answer:
    """One answer: status, what it means, and the name or the text of its schema."""

    status: str
    what: str
    schema: str | None
    body: str | None


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the page shows it."""

    name: str
    method: str
    path: str
    summary: str
    needs: str
    parameters: tuple[Json, ...]
    body: str | None
    answers: tuple[Answer, ...]


def page(document: Json) -> str:
    """Return the page about an OpenAPI document."""
    groups: dict[str, list[Operation]] = {}
    for tag, operation in _operations(document):
        groups.setdefault(tag, []).append(operation)
    schemas = {name: _text(schema) for name, schema in document["components"]["schemas"].items()}
    return render_template("docs.html", info=document["info"], groups=groups, schemas=schemas, style=STYLE)


def _operations(document: Json) -> Iterator[tuple[str, Operation]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            security = told["security"]
            yield (
                told["tags"][0],
                Operation(
                    name=told["operationId"],
                    method=method.upper(),
                    path=path,
                    summary=told["summary"],
                    needs=(", ".join(security[0]["token"]) or "to be somebody") if security else "nothing",
                    parameters=tuple({**it, "rules": _text(it["schema"])} for it in told["parameters"]),
                    body=_body(told),
                    answers=tuple(_answer(document, status, it) for status, it in told["responses"].items()),
                ),
            )


def _body(told: Json) -> str | None:
    if "requestBody" not in told:
        return None
    return _name(next(iter(told["requestBody"]["content"].values()))["schema"])


def _answer(document: Json, status: str, answer: Json) -> Answer:
    if "$ref" in answer:
        answer = document["components"]["responses"][_name(answer)]
    schema: Json = next(iter(answer.get("content", {}).values()), {}).get("schema", {})
    if "$ref" in schema or not schema:
        return Answer(status, answer["description"], _name(schema), None)
    return Answer(status, answer["description"], None, _text(schema))


def _name(schema: Json) -> str | None:
    return schema["$ref"].rpartition("/")[2] if "$ref" in schema else None


def _text(schema: Json) -> str:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()
