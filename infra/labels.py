"""Labels and annotations, one form for everything.

Selectors hold two labels that never change: a changed selector would make Kubernetes replace the object, which for a
named Deployment means downtime.
"""

import hashlib
from enum import StrEnum
from typing import Final

from infra.naming import POSTGRES

PART_OF: Final = "slipway"

WAIT_FOR: Final = "pulumi.com/waitFor"
#: The content a pod was started with: a change of it makes new pods, where a changed ConfigMap alone would not.
CONTENT_HASH: Final = "slipway.dev/content"

#: Says what a pod needs the Kubernetes API for; a policy refuses a pod that has access without a word.
NEEDS_API: Final = "slipway.dev/needs-api"

HOSTNAME: Final = "kubernetes.io/hostname"

#: Labels that the operator gives to pods of Postgres itself, and to those of all poolers before it.
POSTGRES_PODS: Final = {"cnpg.io/cluster": POSTGRES, "cnpg.io/podRole": "instance"}
POOLER_PODS: Final = {"cnpg.io/cluster": POSTGRES, "cnpg.io/podRole": "pooler"}


class PodSecurity(StrEnum):
    """Levels of the Pod Security Standards."""

    RESTRICTED = "restricted"
    BASELINE = "baseline"
    PRIVILEGED = "privileged"


def content_hash(*texts: str) -> str:
    """The value of `CONTENT_HASH` for what pods are started with."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def selector(name: str) -> dict[str, str]:
    """Labels by which pods of one workload are found; immutable."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name}


def pooler_pods(name: str) -> dict[str, str]:
    """Labels that the operator gives the pods of a pooler, whatever its template says."""
    return {"cnpg.io/poolerName": name}


def labels(name: str, component: str, *, version: str | None = None) -> dict[str, str]:
    """Labels of an object and of its pods.

    Args:
        name: Name of the workload.
        component: Its part in the whole: `ingress`, `database`, `cache`.
        version: Version of the software; left out where an object has none.
    """
    return {
        **selector(name),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": "pulumi",
        **({"app.kubernetes.io/version": version} if version else {}),
    }


def pod_security(level: PodSecurity) -> dict[str, str]:
    """Labels that make a namespace refuse pods below a security level, and warn in the same words."""
    return {f"pod-security.kubernetes.io/{mode}": level.value for mode in ("enforce", "audit", "warn")}
