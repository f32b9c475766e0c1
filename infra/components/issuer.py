"""What a service is told of an external issuer of tokens: the variable, and the file with its authority; pure."""

import json
from typing import Any, Final

from infra import naming
from infra.parts import Issuer

VARIABLE: Final = "SLIPWAY_EXTERNAL_ISSUER"
_AUTHORITY_KEY: Final = "ca.crt"
_AUTHORITY_FILE: Final = "issuer-ca.crt"


def told(issuer: Issuer) -> str:
    """The value of `VARIABLE`, in the form of `app/core/issuer.py`."""
    value = issuer.model_dump(exclude={"network", "authority"}, exclude_none=True)
    if issuer.authority is not None:
        value["ca_file"] = f"/run/config/{naming.SERVICE}/{_AUTHORITY_FILE}"
    return json.dumps(value)


def mounts(issuer: Issuer | None) -> list[dict[str, Any]]:
    """As the chart takes it."""
    if issuer is None or issuer.authority is None:
        return []
    return [{"configMap": issuer.authority, "items": [{"key": _AUTHORITY_KEY, "file": _AUTHORITY_FILE}]}]
