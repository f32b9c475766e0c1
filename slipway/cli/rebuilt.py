"""A whole cluster that is lost and made anew from the store of its backups: what `slipway.proof.rebuild` works on."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, final

import click

from infra.naming import Environment, Namespace, Project, live_host, service_stack
from infra.parts import Store
from infra.settings import PlatformSettings, Target
from infra.settings.reading import parse
from slipway import node
from slipway.cli import first_objects
from slipway.cli.context import Tools, state_folder
from slipway.cli.down import take_down
from slipway.cli.kube import kubectl_for
from slipway.cli.reach import address_of
from slipway.cli.restored import PostgresDatabases
from slipway.cli.smoke import running_service, write_ca
from slipway.cli.up import Wanted, bring_up
from slipway.node.cluster import kill, load
from slipway.proof.rebuild import Lost
from slipway.proof.users import Users, Way

_STAMP: Final = re.compile(r"-\d{8}-\d{6}$")


@final
@dataclass(frozen=True)
class Intent:
    """What is to be lost, and what it comes back as.

    Attributes:
        cluster: its name.
        environment: whose service is written to.
        environments: every one that has a service.
        target: which kind of cluster.
        archive: name under which its Postgres is archived.
        successor: the same for the Postgres that begins with it.
        removed: whether everything of the lost one is gone; what is there since is the new one.
    """

    cluster: str
    environment: str
    environments: tuple[str, ...]
    target: str
    archive: str
    successor: str
    removed: bool = False


def successor(archive: str, now: datetime) -> str:
    """Name of the archive that follows another; the store has none of it yet."""
    return f"{_STAMP.sub('', archive)}-{now:%Y%m%d-%H%M%S}"


def intend(
    tools: Tools, cluster: str, environment: Environment, objects: first_objects.Objects, now: datetime
) -> Intent:
    """What a drill is about to do, once nothing speaks against it. Changes nothing.

    Raises:
        click.ClickException: what would be lost could not be brought back.
    """
    running_service(tools, cluster, environment)
    platform = parse(PlatformSettings, Project.PLATFORM, tools.engine.settings(Project.PLATFORM, cluster))
    external = platform.backups_external
    if platform.backed_up is not Store.EXTERNAL or external is None:
        raise click.ClickException(
            f"backups of cluster {cluster!r} are {platform.backed_up.value}: nothing of them would be left when it is "
            "lost. They must be in a store elsewhere (`slipway-platform:backups external`, docs/how-to/backups.md); on "
            "an embedded cluster `slipway store serve` is one"
        )
    if first_objects.named(objects, "Secret", Namespace.DATA.value, external.secret) is None:
        raise click.ClickException(
            f"the objects hold no Secret {external.secret!r} in {Namespace.DATA.value}, by which the store is reached: "
            "it goes with the cluster, so the new one could not be restored"
        )
    stacks = [stack for project, stack in tools.engine.stacks_of(cluster) if project is Project.SERVICE]
    return Intent(
        cluster=cluster,
        environment=environment.value,
        environments=tuple(stack.rpartition("-")[2] for stack in stacks),
        target=tools.engine.settings(Project.CLUSTER, cluster).get("target", Target.EMBEDDED.value),
        archive=platform.backup_name,
        successor=successor(platform.backup_name, now),
    )


@final
class Record:
    """What is known of a cluster that a drill is losing: the drill goes on with it after an interruption."""

    def __init__(self, cluster: str) -> None:
        self._path = state_folder() / f"rebuild-{cluster}.json"

    def read(self) -> tuple[Intent, Lost] | None:
        """What was kept; None if no drill was interrupted after it had begun to lose something."""
        if not self._path.exists():
            return None
        kept: dict[str, dict[str, Any]] = json.loads(self._path.read_text(encoding="utf-8"))
        intent, lost = kept["intent"], kept["lost"]
        intent["environments"] = tuple(intent["environments"])
        return Intent(**intent), Lost(lost["run"], Path(lost["journal"]), lost["at"])

    def write(self, intent: Intent, lost: Lost) -> None:
        """Keep it, whole or not at all."""
        kept = {"intent": asdict(intent), "lost": {**asdict(lost), "journal": str(lost.journal)}}
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(self._path)

    def remove(self) -> None:
        """Forget it: everything is made anew and judged."""
        self._path.unlink(missing_ok=True)


@final
class ClusterEstate:
    """`slipway.proof.rebuild.Estate` of one cluster.

    Args:
        tools: the engine, and whoever is told.
        intent: what is to be done.
        objects: what is put on the new cluster first.
        folder: where the ingress's authority is written.
    """

    def __init__(self, tools: Tools, intent: Intent, objects: first_objects.Objects, folder: Path) -> None:
        self._tools = tools
        self._intent = intent
        self._objects = objects
        self._folder = folder
        self._record = Record(intent.cluster)
        self._way: Way | None = None

    @classmethod
    def left(cls, tools: Tools, objects: first_objects.Objects, folder: Path, cluster: str) -> tuple[Self, Lost] | None:
        """The one that an interrupted drill has left; None if there is none."""
        kept = Record(cluster).read()
        return None if kept is None else (cls(tools, kept[0], objects, folder), kept[1])

    def remember(self, lost: Lost) -> None:
        """Keep what must be known after the loss."""
        self._record.write(self._intent, lost)

    def done(self) -> None:
        """It is judged."""
        self._record.remove()

    def base_backup(self) -> None:
        """A new one: that of last night would do, and says nothing of whether the store takes one now."""
        with kubectl_for(self._tools, self._intent.cluster) as kubectl:
            PostgresDatabases(kubectl, Environment(self._intent.environment)).new_base_backup()
        self._way = self._reach()

    def lose(self) -> None:
        """Pull the plug where that can be done from here; elsewhere take everything down."""
        if node.exists(self._intent.cluster):
            kill(load(self._intent.cluster))
        else:
            self._take_down()

    def rebuild(self) -> None:
        """Remove what is left, then what `slipway up` does with an archive to begin with."""
        intent, tools = self._intent, self._tools
        if not intent.removed:
            self._take_down()
            kept = self._record.read()
            self._intent = intent = replace(intent, removed=True)
            if kept is not None:
                self._record.write(intent, kept[1])
        bring_up(tools, wanted(intent, self._objects), {})
        for other in intent.environments:
            if other != intent.environment:
                tools.progress.step(f"service in {other}")
                stack = service_stack(intent.cluster, Environment(other))
                tools.engine.up(Project.SERVICE, stack, {}, tools.progress.engine_event)
        self._way = self._reach()

    def connect(self) -> Users:
        """A client through the ingress."""
        if self._way is None:
            raise AssertionError("the drill asks for a base backup or a rebuild first")
        return Users(self._way)

    def _take_down(self) -> None:
        take_down(self._tools, self._intent.cluster, keep_settings=True)

    def _reach(self) -> Way:
        environment = Environment(self._intent.environment)
        platform, service = running_service(self._tools, self._intent.cluster, environment)
        host = live_host(environment, platform["domain"])
        return Way(
            base_url=f"https://{host}",
            host=host,
            ca=write_ca(platform, self._folder),
            address=address_of(platform["ingressAddress"]),
            token=service["accessKey"],
        )


def wanted(intent: Intent, objects: first_objects.Objects) -> Wanted:
    """What the new cluster is to be: as its stacks have set, but for where Postgres begins and what it writes to."""
    begins: Mapping[str, Any] = {"name": intent.archive}
    return Wanted(
        intent.cluster,
        Environment(intent.environment),
        "auto" if intent.target == Target.EMBEDDED else intent.target,
        {
            Project.CLUSTER: {},
            Project.PLATFORM: {"backupName": intent.successor, "restoreFrom": json.dumps(begins)},
            Project.SERVICE: {},
        },
        objects=objects,
    )
