"""An environment's database and the roles that log in to it, each with a password made for it.

The owner migrates, and gives the other two their rights (`app/migrations/roles.py`): one that serves by changing rows,
one that reads (docs/adr/0115). Made by the service's stack, not by the platform's: a new environment changes nothing
that others use, and its passwords never leave its own stack. Roles and database stay in Postgres when the stack goes,
since data outlives deployments; a stack made anew takes them over and sets new passwords.
"""

from dataclasses import dataclass
from typing import Any, final

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
class Login:
    """A role that can log in, and its password."""

    name: str
    password: GeneratedPassword
    secret: Secret
    role: CustomResource


@final
@dataclass(frozen=True)
class DatabaseResources:
    """What was made."""

    owner: Login
    app: Login
    reader: Login
    database: CustomResource


class Database(Component):
    """A database of an environment.

    Attributes:
        urls: Connection strings for SQLAlchemy with psycopg, by the key of the Secret that services read them under;
            secret. `url` to write, `replica-url` to read, `owner-url` to migrate, which goes around the poolers.
    """

    def __init__(self, name: str, config: DatabaseConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Database", name, opts)
        self.resources = self._create(config)
        made, database = self.resources, naming.database(config.environment)
        logins = {"url": made.app, "replica-url": made.reader, "owner-url": made.owner}
        self.urls = {key: connection_string(logins[key], host, database) for key, host in hosts(config).items()}
        self.register_outputs({})

    def _create(self, config: DatabaseConfig) -> DatabaseResources:
        name = naming.database(config.environment)
        owner = self._login(config.environment, "")
        app, reader = self._login(config.environment, "app"), self._login(config.environment, "reader")
        database = CustomResource(
            "database",
            api_version=API,
            kind="Database",
            metadata=_metadata(naming.object_name(naming.SERVICE, config.environment.value)),
            spec={
                "cluster": {"name": POSTGRES},
                "name": name,
                "owner": owner.name,
                "databaseReclaimPolicy": "retain",
            },
            opts=self.child(depends_on=[owner.role], timeout="5m"),
        )
        return DatabaseResources(owner, app, reader, database)

    def _login(self, environment: Environment, suffix: str) -> Login:
        """The owner's if there is no suffix: its objects are called as they were when it was the only one."""
        prefix = f"{suffix}-" if suffix else ""
        object_name = "-".join(filter(None, [naming.object_name(naming.SERVICE, environment.value), suffix]))
        role_name = "_".join(filter(None, [naming.database(environment), suffix]))
        password = GeneratedPassword(f"{prefix}password", opts=self.child())
        secret = Secret(
            f"{prefix}credentials",
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
            f"{prefix}role",
            api_version=API,
            kind="DatabaseRole",
            metadata=_metadata(object_name),
            spec={
                "cluster": {"name": POSTGRES},
                "name": role_name,
                "login": True,
                "passwordSecret": {"name": f"{object_name}-credentials"},
                "databaseRoleReclaimPolicy": "retain",
            },
            opts=self.child(depends_on=[secret], timeout="5m"),
        )
        return Login(role_name, password, secret, role)


def _metadata(name: str) -> Any:
    return metadata(name, labels(name, "database"), namespace=Namespace.DATA.value, annotations=_APPLIED)


def hosts(config: DatabaseConfig) -> dict[str, str]:
    """Where services connect to, by the key of the Secret."""
    return {
        "url": naming.PRIMARY_POOLER_HOST if config.pooled else naming.POSTGRES_PRIMARY_HOST,
        "replica-url": naming.REPLICA_POOLER_HOST if config.pooled else naming.POSTGRES_REPLICA_HOST,
        "owner-url": naming.POSTGRES_PRIMARY_HOST,
    }


def connection_string(login: Login, host: str, database: str) -> pulumi.Output[str]:
    """A URL for SQLAlchemy with psycopg; Postgres has to show by a certificate that it has this name.

    Whose certificate counts is told beside it, by a file. Generated passwords need no quoting in it.
    """
    return pulumi.Output.concat(
        f"postgresql+psycopg://{login.name}:",
        login.password.password,
        f"@{host}:{naming.POSTGRES_PORT}/{database}?sslmode=verify-full",
    )
