"""The plugin through which the operator of Postgres archives and backs up, from its own release manifest.

Upstream has its certificates made by cert-manager. Here they come from the platform's own authority, and what the
manifest asks cert-manager for is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra import manifests
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.metadata import metadata
from infra.components.release import Release, ReleaseConfig
from infra.labels import CONTENT_HASH, NEEDS_API, content_hash, labels
from infra.naming import Namespace, Priority
from infra.profiles import Profile

_NAME: Final = "barman-cloud"
_PORT: Final = 9090
#: What the operator looks for, by annotations of the plugin's Service.
SERVER_SECRET: Final = "barman-cloud-server-tls"  # noqa: S105  # the name of a Secret, not a secret
CLIENT_SECRET: Final = "barman-cloud-client-tls"  # noqa: S105  # the name of a Secret, not a secret
_LEFT_OUT: Final = frozenset({"Certificate", "Issuer", "Secret"})


@dataclass(frozen=True)
class BackupPluginConfig:
    """How the plugin is installed.

    Attributes:
        documents: Objects of its release manifest, unchanged.
        namespace: The operator's namespace: it finds plugins beside itself only.
        images: Logical name -> reference; needs `plugin-barman-cloud` and its sidecar.
        profile: Sizes.
        authority: Who signs both certificates.
        node_loss: Seconds that its pod stays bound to a lost node.
    """

    documents: tuple[dict[str, Any], ...]
    namespace: pulumi.Resource
    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    authority: Authority
    node_loss: int


@final
@dataclass(frozen=True)
class BackupPluginResources:
    """What was made."""

    secrets: tuple[Secret, Secret]
    network_policy: NetworkPolicy
    release: Release


class BackupPlugin(Component):
    """The plugin, ready to be named by a Postgres cluster."""

    def __init__(self, name: str, config: BackupPluginConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install it. Raises `ManifestError` if the release manifest lacks an object that is changed here."""
        super().__init__("BackupPlugin", name, opts)
        pairs = (
            GeneratedCertificate("backup-plugin", [_NAME], config.authority, opts=self.child()),
            GeneratedCertificate(
                "backup-operator", [f"{_NAME}-client"], config.authority, client=True, opts=self.child()
            ),
        )
        secrets = tuple(
            Secret(
                secret,
                metadata=metadata(secret, labels(_NAME, "backups"), namespace=Namespace.POSTGRES_OPERATOR.value),
                type="kubernetes.io/tls",
                string_data={
                    "tls.crt": pair.certificate,
                    "tls.key": pair.private_key,
                    "ca.crt": config.authority.certificate,
                },
                opts=self.child(depends_on=[config.namespace]),
            )
            for secret, pair in zip((SERVER_SECRET, CLIENT_SECRET), pairs, strict=True)
        )
        policy = NetworkPolicy(
            "backup-plugin",
            metadata=metadata(_NAME, labels(_NAME, "backups"), namespace=Namespace.POSTGRES_OPERATOR.value),
            spec={
                "pod_selector": {"match_labels": {"app": _NAME}},
                "policy_types": ["Ingress"],
                "ingress": [{"from_": [{"pod_selector": {}}], "ports": [{"port": _PORT, "protocol": "TCP"}]}],
            },
            opts=self.child(depends_on=[config.namespace]),
        )
        # Both are read once: a new certificate makes a new pod.
        content = pulumi.Output.all(*(it.certificate for it in pairs)).apply(lambda it: content_hash(*it))
        release = Release(
            "backup-plugin",
            ReleaseConfig(tuple(changed(config, content)), config.namespace),
            self.child(depends_on=list(secrets)),
        )
        self.resources = BackupPluginResources((secrets[0], secrets[1]), policy, release)
        self.register_outputs({})


def changed(config: BackupPluginConfig, content: pulumi.Input[str]) -> list[dict[str, Any]]:
    """The release manifest with our images, sizes and certificates. Raises `ManifestError`."""
    kept = [it for it in config.documents if it["kind"] not in _LEFT_OUT]
    return manifests.change(
        manifests.moved(kept, Namespace.POSTGRES_OPERATOR.value),
        {
            ("Deployment", _NAME): [
                manifests.with_image(config.images["plugin-barman-cloud"], _NAME),
                manifests.with_container(
                    _NAME,
                    env=[{"name": "SIDECAR_IMAGE", "value": config.images["plugin-barman-cloud-sidecar"]}],
                    args=[
                        "operator",
                        "--server-cert=/server/tls.crt",
                        "--server-key=/server/tls.key",
                        # Not the certificate itself: the operator shows one only to whoever asks for its authority.
                        "--client-cert=/client/ca.crt",
                        f"--server-address=:{_PORT}",
                        "--leader-elect",
                        "--log-level=info",
                    ],
                    # The manifest only asks whether it is ready.
                    livenessProbe={
                        "tcpSocket": {"port": _PORT},
                        "periodSeconds": 10,
                        "timeoutSeconds": 5,
                        "failureThreshold": 6,
                    },
                ),
                manifests.with_resources(_NAME, config.profile.backup_plugin),
                manifests.with_pod(
                    tolerations=manifests.tolerations(config.node_loss), priorityClassName=Priority.DATA.value
                ),
                manifests.with_pod_annotations(
                    **{NEEDS_API: "it reads stores and their Secrets, and grants them to Postgres"}
                ),
                _with_content(content),
            ],
        },
    )


def _with_content(content: pulumi.Input[str]) -> manifests.Change:
    def apply(document: dict[str, Any]) -> dict[str, Any]:
        document["spec"]["template"]["metadata"]["annotations"][CONTENT_HASH] = content
        return document

    return apply
