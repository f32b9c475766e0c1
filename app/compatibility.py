"""Whether clients of one OpenAPI document can live with another one. Pure; knows nothing of this service.

What a client may send must stay allowed, what it gets must stay as it was told. A new path, a new field of an answer, a
new optional field of a request and a new status of an error break nobody. Where it cannot be decided (another pattern,
another format) it counts as a break: better asked once too often.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_COMPARED = {"type", "enum", "anyOf", "items", "properties", "required", "additionalProperties"}
_FOR_PEOPLE = {"title", "description", "default", "examples", "deprecated"}
_METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, order=True)
class Break:
    """One thing that clients rely on and that is gone.

    Attributes:
        where: method and path, and the place in it.
        what: what has changed.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def breaks(old: Json, new: Json) -> list[Break]:
    """Return what clients of `old` lose with `new`, in order."""
    return sorted(set(_paths(resolved(old), resolved(new))))


def _paths(old: Json, new: Json) -> Iterator[Break]:
    for path, before in old["paths"].items():
        after = new["paths"].get(path)
        if after is None:
            yield Break(path, "the path is gone")
            continue
        for method in _METHODS:
            if method in before:
                where = f"{method.upper()} {path}"
                if method in after:
                    yield from _operation(where, before[method], after[method])
                else:
                    yield Break(where, "the method is gone")


def _operation(where: str, old: Json, new: Json) -> Iterator[Break]:
    yield from _security(where, old.get("security", ()), new.get("security", ()))
    yield from _parameters(where, old, new)
    yield from _body(where, old.get("requestBody"), new.get("requestBody"))
    for status, before in old["responses"].items():
        after = new["responses"].get(status)
        if after is None:
            yield Break(where, f"the status {status} is gone")
        else:
            yield from _answer(f"{where}, {status}", before, after)


def _security(where: str, old: Any, new: Any) -> Iterator[Break]:
    """Each way in must still lead in: one of the new ways may ask for no more than it."""

    def enough(given: Json, asked: Json) -> bool:
        return all(name in given and set(roles) <= set(given[name]) for name, roles in asked.items())

    for given in old or [{}]:
        if new and not any(enough(given, asked) for asked in new):
            named = ", ".join(f"{name} {' '.join(roles)}".strip() for name, roles in given.items())
            yield Break(where, f"no longer open to {named or 'everybody'}")


def _parameters(where: str, old: Json, new: Json) -> Iterator[Break]:
    before, after = (
        {(one["in"], one["name"]): one for one in operation.get("parameters", ())} for operation in (old, new)
    )
    for (place, name), one in before.items():
        there = f"{where}, {place} {name}"
        other = after.get((place, name))
        if other is None:
            if place != "header":  # an unknown header harms nobody
                yield Break(there, "the parameter is gone")
            continue
        if other.get("required") and not one.get("required"):
            yield Break(there, "is required now")
        if (one.get("style"), one.get("explode")) != (other.get("style"), other.get("explode")):
            yield Break(there, "is written another way")
        yield from (Break(there, what) for what in narrowings(one["schema"], other["schema"]))
    for place, name in after.keys() - before.keys():
        if after[place, name].get("required"):
            yield Break(f"{where}, {place} {name}", "is required now")


def _body(where: str, old: Json | None, new: Json | None) -> Iterator[Break]:
    there = f"{where}, body"
    if old is None:
        if new is not None and new.get("required"):
            yield Break(there, "is required now")
        return
    if new is None:
        yield Break(there, "is no longer taken")
        return
    if new.get("required") and not old.get("required"):
        yield Break(there, "is required now")
    for form, before in old["content"].items():
        if form not in new["content"]:
            yield Break(there, f"{form} is no longer taken")
        else:
            yield from (Break(there, what) for what in narrowings(before["schema"], new["content"][form]["schema"]))


def _answer(where: str, old: Json, new: Json) -> Iterator[Break]:
    for name in old.get("headers", {}).keys() - new.get("headers", {}).keys():
        yield Break(where, f"the header {name} is gone")
    for name, before in old.get("headers", {}).items():
        if before.get("required") and not new.get("headers", {}).get(name, before).get("required"):
            yield Break(where, f"the header {name} may be missing now")
    for form, before in old.get("content", {}).items():
        after = new.get("content", {}).get(form)
        if after is None:
            yield Break(where, f"{form} is no longer sent")
        else:
            # The other way round: what the new one sends must be something that the old one could have sent.
            for what in narrowings(after["schema"], before["schema"]):
                yield Break(where, f"promises less: {what}")


