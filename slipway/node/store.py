"""A store on this machine for the backups of an embedded cluster, which it outlives: S3 over a folder, with TLS.

Pods reach nothing beyond their cluster's machines, so it listens where the control plane does. That machine's network
goes with the cluster: the store is started again in the network of the cluster that comes after it.
"""

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from slipway.node import pki
from slipway.node.errors import NodeError
from slipway.node.network import NAMESPACES
from slipway.node.spec import ClusterSpec

PORT: Final = 7480
_DATA: Final = "data"
_KEYS: Final = "keys"
_LOG: Final = "store.log"
_USER: Final = "user.json"
_AUTHORITY: Final = "store-ca"
_LEAF: Final = "store"
_ENDS_WITHIN: Final = 10.0
_LOOK_EVERY: Final = 1.0


@final
@dataclass(frozen=True)
class Store:
    """A store by its folder, for one cluster.

    Attributes:
        folder: where everything of it is; below it `data` holds what is stored, as plain files.
        spec: the cluster, or what it will be; its name and its network matter.
    """

    folder: Path
    spec: ClusterSpec

    def __post_init__(self) -> None:
        """Refuse a folder that goes with the cluster.

        Raises:
            NodeError: it is in the cluster's own folder.
        """
        if self.folder.resolve().is_relative_to(self.spec.home):
            raise NodeError(f"{self.folder} goes with the cluster ({self.spec.home}); the store needs another place")

    @property
    def endpoint(self) -> str:
        """Where pods of the cluster reach it."""
        return f"https://{self.spec.control_plane.address}:{PORT}"

    @property
    def authority(self) -> str:
        """Certificate of who signed its own, in PEM."""
        return (self.folder / _KEYS / f"{_AUTHORITY}.crt").read_text()

    @property
    def user(self) -> tuple[str, str]:
        """Its only user: the name and the secret that requests are signed with."""
        found = json.loads((self.folder / _USER).read_text())
        return found["access"], found["secret"]

    def prepare(self) -> None:
        """Make what is missing: folders, its user, its certificate."""
        for name in ("", _DATA, _KEYS):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        user = self.folder / _USER
        if not user.exists():
            descriptor = os.open(user, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"access": "postgres-backups", "secret": secrets.token_urlsafe(32)}, file)
        pki.ensure_ca(self.folder / _KEYS, _AUTHORITY, f"slipway store {self.folder.name}")
        leaf = pki.Leaf(_LEAF, _LEAF, hosts=(self.spec.control_plane.address,), ca=_AUTHORITY)
        pki.ensure_leaf(self.folder / _KEYS, leaf)

    def command(self, program: Path) -> list[str]:
        """How it is started; it ends with whoever started it, also if that one is killed."""
        keys = self.folder / _KEYS
        return [
            "setpriv", "--pdeathsig=KILL",
            "nsenter", f"--net={self.network}",
            str(program), f"--port={self.spec.control_plane.address}:{PORT}",
            f"--cert={keys / f'{_LEAF}.crt'}", f"--key={keys / f'{_LEAF}.key'}",
            "--quiet", "posix", str(self.folder / _DATA),
        ]  # fmt: skip

    @property
    def network(self) -> Path:
        """The file of the network that it listens in."""
        return NAMESPACES / self.spec.control_plane.netns

    @contextmanager
    def started(self, program: Path) -> Generator[subprocess.Popen[bytes]]:
        """The store, running; it ends with the block."""
        access, secret = self.user
        told = {"PATH": os.environ.get("PATH", os.defpath), "ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret}
        with (
            (self.folder / _LOG).open("ab") as log,
            subprocess.Popen(self.command(program), env=told, stdout=log, stderr=log) as process,
        ):
            try:
                yield process
            finally:
                _end(process)

    def serve(self, program: Path, stop: threading.Event, tell: Callable[[str], None]) -> None:
        """Run it until told to stop: whenever the cluster has a network, and anew whenever that is another one."""
        while not stop.is_set():
            where = _identity(self.network)
            if where is None:
                stop.wait(_LOOK_EVERY)
                continue
            with self.started(program) as process:
                tell(f"listening at {self.endpoint}")
                while not stop.wait(_LOOK_EVERY) and process.poll() is None and _identity(self.network) == where:
                    pass
                ended = process.poll()
            if ended is not None:
                tell(f"it ended with {ended} and is started again; {self.folder / _LOG} tells why")
            elif not stop.is_set():
                tell(f"cluster {self.spec.name} has gone; waiting for the next one")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which network a file stands for; none if it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
