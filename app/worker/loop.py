"""The worker's loop: publish what is due, act on what arrives, stop between two messages."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any, cast

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.core import reports, trace
from app.core.database import Database, Source
from app.core.database_errors import CommitUnknown, TookTooLong, Unavailable
from app.core.trace import Kind
from app.repositories import messages
from app.repositories.messages import Due
from app.worker.handlers import Handler, HandlingError, PostponedError

_LOG = logging.getLogger(__name__)
_GROUP = "workers"
_BATCH = 50
_BLOCK_MILLISECONDS = 500
_PAUSE_SECONDS = 1.0
_COUNT_SECONDS = 5.0
_LONGEST_STREAM = 10_000
_FINE = {"done", "duplicate", "postponed"}
TROUBLE = (RedisError, SQLAlchemyError, Unavailable, TookTooLong, CommitUnknown)


class Chore:
    """Something that a worker does besides, now and then.

    Args:
        seconds: between two times.
        do: what.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, do: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._do = do
        self._clock = clock
        self._due = -math.inf

    def __call__(self) -> None:
        """Do it if it is time; what fails is done at the next time."""
        if self._clock() >= self._due:
            self._due = self._clock() + self._seconds
            self._do()


class Worker:
    """Acts on messages until it is stopped.

    Args:
        database: where messages wait.
        redis: carries them; may lose them.
        stream: name of the stream, one for each environment.
        name: of this worker.
        handlers: topic -> what to do.
        may_consume: asked before every round; only the stable colour's workers may.
        registry: where counters go.
        chores: done besides by whoever consumes.
    """

    def __init__(
        self,
        *,
        database: Database,
        redis: Redis,
        stream: str,
        name: str,
        handlers: Mapping[str, Handler],
        may_consume: Callable[[], bool],
        registry: CollectorRegistry,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._database = database
        self._redis = redis
        self._stream = stream
        self._name = name
        self._handlers = handlers
        self._may_consume = may_consume
        self._outcomes = Counter(
            "payload_messages_total", "Messages by what became of them", ["topic", "outcome"], registry=registry
        )
        self._there = Gauge("payload_outbox_messages", "Messages in the table", ["state"], registry=registry)
        self._oldest = Gauge("payload_outbox_oldest_seconds", "For how long one has been due", registry=registry)
        self._chores = (Chore(_COUNT_SECONDS, self._count), *chores)

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; trouble with Redis or Postgres only makes it wait."""
        while not stop.is_set():
            if not self._may_consume():
                self._uncount()
                stop.wait(_PAUSE_SECONDS)
                continue
            try:
                self.round(stop)
                for chore in self._chores:
                    chore()
            except TROUBLE as error:
                _LOG.warning("worker waits", extra={"error.message": str(error)})
                stop.wait(_PAUSE_SECONDS)

    def round(self, stop: Event) -> None:
        """Publish what is due and act on what has arrived."""
        self._publish()
        for message in self._arrived():
            if stop.is_set():
                return  # not acted on: it becomes due again
            self._act(message)

    def _count(self) -> None:
        now = datetime.now(UTC)
        found = self._database.read(lambda connection: messages.counts(connection, now), prefer=Source.PRIMARY)
        waiting, dead, late = found
        self._there.labels("open").set(waiting)
        self._there.labels("dead").set(dead)
        self._oldest.set(late)

    def _uncount(self) -> None:
        """Say nothing of the table: the other colour's workers count it now, and what was counted here grows old."""
        self._there.clear()
        self._oldest.set(0)

    def _publish(self) -> None:
        def work(connection: Connection) -> None:
            due = messages.take_due(connection, datetime.now(UTC), _BATCH)
            if due:
                pipeline = self._redis.pipeline(transaction=False)
                for message in due:
                    pipeline.xadd(self._stream, _fields(message), maxlen=_LONGEST_STREAM, approximate=True)
                pipeline.execute()  # before COMMIT: if it fails, they stay due

        self._database.write(work)

    def _arrived(self) -> Iterator[Due]:
        """Take messages from the stream without acknowledging them: the table knows which are done."""
        try:
            answer = self._redis.xreadgroup(
                _GROUP, self._name, {self._stream: ">"}, count=_BATCH, block=_BLOCK_MILLISECONDS, noack=True
            )
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._redis.xgroup_create(self._stream, _GROUP, id="0", mkstream=True)
            return
        for entry in _entries(answer):
            traceparent = entry.get(b"traceparent")
            yield Due(
                **orjson.loads(entry[b"message"]), traceparent=None if traceparent is None else traceparent.decode()
            )

    def _act(self, message: Due) -> None:
        handler = self._handlers.get(message.topic)
        if handler is None:
            self._outcomes.labels("unknown", "left").inc()
            return
        attributes = {"messaging.system": "redis", "messaging.message.id": str(message.id)}
        span = trace.begin(f"process {message.topic}", Kind.CONSUMER, message.traceparent, attributes)
        outcome = "error"
        try:
            outcome = self._handle(handler, message)
        except TROUBLE:
            raise
        except Exception as error:
            _report(error, message)
            raise
        finally:
            if span is not None:
                span.end(attributes={"slipway.outcome": outcome}, error=None if outcome in _FINE else outcome)
            trace.enter(None)

    def _handle(self, handler: Handler, message: Due) -> str:
        def work(connection: Connection) -> bool:
            if not messages.close(connection, message.id):
                return False
            handler(message)
            return True

        outcome = "done"
        try:
            if not self._database.write(work):
                outcome = "duplicate"
        except PostponedError:
            outcome = "postponed"
        except HandlingError as error:
            reason = str(error)
            dead = self._database.write(
                lambda connection: messages.failed(connection, message.id, reason, datetime.now(UTC))
            )
            outcome = "dead" if dead else "failed"
            if dead:
                _report(error, message)
        self._outcomes.labels(message.topic, outcome).inc()
        _LOG.log(
            logging.INFO if outcome in _FINE else logging.WARNING,
            "message",
            extra={
                "event.action": message.topic,
                "event.outcome": outcome,
                "http.request.id": message.trace,
                "labels.message": message.id,
            },
        )
        return outcome


def _report(error: Exception, message: Due) -> None:
    reports.report(error, route=message.topic, request_id=message.trace or "none")


def _fields(message: Due) -> dict[Any, Any]:
    """Return the fields of an entry. A version that knows nothing of traces reads the first one alone."""
    trace.enter(trace.parse(message.traceparent))
    told = {name: value for name, value in vars(message).items() if name != "traceparent"}
    fields = {"message": orjson.dumps(told)}
    with trace.span(f"publish {message.topic}", Kind.PRODUCER, {"messaging.system": "redis"}):
        here = trace.current()
        if here is not None:
            fields["traceparent"] = here.header.encode()
    trace.enter(None)
    return fields


def _entries(answer: Any) -> Iterator[dict[bytes, bytes]]:
    """Return the fields of each entry of one stream; Redis answers lists or, by protocol 3, mappings."""
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or []]
    for entries in streams:
        rows = entries[0] if entries and isinstance(entries[0], list) else entries
        for _, fields in rows:
            yield cast("dict[bytes, bytes]", fields)
