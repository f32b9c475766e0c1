"""Backups: a store over TLS, a plugin for the operator alone, keys in Secrets alone, and what Postgres is told."""

import datetime as dt
import re

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from infra_stand_ins import BALANCED

from infra import naming, tls
from infra.components import backups, postgres
from infra.components.backup_plugin import CLIENT_SECRET, SERVER_SECRET
from infra.components.platform import Platform, PlatformConfig
from infra.footprint.count import usages
from infra.footprint.rehearsal import rehearse
from infra.images import BACKUPS_IMAGES
from infra.labels import CONTENT_HASH, content_hash
from infra.manifests import ManifestError
from infra.parts import ExternalObjectStore, Restore, Store
from infra.profiles import PROFILES, ProfileName
from infra.quantities import octets
from infra.settings import PlatformSettings, SettingsError, parse

ELSEWHERE = ExternalObjectStore(
    path="s3://backups/main", endpoint="https://s3.example.test:9000", secret="store", region=True, authority_key="ca"
)
#: What backups to a store of the platform's own add.
MANAGED = {
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": 1,
    "kubernetes:apps/v1:Deployment": 1,
    "kubernetes:apps/v1:StatefulSet": 1,
    "kubernetes:barmancloud.cnpg.io/v1:ObjectStore": 1,
    "kubernetes:core/v1:Namespace": 1,
    "kubernetes:core/v1:Secret": 4,
    "kubernetes:core/v1:Service": 2,
    "kubernetes:core/v1:ServiceAccount": 1,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 2,
    "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 5,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 2,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 3,
    "pulumi-python:dynamic/slipway:GeneratedPassword": 1,
    "pulumi-python:dynamic/slipway:LocalImage": len(BACKUPS_IMAGES),
}
#: What a store elsewhere saves of it.
SAVED = {
    "kubernetes:apps/v1:StatefulSet": 1,
    "kubernetes:core/v1:Namespace": 1,
    "kubernetes:core/v1:Secret": 2,
    "kubernetes:core/v1:Service": 1,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 1,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 1,
    "pulumi-python:dynamic/slipway:GeneratedPassword": 1,
    "pulumi-python:dynamic/slipway:LocalImage": 1,
}
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


def chosen(**values):
    return PlatformSettings(metrics=Store.OFF, logs=Store.OFF, **values)


@pytest.fixture(scope="module")
def runs():
    return {}


@pytest.fixture
def platform(deploy, release, runs):
    def run(**values):
        key = repr(sorted(values.items()))
        if key not in runs:
            settings = chosen(**values)
            runs[key] = deploy(lambda: Platform("platform", PlatformConfig("test", BALANCED, settings, release)))
        return runs[key]

    return run


def added(run, without):
    before = without.counts()
    counts = {kind: count - before.get(kind, 0) for kind, count in run.counts().items()}
    return {kind: count for kind, count in counts.items() if count}


def test_these_resources_back_postgres_up_and_no_others(platform):
    managed, off = platform(backups=Store.MANAGED), platform(backups=Store.OFF)
    assert added(managed, off) == MANAGED


