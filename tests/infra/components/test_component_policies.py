"""The rules of infra/policy hold for every object of the platform and of a service."""

import pytest
from infra_stand_ins import OWN_REGISTRY

from infra.components.platform import Platform, PlatformConfig
from infra.policy.rules import evaluate
from infra.profiles import ProfileName
from infra.settings import PlatformSettings


@pytest.mark.parametrize("profile", ProfileName)
def test_the_rules_hold_for_the_platform(deploy, release, profile):
    config = PlatformConfig("test", OWN_REGISTRY, PlatformSettings(profile=profile), release)
    run = deploy(lambda: Platform("platform", config))
    assert len(run.objects()) > 60
    assert [str(it) for it in evaluate(run.objects())] == []
