"""What counts as a break, and that nothing else does."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.compatibility import breaks, narrowings
from app.openapi import described

BODY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {"name": {"type": "string", "maxLength": 100}, "role": {"enum": ["viewer", "editor"]}},
}
VIEW = {
    "type": "object",
    "required": ["id", "name"],
    "properties": {"id": {"type": "string"}, "name": {"type": "string"}, "tags": {"items": {"type": "string"}}},
}


def document():
    return {
        "paths": {
            "/things": {
                "post": {
                    "security": [{"token": ["things:write"]}, {"key": ["things:write"]}],
                    "parameters": [
                        {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
                        {"in": "header", "name": "If-Match", "schema": {"type": "string"}},
                    ],
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
                    "responses": {
                        "201": {
                            "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/View"}}},
                        },
                        "409": {},
                    },
                },
                "get": {"responses": {"200": {}}},
            }
        },
        "components": {"schemas": {"Body": deepcopy(BODY), "View": deepcopy(VIEW)}},
    }


def post(new):
    return new["paths"]["/things"]["post"]


def schema(name, change):
    return lambda new: change(new["components"]["schemas"][name])


BREAKS = {
    "the path is gone": lambda new: new["paths"].pop("/things"),
    "the method is gone": lambda new: new["paths"]["/things"].pop("get"),
    "the status 409 is gone": lambda new: post(new)["responses"].pop("409"),
    "the header ETag is gone": lambda new: post(new)["responses"]["201"]["headers"].pop("ETag"),
    "the header ETag may be missing now": lambda new: post(new)["responses"]["201"]["headers"]["ETag"].pop("required"),
    "application/json is no longer sent": lambda new: post(new)["responses"]["201"].pop("content"),
    "no longer open to key things:write": lambda new: post(new)["security"].pop(),
    "no longer open to token things:write": lambda new: post(new)["security"][0]["token"].append("more"),
    "no longer open to everybody": lambda new: new["paths"]["/things"]["get"].update(security=[{"key": []}]),
    "the parameter is gone": lambda new: post(new)["parameters"].pop(0),
    "is written another way": lambda new: post(new)["parameters"][0].update(style="form"),
    "maximum 100 is now 50": lambda new: post(new)["parameters"][0]["schema"].update(maximum=50),
    "minimum none is now 1": lambda new: post(new)["parameters"][0]["schema"].update(minimum=1),
    "application/json is no longer taken": lambda new: post(new)["requestBody"].update(content={}),
    "is no longer taken": lambda new: post(new).pop("requestBody"),
    "role is required": schema("Body", lambda body: body["required"].append("role")),
    "role is refused": schema("Body", lambda body: body["properties"].pop("role")),
    "role: editor refused; allowed: viewer": schema("Body", lambda body: body["properties"]["role"]["enum"].pop()),
    "name: maxLength 100 is now 10": schema("Body", lambda body: body["properties"]["name"].update(maxLength=10)),
    "name: pattern none is now ^a": schema("Body", lambda body: body["properties"]["name"].update(pattern="^a")),
    "name: type string is now integer": schema("Body", lambda body: body["properties"]["name"].update(type="integer")),
    "promises less: name is required": schema("View", lambda view: view["required"].remove("name")),
    "promises less: tags may be anything, or missing": schema("View", lambda view: view["properties"].pop("tags")),
    "promises less: tags[]: type null, string is now string": schema(
        "View", lambda view: view["properties"]["tags"]["items"].update(type=["string", "null"])
    ),
    "promises less: type null is now string": schema(
        "View", lambda view: view["properties"].update(name={"anyOf": [{"type": "string"}, {"type": "null"}]})
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_is_a_break(what):
    new = document()
    BREAKS[what](new)
    (found,) = breaks(document(), new)
    # A nested field is told with its name.
    assert found.what in {what, what.replace("less: ", "less: name: ")}


@pytest.mark.parametrize("place", ["header", "query"])
def test_what_is_newly_required_is_a_break(place):
    new = document()
    post(new)["parameters"].append({"in": place, "name": "x", "required": True, "schema": {}})
    assert [str(found) for found in breaks(document(), new)] == [f"POST /things, {place} x: is required now"]
    new = document()
    post(new)["parameters"][0]["required"] = True
    post(new)["requestBody"]["required"] = True
    new["paths"]["/things"]["get"]["requestBody"] = {"required": True, "content": {}}
    assert [found.what for found in breaks(document(), new)] == ["is required now"] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new["paths"].update({"/more": {}}),
        lambda new: post(new)["responses"].update({"429": {}}),
        lambda new: post(new)["responses"]["201"]["headers"].update(Link={"schema": {}}),
        lambda new: post(new).pop("security"),
        lambda new: post(new)["security"].append({"mutual": []}),
        lambda new: post(new)["parameters"].append({"in": "query", "name": "x", "schema": {}}),
        lambda new: post(new)["parameters"].pop(1),  # a header that is not read any more
        lambda new: post(new)["parameters"][0]["schema"].update(maximum=200, description="more"),
        lambda new: post(new)["requestBody"]["content"].update({"text/csv": {"schema": {}}}),
        schema("Body", lambda body: body["properties"].update(more={"type": "string"})),
        schema("Body", lambda body: body["required"].clear()),
        schema("Body", lambda body: body["properties"]["role"]["enum"].append("admin")),
        schema("Body", lambda body: body["properties"]["name"].update(type=["string", "null"])),
        schema("View", lambda view: view["properties"].update(more={"type": "string"})),
        schema("View", lambda view: view["required"].append("tags")),
        schema("View", lambda view: view["properties"]["name"].update(maxLength=5)),
    ],
)
def test_it_breaks_nobody(change):
    new = document()
    change(new)
    assert breaks(document(), new) == []


def test_our_own_description_breaks_nobody_who_has_it():
    assert breaks(described(), described()) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
SIZES = st.integers(0, 3)


def schemas(depth=2):
    inner = schemas(depth - 1) if depth else st.just({})
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "minLength": SIZES,
            "maxLength": SIZES,
            "minimum": SIZES,
            "maximum": SIZES,
            "minItems": SIZES,
            "maxProperties": SIZES,
            "pattern": st.sampled_from(["^a", "b$"]),
            "uniqueItems": st.booleans(),
            "required": st.lists(st.sampled_from("xy"), max_size=2, unique=True),
            "properties": st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    )


@st.composite
def pairs(draw):
    """A schema and one that is near it: most pairs of random schemas have nothing to do with each other."""
    wide = draw(schemas())
    narrow = deepcopy(wide)
    for word in draw(st.lists(st.sampled_from(sorted(wide)), max_size=2)) if wide else []:
        narrow.pop(word, None)
    narrow |= draw(schemas().map(lambda one: dict(list(one.items())[:1])))
    return draw(st.sampled_from([(wide, narrow), (narrow, wide)]))


@given(pairs(), VALUES)
def test_where_nothing_is_narrower_every_value_stays_allowed(pair, value):
    wide, narrow = pair
    if Draft202012Validator(wide).is_valid(value) and not list(narrowings(wide, narrow)):
        assert Draft202012Validator(narrow).is_valid(value)


@given(schemas())
def test_nothing_is_narrower_than_itself(schema):
    assert list(narrowings(schema, deepcopy(schema))) == []


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"anyOf": [{"type": "array"}]}, {"anyOf": [{"type": "array"}], "type": "string"}),
        ({"enum": [1]}, {"enum": [True]}),
    ],
)
def test_what_an_earlier_comparison_overlooked(wide, narrow):
    assert list(narrowings(wide, narrow))