def test_a_store_elsewhere_saves_ours(platform):
    external = platform(backups=Store.EXTERNAL, backups_external=ELSEWHERE)
    saved = added(platform(backups=Store.MANAGED), external)
    assert saved == SAVED
    spec = external.one("kubernetes:barmancloud.cnpg.io/v1:ObjectStore").inputs["spec"]["configuration"]
    assert spec["destinationPath"] == "s3://backups/main"
    assert spec["endpointURL"] == "https://s3.example.test:9000"
    assert spec["endpointCA"] == {"name": "store", "key": "ca"}
    assert {it["name"] for it in spec["s3Credentials"].values()} == {"store"}
    assert set(spec["s3Credentials"]) == {"accessKeyId", "secretAccessKey", "region"}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({}, Store.OFF),
        ({"profile": ProfileName.STANDARD}, Store.MANAGED),
        ({"profile": ProfileName.HA}, Store.MANAGED),
        ({"profile": ProfileName.HA, "backups": Store.OFF}, Store.OFF),
        ({"profile": ProfileName.HA, "postgres": Store.OFF}, Store.OFF),
        ({"backups": Store.MANAGED}, Store.MANAGED),
    ],
)
def test_the_profile_says_whether_there_are_backups_if_the_stack_does_not(values, where):
    assert chosen(**values).backed_up is where


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"backups": "external"}, "backupsExternal is required if backups is external"),
        ({"backupsExternal": '{"path": "s3://a-bucket", "secret": "s"}'}, "must be left out if backups is off"),
        ({"backups": "managed", "postgres": "off"}, "backups must be off or left out if postgres is off"),
        ({"backupName": "other"}, "backupName must be left out if backups is off"),
        ({"restoreFrom": '{"name": "other"}'}, "restoreFrom must be left out if backups is off"),
        (
            {"backups": "managed", "restoreFrom": '{"name": "postgres"}'},
            "backupName must be another name than restoreFrom.name",
        ),
        (
            {"backups": "managed", "restoreFrom": '{"name": "other", "time": "2026-11-21T12:00:00"}'},
            "must say its zone",
        ),
        (
            {"backups": "external", "backupsExternal": '{"path": "backups", "secret": "s"}'},
            "must be a bucket and maybe a folder in it",
        ),
        (
            {"backups": "external", "backupsExternal": '{"path": "s3://abc", "secret": "s", "endpoint": "http://a"}'},
            "must be an address over TLS",
        ),
    ],
)
def test_what_cannot_be_is_refused(raw, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse(PlatformSettings, naming.Project.PLATFORM, raw)


def test_postgres_archives_within_a_minute_and_only_if_it_is_backed_up(platform):
    spec = platform(backups=Store.MANAGED).one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs["spec"]
    assert spec["plugins"] == [
        {
            "name": naming.BACKUP_PLUGIN,
            "isWALArchiver": True,
            "parameters": {"barmanObjectName": naming.BACKUP_STORE, "serverName": "postgres"},
        }
    ]
    assert spec["postgresql"]["parameters"]["archive_timeout"] == "60s"
    assert "bootstrap" not in spec
    off = platform(backups=Store.OFF).one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs["spec"]
    assert "plugins" not in off
    assert "archive_timeout" not in off["postgresql"]["parameters"]


@given(own=NAMES, other=NAMES, moment=st.none() | st.datetimes(timezones=st.just(dt.UTC)))
def test_a_restored_database_never_archives_over_what_it_comes_from(own, other, moment):
    time = moment and moment.isoformat()
    values = {"backups": "managed", "backup_name": own, "restore_from": {"name": other, "time": time}}
    if own == other:
        with pytest.raises(ValueError, match="must be another name"):
            PlatformSettings.model_validate(values)
        return
    settings = PlatformSettings.model_validate(values)
    spec = postgres.archived_spec(postgres.Archived(settings.backup_name, settings.restore_from))
    (origin,) = spec["externalClusters"]
    assert spec["bootstrap"]["recovery"]["source"] == origin["name"]
    assert origin["plugin"]["parameters"]["serverName"] == other
    assert spec["plugins"][0]["parameters"]["serverName"] == own
    assert ("recoveryTarget" in spec["bootstrap"]["recovery"]) == (moment is not None)


def test_the_key_is_in_two_secrets_and_nowhere_in_plain_text(platform):
    run = platform(backups=Store.MANAGED)
    secrets = {
        (it.inputs["metadata"]["namespace"], it.inputs["metadata"]["name"]): it.inputs["stringData"]
        for it in run.of("kubernetes:core/v1:Secret")
    }
    at_store = secrets[naming.Namespace.BACKUPS, naming.OBJECT_STORE]
    at_postgres = secrets[naming.Namespace.DATA, naming.BACKUP_SECRET]
    assert at_store["secret-key"] == at_postgres["secret-key"]
    assert at_store["access-key"] == at_postgres["access-key"]
    assert "password" in at_store["secret-key"]
    assert not [text for text in run.plain_texts() if at_store["secret-key"] in text or at_store["tls.key"] in text]


def test_operator_and_plugin_know_each_other_by_certificates_of_ours(platform):
    run = platform(backups=Store.MANAGED)
    assert not [it for it in run.objects() if "cert-manager" in str(it.get("apiVersion"))]
    names = {it["metadata"]["name"] for it in run.objects() if it["kind"] == "Secret"}
    (service,) = [it for it in run.objects() if it["kind"] == "Service" and it["metadata"]["name"] == "barman-cloud"]
    asked = service["metadata"]["annotations"]
    assert {asked["cnpg.io/pluginServerSecret"], asked["cnpg.io/pluginClientSecret"]} == {SERVER_SECRET, CLIENT_SECRET}
    assert {SERVER_SECRET, CLIENT_SECRET} <= names
    (client,) = [
        it.inputs["stringData"]
        for it in run.of("kubernetes:core/v1:Secret")
        if it.inputs["metadata"]["name"] == CLIENT_SECRET
    ]
    (plugin,) = [it for it in run.objects() if it["kind"] == "Deployment" and it["metadata"]["name"] == "barman-cloud"]
    assert "--client-cert=/client/ca.crt" in plugin["spec"]["template"]["spec"]["containers"][0]["args"]
    assert set(client) == {"tls.crt", "tls.key", "ca.crt"}
    certificates = {it.name: it.inputs for it in run.of("pulumi-python:dynamic/slipway:GeneratedCertificate")}
    assert certificates["backup-plugin"]["dns_names"] == ["barman-cloud"]
    assert [name for name, it in certificates.items() if it.get("client")] == ["backup-operator"]


@pytest.mark.parametrize(
    ("client", "usage"), [(False, ExtendedKeyUsageOID.SERVER_AUTH), (True, ExtendedKeyUsageOID.CLIENT_AUTH)]
)
def test_a_client_is_certified_as_a_client_and_nothing_else(client, usage):
    now = dt.datetime.now(dt.UTC)
    pair = tls.server(["a.test"], tls.authority("ours", days=9, now=now), days=3, now=now, client=client)
    found = x509.load_pem_x509_certificate(pair.certificate.encode()).extensions
    assert list(found.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]


def test_the_store_starts_anew_with_a_new_certificate(platform):
    run = platform(backups=Store.MANAGED)
    template = run.one("kubernetes:apps/v1:StatefulSet", "object-store").inputs["spec"]["template"]
    (served,) = [
        it["stringData"]["tls.crt"]
        for it in run.objects()
        if it["kind"] == "Secret" and it["metadata"]["name"] == "object-store"
    ]
    assert served.startswith("certificate-of-object-store\n")
    assert template["metadata"]["annotations"] == {CONTENT_HASH: content_hash(served)}


def test_only_databases_reach_the_store(platform):
    run = platform(backups=Store.MANAGED)
    (policy,) = [
        it
        for it in run.objects()
        if it["kind"] == "NetworkPolicy" and it["metadata"]["namespace"] == naming.Namespace.BACKUPS
    ]
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"port": naming.OBJECT_STORE_PORT, "protocol": "TCP"}]
    (source,) = rule["from"]
    assert source["namespaceSelector"]["matchExpressions"][0]["values"] == [naming.Namespace.DATA]


