"""The Rollout as Kubernetes has it: between objects of the API and our own values, and the CRD that describes them.

`python -m slipway.rollout.resource` writes `crd.yaml` beside this file; a test fails when it is not the present one.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter

from slipway.rollout.fields import DURATION_PATTERN, format_duration
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import RolloutStatus

GROUP: Final = "slipway.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "Rollout"
PLURAL: Final = "rollouts"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CRD_FILE: Final = Path(__file__).parent / "crd.yaml"

SPEC: Final[TypeAdapter[RolloutSpec]] = TypeAdapter(RolloutSpec)
DROPPED: Final = frozenset({"title", "$defs", "const"})
"""Words of JSON schema that a structural schema may not have, or does not need."""
STATUS: Final[TypeAdapter[RolloutStatus]] = TypeAdapter(RolloutStatus)

SPEC_RULES: Final = (
    (
        "!has(self.strategy) || !(has(self.strategy.canary) && has(self.strategy.blueGreen))",
        "strategy: choose canary or blueGreen, not both",
    ),
    (
        "!has(self.autoscaling) || self.autoscaling.maxReplicas >= self.replicas",
        "autoscaling.maxReplicas: not below replicas",
    ),
    (
        (
            "!has(self.workers) || !has(self.workers.autoscaling) || "
            "self.workers.autoscaling.maxReplicas >= self.workers.replicas"
        ),
        "workers.autoscaling.maxReplicas: not below workers.replicas",
    ),
    (
        "!has(self.abort) || size(self.abort.revision) > 0",
        "abort.revision: name the revision that is to be taken back",
    ),
    (
        "!has(self.approve) || (size(self.approve.revision) > 0 && size(self.approve.gate) > 0)",
        "approve: name the revision and the gate that status.gate shows",
    ),
)
STEP_RULE: Final = (
    "self.map(s, s.weight).isSorted() && self.all(s, self.filter(t, t.weight == s.weight).size() == 1)",
    "steps: weights must rise from step to step",
)
METRIC_RULE: Final = (
    "[has(self.source), has(self.prometheus), has(self.job)].filter(x, x).size() == 1",
    "metric: give exactly one of source, prometheus and job",
)
BOUND_RULE: Final = (
    "has(self.job) || has(self.maximum) || has(self.minimum) || has(self.maximumDelta)",
    "metric: give a maximum, a minimum or a maximumDelta, else it cannot fail",
)
COLUMNS: Final = (
    ("Phase", "string", ".status.phase"),
    ("Weight", "integer", ".status.intent.candidateWeight"),
    ("Step", "integer", ".status.step"),
    ("Gate", "string", ".status.gate"),
    ("Reason", "string", ".status.reason"),
    ("Good", "string", ".status.lastGoodDigest"),
    ("Age", "date", ".metadata.creationTimestamp"),
)


def parse(manifest: Mapping[str, Any]) -> Rollout:
    """Return our values of an object as the API server gives it.

    Raises:
        pydantic.ValidationError: the object does not follow the CRD; the message names the field and what is allowed.
    """
    metadata = manifest["metadata"]
    return Rollout(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        version=metadata["resourceVersion"],
        spec=SPEC.validate_python(manifest["spec"]),
        status=STATUS.validate_python(manifest.get("status") or {}),
    )


def dump_spec(spec: RolloutSpec) -> dict[str, Any]:
    """Return a spec as it is written in YAML; fields at their defaults are left out."""
    return SPEC.dump_python(spec, mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def dump_status(status: RolloutStatus) -> dict[str, Any]:
    """Return a status as it is written to the API server, whole: fields that are None are absent."""
    return STATUS.dump_python(status, mode="json", by_alias=True, exclude_none=True)


def schema_of(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """Return the structural schema of a type: no references, no titles, `nullable` instead of a union with null."""
    raw = adapter.json_schema(by_alias=True, mode="validation")
    return _structural(raw, raw.get("$defs", {}))


def _structural(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_structural(entry, definitions) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        merged = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return _structural(merged, definitions)
    if "anyOf" in node:
        kept = [entry for entry in node["anyOf"] if entry.get("type") != "null"]
        rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        return _structural({**kept[0], **rest}, definitions)
    result = {key: _entry(key, value, node, definitions) for key, value in node.items() if key not in DROPPED}
    if "default" in result and result["default"] is None:
        del result["default"]
    return result


def _entry(key: str, value: Any, node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if key == "properties":
        return {name: _structural(entry, definitions) for name, entry in value.items()}
    if key == "description":
        return " ".join(str(value).split())
    if key != "default":
        return _structural(value, definitions)
    if isinstance(value, Mapping) or node.get("format") == "date-time":
        return None
    return format_duration(value) if node.get("pattern") == DURATION_PATTERN and isinstance(value, int) else value


def _rules(*rules: tuple[str, str]) -> list[dict[str, str]]:
    return [{"rule": rule, "message": message} for rule, message in rules]


def crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition, made from the types of `spec.py` and `status.py`."""
    spec, status = schema_of(SPEC), schema_of(STATUS)
    spec["x-kubernetes-validations"] = _rules(*SPEC_RULES)
    steps = spec["properties"]["strategy"]["properties"]["canary"]["properties"]["steps"]
    steps["x-kubernetes-validations"] = _rules(STEP_RULE)
    metrics = spec["properties"]["analysis"]["properties"]["metrics"]
    metrics["items"]["x-kubernetes-validations"] = _rules(METRIC_RULE, BOUND_RULE)
    metrics |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": "rollout"},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A service's wanted version, and how the present one gives way to it.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": status,
                            },
                        },
                    },
                },
            ],
        },
    }


def render() -> str:
    """Return the CRD as YAML, as it stands in `crd.yaml`."""
    text = yaml.safe_dump(json.loads(json.dumps(crd())), sort_keys=False, width=120, allow_unicode=True)
    return "# Made by `python -m slipway.rollout.resource` from spec.py and status.py; do not edit.\n" + text


if __name__ == "__main__":
    CRD_FILE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"wrote {CRD_FILE}\n")
