"""The module sets: which Go programs are built, from which module, in which way.

A set is a folder under ``modules/`` with a ``go.mod`` that names exact versions and a ``go.sum`` that pins every byte
(and, where upstream's main does not fit, a ``main.go`` of ours). This table says how each is built. Nothing here runs.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slipway.toolchain.patches import CLOUDNATIVE_PG, Patch

MODULES_ROOT: Final = Path(__file__).parent / "modules"

#: The lowest Go that every set accepts: the `go` line of the newest go.mod (CloudNativePG 1.30).
MINIMUM_GO: Final = (1, 26, 4)

KUBERNETES_VERSION: Final = "v1.34.4"
ETCD_VERSION: Final = "v3.6.5"
PULUMI_VERSION: Final = "v3.259.0"
PULUMI_KUBERNETES_VERSION: Final = "4.25.0"
HAPROXY_INGRESS_VERSION: Final = "v0.16.1"
COREDNS_VERSION: Final = "1.12.4"
CLOUDNATIVE_PG_VERSION: Final = "1.30.0"
METALLB_VERSION: Final = "v0.15.2"
LOCAL_PATH_VERSION: Final = "v0.0.30"
HELM_VERSION: Final = "v3.19.0"
ACT_VERSION: Final = "v0.2.87"
ACTIONLINT_VERSION: Final = "v1.7.7"
PROMETHEUS_OPERATOR_VERSION: Final = "v0.85.0"
METRICS_SERVER_VERSION: Final = "v0.9.0"
KUBE_STATE_METRICS_VERSION: Final = "v2.15.0"
OTEL_COLLECTOR_VERSION: Final = "v0.156.0"
#: The module is still numbered by the first generation; its `cmd/jaeger` is the second, 2.13.0.
JAEGER_VERSION: Final = "v1.76.0"
BARMAN_PLUGIN_VERSION: Final = "v0.14.0"
VERSITYGW_VERSION: Final = "v1.8.0"
INGRESS_OBSERVER_VERSION: Final = "1"
PAUSE_VERSION: Final = "3.10"

_PULUMI_SDK_VERSION: Final = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_PROMETHEUS_VERSION: Final = "github.com/prometheus/common/version.Version"
_KUBERNETES_PROVIDER: Final = "github.com/pulumi/pulumi-kubernetes/provider/v4"


@dataclass(frozen=True)
class Binary:
    """One program of a set.

    Attributes:
        name: The name it is asked for by, unique over all sets.
        package: The Go package of its main; ``.`` is the set's own folder.
        built_as: The file name that ``go build`` gives it (the last element of its path that is no version).
    """

    name: str
    package: str
    built_as: str


@dataclass(frozen=True)
class GeneratedFile:
    """A file of a module that our main embeds, written beside it before the build: `go:embed` reads one folder only.

    Attributes:
        name: File name beside our ``main.go``.
        module: Module path, at the version that the set's go.mod names.
        path: Path inside the module.
        json_version: If given, the file is JSON and its top-level ``version`` is set to this.
    """

    name: str
    module: str
    path: str
    json_version: str | None = None


@dataclass(frozen=True)
class ModuleSet:
    """How one folder of ``modules/`` is built.

    Attributes:
        name: Folder name.
        version: What it is a build of, shown to people.
        binaries: The programs it yields.
        estimate: Seconds on two quiet cores with an empty Go cache; only progress displays read it.
        tags: Go build tags.
        stamps: Linker variables, full name -> value (``-X``).
        gcflags: Compiler flags by package pattern (``-gcflags``).
        nosumdb: Module patterns that the checksum database does not know; our go.sum alone pins those.
        generated: Files taken from modules before the build.
        patches: What is mended of upstream's.
    """

    name: str
    version: str
    binaries: tuple[Binary, ...]
    estimate: float
    tags: tuple[str, ...] = ()
    stamps: dict[str, str] = field(default_factory=dict[str, str])
    gcflags: tuple[str, ...] = ()
    nosumdb: tuple[str, ...] = ()
    generated: tuple[GeneratedFile, ...] = ()
    patches: tuple[Patch, ...] = ()

    def flags(self) -> tuple[str, ...]:
        """The arguments of ``go build`` that change what comes out (part of the cache key)."""
        linker = ["-s", "-w", *(f"-X={name}={value}" for name, value in sorted(self.stamps.items()))]
        return (
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            f"-ldflags={' '.join(linker)}",
            *((f"-tags={','.join(self.tags)}",) if self.tags else ()),
            *(f"-gcflags={flags}" for flags in self.gcflags),
        )


def _kubernetes(*names: str) -> tuple[Binary, ...]:
    return tuple(Binary(name, f"k8s.io/kubernetes/cmd/{name}", name) for name in names)


_TABLE: Final = (
    # In the order of need: the control plane can come up while everything below it still compiles.
    ModuleSet(
        name="etcd",
        version=ETCD_VERSION,
        binaries=(Binary("etcd", "go.etcd.io/etcd/server/v3", "server"),),
        estimate=25,
    ),
    ModuleSet(
        # What saves a control plane, and brings it back (docs/how-to/recovery.md).
        name="etcd-tools",
        version=ETCD_VERSION,
        binaries=(
            Binary("etcdctl", "go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
            Binary("etcdutl", "go.etcd.io/etcd/etcdutl/v3", "etcdutl"),
        ),
        estimate=30,
    ),
    ModuleSet(
        name="kubernetes",
        version=KUBERNETES_VERSION,
        binaries=_kubernetes(
            "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"
        ),
        estimate=365,
        tags=("providerless",),
        stamps={
            "k8s.io/component-base/version.gitVersion": KUBERNETES_VERSION,
            "k8s.io/component-base/version.gitMajor": "1",
            "k8s.io/component-base/version.gitMinor": "34",
            "k8s.io/component-base/version.gitTreeState": "clean",
            "k8s.io/client-go/pkg/version.gitVersion": KUBERNETES_VERSION,
            "k8s.io/client-go/pkg/version.gitMajor": "1",
            "k8s.io/client-go/pkg/version.gitMinor": "34",
        },
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="pulumi",
        version=PULUMI_VERSION,
        binaries=(Binary("pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "pulumi"),),
        estimate=320,
        stamps={_PULUMI_SDK_VERSION: PULUMI_VERSION},
        nosumdb=("github.com/pulumi/*",),
    ),
    ModuleSet(
        # The last version in which the Python host is part of the sdk module; newer ones do not resolve, and this one
        # works with the newer CLI.
        name="pulumi-language-python",
        version="v3.79.0",
        binaries=(
            Binary(
                "pulumi-language-python",
                "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
                "pulumi-language-python",
            ),
        ),
        estimate=48,
        stamps={_PULUMI_SDK_VERSION: PULUMI_VERSION},
        nosumdb=("github.com/pulumi/*",),
    ),
    ModuleSet(
        name="pulumi-resource-kubernetes",
        version=PULUMI_KUBERNETES_VERSION,
        binaries=(Binary("pulumi-resource-kubernetes", ".", "pulumi-resource-kubernetes"),),
        estimate=380,
        stamps={"main.version": PULUMI_KUBERNETES_VERSION},
        # Most of the time goes into the generated Go SDK, which needs no optimising: 663 s become 379 s.
        gcflags=("github.com/pulumi/pulumi-kubernetes/sdk/v4/...=-N -l",),
        nosumdb=("github.com/pulumi/*", "sigs.k8s.io/*"),
        generated=(
            GeneratedFile(
                name="schema-embed.json",
                module=_KUBERNETES_PROVIDER,
                path="cmd/pulumi-resource-kubernetes/schema.json",
                json_version=PULUMI_KUBERNETES_VERSION,
            ),
            GeneratedFile(
                name="terraform-mapping-embed.json",
                module=_KUBERNETES_PROVIDER,
                path="cmd/pulumi-resource-kubernetes/terraform-mapping.json",
            ),
        ),
    ),
    ModuleSet(
        name="pause",
        version=PAUSE_VERSION,
        binaries=(Binary("pause", ".", "pause"),),
        estimate=3,
        stamps={"main.version": PAUSE_VERSION},
    ),
    ModuleSet(
        name="coredns",
        version=COREDNS_VERSION,
        binaries=(Binary("coredns", ".", "coredns"),),
        estimate=110,
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="local-path-provisioner",
        version=LOCAL_PATH_VERSION,
        binaries=(
            Binary("local-path-provisioner", "github.com/rancher/local-path-provisioner", "local-path-provisioner"),
        ),
        estimate=60,
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="metallb",
        version=METALLB_VERSION,
        binaries=(
            Binary("metallb-controller", "go.universe.tf/metallb/controller", "controller"),
            Binary("metallb-speaker", "go.universe.tf/metallb/speaker", "speaker"),
        ),
        estimate=100,
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="haproxy-ingress",
        version=HAPROXY_INGRESS_VERSION,
        binaries=(Binary("haproxy-ingress-controller", "github.com/jcmoraisjr/haproxy-ingress/pkg", "pkg"),),
        estimate=115,
        stamps={
            "github.com/jcmoraisjr/haproxy-ingress/pkg/version.RELEASE": HAPROXY_INGRESS_VERSION,
            "github.com/jcmoraisjr/haproxy-ingress/pkg/version.REPO": "github.com/jcmoraisjr/haproxy-ingress",
        },
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="cloudnative-pg",
        version=CLOUDNATIVE_PG_VERSION,
        binaries=(Binary("cloudnative-pg-manager", "github.com/cloudnative-pg/cloudnative-pg/cmd/manager", "manager"),),
        estimate=208,
        nosumdb=("sigs.k8s.io/*",),
        patches=CLOUDNATIVE_PG,
    ),
    ModuleSet(
        # One program: beside the operator, and as a sidecar in each Postgres pod.
        name="plugin-barman-cloud",
        version=BARMAN_PLUGIN_VERSION,
        binaries=(
            Binary(
                "plugin-barman-cloud-manager", "github.com/cloudnative-pg/plugin-barman-cloud/cmd/manager", "manager"
            ),
        ),
        estimate=110,
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        # S3 over a folder: what backups are kept in where no object store is at hand.
        name="versitygw",
        version=VERSITYGW_VERSION,
        binaries=(Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw", "versitygw"),),
        estimate=60,
        stamps={"main.Version": VERSITYGW_VERSION},
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        # Ours: tells what each HAProxy does, by pod and colour (docs/adr/0010-colours-at-the-source.md).
        name="ingress-observer",
        version=INGRESS_OBSERVER_VERSION,
        binaries=(Binary("ingress-observer", ".", "ingress-observer"),),
        estimate=90,
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="prometheus-operator",
        version=PROMETHEUS_OPERATOR_VERSION,
        binaries=(
            Binary(
                "prometheus-operator", "github.com/prometheus-operator/prometheus-operator/cmd/operator", "operator"
            ),
            Binary(
                "prometheus-config-reloader",
                "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader",
                "prometheus-config-reloader",
            ),
        ),
        estimate=180,
        stamps={_PROMETHEUS_VERSION: PROMETHEUS_OPERATOR_VERSION.removeprefix("v")},
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="metrics-server",
        version=METRICS_SERVER_VERSION,
        binaries=(Binary("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", "metrics-server"),),
        estimate=159,
        stamps={"sigs.k8s.io/metrics-server/pkg/version.gitVersion": METRICS_SERVER_VERSION},
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        name="kube-state-metrics",
        version=KUBE_STATE_METRICS_VERSION,
        # Go names a program after its package's path, and drops a last element that is only a version.
        binaries=(Binary("kube-state-metrics", "k8s.io/kube-state-metrics/v2", "kube-state-metrics"),),
        estimate=120,
        stamps={_PROMETHEUS_VERSION: KUBE_STATE_METRICS_VERSION},
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        # The parts that are used, and no others: upstream's builder would write the same main from a list.
        name="otel-collector",
        version=OTEL_COLLECTOR_VERSION,
        binaries=(Binary("otel-collector", ".", "otel-collector"),),
        estimate=199,
        stamps={"main.version": OTEL_COLLECTOR_VERSION.removeprefix("v")},
        nosumdb=("github.com/elastic/*", "github.com/open-telemetry/*", "go.opentelemetry.io/*", "sigs.k8s.io/*"),
    ),
    ModuleSet(
        name="jaeger",
        version=JAEGER_VERSION,
        binaries=(Binary("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger", "jaeger"),),
        estimate=305,
        stamps={"github.com/jaegertracing/jaeger/internal/version.latestVersion": JAEGER_VERSION},
        nosumdb=(
            "github.com/elastic/*",
            "github.com/jaegertracing/*",
            "github.com/open-telemetry/*",
            "go.opentelemetry.io/*",
            "sigs.k8s.io/*",
        ),
    ),
    ModuleSet(
        # Not part of the cluster: renders charts in tests and in the policy checks.
        name="helm",
        version=HELM_VERSION,
        binaries=(Binary("helm", "helm.sh/helm/v3/cmd/helm", "helm"),),
        estimate=90,
        stamps={"helm.sh/helm/v3/internal/version.version": HELM_VERSION},
        nosumdb=("sigs.k8s.io/*",),
    ),
    ModuleSet(
        # Runs the workflows of .github in tests, on the machine itself.
        name="act",
        version=ACT_VERSION,
        binaries=(Binary("act", "github.com/nektos/act", "act"),),
        estimate=21,
        tags=("WITHOUT_DOCKER",),
        stamps={"main.version": ACT_VERSION.removeprefix("v")},
    ),
    ModuleSet(
        name="actionlint",
        version=ACTIONLINT_VERSION,
        binaries=(Binary("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "actionlint"),),
        estimate=6,
        stamps={"github.com/rhysd/actionlint.version": ACTIONLINT_VERSION.removeprefix("v")},
    ),
)


@dataclass(frozen=True)
class ModuleFile:
    """An upstream file inside a module: module path, and sha256 (hex) of the file."""

    module: str
    sha256: str


#: (set, path inside the module) -> which module, which bytes.
MODULE_FILES: Final[dict[tuple[str, str], ModuleFile]] = {
    ("cloudnative-pg", f"releases/cnpg-{CLOUDNATIVE_PG_VERSION}.yaml"): ModuleFile(
        "github.com/cloudnative-pg/cloudnative-pg", "f8bede43fe4ee0d478c2355b204a36876b2ae4faac60f2a9452280b293da3b88"
    ),
    ("plugin-barman-cloud", "manifest.yaml"): ModuleFile(
        "github.com/cloudnative-pg/plugin-barman-cloud",
        "691e598b4591e83e23586d3394a8fedef429586a01d1a1b56ab8b80e9fa6ccb0",
    ),
    ("prometheus-operator", "bundle.yaml"): ModuleFile(
        "github.com/prometheus-operator/prometheus-operator",
        "602f3a0c4f91952cfbbaedeed6542a8231134537191965275b9e2c2e05aeab72",
    ),
    ("metallb", "config/manifests/metallb-native.yaml"): ModuleFile(
        "go.universe.tf/metallb", "a1b04c376fb39c93265f551fe23716a3ae6e09b790edb3bf257d3fc784c35a18"
    ),
}

SETS: Final[dict[str, ModuleSet]] = {module_set.name: module_set for module_set in _TABLE}

#: Program name -> the set that yields it.
PROGRAMS: Final[dict[str, ModuleSet]] = {
    binary.name: module_set for module_set in _TABLE for binary in module_set.binaries
}
