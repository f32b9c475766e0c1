"""Settings: a wrong value or key stops the program with its name, its value and what is allowed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import settings
from infra.images import ImageSource
from infra.naming import Project
from infra.profiles import ProfileName
from infra.settings import (
    ClusterSettings,
    LogLevel,
    PlatformSettings,
    ServiceSettings,
    SettingsError,
    Target,
)

DIGEST = "registry.test/payload@sha256:" + "0" * 64
EXISTING = {"kubeconfigFile": "kubeconfig", "loadBalancer": True}


def platform(**raw: str) -> PlatformSettings:
    return settings.parse(PlatformSettings, Project.PLATFORM, raw)


def service(**raw: str) -> ServiceSettings:
    return settings.parse(ServiceSettings, Project.SERVICE, raw)


def cluster(**raw: str) -> ClusterSettings:
    return settings.parse(ClusterSettings, Project.CLUSTER, raw)


@pytest.mark.parametrize("project", Project)
def test_every_project_runs_without_a_single_setting(project):
    settings.parse(settings.MODELS[project], project, {})


def test_text_becomes_typed_values():
    chosen = platform(profile="ha", imageSource="upstream", imageMirror="mirror.test/all", domain="example.org")
    assert (chosen.profile, chosen.image_source) == (ProfileName.HA, ImageSource.UPSTREAM)
    assert (chosen.image_mirror, chosen.domain) == ("mirror.test/all", "example.org")
    assert service(replicas="5", logLevel="DEBUG", workers="4", threads="2") == ServiceSettings(
        replicas=5, log_level=LogLevel.DEBUG, workers=4, threads=2
    )


def test_objects_are_read_from_json():
    chosen = cluster(embedded=json.dumps({"nodes": 1, "timeouts": {"monitorGracePeriod": 20}}))
    assert chosen.embedded is not None
    assert (chosen.embedded.nodes, chosen.embedded.timeouts.monitor_grace_period) == (1, 20)


def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed():
    with pytest.raises(SettingsError, match=r"slipway-platform:profile is 'huge': .*'small', 'standard' or 'ha'"):
        platform(profile="huge")


def test_a_misspelt_key_is_named_with_those_that_exist():
    with pytest.raises(
        SettingsError,
        match=r"slipway-platform:proflie is not a setting; allowed are alertReceiver, .*domain, .*profile",
    ):
        platform(proflie="small")


def test_every_wrong_value_gets_a_line():
    with pytest.raises(SettingsError) as caught:
        service(replicas="0", workers="x", image="payload:latest")
    text = str(caught.value)
    assert "slipway-service:replicas is '0': Input should be greater than or equal to 1" in text
    assert "slipway-service:workers is 'x': Input should be a valid integer" in text
    assert "slipway-service:image is 'payload:latest': must be pinned by digest" in text
    assert "nothing was changed so far" in text


def test_a_wrong_value_inside_an_object_is_named_with_its_path():
    with pytest.raises(SettingsError, match=r"slipway-cluster:embedded.nodes is 7: .*less than or equal to 3"):
        cluster(embedded=json.dumps({"nodes": 7}))
    with pytest.raises(SettingsError, match=r"slipway-cluster:embedded.node is not a setting"):
        cluster(embedded=json.dumps({"node": 1}))


def test_a_missing_value_inside_an_object_is_named():
    with pytest.raises(SettingsError, match=r"slipway-cluster:existing.loadBalancer is missing"):
        cluster(target="existing", existing=json.dumps({"kubeconfigFile": "kubeconfig"}))


def test_text_that_should_be_an_object_is_refused():
    with pytest.raises(
        SettingsError, match=r"slipway-cluster: 'three nodes' is not valid JSON .* the key holds an object"
    ):
        cluster(embedded="three nodes")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"target": "existing"}, "existing is required for the target existing"),
        ({"target": "existing", "embedded": "{}", "existing": json.dumps(EXISTING)}, "embedded must be left out"),
        ({"existing": json.dumps(EXISTING)}, "existing must be left out for the target embedded"),
        (
            {"target": "existing", "existing": json.dumps({**EXISTING, "loadBalancer": False})},
            "addressRange is required if loadBalancer is false",
        ),
        (
            {"target": "existing", "existing": json.dumps({**EXISTING, "addressRange": "10.0.0.1-10.0.0.2"})},
            "addressRange must be left out if loadBalancer is true: nothing would read it",
        ),
        (
            {"target": "existing", "existing": json.dumps({**EXISTING, "registry": "registry.test:5000"})},
            "registry, registryPush and registryCertificates go together",
        ),
        ({"embedded": json.dumps({"network": "8.8.8.0/24"})}, "must be a private network"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(raw, message):
    with pytest.raises(SettingsError, match=message):
        cluster(**raw)


def test_a_mirror_that_nothing_reads_is_refused():
    with pytest.raises(SettingsError, match="imageMirror must be left out if imageSource is local"):
        platform(imageSource="local", imageMirror="mirror.test")


@pytest.mark.parametrize("text", ["10.0.0.9-10.0.0.1", "10.0.0.1", "10.0.0.1-fd00::1", "a-b"])
def test_an_address_range_that_is_none_is_refused(text):
    raw = {"kubeconfigFile": "k", "loadBalancer": False, "addressRange": text}
    with pytest.raises(SettingsError, match=r"slipway-cluster:existing.addressRange is '.*': must be"):
        cluster(target="existing", existing=json.dumps(raw))


@pytest.mark.parametrize("domain", ["test", "Slipway.test", "slipway..test", "-a.test", "a b.test"])
def test_a_domain_that_is_none_is_refused(domain):
    with pytest.raises(SettingsError, match="must be a domain name in lower case"):
        platform(domain=domain)


@given(replicas=st.integers(-5, 200))
def test_replicas_have_bounds(replicas):
    if 1 <= replicas <= 100:
        assert service(replicas=str(replicas)).replicas == replicas
    else:
        with pytest.raises(SettingsError, match=f"slipway-service:replicas is '{replicas}'"):
            service(replicas=str(replicas))


@given(text=st.text(max_size=80))
def test_an_image_that_is_not_pinned_never_gets_through(text):
    try:
        chosen = service(image=text)
    except SettingsError:
        return
    assert chosen.image is not None
    assert len(chosen.image.partition("@sha256:")[2]) == 64


def test_settings_are_read_from_the_stack_and_nothing_else(deploy):
    config = {
        "slipway-platform:profile": "standard",
        "slipway-service:image": DIGEST,
        "slipway-cluster:target": "embedded",
        "pulumi:disable-default-providers": '["kubernetes"]',
        "other:profile": "unheard-of",
    }

    def program():
        return settings.cluster_settings(), settings.platform_settings(), settings.service_settings()

    chosen = deploy(program, config=config).result
    assert chosen[0].target is Target.EMBEDDED
    assert chosen[1].profile is ProfileName.STANDARD
    assert chosen[2].image == DIGEST


def test_a_misspelt_key_of_a_stack_is_found(deploy):
    with pytest.raises(SettingsError, match="slipway-platform:proflie is not a setting"):
        deploy(settings.platform_settings, config={"slipway-platform:proflie": "small"})