def narrowings(wide: Json, narrow: Json, place: str = "") -> Iterator[str]:
    """Say what `wide` allows and `narrow` may refuse; nothing if every value of the one is a value of the other.

    Both are JSON Schemas without references.
    """
    if _text(wide) == _text(narrow):
        return
    if "anyOf" in wide or "anyOf" in narrow:
        beside = {word: value for word, value in narrow.items() if word != "anyOf"}
        for choice in _choices(wide):
            yield from narrowings(choice, beside, place)
            if not any(next(narrowings(choice, other), None) is None for other in narrow.get("anyOf", [{}])):
                yield f"{_at(place)}{choice.get('type', choice)} is refused"
        return
    yield from _values(wide, narrow, _at(place))
    yield from _properties(wide, narrow, f"{place}." if place else "")
    if "items" in narrow:
        yield from narrowings(wide.get("items", {}), narrow["items"], f"{place}[]")


def _choices(schema: Json) -> list[Json]:
    """What a schema allows, one by one; rather too much than too little where a choice and the rest both speak."""
    rest = {word: value for word, value in schema.items() if word != "anyOf"}
    return [{**rest, **choice} for choice in schema["anyOf"]] if "anyOf" in schema else [schema]


def _values(wide: Json, narrow: Json, at: str) -> Iterator[str]:
    before, after = _types(wide), _types(narrow)
    if after is not None and (before is None or not _within(before, after)):
        yield f"{at}type {_listed(before)} is now {_listed(after)}"
    if "enum" in narrow:
        kept = {_text(value) for value in narrow["enum"]}
        refused = [value for value in wide["enum"] if _text(value) not in kept] if "enum" in wide else ["the rest"]
        if refused:
            yield f"{at}{', '.join(map(str, refused))} refused; allowed: {', '.join(map(str, narrow['enum']))}"
    for word in narrow.keys() - _COMPARED - _FOR_PEOPLE:
        bounded = word in wide and word in _LOWER | _UPPER and not _tighter(word, wide[word], narrow[word])
        if not bounded and wide.get(word) != narrow[word]:
            yield f"{at}{word} {wide.get(word, 'none')} is now {narrow[word]}"


def _properties(wide: Json, narrow: Json, prefix: str) -> Iterator[str]:
    known, allowed = wide.get("properties", {}), narrow.get("properties", {})
    others, others_after = wide.get("additionalProperties", True), narrow.get("additionalProperties", True)
    for name in sorted(set(narrow.get("required", ())) - set(wide.get("required", ()))):
        yield f"{prefix}{name} is required"
    if others_after is not True and others not in (False, others_after):
        yield f"{prefix}* (fields that are not named) are refused"
    for name, before in known.items():
        if name in allowed:
            yield from narrowings(before, allowed[name], f"{prefix}{name}")
        elif others_after is not True:
            yield f"{prefix}{name} is refused"
    if others is not False:
        for name in allowed.keys() - known.keys():
            yield f"{prefix}{name} may be anything, or missing"


def _text(value: Any) -> str:
    """A value for comparing: to Python `true` and 1 are the same."""
    return json.dumps(value, sort_keys=True)


def _at(place: str) -> str:
    return f"{place}: " if place else ""


def _types(schema: Json) -> set[str] | None:
    """The allowed types; None: any."""
    kind = schema.get("type")
    return None if kind is None else {kind} if isinstance(kind, str) else set(kind)


def _within(before: set[str], after: set[str]) -> bool:
    return all(name in after or (name == "integer" and "number" in after) for name in before)


def _tighter(word: str, before: float, after: float) -> bool:
    return after > before if word in _LOWER else after < before


def _listed(types: set[str] | None) -> str:
    return "any" if types is None else ", ".join(sorted(types))


def resolved(document: Json) -> Any:
    """Return the document with its references followed. Ours never lead back to themselves."""

    def follow(value: Any) -> Any:
        if isinstance(value, Mapping):
            if "$ref" in value:
                found: Any = document
                for step in value["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
                return follow(found)
            return {name: follow(inner) for name, inner in value.items()}
        return [follow(inner) for inner in value] if isinstance(value, list) else value

    return follow(document)
