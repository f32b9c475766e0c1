"""The observer beside each HAProxy: what it does, by pod and colour, for Prometheus and for the rollout controller.

HAProxy's own exporter counts by server, and a server is a slot that is given to another pod as soon as its last one is
gone. The observer reads HAProxy's log lines, which name the address that answered, and its runtime API over a socket of
the level `operator`: with that one may look, and not set a weight. Why so: docs/adr/0010-colours-at-the-source.md.
It prints each request as a line of ECS, which the collector takes as any pod's: docs/adr/0094-one-id.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, Secret, VolumeArgsDict, VolumeMountArgsDict

from infra.components import pods
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.generated import GeneratedPassword
from infra.components.ingress_requests import REQUEST_VARIABLE, TRACE_VARIABLE
from infra.components.metadata import metadata
from infra.components.scrapes import OBSERVER_CA, OBSERVER_SECRET, OBSERVER_TOKEN
from infra.labels import labels
from infra.naming import INGRESS_OBSERVER, INGRESS_OBSERVER_HOST, Namespace
from infra.profiles import Size

PORT: Final = 9102
#: A folder of its own: in HAProxy's lies the socket that may change everything.
_FOLDER: Final = "/var/run/observer"
_SOCKET: Final = f"{_FOLDER}/haproxy.sock"
_SECRETS: Final = "/run/secrets/observer"
_LOGS: Final = "127.0.0.1:1514"
#: Backend, address that answered, status, how it ended, milliseconds (queue, connection, answer, all), retries, bytes,
#: client, method, identifiers of request and trace, and path: last, because a line that is too long is cut.
#: The observer's `parseLine` reads exactly this.
LOG_FORMAT: Final = (
    f"%b %si %ST %ts %Tw %Tc %Tr %Ta %rc %B %ci %HM %[var({REQUEST_VARIABLE})] %[var({TRACE_VARIABLE})] %HPO"
)


@dataclass(frozen=True)
class IngressObserverConfig:
    """Who may read it.

    Attributes:
        namespace: HAProxy's namespace.
        readers: Name -> namespace of those that read it; each gets a Secret with the token and the authority.
        authority: Who signs its certificate.
    """

    namespace: pulumi.Resource
    readers: Mapping[Namespace, pulumi.Resource]
    authority: Authority


@final
@dataclass(frozen=True)
class IngressObserverResources:
    """What was made."""

    token: GeneratedPassword
    own: Secret
    readers: tuple[Secret, ...]


class IngressObserver(Component):
    """The certificate and the token of the observers. The container itself is part of HAProxy's pods."""

    def __init__(self, name: str, config: IngressObserverConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them."""
        super().__init__("IngressObserver", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: IngressObserverConfig) -> IngressObserverResources:
        token = GeneratedPassword("ingress-observer", opts=self.child())
        pair = GeneratedCertificate("ingress-observer", (INGRESS_OBSERVER_HOST,), config.authority, opts=self.child())
        own = Secret(
            "own",
            metadata=metadata(INGRESS_OBSERVER, _labels(), namespace=Namespace.INGRESS.value),
            string_data={"tls.crt": pair.certificate, "tls.key": pair.private_key, OBSERVER_TOKEN: token.password},
            opts=self.child(depends_on=[config.namespace]),
        )
        readers = tuple(
            Secret(
                f"reader-{namespace.value}",
                metadata=metadata(OBSERVER_SECRET, _labels(), namespace=namespace.value),
                string_data={OBSERVER_CA: config.authority.certificate, OBSERVER_TOKEN: token.password},
                opts=self.child(depends_on=[resource]),
            )
            for namespace, resource in config.readers.items()
        )
        return IngressObserverResources(token, own, readers)


def configuration() -> dict[str, str]:
    """What the ingress controller's configuration says for it."""
    return {
        "config-global": f"stats socket {_SOCKET} level operator mode 600\n",
        "syslog-endpoint": _LOGS,
        "syslog-format": "raw",
        "http-log-format": f'"{LOG_FORMAT}"',
    }


def container(image: pulumi.Input[str], size: Size) -> ContainerArgsDict:
    """The observer as a sidecar: it is there before HAProxy, and leaves after it.

    It has no readiness probe on purpose: an observer that is away must not take its HAProxy out of service.

    Args:
        image: Reference of the image `ingress-observer`.
        size: Requests and limits.
    """
    return {
        "name": INGRESS_OBSERVER,
        "image": image,
        "image_pull_policy": "IfNotPresent",
        "restart_policy": "Always",
        "args": [
            f"--socket={_SOCKET}",
            f"--logs={_LOGS}",
            f"--listen=:{PORT}",
            f"--tls-certificate={_SECRETS}/tls.crt",
            f"--tls-key={_SECRETS}/tls.key",
            f"--token-file={_SECRETS}/{OBSERVER_TOKEN}",
        ],
        "ports": [{"name": "observer", "container_port": PORT}],
        "resources": pods.resources(size),
        "security_context": pods.container_security(),
        "liveness_probe": {
            "http_get": {"path": "/healthz", "port": "observer", "scheme": "HTTPS"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 3,
        },
        "volume_mounts": [
            *mounts(),
            {"name": "observer-secrets", "mount_path": _SECRETS, "read_only": True},
        ],
    }


def mounts() -> Sequence[VolumeMountArgsDict]:
    """The folder that HAProxy and the observer share."""
    return [{"name": "observer", "mount_path": _FOLDER}]


def volumes() -> Sequence[VolumeArgsDict]:
    """What the pod needs for it."""
    return [
        {"name": "observer", "empty_dir": {"size_limit": "1Mi"}},
        {"name": "observer-secrets", "secret": {"secret_name": INGRESS_OBSERVER, "default_mode": 0o440}},
    ]


def _labels() -> dict[str, str]:
    return labels(INGRESS_OBSERVER, "ingress")
