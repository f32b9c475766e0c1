"""Release manifests come out of the toolchain; whatever goes wrong there is told in one sentence."""

import pytest

from infra import releases, versions
from infra.manifests import ManifestError
from slipway.toolchain import Toolchain, ToolchainError


@pytest.mark.parametrize(
    "wanted", [versions.METALLB_MANIFEST, versions.CLOUDNATIVE_PG_MANIFEST], ids=lambda it: it.path
)
def test_a_release_manifest_holds_definitions_and_a_deployment(release, wanted):
    kinds = {it["kind"] for it in release(wanted)}
    assert {"CustomResourceDefinition", "Deployment", "Service", "Namespace"} <= kinds


def test_a_manifest_that_cannot_be_had_is_named(monkeypatch):
    def fail(*_):
        raise ToolchainError("no route to the module proxy")

    monkeypatch.setattr(Toolchain, "module_file", fail)
    with pytest.raises(ManifestError, match=r"releases/cnpg-.*yaml cannot be used: no route to the module proxy"):
        releases.read(versions.CLOUDNATIVE_PG_MANIFEST)
