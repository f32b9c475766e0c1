"""A real kube-apiserver on a real etcd, without nodes: for what only it can say (CRDs, CEL, RBAC, conflicts)."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lightkube import KubeConfig
from ports import free_ports

from slipway.rollout.manifests import Installation, admission, people, rights, worker_rules
from slipway.rollout.resource import crd
from slipway.toolchain import Toolchain
from slipway.toolchain.modules import SETS

NEEDED = ("etcd", "kube-apiserver")
CONTROLLER = "system:serviceaccount:slipway-system:slipway-rollout"
USERS = {"admin": "system:masters", "ada": "", "erin": "", "sam": "", "pia": "", "stranger": "", CONTROLLER: ""}


def programs() -> Mapping[str, Path]:
    """Where the programs are: the folder SLIPWAY_PROGRAMS, or the toolchain's cache. Nothing is built for a test."""
    folder = os.environ.get("SLIPWAY_PROGRAMS")
    if folder:
        return {name: Path(folder) / name for name in NEEDED}
    toolchain = Toolchain()
    found: dict[str, Path] = {}
    for name in NEEDED:
        entry = toolchain.find_set(next(it for it in SETS.values() if name in {made.name for made in it.binaries}))
        if entry is None:
            pytest.fail(f"{name} is not in the toolchain's cache: build it once, or set SLIPWAY_PROGRAMS to a folder")
        found[name] = entry.files / name
    return found


@dataclass
class ControlPlane:
    """A running API server."""

    address: str
    folder: Path
    etcd: str

    def config(self, user: str = "admin") -> KubeConfig:
        return KubeConfig.from_dict(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "clusters": [{"name": "it", "cluster": {"server": self.address, "insecure-skip-tls-verify": True}}],
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": user}}],
                "users": [{"name": user, "user": {"token": f"token-of-{user}"}}],
            }
        )

    def kubeconfig(self, user: str = "admin") -> Path:
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "clusters": [{"name": "it", "cluster": {"server": self.address, "insecure-skip-tls-verify": True}}],
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": user}}],
                    "users": [{"name": user, "user": {"token": f"token-of-{user}"}}],
                }
            )
        )
        return path

    def request(self, method: str, path: str, *, user: str = "admin", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer token-of-{user}", **more.pop("headers", {})}
        return httpx.request(method, self.address + path, headers=headers, verify=False, timeout=10, **more)  # noqa: S501 - a certificate of this minute


def _start(log: Path, command: list[str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as told:
        return subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)


def _wait(process: subprocess.Popen[bytes], ready: Any, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not come up:\n{log.read_text()[-3000:]}")


def _answers(url: str, **more: Any) -> bool:
    try:
        return httpx.get(url, timeout=1, **more).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    binaries = programs()
    client, peer, port = free_ports(3)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = folder / "sa.key"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tokens = folder / "tokens.csv"
    tokens.write_text("".join(f'token-of-{name},{name},{name},"{group}"\n' for name, group in USERS.items()))
    running: list[subprocess.Popen[bytes]] = []
    try:
        log = folder / "etcd.log"
        running.append(
            _start(
                log,
                [
                    str(binaries["etcd"]),
                    f"--data-dir={folder / 'etcd'}",
                    f"--listen-client-urls=http://127.0.0.1:{client}",
                    f"--advertise-client-urls=http://127.0.0.1:{client}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    "--unsafe-no-fsync",
                ],
            )
        )
        _wait(running[-1], lambda: _answers(f"http://127.0.0.1:{client}/health"), log)
        log = folder / "apiserver.log"
        running.append(
            _start(
                log,
                [
                    str(binaries["kube-apiserver"]),
                    f"--etcd-servers=http://127.0.0.1:{client}",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={port}",
                    f"--cert-dir={folder / 'certs'}",
                    f"--token-auth-file={tokens}",
                    "--authorization-mode=RBAC",
                    "--disable-admission-plugins=ServiceAccount",
                    "--service-cluster-ip-range=10.96.0.0/24",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={secret}",
                    f"--service-account-signing-key-file={secret}",
                    "--allow-privileged=true",
                    "--profiling=false",
                ],
            )
        )
        address = f"https://127.0.0.1:{port}"
        token = {"Authorization": "Bearer token-of-admin"}
        _wait(running[-1], lambda: _answers(f"{address}/readyz", headers=token, verify=False), log)
        yield ControlPlane(address, folder, f"http://127.0.0.1:{client}")
    finally:
        for process in reversed(running):
            process.kill()  # nothing here is kept, and a graceful API server waits a minute for its watches
        for process in running:
            process.wait(timeout=30)
        shutil.rmtree(folder / "etcd", ignore_errors=True)


def wait_for_crd(running: ControlPlane) -> None:
    """The API server serves a new kind a moment after it has accepted it."""
    end = time.monotonic() + 30
    while running.request("GET", "/apis/slipway.dev/v1alpha1/rollouts").status_code != 200:
        if time.monotonic() > end:
            raise RuntimeError("the CRD is not served")
        time.sleep(0.1)


INSTALLATION = Installation(
    image="registry.test/controller@sha256:" + "c" * 64, environments=("dev",), secrets=("payload",)
)
PEOPLE = {"sam": "starter", "ada": "approver", "erin": "aborter", "pia": "preflight"}
PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Service": "/api/v1/namespaces/{}/services",
}


def give_rights(running: ControlPlane) -> None:
    """Install what the controller and people may do, and bind the people of the tests."""
    manifests = [*rights(INSTALLATION), *people(), *admission()]
    for user, role in PEOPLE.items():
        manifests.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": user, "namespace": "rules"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": f"slipway-rollout-{role}",
                },
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            }
        )
    name = {"name": "payload-consumers", "namespace": "dev"}
    api = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": name}
    manifests.append({**api, "kind": "Role", "rules": worker_rules("payload")})
    binding = {
        **api,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "payload-consumers"},
        "subjects": [{"kind": "ServiceAccount", "name": "slipway-rollout", "namespace": "slipway-system"}],
    }
    manifests.append(binding)
    for manifest in manifests:
        path = PATHS[manifest["kind"]].format(manifest["metadata"].get("namespace"))
        made = running.request("POST", path, json=manifest)
        assert made.status_code == 201, made.text


@contextmanager
def with_rollouts(folder: Path) -> Iterator[ControlPlane]:
    """An API server with our CRD, the namespaces of the tests, and what the controller and people may do."""
    with control_plane(folder) as running:
        made = running.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=crd())
        assert made.status_code == 201, made.text
        for name in ("dev", "rules", "ingress", "slipway-system"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert running.request("POST", "/api/v1/namespaces", json=body).status_code == 201
        wait_for_crd(running)
        give_rights(running)
        yield running
