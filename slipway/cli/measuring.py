"""The Prometheus that the platform is measured by, as a command on somebody's machine reaches it."""

import base64
import re
import ssl
from collections.abc import Callable
from typing import Final

import httpx

from dashboards.live import Prometheus
from infra.naming import PROMETHEUS, PROMETHEUS_PORT, Namespace
from slipway.node.kube import Kubectl
from slipway.rollout.manifests import NAME, PROMETHEUS_VOLUME

_INSIDE: Final = re.compile(
    r"(?P<scheme>https?)://(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(\.cluster\.local)?(:(?P<port>\d+))?(?P<path>/.*)?"
)
_PORTS: Final = {"http": "80", "https": "443"}


def prometheus_of(kubectl: Kubectl) -> Prometheus:
    """The platform's own, or whichever the rollout controller asks.

    Raises:
        NodeError: The cluster does not answer.
    """
    secret = secret_of(kubectl)
    if secret is None:
        return Prometheus(_proxied(kubectl, Namespace.MONITORING.value, f"{PROMETHEUS}:{PROMETHEUS_PORT}"))
    (found,) = kubectl.get("secret", secret, "--namespace", Namespace.ROLLOUT.value)
    return Prometheus(elsewhere(kubectl, {key: base64.b64decode(it).decode() for key, it in found["data"].items()}))


def secret_of(kubectl: Kubectl) -> str | None:
    """The Secret by which the rollout controller reaches a Prometheus of others; None if it asks the platform's."""
    for it in kubectl.get("deployments.apps", "--namespace", Namespace.ROLLOUT.value):
        if it["metadata"]["name"] == NAME:
            volumes = it["spec"]["template"]["spec"]["volumes"]
            return next((each["secret"]["secretName"] for each in volumes if each["name"] == PROMETHEUS_VOLUME), None)
    return None


def elsewhere(kubectl: Kubectl, access: dict[str, str]) -> Callable[[str], str]:
    """How a path below `/api/v1/` is read from a Prometheus of others.

    Through the API server where the address is inside the cluster and wants no token, which would not pass there;
    else from here.

    Args:
        kubectl: Of the cluster.
        access: What the Secret holds: `url`, and maybe `token` and `ca.crt`.
    """
    url, token, ca = access["url"].strip().rstrip("/"), access.get("token", "").strip(), access.get("ca.crt")
    inside = _INSIDE.fullmatch(url)
    if inside and not token:
        scheme, port = inside["scheme"], inside["port"] or _PORTS[inside["scheme"]]
        service = f"{'https:' if scheme == 'https' else ''}{inside['name']}:{port}"
        return _proxied(kubectl, inside["namespace"], service, inside["path"] or "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verify = ssl.create_default_context(cadata=ca) if ca else True

    def fetch(path: str) -> str:
        try:
            return httpx.get(f"{url}/api/v1/{path}", headers=headers, verify=verify, timeout=30).text
        except httpx.HTTPError as error:
            raise OSError(f"{url} cannot be reached from here: {error or type(error).__name__}") from error

    return fetch


def _proxied(kubectl: Kubectl, namespace: str, service: str, path: str = "") -> Callable[[str], str]:
    """As whoever may look into the cluster; nothing has to be opened for it."""
    where = f"/api/v1/namespaces/{namespace}/services/{service}/proxy{path}/api/v1"
    return lambda question: kubectl("get", "--raw", f"{where}/{question}")
