"""A service: its namespace, database, secrets and chart; the values are ones that the chart's schema accepts."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from infra_stand_ins import PLATFORM
from pydantic import TypeAdapter

from app.core.flags import Flag, FlagFile, read_flags
from app.core.flags import FlagRule as AppRule
from app.core.issuer import ExternalIssuer
from app.core.settings import Settings
from infra.components import flags
from infra.components.service import CHART, Service, ServiceConfig, chart_values, rollout_spec
from infra.naming import ACCESS_SECRET, Environment
from infra.parts import ExternalTraces, Parts, Store, Webhook
from infra.profiles import PROFILES, ProfileName
from infra.settings import FlagRule, LogLevel, ServiceSettings, SettingsError, Strategy, parse
from slipway.rollout.measure import fill
from slipway.rollout.resource import SPEC

REPOSITORY = Path(__file__).parents[3]
IMAGE = "registry.test:5000/service@sha256:" + "0" * 64


def platform(profile, redis_password):
    return replace(PLATFORM, profile=profile, redis_password=redis_password)


def config(environment=Environment.DEV, settings=None, profile=ProfileName.SMALL, redis_password="unused"):  # noqa: S107  # opens nothing
    return ServiceConfig(environment, IMAGE, platform(profile, redis_password), settings or ServiceSettings())


def program(environment=Environment.DEV):
    return Service("service", config(environment, redis_password=pulumi.Output.secret("plain-redis")))


@pytest.fixture
def run(deploy):
    return deploy(program)


def test_these_resources_exist_and_no_others(run):
    assert run.counts() == {
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:core/v1:Secret": 6,
        "kubernetes:postgresql.cnpg.io/v1:Database": 1,
        "kubernetes:postgresql.cnpg.io/v1:DatabaseRole": 3,
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
        "kubernetes:slipway.dev/v1alpha1:Rollout": 1,
        "pulumi-python:dynamic/slipway:GeneratedPassword": 5,
    }
    assert len(run.of("kubernetes:helm.sh/v4:Chart")) == 1


def test_a_preview_knows_the_same_resources(deploy, run):
    assert deploy(program, preview=True).counts() == run.counts()


def test_the_service_is_told_where_its_database_is_by_files_only(run):
    secret = run.one("kubernetes:core/v1:Secret", "payload-database").inputs
    assert secret["metadata"]["namespace"] == "dev"

    def address(role, password, host):
        login = f"{role}:plain-password-of-{password}"
        return f"postgresql+psycopg://{login}@{host}.data.svc.cluster.local:5432/payload_dev?sslmode=verify-full"

    assert secret["stringData"] == {
        "url": address("payload_dev_app", "app-password", "postgres-rw"),
        "replica-url": address("payload_dev_reader", "reader-password", "postgres-ro"),
        "owner-url": address("payload_dev", "password", "postgres-rw"),
        "ca.crt": "certificate",
    }
    redis = run.one("kubernetes:core/v1:Secret", "payload-redis").inputs
    access = run.one("kubernetes:core/v1:Secret", "payload-access").inputs
    assert access["stringData"] == {
        "bootstrap-key": "plain-password-of-access-key",
        "cursor-key": "plain-password-of-cursor-key",
    }
    sentinels = ",".join(f"redis-{number}.data.svc.cluster.local:26379" for number in range(3))
    assert redis["stringData"] == {
        "url": f"rediss+sentinel://service:plain-redis@{sentinels}/state/0",
        "cache-url": "rediss://service:plain-redis@redis-cache.data.svc.cluster.local:6379/0",
        "ca.crt": "certificate",
    }


def test_no_secret_is_in_plain_text(run):
    assert not [text for text in run.plain_texts() if "plain-" in text]
    assert any("plain-redis" in str(it.inputs) for it in run.resources)


def test_no_secret_is_a_chart_value(run):
    assert "plain-" not in str(run.one("kubernetes:helm.sh/v4:Chart").inputs)


@pytest.mark.parametrize(
    ("prefix", "name"), [("", "payload_dev"), ("app-", "payload_dev_app"), ("reader-", "payload_dev_reader")]
)
def test_roles_and_database_stay_when_the_stack_goes(run, prefix, name):
    role = run.one("kubernetes:postgresql.cnpg.io/v1:DatabaseRole", f"{prefix}role").inputs
    database = run.one("kubernetes:postgresql.cnpg.io/v1:Database").inputs
    credentials = run.one("kubernetes:core/v1:Secret", f"{prefix}credentials").inputs
    assert role["spec"] == {
        "cluster": {"name": "postgres"},
        "name": name,
        "login": True,
        "passwordSecret": {"name": credentials["metadata"]["name"]},
        "databaseRoleReclaimPolicy": "retain",
    }
    assert database["spec"]["databaseReclaimPolicy"] == "retain"
    assert database["spec"]["owner"] == database["spec"]["name"] == "payload_dev"
    assert credentials["type"] == "kubernetes.io/basic-auth"
    assert credentials["metadata"]["labels"]["cnpg.io/reload"] == "true"
    for it in (role, database):
        assert it["metadata"]["namespace"] == "data"
        assert it["metadata"]["annotations"] == {"pulumi.com/waitFor": "jsonpath={.status.applied}=true"}


def test_environments_share_nothing(deploy):
    def names(environment):
        run = deploy(lambda: program(environment))
        return {(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]) for it in run.objects()}

    made = [names(it) for it in Environment]
    assert not set.intersection(*made)
    assert sum(len(it) for it in made) == len(set.union(*made))


def test_the_chart_is_found_from_a_projects_folder(run):
    assert (REPOSITORY / "infra/projects/service" / CHART / "Chart.yaml").resolve().is_file()
    chart = run.one("kubernetes:helm.sh/v4:Chart").inputs
    assert (chart["chart"], chart["name"], chart["namespace"]) == (CHART, "payload", "dev")


def merged(defaults, values):
    if isinstance(defaults, dict) and isinstance(values, dict):
        return {key: merged(defaults.get(key), values.get(key, defaults.get(key))) for key in {*defaults, *values}}
    return values


@pytest.mark.parametrize("profile", ProfileName)
@pytest.mark.parametrize("environment", Environment)
def test_the_charts_schema_accepts_the_values(profile, environment):
    chart = REPOSITORY / "helm/service"
    schema = yaml.safe_load((chart / "values.schema.yaml").read_text())
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    settings = ServiceSettings(replicas=7, log_level=LogLevel.DEBUG, workers=4, threads=2)
    values = chart_values(config(environment, settings, profile))
    jsonschema.validate(merged(defaults, values), schema)
    assert values["env"] == {
        "SLIPWAY_ENVIRONMENT": environment.value,
        "SLIPWAY_TRUSTED_PROXIES": "1",
        "SLIPWAY_LOG_LEVEL": "DEBUG",
        "SLIPWAY_WORKERS": "4",
        "SLIPWAY_THREADS": "2",
    }
    assert IMAGE not in str(values), "pods must not change because a first image does"


def parsed(**raw):
    return parse(ServiceSettings, "slipway-service", {key: json.dumps(value) for key, value in raw.items()})


def test_without_a_wish_there_are_no_flags_and_no_webhook(run):
    values = chart_values(config())
    assert values["configMaps"] == []
    assert run.result.resources.flags is None
    assert not [name for name in values["env"] if "WEBHOOK" in name]


def test_flags_are_in_a_config_map_that_is_no_part_of_a_version(deploy, tmp_path):
    it = config(settings=parsed(flags={"export-streams": {"on": True, "percent": 50}}))
    made, values = deploy(lambda: Service("service", it)), chart_values(it)
    (mounted,) = values["configMaps"]
    (item,) = mounted["items"]
    switches = made.one("kubernetes:core/v1:ConfigMap").inputs
    assert switches["metadata"]["name"] == mounted["configMap"]
    assert switches["metadata"]["namespace"] == "dev"
    assert item["env"] == "SLIPWAY_FLAGS_FILE"
    (tmp_path / "flags.json").write_text(switches["data"][item["key"]])
    assert read_flags(tmp_path / "flags.json").flags == {Flag.EXPORT_STREAMS: AppRule(on=True, percent=50)}
    assert mounted["configMap"] not in str(rollout_spec(it)), "a change would be a rollout"
    assert made.one("kubernetes:core/v1:ConfigMap").urn in made.one("kubernetes:helm.sh/v4:Chart").depends_on


def test_errors_go_where_a_secret_says_and_nowhere_unless_asked():
    errors = {"secret": "sentry", "network": "192.0.2.8/32"}
    values = chart_values(config(settings=parsed(errors=errors)))
    (items,) = [secret["items"] for secret in values["secrets"] if secret["secret"] == "sentry"]
    assert items == [{"key": "dsn", "file": "sentry-dsn", "env": "SLIPWAY_SENTRY_DSN_FILE"}]
    assert "sentry_dsn_file" in Settings.model_fields
    assert {"network": "192.0.2.8/32", "ports": [443]} in values["networkPolicy"]["egress"]
    assert "SENTRY" not in str(chart_values(config()))
    defaults = yaml.safe_load((REPOSITORY / "helm/service/values.yaml").read_text())
    jsonschema.validate(
        merged(defaults, values), yaml.safe_load((REPOSITORY / "helm/service/values.schema.yaml").read_text())
    )


def test_pods_are_added_by_load_only_if_that_is_wanted():
    assert "autoscaling" not in rollout_spec(config())
    spec = rollout_spec(config(settings=parsed(maxReplicas=6, scaleDownSeconds=60)))
    assert spec["autoscaling"] == {"maxReplicas": 6, "scaleDownSeconds": 60}
    assert SPEC.validate_python(spec).autoscaling.cpu == 70


def test_workers_are_added_by_what_waits_only_if_that_is_wanted():
    assert "autoscaling" not in rollout_spec(config())["workers"]
    spec = rollout_spec(config(settings=parsed(maxWorkerReplicas=3, messagesPerWorker=50, scaleDownSeconds=60)))
    scaled = SPEC.validate_python(spec).workers.autoscaling
    assert (scaled.max_replicas, scaled.messages_per_worker, scaled.scale_down_seconds) == (3, 50, 60)
    values = {"namespace": "dev", "service": "payload", "colour": "blue", "rollout": "payload"}
    assert fill(scaled.query, values) == (
        'max(payload_outbox_messages{namespace="dev",service="payload",state="open",colour="blue"})'
    )


RULES = st.dictionaries(st.sampled_from([it.value for it in Flag]), st.builds(FlagRule, on=st.booleans()))


@given(one=RULES, other=RULES)
def test_the_service_reads_every_file_of_flags_and_knows_one_from_the_other(one, other):
    first, second = (FlagFile.model_validate_json(flags.content(rules)) for rules in (one, other))
    assert {flag: (rule.on, rule.percent) for flag, rule in first.flags.items()} == {
        name: (rule.on, rule.percent) for name, rule in one.items()
    }
    assert (first.version == second.version) == (one == other)


WEBHOOK = {"url": "https://receiver.test:8443/exports", "secret": "receiver", "network": "192.0.2.0/24"}


def test_a_webhook_is_an_address_a_key_and_a_way_there():
    it = config(settings=parsed(webhook=WEBHOOK))
    values = chart_values(it)
    assert values["env"]["SLIPWAY_WEBHOOK_URL"] == WEBHOOK["url"]
    (items,) = [secret["items"] for secret in values["secrets"] if secret["secret"] == "receiver"]
    assert items == [{"key": "key", "file": "webhook-key", "env": "SLIPWAY_WEBHOOK_KEY_FILE"}]
    assert {"network": "192.0.2.0/24", "ports": [8443]} in values["networkPolicy"]["egress"]
    assert "receiver" not in str(rollout_spec(it)), "a new key would be a rollout"
    chart = REPOSITORY / "helm/service"
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    jsonschema.validate(merged(defaults, values), yaml.safe_load((chart / "values.schema.yaml").read_text()))


@given(st.from_regex(r"https?://[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?(/[^\s@]{0,10})?", fullmatch=True))
def test_the_service_takes_every_address_that_the_stack_takes(url):
    webhook = Webhook(url=url, secret="receiver", network="192.0.2.0/24")
    assert TypeAdapter(Settings.model_fields["webhook_url"].rebuild_annotation()).validate_python(webhook.url) == url
    assert 0 < webhook.port < 65536


ISSUER = {
    "issuer": "https://login.example/realms/team",
    "jwksUrl": "https://login.example:8443/realms/team/certs",
    "audience": "payload",
    "claim": ["realm_access", "roles"],
    "grants": {"readers": "viewer", "bots": "courses:write"},
    "network": "192.0.2.0/24",
}


@pytest.mark.parametrize(
    ("more", "read"),
    [
        ({}, {"algorithms": ("RS256",), "token_type": None, "ca_file": None}),
        (
            {"algorithms": ["ES256", "EdDSA"], "tokenType": "at+jwt", "authority": "issuer-ca"},
            {"algorithms": ("ES256", "EdDSA"), "token_type": "at+jwt", "ca_file": "ca"},
        ),
    ],
)
def test_the_service_reads_of_an_issuer_what_the_stack_says(tmp_path, more, read):
    it = config(settings=parsed(externalIssuer={**ISSUER, **more}))
    values = chart_values(it)
    told = json.loads(values["env"]["SLIPWAY_EXTERNAL_ISSUER"])
    if "ca_file" in told:
        (mounted,) = values["configMaps"]
        (item,) = mounted["items"]
        assert (mounted["configMap"], item["key"]) == ("issuer-ca", "ca.crt")
        assert told["ca_file"] == f"/run/config/payload/{item['file']}"
        told["ca_file"] = tmp_path / item["file"]
        told["ca_file"].write_text("ca")
    found = ExternalIssuer.model_validate(told)
    same = ("issuer", "audience", "grants")
    assert {name: getattr(found, name) for name in same} == {name: ISSUER[name] for name in same}
    assert (found.jwks_url, found.claim) == (ISSUER["jwksUrl"], ("realm_access", "roles"))
    assert (found.algorithms, found.token_type) == (read["algorithms"], read["token_type"])
    assert (found.ca_file is None) == (read["ca_file"] is None)
    assert {"network": "192.0.2.0/24", "ports": [8443]} in values["networkPolicy"]["egress"]
    defaults = yaml.safe_load((REPOSITORY / "helm/service/values.yaml").read_text())
    schema = yaml.safe_load((REPOSITORY / "helm/service/values.schema.yaml").read_text())
    jsonschema.validate(merged(defaults, values), schema)


def test_without_a_wish_nobody_elses_tokens_are_believed():
    values = chart_values(config())
    assert "SLIPWAY_EXTERNAL_ISSUER" not in values["env"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"externalIssuer": {**ISSUER, "jwksUrl": "http://login.example/keys"}}, "over TLS without a login"),
        ({"externalIssuer": {**ISSUER, "grants": {}}}, "externalIssuer.grants"),
        ({"externalIssuer": {**ISSUER, "algorithms": ["HS256"]}}, "externalIssuer.algorithms"),
        ({"externalIssuer": {**ISSUER, "authority": "Not A Name"}}, "externalIssuer.authority"),
        ({"flags": {"Export Streams": {"on": True}}}, "flags.Export Streams"),
        ({"flags": {"export-streams": {"on": True, "percent": 101}}}, "flags.export-streams.percent is 101"),
        ({"flags": {"export-streams": True}}, "flags.export-streams is True"),
        (
            {"webhook": {**WEBHOOK, "url": "https://user@receiver.test/"}},
            "webhook.url is 'https://user@receiver.test/'",
        ),
        ({"webhook": {**WEBHOOK, "url": "https://receiver.test:0/"}}, "must have a port from 1 to 65535"),
        ({"webhook": {**WEBHOOK, "url": "https://receiver.test:99999/"}}, "Port out of range"),
        ({"webhook": {**WEBHOOK, "secret": "payload-redis"}}, "must be another name than payload-database"),
        ({"webhook": {"url": WEBHOOK["url"]}}, "webhook.secret is missing"),
    ],
)
def test_flags_and_webhooks_that_cannot_be_are_refused(raw, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        parsed(**raw)


def test_the_service_is_told_where_spans_go_only_if_they_go_somewhere():
    it = config(settings=ServiceSettings(traces_ratio=0.5))
    assert not [name for name in chart_values(it)["env"] if "TRACES" in name]
    external = ExternalTraces(endpoint="https://collector.example/v1/traces", network="192.0.2.0/24")
    parts = Parts(traces=Store.EXTERNAL, traces_external=external)
    values = chart_values(replace(it, platform=replace(it.platform, parts=parts)))
    assert values["env"]["SLIPWAY_TRACES_ENDPOINT"] == "https://collector.example/v1/traces"
    assert values["env"]["SLIPWAY_TRACES_RATIO"] == "0.5"
    assert {"network": "192.0.2.0/24", "ports": [443]} in values["networkPolicy"]["egress"]
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" not in json.dumps(values)


def test_spans_go_to_the_platforms_jaeger_over_tls_if_there_is_one(deploy):
    it = config()
    it = replace(it, platform=replace(it.platform, parts=Parts(traces=Store.MANAGED)))
    run, values = deploy(lambda: Service("service", it)), chart_values(it)
    assert values["env"]["SLIPWAY_TRACES_ENDPOINT"] == "https://jaeger.traces.svc.cluster.local:4318/v1/traces"
    assert {"namespace": "traces", "ports": [4318]} in values["networkPolicy"]["egress"]
    (items,) = [secret["items"] for secret in values["secrets"] if secret["secret"] == ACCESS_SECRET]
    assert {"key": "ca.crt", "file": "ca.crt", "env": "OTEL_EXPORTER_OTLP_CERTIFICATE"} in items
    (access,) = [
        secret.inputs["stringData"]
        for secret in run.of("kubernetes:core/v1:Secret")
        if secret.inputs["metadata"]["name"] == ACCESS_SECRET
    ]
    assert access["ca.crt"] == it.platform.ca_certificate


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        ({}, {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}], "approval": False}}),
        ({"steps": "10,100"}, {"canary": {"steps": [{"weight": 10}, {"weight": 100}], "approval": False}}),
        ({"strategy": Strategy.BLUE_GREEN, "approval": True}, {"blueGreen": {"approval": True}}),
    ],
)
def test_the_rollout_is_one_that_the_controller_understands(settings, strategy):
    spec = rollout_spec(config(settings=ServiceSettings(replicas=7, **settings)))
    parsed = SPEC.validate_python(spec)
    assert (parsed.image, parsed.replicas, parsed.container) == (IMAGE, 7, "service")
    assert spec["strategy"] == strategy
    assert [it.name for it in parsed.config] == ["payload-env", "payload-database", "payload-redis", "payload-access"]
    assert parsed.migrations is not None
    assert parsed.migrations.command == ("python", "-m", "app.migrate")
    assert parsed.workers is not None
    assert (parsed.workers.template, parsed.workers.replicas) == ("payload-worker", 1)


@pytest.mark.parametrize("parts", [Parts(postgres=Store.OFF), Parts(redis=Store.OFF)], ids=["no Postgres", "no Redis"])
def test_without_messages_there_are_no_workers(parts):
    it = replace(config(), platform=replace(PLATFORM, parts=parts))
    assert chart_values(it)["workers"]["enabled"] is False
    assert "workers" not in rollout_spec(it)
    assert chart_values(config())["workers"]["enabled"] is True


def test_a_new_version_is_asked_by_k6_where_the_stack_wants_that():
    it = replace(config(), checker=IMAGE)
    values = chart_values(it)
    chart = REPOSITORY / "helm/service"
    schema, defaults = (yaml.safe_load((chart / name).read_text()) for name in ("values.schema.yaml", "values.yaml"))
    jsonschema.validate(merged(defaults, values), schema)
    parsed = SPEC.validate_python(rollout_spec(it)).preview
    assert parsed is not None
    assert (parsed.image, parsed.config_map, parsed.timeout) == (IMAGE, "payload-preview", 70)
    assert "--env=PREVIEW_HOST=preview.payload.dev.slipway.test" in parsed.args
    assert "preview" not in rollout_spec(config())


def test_up_ends_when_the_service_serves_and_leaves_the_wish_to_others(run):
    rollout = run.one("kubernetes:slipway.dev/v1alpha1:Rollout")
    assert rollout.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "jsonpath={.status.stable.hash}"}
    owned = {"spec.image", "spec.commit", "spec.attempt", "spec.approve", "spec.abort", "spec.paused"}
    assert owned == set(rollout.ignore_changes)
    binding = run.one("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")
    assert binding.inputs["subjects"] == [
        {"kind": "ServiceAccount", "name": "slipway-rollout", "namespace": "slipway-system"}
    ]
    assert binding.inputs["metadata"]["namespace"] == "dev"
    assert binding.urn in rollout.depends_on


def test_the_profile_gives_the_count_of_pods():
    for profile in ProfileName:
        assert rollout_spec(config(profile=profile))["replicas"] == PROFILES[profile].service_replicas


def test_where_it_is_reached(deploy):
    service = deploy(program).result
    assert (service.url, service.preview_url) == (
        "https://payload.dev.slipway.test",
        "https://preview.payload.dev.slipway.test",
    )
