"""The target `existing`: which cluster a kubeconfig names, and what is told when it names none."""

import pulumi
import pytest
import yaml

from infra.clusters import existing, targets
from infra.clusters.existing import KubeconfigError
from infra.handover import Capabilities
from infra.settings import ClusterSettings, ExistingSettings, SettingsError, Target

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "contexts": [
        {"name": "one", "context": {"cluster": "first", "user": "u"}},
        {"name": "two", "context": {"cluster": "second", "user": "u"}},
        {"name": "lost", "context": {"cluster": "gone", "user": "u"}},
    ],
    "clusters": [
        {"name": "first", "cluster": {"server": "https://first.test", "certificate-authority-data": "Rmlyc3Q="}},
        {"name": "second", "cluster": {"server": "https://second.test"}},
    ],
    "users": [{"name": "u", "user": {"token": "plain-token"}}],
}
TEXT = yaml.safe_dump(KUBECONFIG)


def settings(**more):
    return ClusterSettings(
        target=Target.EXISTING,
        existing=ExistingSettings(kubeconfig_file="kubeconfig", load_balancer=True, storage_class="gp3", **more),
    )


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "REPOSITORY", tmp_path)
    (tmp_path / "kubeconfig").write_text(TEXT)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_a_kubeconfig_becomes_a_cluster_without_a_single_resource(deploy):
    def program():
        cluster = targets.make("test", settings(context="two"))
        for name, value in cluster.to_outputs().items():
            pulumi.export(name, value)

    run = deploy(program)
    assert run.counts() == {}
    assert run.exported["context"] == "two"
    assert run.exported["identifier"].startswith("existing/")
    assert run.exported["capabilities"] == {
        "load_balancer": True,
        "local_images": False,
        "storage_class": "gp3",
        "shared_machine": False,
    }
    assert not [text for text in run.plain_texts() if "plain-token" in text]


@pytest.mark.usefixtures("repository")
def test_its_current_context_is_taken_if_none_is_named(deploy):
    assert deploy(lambda: targets.make("test", settings())).result.context == "one"


def test_a_registry_makes_images_local(tmp_path):
    config = targets.existing_config(
        ExistingSettings(
            kubeconfig_file="kubeconfig",
            load_balancer=False,
            address_range="10.0.0.1-10.0.0.9",
            storage_class="standard",
            registry="registry.test:5000",
            registry_push="10.0.0.1:5000",
            registry_certificates="certificates",
        ),
        tmp_path,
    )
    assert config.kubeconfig_file == tmp_path / "kubeconfig"
    assert config.capabilities == Capabilities(
        load_balancer=False,
        local_images=True,
        storage_class="standard",
        registry="registry.test:5000",
        registry_push="10.0.0.1:5000",
        registry_certificates=str(tmp_path / "certificates"),
        address_range="10.0.0.1-10.0.0.9",
    )


def test_the_identifier_survives_new_credentials_but_not_another_cluster():
    renewed = yaml.safe_dump({**KUBECONFIG, "users": [{"name": "u", "user": {"token": "other"}}]})
    one, again = (existing.identifier(existing.find(text, "one")) for text in (TEXT, renewed))
    assert one == again
    assert one != existing.identifier(existing.find(TEXT, "two"))


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("a: [", None, "not valid YAML"),
        ("[]", None, r"is no kubeconfig \(kind: Config\)"),
        ("kind: Pod", None, r"is no kubeconfig \(kind: Config\)"),
        (TEXT, "three", "existing.context is 'three'; the kubeconfig has one, two, lost"),
        (TEXT, "lost", "the context 'lost' names the cluster 'gone', which the kubeconfig lacks"),
        ("kind: Config", None, "existing.context is None; the kubeconfig has none"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(text, context, message):
    with pytest.raises(KubeconfigError, match=message):
        existing.find(text, context)


def test_a_file_that_is_not_there_is_named_with_its_key(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "REPOSITORY", tmp_path)
    with pytest.raises(
        KubeconfigError, match=r"existing.kubeconfigFile is '.*kubeconfig', which cannot be read: No such"
    ):
        targets.make("test", settings())


def test_the_embedded_target_hands_over_what_it_made(deploy):
    def program():
        for name, value in targets.make("test", ClusterSettings()).to_outputs().items():
            pulumi.export(name, value)

    run = deploy(program)
    assert run.counts() == {"pulumi-python:dynamic/slipway:EmbeddedCluster": 1}
    assert run.exported["capabilities"] == {
        "load_balancer": False,
        "local_images": True,
        "storage_class": "standard",
        "registry": "registry.test:5000",
        "registry_push": "10.0.0.1:5000",
        "registry_certificates": "/certificates",
        "address_range": "10.0.0.200-10.0.0.250",
        "shared_machine": True,
    }
    assert "plain-kubeconfig" not in run.plain_texts()


def test_embedded_settings_that_cannot_be_a_cluster_are_refused_before_anything_is_made(deploy):
    chosen = ClusterSettings.model_validate({"embedded": {"network": "10.244.0.0/24"}})
    with pytest.raises(SettingsError, match=r"slipway-cluster:embedded cannot be used: .*overlaps"):
        deploy(lambda: targets.make("test", chosen))
