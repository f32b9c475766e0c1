"""Our workflows by act with the real command line and a pipeline's narrow account; only the push is a stand-in."""

import os
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from workflow_act import ROOT, Repository, real

from slipway import reports
from slipway.node.errors import NodeError

#: What a pipeline is kept from, as kubectl asks for it.
FORBIDDEN = [
    ("get", "secrets"),
    ("delete", "pods"),
    ("patch", "deployments.apps"),
    ("create", "pods/exec"),
    ("approve", "rollouts.slipway.dev"),
]
GUIDE = ROOT / "docs" / "how-to" / "ci.md"
#: All is real but push and reading: the image is there already, in a registry whose authority a runner does not know.
SLIPWAY = f"""#!/bin/sh
echo "slipway $*" >> "$RECORD"
case "$*" in
  "image push "*) echo "image=$PUSHED" >> "$GITHUB_OUTPUT"; exit 0 ;;
  "audit image "*)
    mkdir -p build/sbom && name="${{3%@*}}" && name="${{name##*/}}" && list="build/sbom/image-${{name%%:*}}.cdx.json"
    printf '{{"metadata": {{"component": {{"version": "%s"}}}}}}' "${{3#*@}}" > "$list"
    exit 0 ;;
esac
{real()} "$@"
"""
#: The jobs of `release` up to its first environment, and every call of the command line in them: of a version that is
#: promoted, and of one that is taken back.
GREEN = {"release/build": "success", "dev/deploy/deploy": "success"}
RED = {**GREEN, "dev/deploy/deploy": "failure"}
_ASKED = [
    "slipway image push service --registry registry.test/team --output FILE",
    "slipway audit image IMAGE",
    "slipway audit sign IMAGE --output FILE --envelope build/attestation.json",
    "slipway audit sign-sbom IMAGE --envelope build/sbom/attestation.json",
    "slipway image check IMAGE",
    "slipway audit verify IMAGE --repository https://github.com/team/ours",
    "slipway rollout start --environment dev --image IMAGE --commit SHA --attach --wait",
]
#: Every job of `release`.
WHOLE = {f"release/{job}": "success" for job in ("build", "smoke", "load", "verify")} | {
    f"{environment}/deploy/deploy": "success" for environment in ("dev", "staging", "production")
}
_BEFORE = {"production": "staging", "staging": "dev", "dev": ""}
_RECORDED = "slipway rollout history --environment dev"
PROMOTED = [*_ASKED, "slipway rollout last-good --environment dev --expect IMAGE", _RECORDED]
TAKEN_BACK = [*_ASKED, _RECORDED]


class Account:
    """What the how-to makes for a pipeline, by its own commands, for one environment; `remove` takes it away.

    Args:
        kubectl: as the administrator, whose kubeconfig says where the cluster is.
        environment: a namespace that is there.
    """

    def __init__(self, kubectl, environment):
        self._kubectl = kubectl
        self._where = environment
        self._made = []
        there = {it["metadata"]["name"] for it in kubectl.get("namespaces")}
        self.token = ""
        for line in GUIDE.read_text().splitlines():
            if not line.startswith("    kubectl "):
                continue
            ours = line.replace("staging", _BEFORE[environment]).replace("production", environment)
            namespace, *words = shlex.split(ours)[1:]
            if namespace.partition("=")[2] not in there:
                continue  # the environment before the first one
            told = self._kubectl(namespace, *words)
            if words[:2] == ["create", "token"]:
                self.token = told.strip()
            else:
                self._made.append((namespace, words[1], words[2]))
        admin = yaml.safe_load(kubectl.kubeconfig.read_text())
        cluster = admin["clusters"][0]
        self.kubeconfig = yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "users": [{"name": "pipeline", "user": {"token": self.token}}],
                "contexts": [{"name": "it", "context": {"cluster": cluster["name"], "user": "pipeline"}}],
                "current-context": "it",
            }
        )

    def may(self, *words):
        """Whether the API server would let it."""
        try:
            self._kubectl(
                "auth",
                "can-i",
                *words,
                f"--as=system:serviceaccount:{self._where}:pipeline",
                f"--namespace={self._where}",
            )
        except NodeError:
            return False
        return True

    def remove(self):
        for namespace, kind, name in self._made:
            self._kubectl(namespace, "delete", kind, name, "--ignore-not-found")


