"""What a stack can choose. The only module that reads Pulumi's configuration.

Each project has one frozen model; components get values from it and never look at configuration themselves, so they
can be tested without an engine. A wrong value, and a key that nothing reads, stop the program before it makes the
first resource, with the key, the value and what is allowed. docs/reference/settings.md is generated from the models.
"""

import ipaddress
import json
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from infra.authority import AuthoritySettings
from infra.eks_settings import EksSettings
from infra.images import ImageSource
from infra.naming import DOMAIN, POSTGRES, Project, dns_label
from infra.parts import ErrorReports, ExternalObjectStore, Issuer, Part, Parts, Restore, Store, Webhook
from infra.profiles import ProfileName
from infra.timeouts import NodeTimeouts, PostgresTimeouts, TrafficTimeouts

_MODEL: Final = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

Model = TypeVar("Model", bound=BaseModel)


class SettingsError(pulumi.RunError):
    """A stack's configuration cannot be used. The message names every wrong key; the engine shows it as it stands."""


class Target(StrEnum):
    """Which cluster the cluster project makes or describes."""

    EMBEDDED = "embedded"
    EXISTING = "existing"
    KIND = "kind"
    EKS = "eks"


def _network(value: str) -> str:
    network = ipaddress.ip_network(value)
    if not network.is_private:
        raise ValueError("must be a private network, such as 10.123.0.0/24")
    return value


def _addresses(value: str) -> str:
    first, _, last = value.partition("-")
    try:
        start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError as error:
        raise ValueError("must be two addresses with a hyphen between, such as 10.123.0.200-10.123.0.250") from error
    if start.version != end.version or int(start) > int(end):
        raise ValueError("must begin with the lower of two addresses of one family")
    return value


def _pinned_image(value: str) -> str:
    name, _, digest = value.partition("@sha256:")
    if not name or len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004  # hex digits of SHA-256
        raise ValueError("must be pinned by digest, as registry/name@sha256:<64 hexadecimal digits>")
    return value


def _archive_name(value: str) -> str:
    return dns_label("the archive", value)


def _domain(value: str) -> str:
    labels = value.split(".")
    plain = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if len(labels) < 2 or any(not label or set(label) - plain or label[0] == "-" for label in labels):  # noqa: PLR2004  # a name and a top level
        raise ValueError("must be a domain name in lower case, such as slipway.test")
    return value


class EmbeddedSettings(BaseModel):
    """The cluster that Slipway itself makes on this machine."""

    model_config = _MODEL

    nodes: int = Field(default=3, ge=1, le=3, description="Nodes, each a network namespace with a kubelet of its own.")
    network: Annotated[str, AfterValidator(_network)] = Field(
        default="10.123.0.0/24",
        description="Network of the bridge between the nodes. Two clusters on one machine need two.",
    )
    pod_network: Annotated[str, AfterValidator(_network)] = Field(
        default="10.244.0.0/16", description="Addresses of pods, inside the cluster only."
    )
    service_network: Annotated[str, AfterValidator(_network)] = Field(
        default="10.96.0.0/16", description="Addresses of Services, inside the cluster only."
    )
    timeouts: NodeTimeouts = Field(default=NodeTimeouts(), description="How fast a lost node is noticed.")


