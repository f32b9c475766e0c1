"""What Redis and Sentinel are told: their configuration and their users, as texts. No secret is in a configuration."""

import json
from typing import Final

from infra.naming import REDIS_METRICS_PORT, REDIS_PORT, REDIS_USER, SENTINEL_PORT

#: Where a pod of either role has its secrets, its configuration and its volume.
AUTH: Final = "/run/secrets/redis"
TLS: Final = "/run/secrets/redis-tls"
ETC: Final = "/etc/redis"
DATA: Final = "/data"

KEEPER: Final = "keeper"
METRICS: Final = "metrics"

#: Seconds without a sign of a replica after which it no longer counts; then the master takes no writes.
_MAX_LAG: Final = 10

#: The files of a server of either kind. Who calls shows a password, no certificate.
_TLS: Final = (
    ("tls-cert-file", f"{TLS}/tls.crt"),
    ("tls-key-file", f"{TLS}/tls.key"),
    ("tls-ca-cert-file", f"{TLS}/ca.crt"),
    ("tls-auth-clients", "no"),
)

_COMMON: Final = (
    "port 0",  # nobody is heard who does not speak TLS
    f"tls-port {REDIS_PORT}",
    *(f"{name} {value}" for name, value in _TLS),
    "bind * -::*",
    "protected-mode no",  # the user list asks everyone for a password
    f"aclfile {AUTH}/users.acl",
    "tcp-keepalive 15",
    # What is never refused (a replica's stream, a rewrite) comes on top of maxmemory; the limit leaves room for it.
    "repl-diskless-sync yes",
)


def state_configuration(maxmemory: str) -> str:
    """A member of the state role: every write is on disk within a second, and nothing is thrown away to make room.

    It starts as a replica of nobody (port 1 of itself) that nobody may elect: its keeper gives it its role. While it
    has none it still tells how fresh its data is.

    Args:
        maxmemory: Data that it holds before it refuses writes, in Redis's notation.
    """
    return _lines(
        *_COMMON,
        "tls-replication yes",
        f"dir {DATA}/redis",
        f"include {AUTH}/replication.conf",
        "replicaof 127.0.0.1 1",
        "replica-priority 0",
        "replica-serve-stale-data yes",
        "repl-diskless-sync-delay 0",
        "repl-timeout 10",
        "repl-ping-replica-period 2",
        "min-replicas-to-write 1",
        f"min-replicas-max-lag {_MAX_LAG}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',  # the append-only file is the memory; a second one would only cost
        f"maxmemory {maxmemory}",
        "maxmemory-policy noeviction",
    )


def cache_configuration(maxmemory: str) -> str:
    """The cache role: nothing is kept on disk, and what is read least makes room.

    Args:
        maxmemory: Data that it holds, in Redis's notation.
    """
    return _lines(
        *_COMMON,
        "dir /tmp",
        "appendonly no",
        'save ""',
        f"maxmemory {maxmemory}",
        "maxmemory-policy allkeys-lfu",
    )


def sentinel_command() -> list[str]:
    """Sentinel's command. It keeps what it learns in a file on the volume; options given here win over that file."""
    tls = " ".join(f"--{name} {value}" for name, value in (*_TLS, ("tls-replication", "yes")))
    options = f"--sentinel --port 0 --tls-port {SENTINEL_PORT} {tls}"
    options = f"{options} --protected-mode no --dir /tmp --aclfile {AUTH}/sentinel.acl"
    file = f"{DATA}/sentinel/sentinel.conf"
    return ["sh", "-c", f"mkdir -p {DATA}/sentinel && touch {file} && exec redis-server {file} {options}"]


def redis_command() -> list[str]:
    """The command of a member of the state role."""
    return ["sh", "-c", f"mkdir -p {DATA}/redis && exec redis-server {ETC}/redis.conf"]


def users(service: str, keeper: str, metrics: str) -> str:
    """The users of a Redis, each with no more than it needs; the default one is off.

    Args:
        service: Password of services: all but what changes or stops the server or others' connections.
        keeper: Password of the keeper, of Sentinel and of replicas.
        metrics: Password of the exporter, which reads figures and no data.
    """
    return _lines(
        "user default off",
        f"user {KEEPER} on >{keeper} ~* &* +@all",
        f"user {REDIS_USER} on >{service} ~* &* +@all -@admin -@dangerous",
        f"user {METRICS} on >{metrics} -@all +@connection -@dangerous +info +config|get"
        " +latency|latest +latency|histogram +slowlog|len +slowlog|get +dbsize",
    )


def sentinel_users(service: str, keeper: str) -> str:
    """The users of a Sentinel.

    Args:
        service: Password of services, which may ask who is master.
        keeper: Password of keepers and of the other Sentinels.
    """
    return _lines(
        "user default off",
        f"user {KEEPER} on >{keeper} ~* &* +@all",
        f"user {REDIS_USER} on >{service} &* -@all +@connection -@dangerous +info"
        " +sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|replicas +sentinel|slaves"
        " +sentinel|sentinels",
    )


def exporter_passwords(metrics: str) -> str:
    """The exporter's password file: by whom it logs in where. It finds a password under this very address only.

    Args:
        metrics: Password of the exporter.
    """
    return json.dumps({f"rediss://{METRICS}@127.0.0.1:{REDIS_PORT}": metrics})


def exporter_arguments() -> list[str]:
    """The exporter's arguments: whose figures, as whom, and none that there is a series of for each command."""
    return [
        f"--redis.addr=rediss://127.0.0.1:{REDIS_PORT}",
        f"--tls-ca-cert-file={TLS}/ca.crt",
        f"--redis.user={METRICS}",
        f"--redis.password-file={AUTH}/exporter.json",
        f"--web.listen-address=:{REDIS_METRICS_PORT}",
        "--exclude-latency-histogram-metrics",
    ]


def asking(command: str, seconds: int) -> str:
    """What a shell in a pod runs to ask its Redis something, as the user that may read no data.

    Args:
        command: In redis-cli's words.
        seconds: After which it gives up.
    """
    client = f"redis-cli --user {METRICS} --tls --cacert {TLS}/ca.crt"
    return f'REDISCLI_AUTH="$(cat {AUTH}/probe)" timeout {seconds} {client} {command}'


def replication(keeper: str) -> str:
    """How a replica calls on its master.

    Args:
        keeper: Password of the keeper.
    """
    return _lines(f"masteruser {KEEPER}", f"masterauth {keeper}")


def _lines(*lines: str) -> str:
    return "\n".join((*lines, ""))