@dataclass(frozen=True)
class Reached:
    """How users reach the service of an environment.

    Attributes:
        host: its name.
        address: what a name server would say.
        ca: the authority of its certificate, PEM.
        token: what is sent as the bearer.
    """

    host: str
    address: str
    ca: str
    token: str


class Pipeline:
    """A repository with our workflows, its secrets and variables, and the accounts of a cluster.

    Before a run `secrets`, `variables` and `known`, what the runner has in its environment, can be added to; what is
    added to `secret` may be in no log.

    Args:
        folder: all of it; made here.
        act: the program.
        accounts: by environment.
        reached: by environment, where the jobs run that ask a service from outside.
    """

    def __init__(self, folder, act, accounts, reached=None):
        self.repository = Repository(folder, act)
        self.repository.slipway(SLIPWAY)
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.secret = [private.splitlines()[1], *(it.token for it in accounts.values())]
        self.secrets = {
            "GITHUB_TOKEN": "none",
            "SLIPWAY_SIGNING_KEY": private,
            "SLIPWAY_KUBECONFIG": accounts["dev"].kubeconfig,
            **{f"SLIPWAY_KUBECONFIG_{name.upper()}": it.kubeconfig for name, it in accounts.items()},
        }
        self.variables = {"SLIPWAY_REGISTRY": "registry.test/team", "SLIPWAY_SIGNING_PUBLIC_KEY": public}
        self.known = {}
        self.log = folder / "log"
        self._process = None
        self._within = []
        if reached:
            self._reach(reached, folder / "hosts")

    def _reach(self, ways, hosts):
        """Let jobs ask services from outside: by variables of their environments, by names that they can look up."""
        for environment, it in ways.items():
            self.variables[f"SLIPWAY_LOAD_URL_{environment.upper()}"] = f"https://{it.host}"
            self.variables[f"SLIPWAY_LOAD_CA_{environment.upper()}"] = it.ca
            self.secrets[f"SLIPWAY_LOAD_TOKEN_{environment.upper()}"] = it.token
            self.secret.append(it.token)
        self.repository.tell_environments_apart("release")
        known = ["127.0.0.1 localhost", *(f"{it.address} {it.host}" for it in ways.values())]
        hosts.write_text("".join(f"{line}\n" for line in known))
        # Its own view of one file: no name server knows what a cluster of the tests serves.
        self._within = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]

    def start(self, workflow, event, *, pushed="", **more):
        """Begin a run."""
        self.repository.record.unlink(missing_ok=True)
        command = self.repository.command(workflow, event, secrets=self.secrets, variables=self.variables, **more)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._within, *command],
                cwd=self.repository.folder,
                env=self.repository.environment(PUSHED=pushed, **self.known),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self):
        """The run when it has ended; nothing secret may be in its log or its calls."""
        code = self._process.wait(timeout=1800)
        result = self.repository.told(code, self.log.read_text())
        for secret in self.secret:
            assert secret not in result.log
            assert secret not in "\n".join(result.calls)
        assert "Skipping unsupported platform" not in result.log
        return result

    def run(self, *arguments, **more):
        self.start(*arguments, **more)
        return self.wait()

    def release(self, image):
        """`release` up to its first environment."""
        return self.run("release", "push", pushed=image, job="dev")

    def report(self, environment="dev"):
        """The rollout's report, as it was kept with the run."""
        return self.uploaded(f"reports-{environment}", f"rollout-{environment}-payload")

    def uploaded(self, artifact, name):
        """A report in an artifact of the last run that kept it."""
        return reports.load(self.repository.kept / artifact / f"{name}.json")

    def kill(self):
        """The runner is gone with all that it ran, at once: exactly the processes that come from it."""
        doomed = descendants(self._process.pid)
        self._process.kill()
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(timeout=60)
        return len(doomed)


def descendants(pid):
    """The processes that come from one, children first."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def calls_of(run, image):
    """Every call of the command line, with the commit and act's paths left out."""
    told = [re.sub(r"--commit [0-9a-f]{40}", "--commit SHA", call) for call in run.called("slipway")]
    return [re.sub(r"--output \S+", "--output FILE", call).replace(image, "IMAGE") for call in told]
