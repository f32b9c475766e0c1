"""The rules of infra/policy hold for every object of the platform and of a service."""

import pytest

from infra.components.platform import Platform, PlatformConfig
from infra.handover import Capabilities
from infra.policy.rules import evaluate
from infra.profiles import ProfileName
from infra.settings import PlatformSettings

OWN_REGISTRY = Capabilities(
    load_balancer=False,
    local_images=True,
    storage_class="standard",
    registry="registry.test:5000",
    registry_push="10.0.0.1:5000",
    registry_certificates="/certificates",
    address_range="10.0.0.200-10.0.0.250",
)


@pytest.mark.parametrize("profile", ProfileName)
def test_the_rules_hold_for_the_platform(deploy, release, profile):
    config = PlatformConfig("test", OWN_REGISTRY, PlatformSettings(profile=profile), release)
    run = deploy(lambda: Platform("platform", config))
    assert len(run.objects()) > 60
    assert [str(it) for it in evaluate(run.objects())] == []
