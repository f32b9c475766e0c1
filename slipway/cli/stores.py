"""Postgres, Redis and the service's messages of a running platform, by kubectl: what drills of data ask of them."""

import contextlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, final

from infra import naming
from infra.components import redis_files
from infra.naming import Environment, Namespace
from infra.redis_keeper.keeper import facts_of
from slipway.node.errors import NodeError
from slipway.proof.surroundings import Leader

NAMESPACE: Final = f"--namespace={Namespace.DATA.value}"
#: What the operator calls a cluster that nothing is wrong with (its `status.phase`).
_HEALTHY: Final = "Cluster in healthy state"
_SWITCHOVER: Final = "Switchover in progress"
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_INFO: Final = redis_files.asking("INFO", 5)
#: A database that each Postgres has.
_EVERYWHERE: Final = "postgres"
#: A message of the service that is due only in an hour, and how it is found again.
_HELD_BACK: Final = "drill.held-back"

Kubectl = Callable[..., str]


@final
class PostgresStore:
    """The platform's Postgres; `slipway.proof.surroundings.Database`.

    Args:
        kubectl: Runs kubectl as the administrator; takes `stdin`.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def running(self) -> dict[str, Any]:
        """The `Cluster` object.

        Raises:
            NodeError: There is none, or the API does not answer.
        """
        found = self._kubectl("get", "clusters.postgresql.cnpg.io", naming.POSTGRES, NAMESPACE, "--output=json")
        return json.loads(found)

    def primary(self) -> str:
        """Name of the pod that the operator calls primary."""
        return str(self.running()["status"]["currentPrimary"])

    def leader(self) -> Leader | None:
        """Who leads, once the operator calls everything healthy; each succession is another life."""
        with contextlib.suppress(NodeError):
            return led(self.running())
        return None

    def hand_over(self) -> None:
        """Ask the primary to hand over to the member after it.

        Raises:
            NodeError: No other member is healthy.
        """
        self.hand_over_to(next_primary(self.running()["status"]))

    def hand_over_to(self, member: str) -> None:
        """Ask for a switchover, as the operator's own plugin for kubectl does."""
        status = {
            "targetPrimary": member,
            "targetPrimaryTimestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "phase": _SWITCHOVER,
            "phaseReason": "asked for by a drill",
        }
        self._kubectl(
            "patch", "clusters.postgresql.cnpg.io", naming.POSTGRES, NAMESPACE, "--subresource=status", "--type=merge",
            f"--patch={json.dumps({'status': status})}",
        )  # fmt: skip

    def roll(self) -> None:
        """Ask for a new pod of each member, as the operator's own plugin for kubectl does."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self._kubectl(
            "annotate", "clusters.postgresql.cnpg.io", naming.POSTGRES, NAMESPACE, "--overwrite", f"{_RESTARTED}={now}"
        )

    def hold_replicas(self) -> None:
        """Let all replicas stop to replay what they receive; they still acknowledge it."""
        running = self.running()["status"]
        others = [name for name in running["instanceNames"] if name != running["currentPrimary"]]
        for name in others:
            self.ask(_EVERYWHERE, "SELECT pg_wal_replay_pause()", pod=name)

    def free_replicas(self) -> None:
        """Let them go on; nothing is asked of who leads."""
        for name in self.running()["status"]["instanceNames"]:
            self.ask(_EVERYWHERE, "SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()", pod=name)

    def ask(self, database: str, text: str, *, pod: str = "", **values: str) -> str:
        """Run a statement as the owner of everything; values go in by psql, which quotes them.

        Args:
            database: Its name.
            text: The statement, with `:'name'` for each value.
            pod: Where; empty: on the primary.
            values: What it speaks of.
        """
        program = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        given = [f"--set={name}={value}" for name, value in values.items()]
        return self._kubectl(
            "exec", "--stdin", pod or self.primary(), NAMESPACE, "--container=postgres", "--",
            *program, *given, f"--dbname={database}", "--file=-", stdin=f"{text};\n",
        ).strip()  # fmt: skip


def led(running: dict[str, Any]) -> Leader | None:
    """Who leads by a `Cluster` object; None while a member is away or a succession is under way."""
    status = running.get("status", {})
    whole = status.get("readyInstances") == running["spec"]["instances"]
    settled = status.get("currentPrimary") == status.get("targetPrimary") and status.get("phase") == _HEALTHY
    if not whole or not settled:
        return None
    return Leader(status["currentPrimary"], status.get("currentPrimaryTimestamp", ""))


def next_primary(status: dict[str, Any]) -> str:
    """The healthy member after the one that leads, by name.

    Raises:
        NodeError: There is no other one.
    """
    now = status["currentPrimary"]
    others = sorted(name for name in status.get("instancesStatus", {}).get("healthy", ()) if name != now)
    if not others:
        raise NodeError(f"Postgres can hand over to nobody: {now} leads, and no other member is healthy")
    return next((name for name in others if name > now), others[0])


@final
class RedisStore:
    """The platform's Redis for state, as its members see it; `slipway.proof.surroundings.Replicated`."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def leader(self) -> Leader | None:
        """The member that takes writes: master, and heard by as many replicas as it needs. Silent members are none.

        All are asked at once: how long nobody has led is measured by this.
        """
        members = [naming.redis_member(number) for number in range(naming.REDIS_MEMBERS)]
        with ThreadPoolExecutor(len(members)) as pool:
            return next(filter(None, pool.map(self._led_by, members)), None)

    def _led_by(self, pod: str) -> Leader | None:
        with contextlib.suppress(NodeError):
            told = self._kubectl("exec", pod, NAMESPACE, "--container=redis", "--", "sh", "-c", _INFO)
            if (life := master_life(told)) is not None:
                return Leader(pod, life)
        return None

    def roll(self) -> None:
        """Give each member a new pod, one after the other."""
        self._kubectl("rollout", "restart", f"statefulset/{naming.REDIS}", NAMESPACE)


def master_life(told: str) -> str | None:
    """The run of a Redis that takes writes, by what its INFO says; None if it takes none."""
    facts = facts_of(told)
    if facts.get("role") != "master" or facts.get("min_slaves_good_slaves", "0") == "0":
        return None
    return facts.get("run_id")


@final
class ServiceMessages:
    """The table of messages of one environment's service; `slipway.proof.surroundings.Messages`."""

    def __init__(self, postgres: PostgresStore, environment: Environment) -> None:
        self._postgres = postgres
        self._database = naming.database(environment)

    def waiting(self) -> int:
        """Rows that nobody has acted on."""
        return int(self._postgres.ask(self._database, "SELECT count(*) FROM messages"))

    def hold_back(self) -> None:
        """One that is due in an hour."""
        text = (
            "INSERT INTO messages (topic, payload, attempts, due_at)"
            " VALUES (:'topic', '{}', 0, now() + interval '1 hour')"
        )
        self._postgres.ask(self._database, text, topic=_HELD_BACK)

    def let_go(self) -> None:
        """Remove it."""
        self._postgres.ask(self._database, "DELETE FROM messages WHERE topic = :'topic'", topic=_HELD_BACK)
