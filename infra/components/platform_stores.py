"""The stores that the platform brings along: Postgres with its operator and backups, and Redis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import pulumi

from infra import naming, versions
from infra.components.backup_plugin import BackupPlugin, BackupPluginConfig
from infra.components.backups import Archive, ArchiveConfig, BackupSchedule, ScheduleConfig
from infra.components.certificates import Authority
from infra.components.generated import GeneratedPassword
from infra.components.namespace import Namespace
from infra.components.object_store import ObjectStore, ObjectStoreConfig
from infra.components.platform_images import STORE_IMAGE
from infra.components.poolers import Poolers, PoolersConfig
from infra.components.postgres import Archived, Postgres, PostgresConfig
from infra.components.postgres_operator import PostgresOperator, PostgresOperatorConfig
from infra.components.priorities import Priorities
from infra.components.redis import Redis
from infra.components.redis_pods import RedisConfig, RedisPasswords
from infra.handover import Capabilities
from infra.parts import ExternalObjectStore, Store
from infra.profiles import PROFILES, Profile
from infra.settings import PlatformSettings

ReadRelease = Callable[[versions.ReleaseFile], list[dict[str, Any]]]


@final
@dataclass(frozen=True)
class Ground:
    """What stands before the stores do; `child` gives the options of a child of the platform."""

    settings: PlatformSettings
    capabilities: Capabilities
    read_release: ReadRelease
    images: Mapping[str, pulumi.Input[str]]
    namespaces: Mapping[naming.Namespace, Namespace]
    authority: Authority
    priorities: Priorities
    child: Callable[..., pulumi.ResourceOptions]

    @property
    def profile(self) -> Profile:
        """How big everything is."""
        return PROFILES[self.settings.profile]

    @property
    def node_loss(self) -> int:
        """Seconds until a lost node's pods are made elsewhere."""
        return self.settings.timeouts.node_loss


@final
@dataclass(frozen=True)
class PlatformBackups:
    """What backs Postgres up; `store` only if the platform brings it along."""

    plugin: BackupPlugin
    store: ObjectStore | None
    archive: Archive
    schedule: BackupSchedule


@final
@dataclass(frozen=True)
class ManagedPostgres:
    """Postgres with its operator; `backups` and `poolers` only if the stack wants them."""

    operator: PostgresOperator
    postgres: Postgres
    backups: PlatformBackups | None
    poolers: Poolers | None


@final
@dataclass(frozen=True)
class ManagedRedis:
    """Redis with the password of services."""

    password: GeneratedPassword
    redis: Redis


def make_postgres(ground: Ground) -> ManagedPostgres | None:
    """Make Postgres and what backs it up; None if the platform does not bring it."""
    settings = ground.settings
    if settings.postgres is not Store.MANAGED:
        return None
    operator = PostgresOperator(
        "postgres-operator",
        PostgresOperatorConfig(
            tuple(ground.read_release(versions.CLOUDNATIVE_PG_MANIFEST)),
            ground.namespaces[naming.Namespace.POSTGRES_OPERATOR],
            ground.images,
            ground.profile,
            ground.node_loss,
        ),
        ground.child(depends_on=[ground.priorities]),
    )
    archive = None if settings.backed_up is Store.OFF else _archive(ground, operator)
    postgres = Postgres(
        "postgres",
        PostgresConfig(
            ground.namespaces[naming.Namespace.DATA],
            ground.images["postgres"],
            ground.profile,
            settings.postgres_timeouts,
            ground.capabilities.storage_class,
            ground.node_loss,
            ground.authority,
            Archived(settings.backup_name, settings.restore_from) if archive else None,
        ),
        ground.child(depends_on=[operator, *(archive[1:] if archive else ())]),
    )
    poolers = _poolers(ground, postgres) if settings.parts.pooled else None
    if archive is None:
        return ManagedPostgres(operator, postgres, None, poolers)
    store, plugin, told = archive
    schedule = BackupSchedule("backup-schedule", ScheduleConfig(postgres), ground.child())
    return ManagedPostgres(operator, postgres, PlatformBackups(plugin, store, told, schedule), poolers)


def make_redis(ground: Ground) -> ManagedRedis | None:
    """Make Redis; None if the platform does not bring it."""
    settings = ground.settings
    if settings.redis is not Store.MANAGED:
        return None
    password = GeneratedPassword("redis-password", opts=ground.child())
    others = [GeneratedPassword(f"redis-{user}-password", opts=ground.child()) for user in ("keeper", "metrics")]
    redis = Redis(
        "redis",
        RedisConfig(
            ground.namespaces[naming.Namespace.DATA],
            ground.images["redis"],
            ground.images["python"],
            ground.profile,
            ground.capabilities.storage_class,
            RedisPasswords(password.password, *(it.password for it in others)),
            ground.authority,
            ground.node_loss,
            ground.images.get("redis-exporter"),
            settings.scraped_from,
        ),
        ground.child(depends_on=[ground.priorities]),
    )
    return ManagedRedis(password, redis)


def _poolers(ground: Ground, postgres: Postgres) -> Poolers:
    settings = ground.settings
    return Poolers(
        "poolers",
        PoolersConfig(
            ground.namespaces[naming.Namespace.DATA],
            ground.images["pgbouncer"],
            ground.profile,
            settings.pooler_timeouts,
            ground.node_loss,
            settings.timeouts.dns,
            settings.scraped_from,
        ),
        ground.child(depends_on=[postgres]),
    )


def _archive(ground: Ground, operator: PostgresOperator) -> tuple[ObjectStore | None, BackupPlugin, Archive]:
    """What must be there before a Postgres that is backed up."""
    plugin = BackupPlugin(
        "backup-plugin",
        BackupPluginConfig(
            tuple(ground.read_release(versions.BARMAN_PLUGIN_MANIFEST)),
            ground.namespaces[naming.Namespace.POSTGRES_OPERATOR],
            ground.images,
            ground.profile,
            ground.authority,
            ground.node_loss,
        ),
        ground.child(depends_on=[operator]),
    )
    store = None
    if ground.settings.backups_external is None:
        store = ObjectStore(
            "object-store",
            ObjectStoreConfig(
                ground.namespaces[naming.Namespace.BACKUPS],
                ground.images[STORE_IMAGE],
                ground.profile,
                ground.capabilities.storage_class,
                ground.authority,
                ground.node_loss,
            ),
            ground.child(),
        )
    archive = Archive(
        "backup-archive",
        ArchiveConfig(
            ground.namespaces[naming.Namespace.DATA],
            ground.profile,
            store or _external(ground.settings),
            ground.authority.certificate,
        ),
        ground.child(depends_on=[plugin]),
    )
    return store, plugin, archive


def _external(settings: PlatformSettings) -> ExternalObjectStore:
    if settings.backups_external is None:
        raise AssertionError("the settings' own check lets no external store pass that is not described")
    return settings.backups_external
