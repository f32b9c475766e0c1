"""The helpers of these tests are plain modules beside them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real API server with our CRD and two namespaces, shared by the session."""
    import rollout_control_plane as plane  # noqa: PLC0415 - found beside this file only now

    from slipway.rollout.resource import crd  # noqa: PLC0415 - after the path

    with plane.control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        made = running.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=crd())
        assert made.status_code == 201, made.text
        for name in ("dev", "rules", "ingress", "slipway-system"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert running.request("POST", "/api/v1/namespaces", json=body).status_code == 201
        plane.wait_for_crd(running)
        plane.give_rights(running)
        yield running
