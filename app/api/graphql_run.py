"""Runs one GraphQL request: checked as a whole, measured, then done. What fails is told as REST tells it."""

from collections.abc import Sequence

import orjson
from flask import Response
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_variable_values
from graphql.validation import NoSchemaIntrospectionCustomRule

from app.api.graphql_limits import MOST_DEPTH, MOST_FIELDS, MOST_READS, MOST_TOKENS, Measure
from app.api.graphql_schema import CREATE, NEEDS, Reply, make_schema, plain
from app.api.guard import forbidden, principal
from app.api.http import JSON, idempotency_claim
from app.api.schemas import GraphqlDraft
from app.core.problems import FieldError, Problem, invalid

_SCHEMA = make_schema()
_MOST_ERRORS = 10


def run(draft: GraphqlDraft, *, introspection: bool) -> Response:
    """Answer a request.

    Args:
        draft: the request.
        introspection: whether it may ask about the schema.

    Raises:
        Problem: 403 or 422, before anything of it is done.
        Exception: what a service refuses with, as in REST; then nothing of it is done or shown.
    """
    claim = idempotency_claim(CREATE)  # one that is malformed is refused whatever it came with
    document = _valid(draft.query, introspection=introspection)
    operation = get_operation_ast(document, draft.operationName)
    if operation is None:
        raise _refused("operationName", ["names no operation of the query, or there are several and it names none"])
    _allow(document, operation, draft)
    reply = Reply(claim)
    result = execute_sync(
        _SCHEMA,
        document,
        context_value=reply,
        variable_values=draft.variables,
        operation_name=draft.operationName,
        field_resolver=plain,
    )
    if result.errors:
        raise result.errors[0].original_error or result.errors[0]
    return Response(orjson.dumps({"data": result.data}), headers=reply.headers, mimetype=JSON)


def _valid(query: str, *, introspection: bool) -> DocumentNode:
    rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
    try:
        document = parse(query, max_tokens=MOST_TOKENS)
        errors = validate(_SCHEMA, document, rules, max_errors=_MOST_ERRORS)
    except GraphQLSyntaxError as error:
        raise _refused("query", [_told(error)]) from None
    except RecursionError:
        raise _too_much(f"It is nested deeper than can be read; allowed: {MOST_DEPTH} fields.") from None
    if errors:
        raise _refused("query", [_told(error) for error in errors])
    return document


def _allow(document: DocumentNode, operation: OperationDefinitionNode, draft: GraphqlDraft) -> None:
    """Refuse what asks for too much, or for what its client may not have."""
    variables = get_variable_values(_SCHEMA, operation.variable_definitions or (), draft.variables or {}, _MOST_ERRORS)
    if isinstance(variables, list):
        raise _refused("variables", [_told(error) for error in variables])
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    demand = Measure(_SCHEMA, fragments, variables, NEEDS).of(operation)
    if demand.depth > MOST_DEPTH:
        raise _too_much(f"It is {demand.depth} fields deep; allowed: {MOST_DEPTH}.")
    if demand.fields > MOST_FIELDS:
        raise _too_much(f"Its answer may hold {demand.fields} fields; allowed: {MOST_FIELDS}. Lower `limit`.")
    if demand.reads > MOST_READS:
        raise _too_much(f"It asks the database {demand.reads} times; allowed: {MOST_READS}.")
    if operation.operation is OperationType.MUTATION and demand.reads > 1:
        raise _refused("query", [f"changes {demand.reads} things; allowed: one in a request"])
    if not all(principal().may(permission) for permission in demand.needs):
        raise forbidden()


def _told(error: GraphQLError) -> str:
    places = ", ".join(f"line {place.line}, column {place.column}" for place in error.locations or ())
    return f"{error.message} ({places})" if places else error.message


def _too_much(detail: str) -> Problem:
    return invalid("graphql_too_much", detail)


def _refused(field: str, messages: Sequence[str]) -> Problem:
    errors = [FieldError(field=field, code="graphql", message=message) for message in messages]
    return invalid("validation", "The request breaks the rules listed in errors.", errors)
