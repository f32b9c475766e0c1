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

    with plane.with_rollouts(tmp_path_factory.mktemp("control-plane")) as running:
        yield running
