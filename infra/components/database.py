"""An environment's database: a role that can log in, a database that it owns, and a password made for it.

Made by the service's stack, not by the platform's: a new environment changes nothing that others use, and its password
never leaves its own stack. Role and database stay in Postgres when the stack goes, since data outlives deployments; a
stack made anew takes them over and sets a new password.
"""

from dataclasses import dataclass
from typing import final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret

from infra import naming
from infra.components.base import Component
from infra.components.generated import GeneratedPassword
from infra.components.metadata import metadata
from infra.components.postgres import API
from infra.labels import WAIT_FOR, labels
from infra.naming import POSTGRES, Environment, Namespace

_APPLIED = {WAIT_FOR: "jsonpath={.status.applied}=true"}


@dataclass(frozen=True)
class DatabaseConfig:
    """Whose database.

    Attributes:
        environment: The environment.
        pooled: Whether poolers stand before Postgres.
    """

    environment: Environment
    pooled: bool = False


@final
@dataclass(frozen=True)
class DatabaseResources:
    """What was made."""

    password: GeneratedPassword
    secret: Secret
    role: CustomResource
    database: CustomResource


class Database(Component):
    """A database of an environment.

    Attributes:
        urls: Connection strings for SQLAlchemy with psycopg, by the key of the Secret that services read them under;
            secret. `direct-url`, which goes around the poolers, only where there are any.
    """

    def __init__(self, name: str, config: DatabaseConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Database", name, opts)
        self.resources = self._create(config)
        password = self.resources.password.password
        self.urls = {key: connection_string(config.environment, host, password) for key, host in hosts(config).items()}
        self.register_outputs({})

    def _create(self, config: DatabaseConfig) -> DatabaseResources:
        role_name = naming.database(config.environment)
        object_name = naming.object_name(naming.SERVICE, config.environment.value)
        named = metadata(
            object_name, labels(object_name, "database"), namespace=Namespace.DATA.value, annotations=_APPLIED
        )
        password = GeneratedPassword("password", opts=self.child())
        secret = Secret(
            "credentials",
            metadata=metadata(
                f"{object_name}-credentials",
                # Without this label the operator would not notice a changed password.
                {**labels(object_name, "database"), "cnpg.io/reload": "true"},
                namespace=Namespace.DATA.value,
            ),
            type="kubernetes.io/basic-auth",
            string_data={"username": role_name, "password": password.password},
            opts=self.child(),
        )
        role = CustomResource(
            "role",
            api_version=API,
            kind="DatabaseRole",
            metadata=named,
            spec={
                "cluster": {"name": POSTGRES},
                "name": role_name,
                "login": True,
                "passwordSecret": {"name": f"{object_name}-credentials"},
                "databaseRoleReclaimPolicy": "retain",
            },
            opts=self.child(depends_on=[secret], timeout="5m"),
        )
        database = CustomResource(
            "database",
            api_version=API,
            kind="Database",
            metadata=named,
            spec={
                "cluster": {"name": POSTGRES},
                "name": role_name,
                "owner": role_name,
                "databaseReclaimPolicy": "retain",
            },
            opts=self.child(depends_on=[role], timeout="5m"),
        )
        return DatabaseResources(password, secret, role, database)


def hosts(config: DatabaseConfig) -> dict[str, str]:
    """Where services connect to, by the key of the Secret."""
    if not config.pooled:
        return {"url": naming.POSTGRES_PRIMARY_HOST, "replica-url": naming.POSTGRES_REPLICA_HOST}
    return {
        "url": naming.PRIMARY_POOLER_HOST,
        "replica-url": naming.REPLICA_POOLER_HOST,
        "direct-url": naming.POSTGRES_PRIMARY_HOST,
    }


def connection_string(environment: Environment, host: str, password: pulumi.Input[str]) -> pulumi.Output[str]:
    """A URL for SQLAlchemy with psycopg; Postgres has to show by a certificate that it has this name.

    Whose certificate counts is told beside it, by a file. Generated passwords need no quoting in it.
    """
    name = naming.database(environment)
    return pulumi.Output.concat(
        f"postgresql+psycopg://{name}:", password, f"@{host}:{naming.POSTGRES_PORT}/{name}?sslmode=verify-full"
    )
