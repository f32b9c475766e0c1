"""Making, finding and removing a cluster."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import final

from slipway.node import addons, cgroups, config, machine, network, pki, supervise
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl
from slipway.node.programs import programs
from slipway.node.spec import REGISTRY_HOST, STATE_ROOT, ClusterSpec, image_reference
from slipway.node.supplies import CNI_PLUGINS, HOST_BINARIES, IMAGES, Progress, Supplies

READY_SECONDS = 180.0
POLL_SECONDS = 0.25
#: After an API server or a kubelet was started anew its clients list everything, and it looks at all its pods: for
#: some seconds that takes all of a small machine, and all of them at once take more than requests can bear.
SETTLE_SECONDS = 15.0
LOCK_ROOT = Path("/run/lock")


@final
@dataclass(frozen=True)
class Access:
    """How a living cluster is reached.

    Args:
        kubeconfig: of the administrator; a secret.
        registry: host:port by which nodes pull.
        registry_push: host:port by which this machine pushes.
        registry_certificates: folder with ca.crt, client.cert, client.key.
        load_balancer_range: addresses for Services, first-last.
        storage_class: the default one.
    """

    kubeconfig: str
    registry: str
    registry_push: str
    registry_certificates: Path
    load_balancer_range: str
    storage_class: str


def create(spec: ClusterSpec, supplies: Supplies, progress: Progress = print) -> Access:
    """Make the cluster, or make it whole again; what is there and right is left alone.

    Returns:
        How to reach it, once every node is Ready and the add-ons answer.

    Raises:
        NodeError: something does not come up; names it, shows its last words.
    """
    _check_host(spec)
    with locked(spec.name):
        progress("certificates and configuration")
        _prepare(spec, supplies)
        progress("network and machines")
        network.ensure(spec)
        cgroups.ensure(f"{spec.cgroup}/{spec.control_plane.name}")
        cgroups.weigh(spec.cgroup, os.cpu_count() or 1)
        for node in spec.workers:
            machine.switch_on(spec, node)
        supervise.start(spec)
        changed = supervise.changed(spec)
        supervise.update(spec, spec.control_plane.name)
        supervise.start_machine(spec, spec.control_plane.name)
        wait(spec, "the registry", lambda: _listens(spec.registry_address))
        registry = _push_images(spec, supplies, progress)
        kubectl = kubectl_of(spec, supplies)
        wait(spec, "the API server", kubectl.ready)
        for before, node in pairwise((spec.control_plane, *spec.workers)):
            if before.name in changed:
                progress(f"letting everybody find {before.name} again")
                time.sleep(SETTLE_SECONDS)
            supervise.update(spec, node.name)
            supervise.start_machine(spec, node.name)
        supervise.update(spec)
        progress(f"waiting for {spec.nodes} nodes")
        wait(spec, f"{spec.nodes} nodes to be Ready", lambda: len(ready_nodes(kubectl)) == spec.nodes)
        progress("cluster DNS and volumes")
        kubectl.apply(addons.manifests(spec, registry))
        for deployment in addons.DEPLOYMENTS:
            kubectl("rollout", "status", *deployment, "--timeout=120s", timeout=130)
        return access(spec)


def kill(spec: ClusterSpec) -> None:
    """End every process of the cluster at once, as when its machine is reset; what lies on disk stays for `create`.

    What programs had written without waiting for the disk stays too: the machine itself did not lose power.
    """
    with locked(spec.name):
        supervise.stop(spec.home)
        cgroups.kill(spec.cgroup)
        for node in spec.workers:
            machine.switch_off(spec, node)


def access(spec: ClusterSpec) -> Access:
    """How to reach the cluster, by what its folder holds."""
    return Access(
        kubeconfig=(spec.home / "admin.kubeconfig").read_text(),
        registry=REGISTRY_HOST,
        registry_push=spec.registry_address,
        registry_certificates=spec.home / "registry-certificates",
        load_balancer_range=spec.load_balancer_range,
        storage_class=addons.storage.STORAGE_CLASS,
    )


def exists(name: str) -> bool:
    """Whether there is a cluster of that name on this machine, alive or not."""
    return (STATE_ROOT / name / "spec.json").exists()


def load(name: str) -> ClusterSpec:
    """The spec of an existing cluster.

    Raises:
        NodeError: there is none.
    """
    path = STATE_ROOT / name / "spec.json"
    if not path.exists():
        raise NodeError(f"there is no cluster {name!r} on this machine ({path} is missing); `slipway up` makes one")
    return ClusterSpec.from_dict(json.loads(path.read_text()))


@final
@dataclass(frozen=True)
class Certificate:
    """A certificate of a cluster's own, which is no part of the platform's.

    Args:
        name: of its file.
        hosts: whom it is for, as a server; for clients, the user.
        end: when its life ends.
        due: whether `create` makes it anew.
    """

    name: str
    hosts: tuple[str, ...]
    end: datetime
    due: bool


def certificates(spec: ClusterSpec) -> list[Certificate]:
    """Those of the control plane and of the nodes, and their authorities, which live as long as the cluster may."""
    folder = spec.home / "pki"
    signed = [
        Certificate(it.file, it.hosts or (it.common_name,), pki.end(folder, it.file), pki.due(folder, it))
        for it in config.leaves(spec)
        if (folder / f"{it.file}.crt").exists()
    ]
    return [*(Certificate(it, (), pki.end(folder, it), due=False) for it in config.AUTHORITIES), *signed]


def aged(spec: ClusterSpec) -> bool:
    """Whether a certificate of the control plane or of a node is to be made anew."""
    return any(pki.due(spec.home / "pki", leaf) for leaf in config.leaves(spec))


def healthy(spec: ClusterSpec) -> bool:
    """Whether everything that should run does, as far as the supervisor knows."""
    if not exists(spec.name) or load(spec.name) != spec:
        return False
    states = supervise.states(spec)
    expected = {p.name for p in programs(spec, Path)}
    return set(states) == expected and all(state == "RUNNING" for state in states.values())


def fingerprint(spec: ClusterSpec, supplies: Supplies) -> str:
    """A digest of all that `create` would make with these supplies: another one means that something changed."""
    listed = programs(spec, lambda name: _find_binary(name, supplies))
    images = {name: image_reference(name, supplies.image_digest(name)) for name in IMAGES}
    parts = [
        supervise.render(spec, listed),
        *(supervise.render_launcher(program) for program in listed),
        json.dumps(addons.manifests(spec, images), sort_keys=True),
        *_settings_of_nodes(spec, supplies).values(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def destroy(name: str, progress: Progress = print) -> None:
    """Remove a cluster and everything it made; also what is left of one after a crash.

    It asks nothing of the control plane, which may be dead.

    Raises:
        NodeError: something would not go away.
    """
    spec = ClusterSpec(name=name)
    with locked(name):
        progress("ending processes")
        supervise.stop(spec.home)
        cgroups.kill(spec.cgroup)
        progress("unmounting")
        run_folder = spec.home / "run"
        for holder in sorted(run_folder.glob("*.mnt")):
            machine.release(holder)
        machine.unmount_below(spec.home)
        progress("removing network, control groups and files")
        links = [spec.control_plane.link, *(node.link for node in spec.workers)]
        network.remove(network.namespaces_of(name), spec.bridge, links)
        cgroups.remove(spec.cgroup)
        if spec.home.exists():
            shutil.rmtree(spec.home)


def kubectl_of(spec: ClusterSpec, supplies: Supplies) -> Kubectl:
    """Kubectl as the administrator."""
    return Kubectl(supplies.binary("kubectl"), spec.home / "admin.kubeconfig")


def ready_nodes(kubectl: Kubectl) -> set[str]:
    """The names of nodes that are Ready."""
    try:
        nodes = kubectl.get("nodes", "--request-timeout=3s")
    except NodeError:
        return set()
    return {
        node["metadata"]["name"]
        for node in nodes
        if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))
    }


def wait(spec: ClusterSpec, what: str, done: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Wait until `done`.

    Raises:
        NodeError: not within `seconds`; names the programs that do not run, with the end of their logs.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise NodeError(f"waited {seconds:g} s for {what}.\n{_diagnosis(spec)}\nMend it and run the same again.")
        time.sleep(POLL_SECONDS)


@contextmanager
def locked(name: str) -> Generator[None]:
    """One maker at a time; the lock goes with the process.

    Raises:
        NodeError: another process is changing the cluster.
    """
    LOCK_ROOT.mkdir(parents=True, exist_ok=True)
    path = LOCK_ROOT / f"slipway-cluster-{name}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NodeError(f"another process is changing cluster {name!r} ({path} is locked); wait for it") from None
        yield


def _listens(address: str) -> bool:
    """Whether anybody takes connections at host:port."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=3.0):
        return True
    return False