@pytest.mark.parametrize("profile", ProfileName)
def test_the_store_holds_as_many_base_backups_as_are_kept(profile):
    size = PROFILES[profile]
    # The oldest one is needed until the one after it is old enough, and data may compress to a half at worst.
    backups_kept = size.backups_retention_days + 2
    assert octets(size.object_store_storage) * 2 >= octets(size.postgres_storage) * min(backups_kept, 5)
    assert backups.store_spec(size, None)["retentionPolicy"] == f"{size.backups_retention_days}d"


def test_a_sidecar_is_counted_with_each_instance(release):
    def memory(where):
        settings = chosen(backups=where)
        everything = rehearse(lambda: Platform("platform", PlatformConfig("test", BALANCED, settings, release)))
        return sum(
            (it.total.memory for it in usages(everything, 3) if "Postgres" in it.part or "postgres" in it.name), 0
        )

    beside = octets(PROFILES[ProfileName.SMALL].backup_sidecar.memory)
    assert memory(Store.MANAGED) - memory(Store.OFF) == 3 * beside


def test_a_manifest_without_the_plugin_is_refused(deploy, release):
    def other(which):
        return [it for it in release(which) if it["kind"] != "Deployment" or it["metadata"]["name"] != "barman-cloud"]

    settings = chosen(backups=Store.MANAGED)
    with pytest.raises(ManifestError, match="barman-cloud"):
        deploy(lambda: Platform("platform", PlatformConfig("test", BALANCED, settings, other)))


def test_a_restore_says_where_from():
    with pytest.raises(ValueError, match="cannot be used as a name"):
        Restore(name="Not a name")
