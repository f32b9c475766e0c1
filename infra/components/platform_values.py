"""What only the platform knows of a service on it, as values of the chart of any service: pure."""

from typing import Any

from infra import naming
from infra.handover import Platform
from infra.naming import Environment, Priority


def platform_values(environment: Environment, platform: Platform) -> dict[str, Any]:
    """Host names, waits, and which namespaces may reach it; the rest is the service's own.

    Args:
        environment: Where the service runs.
        platform: What it stands on.
    """
    return {
        "ingress": {
            "className": naming.INGRESS_CLASS,
            "host": naming.live_host(environment, platform.domain),
            "timeouts": {"connect": f"{platform.connect_timeout}s", "server": f"{platform.server_timeout}s"},
        },
        "preview": {"host": naming.preview_host(environment, platform.domain)},
        "priorityClassName": Priority.SERVICE.value,
        "scheduling": {"nodeLossSeconds": platform.node_loss_timeout, "dnsTimeoutSeconds": platform.dns_timeout},
        "networkPolicy": {
            "ingressNamespace": naming.Namespace.INGRESS.value,
            "monitoringNamespace": platform.parts.scraped_from or "",
        },
    }
