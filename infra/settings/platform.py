"""Settings of the project `slipway-platform`."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from infra.authority import AuthoritySettings
from infra.images import ImageSource
from infra.naming import DOMAIN, POSTGRES
from infra.parts import ExternalObjectStore, Part, Parts, Restore, Store
from infra.profiles import ProfileName
from infra.settings.values import ArchiveName, Domain, PinnedImage
from infra.timeouts import PoolerTimeouts, PostgresTimeouts, TrafficTimeouts


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
    ingress_observer_image: PinnedImage | None = Field(
        default=None,
        description="Image of the observer beside each HAProxy, by digest, for clusters without a registry; elsewhere "
        "it is built here. Without either HAProxy runs alone, and nothing tells its requests apart by colour.",
    )
    rollout_controller_image: PinnedImage | None = Field(
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
    backup_name: ArchiveName = Field(
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
    domain: Domain = Field(default=DOMAIN, description="Domain of all host names.")
    timeouts: TrafficTimeouts = Field(default=TrafficTimeouts(), description="Waits in a request's way.")
    postgres_timeouts: PostgresTimeouts = Field(
        default=PostgresTimeouts(), description="Waits of a failover of Postgres."
    )
    pooler_timeouts: PoolerTimeouts = Field(default=PoolerTimeouts(), description="Waits of the poolers of Postgres.")

    @property
    def parts(self) -> Parts:
        """Where each part is, which services are told."""
        given: dict[str, Any] = {name: getattr(self, name) for name in Parts.model_fields}
        if self.poolers is None and self.postgres is Store.MANAGED and self.profile is ProfileName.HA:
            given["poolers"] = Part.MANAGED
        return Parts(**given)

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
        if self.alert_receiver and self.metrics is not Store.MANAGED:
            raise ValueError(
                f"alertReceiver must be left out if metrics is {self.metrics.value}: nothing would read it"
            )
        if self.metrics_receiver and self.metrics is not Store.MANAGED:
            raise ValueError(
                f"metricsReceiver must be left out if metrics is {self.metrics.value}: nothing would read it"
            )
        if self.postgres is not Store.MANAGED and "postgres_timeouts" in self.model_fields_set:
            raise ValueError(f"postgresTimeouts must be left out if postgres is {self.postgres.value}")
        if not self.parts.pooled and "pooler_timeouts" in self.model_fields_set:
            raise ValueError("poolerTimeouts must be left out if poolers are off: nothing would read it")
        return self
