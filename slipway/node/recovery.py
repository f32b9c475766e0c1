"""Saving the control plane of an embedded cluster, and bringing it back on a disk that has nothing of it.

What cannot be made again: etcd, every key and certificate, the key that secrets in etcd are encrypted with, the spec.
Nodes and what runs on them are not touched: when their API server comes back they go on with it.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from slipway.node import supervise
from slipway.node.cluster import create, locked
from slipway.node.errors import NodeError
from slipway.node.shell import run
from slipway.node.spec import ClusterSpec
from slipway.node.supplies import Progress, Supplies

SNAPSHOT: Final = "etcd.db"
#: Kept beside the snapshot, from the cluster's folder.
FILES: Final = ("spec.json", "control-plane/encryption.yaml")
_KEYS: Final = "pki"
_ASIDE: Final = "etcd.before-restore"
_MEMBER: Final = "control-plane"
_CLIENT: Final = "https://127.0.0.1:2379"
_PEER: Final = "https://127.0.0.1:2380"
_SECONDS: Final = 300.0
#: Added to etcd's revision. Kubelets and controllers have seen revisions that the snapshot does not know; given out a
#: second time for other things, watches would miss those. So all are marked as long gone, and everybody lists anew.
_BUMP: Final = 1_000_000_000


def save(spec: ClusterSpec, supplies: Supplies, folder: Path) -> None:
    """Write all that the control plane is made of into an empty folder.

    Raises:
        NodeError: etcd does not answer.
    """
    inside = ("nsenter", f"--net=/run/netns/{spec.control_plane.netns}", "--")
    keys = spec.home / _KEYS
    credentials = [
        f"--cacert={keys / 'etcd-ca.crt'}",
        f"--cert={keys / 'apiserver-etcd.crt'}",
        f"--key={keys / 'apiserver-etcd.key'}",
    ]
    snapshot(supplies.binary("etcdctl"), _CLIENT, folder / SNAPSHOT, credentials, inside)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(spec.home / name, folder / name)
    shutil.copytree(keys, folder / _KEYS)


def restore(folder: Path, supplies: Supplies, progress: Progress = print) -> ClusterSpec:
    """Bring back the control plane that `save` wrote, and start whatever of the cluster does not run.

    An etcd that is there is stopped and moved aside, never deleted.

    Raises:
        NodeError: there is an etcd aside already, or something does not come up.
    """
    spec = ClusterSpec.from_dict(json.loads((folder / "spec.json").read_text()))
    with locked(spec.name):
        data = spec.home / "control-plane" / "etcd"
        aside = data.with_name(_ASIDE)
        if data.exists() and aside.exists():
            raise NodeError(
                f"{aside} is there from a restore before; look whether it is needed, and move it away first"
            )
        if supervise.pid(spec) is not None:
            progress("stopping the control plane")
            supervise.stop_machine(spec, spec.control_plane.name)
        if data.exists():
            data.rename(aside)
        progress("certificates, keys and etcd")
        for name in (*FILES, *(f"{_KEYS}/{path.name}" for path in (folder / _KEYS).iterdir())):
            target = spec.home / name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy2(folder / name, target)
        unpack(supplies.binary("etcdutl"), folder / SNAPSHOT, data, name=_MEMBER, peer=_PEER)
    create(spec, supplies, progress)
    return spec


def snapshot(
    etcdctl: Path, endpoint: str, target: Path, credentials: Sequence[str] = (), inside: Sequence[str] = ()
) -> None:
    """Write a consistent snapshot of a living etcd.

    Args:
        etcdctl: the program.
        endpoint: where etcd answers.
        target: the file to write.
        credentials: options that say who asks.
        inside: a command to run it by, such as one that enters a network namespace.

    Raises:
        NodeError: etcd does not answer, or the file cannot be written.
    """
    command = [str(etcdctl), f"--endpoints={endpoint}", *credentials, "snapshot", "save", str(target)]
    run(*inside, *command, timeout=_SECONDS)
    target.chmod(0o600)


def unpack(etcdutl: Path, source: Path, data: Path, *, name: str, peer: str) -> None:
    """Make the folder of an etcd with one member out of a snapshot; its hash is checked.

    Args:
        etcdutl: the program.
        source: the snapshot.
        data: the folder to make; must not be there.
        name: of the member.
        peer: URL of the member.

    Raises:
        NodeError: the snapshot is damaged, or the folder is there.
    """
    run(
        str(etcdutl),
        "snapshot",
        "restore",
        str(source),
        f"--data-dir={data}",
        f"--name={name}",
        f"--initial-cluster={name}={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--bump-revision={_BUMP}",
        "--mark-compacted",
        timeout=_SECONDS,
    )
