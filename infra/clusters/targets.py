"""From a stack's settings to its cluster."""

from pathlib import Path

from infra.clusters import probe
from infra.clusters.existing import ExistingConfig, existing
from infra.handover import Capabilities, Cluster
from infra.settings import ClusterSettings, EmbeddedSettings, ExistingSettings, KindSettings, SettingsError, Target
from infra.settings.eks import EksSettings

#: Relative paths in settings start here: a stack is brought up from more than one folder.
REPOSITORY = Path(__file__).resolve().parents[2]


def make(name: str, settings: ClusterSettings) -> Cluster:
    """Make or describe the cluster that the settings ask for.

    Args:
        name: The cluster's name.
        settings: The stack's.

    Raises:
        SettingsError: The settings are fine one by one, but no such cluster can be.
        KubeconfigError: The kubeconfig of an existing cluster cannot be used.
    """
    if settings.existing is not None:
        return existing(existing_config(settings.existing, REPOSITORY))
    if settings.eks is not None:
        return _eks(name, settings.eks)
    if settings.target is Target.KIND:
        return _kind(name, settings.kind or KindSettings())
    return _embedded(name, settings.embedded or EmbeddedSettings())


def existing_config(settings: ExistingSettings, root: Path) -> ExistingConfig:
    """What the target `existing` is made from.

    Args:
        settings: The stack's.
        root: Folder at which relative paths start.
    """
    certificates = settings.registry_certificates
    return ExistingConfig(
        root / settings.kubeconfig_file,
        settings.context,
        Capabilities(
            load_balancer=settings.load_balancer,
            local_images=settings.registry is not None,
            storage_class=settings.storage_class or "",
            registry=settings.registry,
            registry_push=settings.registry_push,
            registry_certificates=None if certificates is None else str(root / certificates),
            address_range=settings.address_range,
            shared_machine=settings.shared_machine,
        ),
        None if settings.storage_class else probe.storage_class,
    )


def _eks(name: str, settings: EksSettings) -> Cluster:
    # Imported here: it takes seconds, and the other targets need nothing of AWS.
    from infra.clusters.eks.cluster import EksConfig, eks  # noqa: PLC0415  # see above

    return eks(EksConfig(name, settings))


def _kind(name: str, settings: KindSettings) -> Cluster:
    from infra.clusters.kind import NODE_IMAGE, STORAGE_CLASS, KindCluster, KindSpec  # noqa: PLC0415  # see below

    made = KindCluster(
        "cluster",
        KindSpec(
            name=name,
            workers=settings.workers,
            image=settings.node_image or NODE_IMAGE,
            address_range=settings.address_range,
            registry_auth=None if settings.registry_auth is None else str(settings.registry_auth),
        ),
    )
    return Cluster(
        kubeconfig=made.kubeconfig,
        context=made.context,
        identifier=made.identifier,
        capabilities=Capabilities(
            load_balancer=False,
            local_images=False,
            storage_class=STORAGE_CLASS,
            address_range=made.address_range,
            shared_machine=True,
        ),
    )


def _embedded(name: str, settings: EmbeddedSettings) -> Cluster:
    # Imported here: the other targets need nothing of this machine.
    from infra.clusters.embedded import EmbeddedCluster, EmbeddedConfig  # noqa: PLC0415  # see above
    from slipway.node import ClusterSpec, NodeTimeouts  # noqa: PLC0415  # see above

    timeouts = settings.timeouts
    try:
        spec = ClusterSpec(
            name=name,
            nodes=settings.nodes,
            network=settings.network,
            pod_network=settings.pod_network,
            service_network=settings.service_network,
            timeouts=NodeTimeouts(
                monitor_grace_period=timeouts.monitor_grace_period,
                monitor_period=timeouts.monitor_period,
                lease_duration=timeouts.node_lease,
                eviction_toleration=timeouts.eviction,
            ),
        )
    except ValueError as error:
        raise SettingsError(f"the settings slipway-cluster:embedded cannot be used: {error}") from error
    made = EmbeddedCluster("cluster", EmbeddedConfig(spec))
    return Cluster(
        kubeconfig=made.kubeconfig,
        context=made.context,
        identifier=made.identifier,
        capabilities=Capabilities(
            load_balancer=False,
            local_images=True,
            storage_class=made.storage_class,
            registry=made.registry,
            registry_push=made.registry_push,
            registry_certificates=made.registry_certificates,
            address_range=made.address_range,
            shared_machine=True,
        ),
    )
