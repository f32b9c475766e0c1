"""The processes of a cluster and their arguments: pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from slipway.node.spec import CLUSTER_DOMAIN, ClusterSpec, Node

Binary = Callable[[str], Path]
"""From a program's name to its file."""


@final
@dataclass(frozen=True)
class Program:
    """A process that the supervisor keeps.

    Args:
        name: unique in the cluster.
        machine: the machine it belongs to; stopping a machine stops its group.
        arguments: program and arguments.
        netns: the network namespace it runs in.
        mount_namespace: file of the mount namespace it runs in, if it has one.
        cgroup: the control group that counts its processes.
        reads: the files that it reads once, or makes connections by for as long as they last: another content of one
            starts it anew.
    """

    name: str
    machine: str
    arguments: tuple[str, ...]
    netns: str
    mount_namespace: Path | None
    cgroup: str
    reads: tuple[Path, ...]


def programs(spec: ClusterSpec, binary: Binary) -> list[Program]:
    """Everything that runs, control plane first."""
    return [*_control_plane(spec, binary), *(p for node in spec.workers for p in _node(spec, node, binary))]


def _control_plane(spec: ClusterSpec, binary: Binary) -> list[Program]:
    pki, home = spec.home / "pki", spec.home / "control-plane"
    machine = spec.control_plane

    def program(name: str, arguments: Sequence[str], *certificates: str, config: str = "") -> Program:
        reads = (*(pki / f"{it}.crt" for it in certificates), *((home / config,) if config else ()))
        command = (str(binary(name)), *arguments)
        return Program(
            name.removeprefix("docker-"),
            machine.name,
            command,
            machine.netns,
            None,
            f"{spec.cgroup}/{machine.name}",
            reads,
        )

    own = ("apiserver", "apiserver-etcd", "apiserver-kubelet", "front-proxy")
    authorities = ("ca", "etcd-ca", "front-proxy-ca")
    controllers, scheduler = (f"{it}.kubeconfig" for it in ("controller-manager", "scheduler"))
    return [
        program("docker-registry", ("serve", f"{home}/registry.yml"), "registry", "ca", config="registry.yml"),
        program("etcd", _etcd(home, pki), "etcd", "etcd-ca"),
        program("kube-apiserver", _apiserver(spec, pki, home), *own, *authorities),
        program("kube-controller-manager", _controllers(spec, pki, home), "ca", config=controllers),
        program("kube-scheduler", _by_kubeconfig(home, "scheduler"), config=scheduler),
    ]


def _node(spec: ClusterSpec, node: Node, binary: Binary) -> list[Program]:
    etc = node.home / "etc"

    def program(name: str, arguments: Sequence[str], *reads: Path) -> Program:
        namespace = spec.home / "run" / f"{node.name}.mnt"
        command = (str(binary(name)), *arguments)
        return Program(f"{name}-{node.name}", node.name, command, node.netns, namespace, f"{node.cgroup}/system", reads)

    kubelet = (
        f"--config={etc}/kubelet.yaml",
        f"--kubeconfig={etc}/kubelet.kubeconfig",
        f"--root-dir={node.home}/kubelet",
        f"--cert-dir={node.home}/kubelet-pki",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    )
    serving = spec.home / "pki" / f"kubelet-{node.name}.crt"
    return [
        program("containerd", ("--config", f"{etc}/containerd.toml"), etc / "containerd.toml"),
        program("kubelet", kubelet, etc / "kubelet.yaml", etc / "kubelet.kubeconfig", serving),
        program("kube-proxy", (f"--config={etc}/proxy.yaml",), etc / "proxy.yaml", etc / "proxy.kubeconfig"),
    ]


def _etcd(home: Path, pki: Path) -> Sequence[str]:
    client, peer = "https://127.0.0.1:2379", "https://127.0.0.1:2380"
    return (
        "--name=control-plane",
        f"--data-dir={home}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=control-plane={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki}/etcd-ca.crt",
        f"--cert-file={pki}/etcd.crt",
        f"--key-file={pki}/etcd.key",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={pki}/etcd-ca.crt",
        f"--peer-cert-file={pki}/etcd.crt",
        f"--peer-key-file={pki}/etcd.key",
        "--auto-compaction-retention=1h",
        "--logger=zap",
        "--log-level=warn",
    )


def _apiserver(spec: ClusterSpec, pki: Path, home: Path) -> Sequence[str]:
    timeouts = spec.timeouts
    return (
        f"--advertise-address={spec.control_plane.address}",
        "--secure-port=6443",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--tls-min-version=VersionTLS12",
        "--etcd-servers=https://127.0.0.1:2379",
        f"--etcd-cafile={pki}/etcd-ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd.crt",
        f"--etcd-keyfile={pki}/apiserver-etcd.key",
        f"--encryption-provider-config={home}/encryption.yaml",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--service-cluster-ip-range={spec.service_network}",
        f"--default-not-ready-toleration-seconds={timeouts.eviction_toleration}",
        f"--default-unreachable-toleration-seconds={timeouts.eviction_toleration}",
        # The control plane is no node and has no kube-proxy: webhooks are called on their pods' addresses.
        "--enable-aggregator-routing=true",
        # haproxy's, metallb's and the nodes' own parts need it; Pod Security admission guards the namespaces.
        "--allow-privileged=true",
        "--profiling=false",
    )


def _controllers(spec: ClusterSpec, pki: Path, home: Path) -> Sequence[str]:
    timeouts = spec.timeouts
    return (
        *_by_kubeconfig(home, "controller-manager"),
        # Every node's pod subnet is fixed by the spec: the routes are made with the machines.
        "--allocate-node-cidrs=false",
        f"--cluster-cidr={spec.pod_network}",
        f"--service-cluster-ip-range={spec.service_network}",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        f"--node-monitor-grace-period={timeouts.monitor_grace_period}s",
        f"--node-monitor-period={timeouts.monitor_period}s",
        "--use-service-account-credentials=true",
    )


def _by_kubeconfig(home: Path, name: str) -> Sequence[str]:
    path = f"{home}/{name}.kubeconfig"
    return (
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    )
