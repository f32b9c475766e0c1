"""How the cluster is reached: a kubeconfig without a secret in it, and what tells it from another. Pure."""

import hashlib
import json
from typing import Final

import yaml

IDENTIFIER_PREFIX: Final = "eks/"
_IDENTIFIER_LENGTH: Final = 16


def kubeconfig(name: str, region: str, endpoint: str, authority: str) -> str:
    """A kubeconfig whose user asks AWS's command line for a token at each use.

    Tokens end after a quarter of an hour, so one that is written down would be of no use to the next program.

    Args:
        name: The cluster's name; the context has it too.
        region: Its region.
        endpoint: Address of the API server.
        authority: Certificate of its authority, in Base64.
    """
    command = ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"]
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": command,
            "installHint": "install AWS's command line (version 2); docs/how-to/eks.md says what else is needed",
            "interactiveMode": "Never",
            "provideClusterInfo": False,
        }
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": user}],
    }
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)


def identifier(endpoint: str, authority: str) -> str:
    """What stays the same for as long as it is the same cluster, and no longer.

    One that is made anew under the same name has another address and another authority.
    """
    digest = hashlib.sha256(f"{endpoint}\n{authority}".encode()).hexdigest()
    return f"{IDENTIFIER_PREFIX}{digest[:_IDENTIFIER_LENGTH]}"
