"""`python -m infra.redis_keeper`: keeps one member of a replicated Redis in its role until it is told to stop.

Exit codes: 0 stopped in order, 2 wrong arguments.
"""

import argparse
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from types import FrameType

from infra.redis_keeper import links, renewal
from infra.redis_keeper.health import Endpoint, Health
from infra.redis_keeper.keeper import Group, introduce, round_of
from infra.redis_keeper.wire import Access, Place

_EVERY = 0.5  # seconds; a master that was started again has to lead before its Sentinels hold it for down


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = _parser().parse_args(arguments)
    stop, health = Event(), Health()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        group = group_of(given, lambda name: _resolved(name, stop))
        endpoint = Endpoint(given.health_port, health)
    except (ValueError, OSError, OverflowError) as error:
        sys.stderr.write(f"the keeper does not start: {error}\n")
        return 2
    with contextlib.closing(group.lines), endpoint:
        keep(group, given.tls, stop, health)
    return 0


def keep(group: Group, tls: Path, stop: Event, health: Health) -> None:
    """Go round until `stop` is set; each new decision is one line of the log.

    Args:
        group: The set.
        tls: Where the member's certificate is.
        stop: Ends it.
        health: Is told what each round sees.
    """
    last, introduced, looked, compared = "", False, None, time.monotonic()
    while not stop.is_set():
        introduced = introduced or introduce(group)
        decision = str(round_of(group, health))
        if decision != last:
            print(f"member {group.ordinal}: {decision}", flush=True)  # noqa: T201  # its log
            last = decision
        if looked is None or time.monotonic() >= looked.at + links.EVERY:
            looked = _look_at_links(group, looked)
        if time.monotonic() >= compared + renewal.EVERY:
            compared = time.monotonic()
            if (done := renewal.renew(group, tls)) is not None:
                print(f"member {group.ordinal}: {done}", flush=True)  # noqa: T201  # its log
        stop.wait(_EVERY)


def _look_at_links(group: Group, before: links.Used | None) -> links.Used | None:
    now = links.used(group, time.monotonic())
    if now is not None and links.spins(before, now) and links.make_anew(group):
        print(f"member {group.ordinal}: its Sentinel spins; its connections are made anew", flush=True)  # noqa: T201  # its log
    return now


def group_of(given: argparse.Namespace, resolve: Callable[[str], str]) -> Group:
    """The group from the command line.

    Raises:
        ValueError: A place or the ordinal is wrong.
        OSError: The password cannot be read.
    """
    redis, sentinels = (
        tuple(Place(resolve(it.host), it.port) for it in map(Place.parse, text.split(",")))
        for text in (given.redis, given.sentinels)
    )
    ordinal = int(given.ordinal.rpartition("-")[2])
    if len(redis) != len(sentinels) or not 0 <= ordinal < len(redis):
        raise ValueError(
            f"{len(redis)} members, {len(sentinels)} Sentinels, ordinal {ordinal}; allowed are as many of the one as "
            "of the other, and an ordinal below that"
        )
    password = given.password_file.read_text("utf-8").strip() if given.password_file else ""
    own = given.own_host
    return Group(
        name=given.name,
        ordinal=ordinal,
        redis=redis,
        sentinels=sentinels,
        own_redis=Place(own, redis[ordinal].port),
        own_sentinel=Place(own, sentinels[ordinal].port),
        access=Access(
            given.user if password else "", password, authority=given.tls / renewal.FILES["tls-ca-cert-file"]
        ),
        down_after=given.down_after,
        failover_timeout=given.failover_timeout,
    )


def _resolved(name: str, stop: Event) -> str:
    """The address of a name. Asked once, at the start: Services keep their addresses, name servers may be away."""
    while not stop.is_set():
        try:
            return socket.gethostbyname(name)
        except OSError as error:
            print(f"{name} has no address yet: {error}", flush=True)  # noqa: T201  # its log
            stop.wait(_EVERY)
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.redis_keeper", description=__doc__)
    parser.add_argument("--name", required=True, help="what Sentinels call the set")
    parser.add_argument("--ordinal", required=True, help="this member's number, or a name that ends in it: redis-2")
    parser.add_argument("--redis", required=True, help="host:port of every member, with commas between them")
    parser.add_argument("--sentinels", required=True, help="host:port of every Sentinel, with commas between them")
    parser.add_argument("--own-host", default="127.0.0.1", help="where this member's own Redis and Sentinel listen")
    parser.add_argument("--user", default="keeper", help="who the keeper is to Redis and Sentinel")
    parser.add_argument("--password-file", type=Path, help="its password; without one it gives none")
    parser.add_argument("--tls", type=Path, required=True, help="folder with ca.crt and the member's own tls.crt")
    parser.add_argument("--down-after", type=int, default=5000, help="milliseconds of silence of a member that is down")
    parser.add_argument("--failover-timeout", type=int, default=5000, help="milliseconds that a failover may take")
    parser.add_argument("--health-port", type=int, default=0, help="where it answers /readyz and /livez")
    return parser


if __name__ == "__main__":
    sys.exit(main())