def _diagnosis(spec: ClusterSpec) -> str:
    states = supervise.states(spec)
    broken = [name for name, state in states.items() if state != "RUNNING"] or list(states)
    parts: list[str] = []
    for name in broken[:4]:
        log = spec.home / "log" / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else ["(no log)"]
        parts.append("\n".join([f"{name} is {states.get(name, 'unknown')}; {log} ends:", *lines]))
    return "\n".join(parts)


def _prepare(spec: ClusterSpec, supplies: Supplies) -> None:
    """Write everything that lies on disk."""
    home, secrets = spec.home, spec.home / "pki"
    for folder in (home, secrets, home / "log", home / "run", home / "control-plane" / "registry"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(home / "spec.json", json.dumps(spec.to_dict(), indent=2))
    for name in config.AUTHORITIES:
        pki.ensure_ca(secrets, name, f"slipway {spec.name} {name}")
    pki.ensure_service_account_keys(secrets)
    for leaf in config.leaves(spec):
        pki.ensure_leaf(secrets, leaf)
    _write(home / "admin.kubeconfig", config.kubeconfig(spec, secrets, "admin"))
    cp = home / "control-plane"
    for name in ("controller-manager", "scheduler"):
        _write(cp / f"{name}.kubeconfig", config.kubeconfig(spec, secrets, name))
    if not (cp / "encryption.yaml").exists():
        _write(cp / "encryption.yaml", config.encryption(os.urandom(32)))
    _write(cp / "registry.yml", config.registry(spec, secrets, cp / "registry"))
    push = home / "registry-certificates"
    push.mkdir(exist_ok=True, mode=0o700)
    for source, target in (("ca.crt",) * 2, ("registry-push.crt", "client.cert"), ("registry-push.key", "client.key")):
        _write(push / target, (secrets / source).read_text())
    _prepare_nodes(spec, supplies)
    listed = programs(spec, lambda name: _find_binary(name, supplies))
    for program in listed:
        _write(supervise.launcher(spec, program), supervise.render_launcher(program))
    _write(home / "run" / "supervisord.conf", supervise.render(spec, listed))


def _settings_of_nodes(spec: ClusterSpec, supplies: Supplies) -> dict[Path, str]:
    """File -> what it holds, of those that hold no key."""
    cpus, memory = os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    reserved = config.reserve(cpus=cpus, memory_bytes=memory, nodes=spec.nodes)
    pause = image_reference("pause", supplies.image_digest("pause"))
    found: dict[Path, str] = {}
    for node in spec.workers:
        etc = node.home / "etc"
        found[etc / "containerd.toml"] = config.containerd(node, pause, CNI_PLUGINS)
        found[etc / "cni" / "10-pods.conflist"] = config.cni(node)
        found[etc / "kubelet.yaml"] = config.kubelet(spec, node, spec.home / "pki", reserved)
        found[etc / "proxy.yaml"] = config.kube_proxy(spec, node)
        found[etc / "resolv.conf"] = ""
    return found


def _prepare_nodes(spec: ClusterSpec, supplies: Supplies) -> None:
    secrets = spec.home / "pki"
    for node in spec.workers:
        etc = node.home / "etc"
        registry_folder = etc / "registry" / REGISTRY_HOST
        for folder in (etc / "cni", registry_folder, node.home / "kubelet", node.home / "volumes"):
            folder.mkdir(parents=True, exist_ok=True)
        _write(registry_folder / "hosts.toml", config.registry_hosts(spec, secrets))
        _write(etc / "kubelet.kubeconfig", config.kubeconfig(spec, secrets, f"kubelet-{node.name}"))
        _write(etc / "proxy.kubeconfig", config.kubeconfig(spec, secrets, "proxy"))
    for path, text in _settings_of_nodes(spec, supplies).items():
        _write(path, text)


def _push_images(spec: ClusterSpec, supplies: Supplies, progress: Progress) -> dict[str, str]:
    certificates = spec.home / "registry-certificates"
    references: dict[str, str] = {}
    for name in IMAGES:
        progress(f"pushing image {name}")
        digest = supplies.push(name, spec.registry_address, certificates)
        references[name] = image_reference(name, digest)
    return references


def _find_binary(name: str, supplies: Supplies) -> Path:
    if name not in HOST_BINARIES:
        return supplies.binary(name)
    found = shutil.which(name)
    if not found:
        raise NodeError(f"the program {name!r} is not installed; `slipway up` installs it with the host's packages")
    return Path(found)


def _check_host(spec: ClusterSpec) -> None:
    if os.geteuid() != 0:
        raise NodeError("an embedded cluster is made by root: run it as root, or choose another TARGET")
    for name in HOST_BINARIES:
        if not shutil.which(name):
            raise NodeError(f"the program {name!r} is not installed; `slipway doctor` tells which package has it")
    if exists(spec.name) and (there := load(spec.name)) != spec:
        keep = ClusterSpec.from_dict({**spec.to_dict(), "nodes": there.nodes, "timeouts": there.to_dict()["timeouts"]})
        if keep != there or spec.nodes < there.nodes:
            raise NodeError(
                f"cluster {spec.name!r} exists with other settings ({there}); its networks cannot change and nodes "
                "leave by `slipway node remove`: take it down first (`slipway down`)"
            )


def _write(path: Path, text: str) -> None:
    """Write privately, whole, and only if it differs."""
    if path.exists() and path.read_text() == text:
        return
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
