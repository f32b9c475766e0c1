"""The drill of a full volume: the write-ahead log of the Postgres that leads finds no room any more."""

from dataclasses import replace
from typing import Final

from slipway.proof.bars import Limits
from slipway.proof.catalogue import LEDGER_CONTROL, DrillInfo
from slipway.proof.drill import Drill, Shape
from slipway.proof.faults import Switch
from slipway.proof.surroundings import ANSWERED_WITHIN, NothingToBreakError, Surroundings, all_back

_HELD: Final = 60.0  # seconds without room
_WRITES_AGAIN: Final = 120.0  # seconds: a container that ended five times waits 80 s before it is started again
_WITHIN: Final = 300.0


def _volume_full(surroundings: Surroundings) -> Drill:
    """Nobody takes over: replicas have the same log on volumes of the same size. Reads go on, writes come back."""
    postgres, volume = surroundings.postgres, surroundings.log_volume
    if postgres is None or volume is None:
        raise NothingToBreakError("the volumes of this platform's Postgres cannot be made small from here")
    back = all_back(surroundings)
    fault = Switch("leave no room for the log of Postgres", volume.fill, volume.free)
    return Drill(
        name="postgres-volume-full",
        plan=replace(surroundings.plan, allow_503=True, stall=max(surroundings.plan.bears, ANSWERED_WITHIN)),
        limits=Limits(requests=1, outage_p95=_WRITES_AGAIN, lost=0),
        shape=Shape(hold=_HELD, recovered_within=_WITHIN),
        next_fault=lambda _number: fault,
        ready=lambda: back() and postgres.leader() is not None,
        connect=surroundings.connect,
        setting=Switch("a small volume for the log of who leads", volume.lend, volume.take_back),
    )


INFO: Final = DrillInfo(
    "postgres-volume-full",
    "The volume of the write-ahead log of who leads Postgres has no room left for a minute, under load.",
    (
        "0 reads failed",
        "0 writes failed but for 503 with Retry-After",
        f"writes accepted again within {_WRITES_AGAIN:g} s of there being room",
        "0 acknowledged writes lost or doubled",
    ),
    (LEDGER_CONTROL,),
    10,
    _volume_full,
)
