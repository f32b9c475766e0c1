"""Asks a cluster that is there for what it can tell by itself.

Only its storage classes: whether Services of type LoadBalancer get an address cannot be seen without making one, and
once MetalLB is there the answer would be another; so that is a setting.
"""

from collections.abc import Iterable
from typing import Final

import httpx2
import pulumi
from lightkube import KubeConfig, SingleConfig
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.core.exceptions import ConfigError

_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_PATH: Final = "/apis/storage.k8s.io/v1/storageclasses"
_SECONDS: Final = 10


class ProbeError(pulumi.RunError):
    """A cluster cannot be asked, or does not know."""


def storage_class(kubeconfig: dict[str, object], context: str) -> str:
    """The default storage class of a cluster.

    Args:
        kubeconfig: Its kubeconfig.
        context: Context in it.

    Raises:
        ProbeError: It does not answer, or has not exactly one default class.
    """
    try:
        with Client(_connection(kubeconfig, context), ConnectionParams(timeout=httpx2.Timeout(_SECONDS))) as http:
            answer = http.get(_PATH)
            answer.raise_for_status()
            items = answer.json()["items"]
    except (ConfigError, httpx2.HTTPError) as error:
        raise ProbeError(
            f"the cluster of context {context!r} cannot be asked for its storage classes "
            f"({str(error).partition(chr(10))[0]}); make it reachable, or name one in "
            "slipway-cluster:existing.storageClass"
        ) from error
    return default_of((it["metadata"]["name"], it["metadata"].get("annotations") or {}) for it in items)


def default_of(classes: Iterable[tuple[str, dict[str, str]]]) -> str:
    """The one class that is marked as default.

    Args:
        classes: Name and annotations of each.

    Raises:
        ProbeError: None is, or several are.
    """
    named = dict(classes)
    marked = sorted(name for name, annotations in named.items() if annotations.get(_DEFAULT) == "true")
    if len(marked) != 1:
        raise ProbeError(
            f"the cluster has {len(marked)} default storage classes ({', '.join(marked) or 'none is marked'}) among "
            f"{', '.join(sorted(named)) or 'none at all'}; name the one for databases in "
            "slipway-cluster:existing.storageClass"
        )
    return marked[0]


def _connection(kubeconfig: dict[str, object], context: str) -> SingleConfig:
    found = KubeConfig.from_dict(kubeconfig).get(context)
    if found is None:
        raise ConfigError("the kubeconfig has no such context")
    return found
