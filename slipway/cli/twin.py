"""A second good version for proofs: the service's own image under another digest."""

import subprocess
import tempfile
from pathlib import Path

from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec

_TAG = "twin"


def push(spec: ClusterSpec, image: str) -> str:
    """Push the image of the cluster's registry once more: a manifest of Docker's form over the same layers.

    Args:
        spec: the cluster, whose registry holds the image.
        image: by digest.

    Returns:
        The other image, by digest.

    Raises:
        NodeError: the registry refused.
    """
    name, _, digest = image.partition("@")
    repository = f"docker://{spec.registry_address}/{name.partition('/')[2]}"
    certificates = spec.home / "registry-certificates"
    with tempfile.TemporaryDirectory(prefix="slipway-twin-") as folder:
        written = Path(folder) / "digest"
        trust = [f"--{side}-cert-dir={certificates}" for side in ("src", "dest")]
        options = ["--insecure-policy", "--format=v2s2", f"--digestfile={written}", *trust]
        command = ["skopeo", "copy", *options, f"{repository}@{digest}", f"{repository}:{_TAG}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise NodeError(f"a twin of {image} could not be pushed: {done.stderr.strip()[-500:]}")
        return f"{name}@{written.read_text().strip()}"
