"""Every object against Kubernetes's own types, as the generated classes of pulumi-kubernetes carry them.

No cluster and no download: those classes are made from the API's OpenAPI document. What only an API server knows
(how fields go together) is left to the tests that have one.
"""

import importlib
import types
import typing
from collections.abc import Mapping, Sequence

import pulumi
import pytest
from pulumi import _types as pulumi_types

MODULES = {
    "v1": "core.v1",
    "apps/v1": "apps.v1",
    "batch/v1": "batch.v1",
    "policy/v1": "policy.v1",
    "networking.k8s.io/v1": "networking.v1",
    "rbac.authorization.k8s.io/v1": "rbac.v1",
}
FLAVOURS = [{}, {"rollout": {"enabled": False}}]
OWN = "slipway.dev/v1alpha1"  # held against its own types in test_chart_objects.py


def wanted(annotation):
    """Returns the plain types that an `Input[...]` allows."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return [plain for part in typing.get_args(annotation) for plain in wanted(part)]
    if annotation is type(None) or (isinstance(origin, type) and issubclass(origin, (pulumi.Output, typing.Awaitable))):
        return []
    return [annotation]


def problems(value, annotation, path):
    """Gives what is wrong with a value, by the type of its field."""
    kinds = wanted(annotation)
    for kind in kinds:
        found = list(problems_of_kind(value, kind, path))
        if not found:
            return
    yield from found if len(kinds) == 1 else [f"{path}: {value!r} is none of {kinds}"]


def problems_of_kind(value, kind, path):
    origin = typing.get_origin(kind)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no mapping"
            return
        for key, inner in value.items():
            yield from problems(inner, typing.get_args(kind)[1], f"{path}.{key}")
    elif origin is not None and issubclass(origin, Sequence):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for number, inner in enumerate(value):
            yield from problems(inner, typing.get_args(kind)[0], f"{path}[{number}]")
    elif pulumi_types.is_input_type(kind):
        yield from problems_of_object(value, kind, path)
    elif kind is not typing.Any and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        yield f"{path}: {value!r} is no {kind.__name__}"


def problems_of_object(value, kind, path):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    fields = pulumi_types.input_type_types(kind)
    for name, inner in value.items():
        if name not in fields:
            yield f"{path}: {kind.__name__} has no field {name}"
        else:
            yield from problems(inner, fields[name], f"{path}.{name}")


def problems_of_manifest(manifest):
    module = importlib.import_module(f"pulumi_kubernetes.{MODULES[manifest['apiVersion']]}._inputs")
    name = manifest["kind"]
    if not hasattr(module, f"{name}Args"):
        # Kinds that only ever stand at the top have no class for a whole object; their fields are the constructor's.
        yield from problems_of_resource(manifest, name)
        return
    yield from problems_of_object(manifest, getattr(module, f"{name}Args"), name)


def problems_of_resource(manifest, name):
    module = importlib.import_module(f"pulumi_kubernetes.{MODULES[manifest['apiVersion']]}.{name}")
    hints = typing.get_type_hints(getattr(module, f"{name}InitArgs").__init__)
    kinds = {
        pulumi_name: hints[python_name]
        for python_name, pulumi_name in pulumi_types.input_type_py_to_pulumi_names(
            getattr(module, f"{name}InitArgs")
        ).items()
    }
    for field, inner in manifest.items():
        if field not in kinds:
            yield f"{name}: has no field {field}"
        else:
            yield from problems(inner, kinds[field], f"{name}.{field}")


@pytest.mark.parametrize("values", FLAVOURS, ids=["every switch", "a Rollout from elsewhere"])
def test_every_object_has_only_fields_that_kubernetes_knows(chart, values):
    known = [one for one in chart(values).objects if one["apiVersion"] != OWN]
    assert [problem for one in known for problem in problems_of_manifest(one)] == []


@pytest.mark.parametrize(
    ("change", "tells"),
    [
        (lambda template: template.update(specification={}), "has no field specification"),
        (lambda template: template["spec"].update(terminationGracePeriodSeconds="2"), "'2' is no int"),
        (lambda template: template["spec"].update(containers={}), "is no list"),
        (lambda template: template["spec"]["containers"][0].update(readyProbe={}), "has no field readyProbe"),
        (lambda template: template["metadata"].update(labels={"a": 1}), "1 is no str"),
        (
            lambda template: template["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"].update(second=1),
            "has no field second",
        ),
    ],
)
def test_the_check_finds_what_is_wrong(chart, change, tells):
    template = chart().one("PodTemplate", "payload")
    change(template["template"])
    assert any(tells in problem for problem in problems_of_manifest(template))