class ExistingSettings(BaseModel):
    """A cluster that is there already, reached by a kubeconfig."""

    model_config = _MODEL

    kubeconfig_file: Path = Field(description="The kubeconfig; a relative path starts at the repository's root.")
    context: str | None = Field(default=None, description="Context in it; its current context if left out.")
    load_balancer: bool = Field(
        description="Whether Services of type LoadBalancer get an address by themselves; if not, MetalLB is installed."
    )
    address_range: Annotated[str, AfterValidator(_addresses)] | None = Field(
        default=None, description="Free addresses that MetalLB may give out. Required if loadBalancer is false."
    )
    shared_machine: bool = Field(
        default=False, description="Whether all nodes are on one machine; its figures are then taken once."
    )
    storage_class: str | None = Field(
        default=None, min_length=1, description="Storage class for databases; the cluster is asked for its default one."
    )
    registry: str | None = Field(
        default=None,
        description="`host:port` of a registry as nodes name it; if given, images are built here and pushed to it.",
    )
    registry_push: str | None = Field(
        default=None, description="`host:port` of the same registry as this machine reaches it."
    )
    registry_certificates: Path | None = Field(
        default=None, description="Folder with ca.crt, client.cert and client.key of that registry."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.load_balancer and not self.address_range:
            raise ValueError("addressRange is required if loadBalancer is false: MetalLB needs addresses to give out")
        if self.load_balancer and self.address_range:
            raise ValueError("addressRange must be left out if loadBalancer is true: nothing would read it")
        given = [self.registry, self.registry_push, self.registry_certificates]
        if any(given) and not all(given):
            raise ValueError("registry, registryPush and registryCertificates go together: give all three or none")
        return self


class KindSettings(BaseModel):
    """A cluster of containers that `kind` makes; docker must answer."""

    model_config = _MODEL

    workers: int = Field(
        default=2, ge=0, le=9, description="Nodes beside the control plane; without any, that one takes pods too."
    )
    node_image: Annotated[str, AfterValidator(_pinned_image)] | None = Field(
        default=None, description="Image of the nodes, by digest; that of kind 0.30 if left out."
    )
    address_range: Annotated[str, AfterValidator(_addresses)] | None = Field(
        default=None, description="Free addresses for MetalLB; the end of docker's network for kind if left out."
    )
    registry_auth: Path | None = Field(
        default=None,
        description="Docker's `config.json` with the passwords of registries that nodes pull from, by absolute path.",
    )


class ClusterSettings(BaseModel):
    """Settings of the project `slipway-cluster`. The cluster's name is the stack's name."""

    model_config = _MODEL

    target: Target = Field(default=Target.EMBEDDED, description="Which kind of cluster.")
    embedded: EmbeddedSettings | None = Field(default=None, description="Only for the target `embedded`.")
    existing: ExistingSettings | None = Field(
        default=None, description="Only for the target `existing`, and required there."
    )
    kind: KindSettings | None = Field(default=None, description="Only for the target `kind`.")
    eks: EksSettings | None = Field(default=None, description="Only for the target `eks`, and required there.")

    @model_validator(mode="after")
    def _of_the_target(self) -> Self:
        if self.target is not Target.EMBEDDED and self.embedded is not None:
            raise ValueError(f"embedded must be left out for the target {self.target.value}: nothing would read it")
        if self.target is Target.EXISTING and self.existing is None:
            raise ValueError("existing is required for the target existing: at least kubeconfigFile and loadBalancer")
        if self.target is not Target.EXISTING and self.existing is not None:
            raise ValueError(f"existing must be left out for the target {self.target.value}: nothing would read it")
        if self.target is not Target.KIND and self.kind is not None:
            raise ValueError(f"kind must be left out for the target {self.target.value}: nothing would read it")
        if self.target is Target.EKS and self.eks is None:
            raise ValueError("eks is required for the target eks: at least account, region and administrators")
        if self.target is not Target.EKS and self.eks is not None:
            raise ValueError(f"eks must be left out for the target {self.target.value}: nothing would read it")
        return self


class PlatformSettings(Parts):
    """Settings of the project `slipway-platform`. The stack has the name of its cluster."""

    profile: ProfileName = Field(default=ProfileName.SMALL, description="How big everything is.")
    image_source: ImageSource = Field(
        default=ImageSource.AUTO,
        description="`local` builds images and pushes them to the cluster's registry, `upstream` names public ones; "
        "`auto` takes `local` if the cluster has a registry.",
    )
    image_mirror: str | None = Field(
        default=None, min_length=1, pattern=r"^[^/].*[^/]$", description="Prefix before every upstream reference."
    )
    ingress_observer_image: Annotated[str, AfterValidator(_pinned_image)] | None = Field(
        default=None,
        description="Image of the observer beside each HAProxy, by digest, for clusters without a registry; elsewhere "
        "it is built here. Without either HAProxy runs alone, and nothing tells its requests apart by colour.",
    )
    rollout_controller_image: Annotated[str, AfterValidator(_pinned_image)] | None = Field(
        default=None,
        description="Image of the rollout controller, by digest, for clusters without a registry; elsewhere it is "
        "built here. Without it or the observer there is no controller, and no service can be put on the platform.",
    )
    alert_receiver: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$")] | None = Field(
        default=None,
        description="Secret in the namespace `monitoring` whose key `url` is the address of the webhook that alerts "
        "are sent to; it must be there before. Without it alerts are only kept for people who look.",
    )
    backups: Store | None = Field(
        default=None,
        description="Whether Postgres is backed up, and to where: `managed` brings a store along on a volume of the "
        "cluster, `external` is reached as `backupsExternal` says. Left out, `managed` with the profiles standard and "
        "ha, and `off` with small or without a managed Postgres.",
    )
    backups_external: ExternalObjectStore | None = Field(
        default=None, description="Only if `backups` is `external`, and required there."
    )
    backup_name: Annotated[str, AfterValidator(_archive_name)] = Field(
        default=POSTGRES,
        description="Name under which Postgres is archived. A Postgres that is made anew needs another one: it never "
        "writes over what is there.",
    )
    restore_from: Restore | None = Field(
        default=None, description="What a Postgres that is made anew begins with; one that is there does not read it."
    )
    metrics_receiver: bool = Field(
        default=False,
        description="Whether Prometheus takes figures that are written to it (remote write), as k6's. Whoever reaches "
        "it can then write.",
    )
    authority: AuthoritySettings | None = Field(
        default=None, description="A certificate authority of yours; left out, the platform makes one of its own."
    )
    domain: Annotated[str, AfterValidator(_domain)] = Field(default=DOMAIN, description="Domain of all host names.")
    timeouts: TrafficTimeouts = Field(default=TrafficTimeouts(), description="Waits in a request's way.")
    postgres_timeouts: PostgresTimeouts = Field(
        default=PostgresTimeouts(), description="Waits of a failover of Postgres."
    )

    @property
    def parts(self) -> Parts:
        """Where each part is, which services are told."""
        return Parts(**{name: getattr(self, name) for name in Parts.model_fields})

    @property
    def backed_up(self) -> Store:
        """Where backups go, with what the profile says if the stack says nothing."""
        if self.backups is not None:
            return self.backups
        wanted = self.postgres is Store.MANAGED and self.profile is not ProfileName.SMALL
        return Store.MANAGED if wanted else Store.OFF

    @model_validator(mode="after")
    def _backups(self) -> Self:
        where = self.backed_up
        if where is not Store.OFF and self.postgres is not Store.MANAGED:
            raise ValueError(
                f"backups must be off or left out if postgres is {self.postgres.value}: it is backed up where it runs"
            )
        if where is Store.EXTERNAL and self.backups_external is None:
            raise ValueError("backupsExternal is required if backups is external: at least path and secret")
        if where is not Store.EXTERNAL and self.backups_external is not None:
            raise ValueError(f"backupsExternal must be left out if backups is {where.value}: nothing would read it")
        unread = {"backup_name": "backupName", "restore_from": "restoreFrom"}
        for name in sorted(unread.keys() & self.model_fields_set):
            if where is Store.OFF:
                raise ValueError(f"{unread[name]} must be left out if backups is off: nothing would read it")
        if self.restore_from and self.restore_from.name == self.backup_name:
            raise ValueError(
                f"backupName must be another name than restoreFrom.name ({self.backup_name}): what is restored must "
                "not write over the archive that it comes from"
            )
        return self

    @model_validator(mode="after")
    def _everything_is_read(self) -> Self:
        if self.image_mirror and self.image_source is ImageSource.LOCAL:
            raise ValueError("imageMirror must be left out if imageSource is local: nothing would read it")
        if self.alert_receiver and self.metrics is Part.OFF:
            raise ValueError("alertReceiver must be left out if metrics is off: nothing would read it")
        if self.metrics_receiver and self.metrics is Part.OFF:
            raise ValueError("metricsReceiver must be left out if metrics is off: nothing would read it")
        if self.postgres is not Store.MANAGED and "postgres_timeouts" in self.model_fields_set:
            raise ValueError(f"postgresTimeouts must be left out if postgres is {self.postgres.value}")
        return self


