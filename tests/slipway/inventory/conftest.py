"""Images in OCI layout, made up from layers."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from inventory_layer import layer_of


@pytest.fixture
def layout(tmp_path):
    """Make an image of layers; returns its folder."""

    def make(*layers):
        folder = tmp_path / "layout"
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def put(data):
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"digest": f"sha256:{digest}"}

        made = [put(it if isinstance(it, bytes) else layer_of(it)) for it in layers]
        manifest = put(json.dumps({"schemaVersion": 2, "layers": made}).encode())
        (folder / "index.json").write_text(json.dumps({"manifests": [manifest]}))
        return folder

    return make
