"""What a task needs of this machine: Debian packages with reasons, programs in the order of need."""

from typing import Final

from slipway.toolchain import maven
from slipway.toolchain.debian import Package
from slipway.toolchain.images import store

EMBEDDED_PACKAGES: Final = (
    Package("containerd", "runs the containers of every node"),
    Package("runc", "starts each container"),
    Package("containernetworking-plugins", "connects pods to their node's bridge"),
    Package("docker-registry", "holds the images that nodes pull"),
    Package("iproute2", "makes network namespaces, bridge and cables"),
    Package("iptables", "carries kube-proxy's Service rules"),
    Package("conntrack", "lets kube-proxy drop stale connections"),
    Package("procps", "sets the namespaces' sysctls"),
    Package("util-linux", "enters namespaces"),
)
IMAGE_PACKAGES: Final = (*store.BUILD_PACKAGES, *maven.PACKAGES)
TEST_PACKAGES: Final = (
    Package("postgresql", "the service's tests run on a real Postgres"),
    Package("pgbouncer", "some of them go through a real pooler"),
    Package("redis-server", "the service's tests run on a real Redis"),
    Package("wrk", "the load that compares the service with bare servers"),
    Package("haproxy", "the router's tests shift weights on a real HAProxy"),
    Package("prometheus", "promtool evaluates the rules in their tests"),
)

CLUSTER_PROGRAMS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "pulumi-home",
)
PLATFORM_PROGRAMS: Final = ("pulumi-resource-kubernetes",)
RECOVERY_PROGRAMS: Final = ("etcdctl", "etcdutl")
CLUSTER_IMAGES: Final = ("pause", "coredns", "local-path-provisioner", "shell")
PLATFORM_IMAGES: Final = ("metallb-controller", "metallb-speaker", "haproxy-ingress", "ingress-observer", "redis")
DATA_IMAGES: Final = ("cloudnative-pg", "postgres", "controller", "service")
METRICS_IMAGES: Final = (
    "prometheus-operator",
    "prometheus-config-reloader",
    "prometheus",
    "alertmanager",
    "node-exporter",
    "kube-state-metrics",
    "metrics-server",
)
LOGS_IMAGES: Final = ("elasticsearch", "otel-collector", "python")
TEST_PROGRAMS: Final = (
    "helm",
    "etcd",
    *RECOVERY_PROGRAMS,
    "kube-apiserver",
    "kubectl",
    "pulumi-home",
    *PLATFORM_PROGRAMS,
    "ingress-observer",
    "versitygw",
    "act",
    "actionlint",
)