class LogLevel(StrEnum):
    """How much the service logs."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Strategy(StrEnum):
    """How requests move to a new version."""

    CANARY = "canary"
    BLUE_GREEN = "blueGreen"


def _rising(value: str) -> str:
    numbers = [int(it) if it.isdecimal() else 0 for it in value.split(",")]
    if numbers != sorted(set(numbers)) or numbers[0] < 1 or numbers[-1] > 100:  # noqa: PLR2004  # percent
        raise ValueError("must be percentages from 1 to 100 that rise, such as 5,25,50")
    return value


class FlagRule(BaseModel):
    """For whom a feature flag is on."""

    model_config = _MODEL

    on: bool = Field(description="Whether for anybody.")
    percent: int = Field(default=100, ge=0, le=100, description="Of those who ask, always the same ones.")


FlagName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class ServiceSettings(BaseModel):
    """Settings of the project `slipway-service`. The stack is named `<cluster>-<environment>`."""

    model_config = _MODEL

    image: Annotated[str, AfterValidator(_pinned_image)] | None = Field(
        default=None,
        description="The service's first image, by digest. Left out, it is built from this repository's Dockerfile. "
        "Later ones are asked for by `slipway rollout start`.",
    )
    replicas: int | None = Field(
        default=None, ge=1, le=100, description="Pods of each colour; the profile's count if left out."
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Most pods of a colour: under load they are added until each uses 70 % of the CPU that it "
        "requests. Left out, their number stays.",
    )
    scale_down_seconds: int = Field(
        default=300, ge=0, le=3600, description="Added pods go when fewer would have done for so long."
    )
    strategy: Strategy = Field(default=Strategy.CANARY, description="How requests move to a new version.")
    steps: Annotated[str, AfterValidator(_rising)] = Field(
        default="5,25,50", description="For `canary`: percentages that the new version gets, one after the other."
    )
    approval: bool = Field(default=False, description="Whether a person has to approve before the first request moves.")
    preview_check: bool = Field(
        default=False,
        description="Whether k6 asks the preview host of each new version before the first request moves. Needs a "
        "cluster with a registry of its own, where the image is built.",
    )
    error_ratio: float = Field(
        default=0.01, ge=0, le=1, description="Share of failed requests above which a version is taken back."
    )
    min_samples: int = Field(
        default=20, ge=1, le=1_000_000, description="Requests below which nothing is concluded from that share."
    )
    rollback_window: str = Field(
        default="1h", pattern=r"^[0-9]+(s|m|h)$", description="How long the old version stays warm."
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="How much the service logs.")
    traces_ratio: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of requests that are traced, of those whose caller has not decided by `traceparent`.",
    )
    flags: dict[FlagName, FlagRule] | None = Field(
        default=None,
        description='Feature flags, such as `{"export-streams": {"on": true, "percent": 50}}`; one that is not named '
        "has the code's own default. A change reaches pods within about a minute, without a rollout. With `{}` the "
        "service is ready for that; left out, it reads no flags, and the first ones are rolled out.",
    )
    webhook: Webhook | None = Field(
        default=None,
        description="Who is told of finished exports by workers (`python -m app.work`); nobody if left out.",
    )
    external_issuer: Issuer | None = Field(
        default=None,
        description="Whose access tokens the service believes besides its own (docs/how-to/external-issuer.md); "
        "nobody's if left out. A change is rolled out.",
    )
    errors: ErrorReports | None = Field(
        default=None, description="Who is told of unexpected errors, by Sentry's protocol; only the log if left out."
    )
    workers: int = Field(default=2, ge=1, le=32, description="Worker processes of each pod.")
    threads: int = Field(default=8, ge=1, le=128, description="Threads of each worker process.")


class AnyServiceSettings(BaseModel):
    """Settings of the project of a service that is not ours. The stack is named `<cluster>-<environment>`."""

    model_config = _MODEL

    image: Annotated[str, AfterValidator(_pinned_image)] = Field(
        description="The service's first image, by digest. Later ones are asked for by `slipway rollout start`."
    )
    values: dict[str, Any] = Field(
        default={}, description="Values of the chart for this environment, laid over those of `values.yaml`."
    )


#: Which model belongs to which project.
MODELS: Final[Mapping[Project, type[BaseModel]]] = types.MappingProxyType(
    {
        Project.CLUSTER: ClusterSettings,
        Project.PLATFORM: PlatformSettings,
        Project.SERVICE: ServiceSettings,
    }
)


def cluster_settings() -> ClusterSettings:
    """Read the cluster project's configuration. Raises `SettingsError`."""
    return parse(ClusterSettings, Project.CLUSTER, _configured(Project.CLUSTER))


