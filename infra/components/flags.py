"""Feature flags of the service: a ConfigMap that its pods read again when it changes (docs/adr/0066)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from infra.labels import content_hash
from infra.naming import FLAGS_CONFIG
from infra.settings import FlagRule

KEY: Final = "flags.json"


def content(flags: Mapping[str, FlagRule]) -> str:
    """The file, in the form of `app/core/flags.py`. Its version follows from the rules: nobody has to count it up."""
    rules = {name: rule.model_dump() for name, rule in sorted(flags.items())}
    return json.dumps({"version": content_hash(json.dumps(rules)), "flags": rules}, indent=2)


def mount() -> dict[str, Any]:
    """As the chart takes it."""
    return {"configMap": FLAGS_CONFIG, "items": [{"key": KEY, "file": KEY, "env": "SLIPWAY_FLAGS_FILE"}]}