def platform_settings() -> PlatformSettings:
    """Read the platform project's configuration. Raises `SettingsError`."""
    return parse(PlatformSettings, Project.PLATFORM, _configured(Project.PLATFORM))


def service_settings() -> ServiceSettings:
    """Read the service project's configuration. Raises `SettingsError`."""
    return parse(ServiceSettings, Project.SERVICE, _configured(Project.SERVICE))


def any_service_settings(project: str) -> AnyServiceSettings:
    """Read the configuration of a project that is not ours, by its name. Raises `SettingsError`."""
    return parse(AnyServiceSettings, project, _configured(project))


def parse(model: type[Model], project: str, raw: Mapping[str, str]) -> Model:
    """Make settings of what Pulumi hands over: text, JSON where a value has a structure.

    Args:
        model: The project's model.
        project: Namespace of the keys, for messages.
        raw: Key without namespace -> text.

    Raises:
        SettingsError: At least one value or key is wrong; the message has a line for each.
    """
    fields = {_key(name, field): field for name, field in model.model_fields.items()}
    try:
        values = {key: _structured(text, fields.get(key)) for key, text in raw.items()}
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_line(project, detail, sorted(fields)) for detail in error.errors()]
    except json.JSONDecodeError as error:
        lines = [f"{project}: {error.doc!r} is not valid JSON ({error.msg}); the key holds an object"]
    raise SettingsError(
        "the settings of this stack cannot be used:\n"
        + "\n".join(f"  {line}" for line in lines)
        + "\nChange them with `pulumi config set` (docs/reference/settings.md lists all); nothing was changed so far."
    )


def _configured(project: str) -> dict[str, str]:
    """Every key that is set in the project's namespace; `Config.get` alone could not find misspelt ones."""
    prefix = f"{project}:"
    config = pulumi.Config(project)
    keys = [key.removeprefix(prefix) for key in CONFIG.get() if key.startswith(prefix)]
    return {key: value for key in keys if (value := config.get(key)) is not None}


def _key(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _structured(text: str, field: FieldInfo | None) -> Any:
    """Text as it is; parsed where the field holds an object."""
    parts = typing.get_args(field.annotation) or (field.annotation,) if field else ()
    if any(isinstance(part, type) and issubclass(part, BaseModel) for part in parts) or _is_mapping(field):
        return json.loads(text)
    return text


def _is_mapping(field: FieldInfo | None) -> bool:
    if field is None:
        return False
    return any(typing.get_origin(it) is dict for it in (field.annotation, *typing.get_args(field.annotation)))


def _line(project: str, detail: ErrorDetails, known: list[str]) -> str:
    """One wrong value in words."""
    path = ".".join(str(part) for part in detail["loc"])
    key = f"{project}:{path}" if path else project
    if detail["type"] == "extra_forbidden":
        allowed = f"; allowed are {', '.join(known)}" if len(detail["loc"]) == 1 else ""
        return f"{key} is not a setting{allowed}"
    if detail["type"] == "missing":
        return f"{key} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if isinstance(detail["input"], str | int | bool):
        return f"{key} is {detail['input']!r}: {message}"
    return f"{key}: {message}"
