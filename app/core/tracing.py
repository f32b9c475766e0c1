"""Spans by OpenTelemetry, sent by OTLP (HTTP, protobuf) from a thread of their own. Imported only where it is wanted.

A receiver that is slow, broken or away costs spans, never a request: a full queue drops, and nobody waits for it.
"""

import os
import socket
from threading import Thread
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from sqlalchemy import Engine, event

from app.core import trace
from app.core.settings import Settings
from app.core.trace import Attributes, Kind, Trace

_EXPORT_SECONDS = 3
_QUEUE, _BATCH, _DELAY_MILLISECONDS = 4096, 512, 1000
_FLUSH_SECONDS = 3.0
_KEY = "slipway_span"


class _Span:
    """One of OpenTelemetry's, in our form."""

    def __init__(self, span: SdkSpan) -> None:
        self._span = span
        found = span.get_span_context()
        self.trace = Trace(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)

    def end(self, *, attributes: Attributes | None = None, error: str | None = None) -> None:
        """End it."""
        self._span.set_attributes(dict(attributes or {}))
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class OtelRecorder:
    """Makes spans and sends them; the ratio counts only where nobody before us has decided."""

    def __init__(self, settings: Settings) -> None:
        resource = {
            "service.name": "payload",
            "service.version": settings.version,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            "deployment.environment.name": settings.environment,
            "slipway.colour": settings.colour,
        }
        exporter = OTLPSpanExporter(endpoint=settings.traces_endpoint, timeout=_EXPORT_SECONDS)
        self._processor = BatchSpanProcessor(exporter, _QUEUE, _DELAY_MILLISECONDS, _BATCH)
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.traces_ratio)),
            resource=Resource.create(resource),
            shutdown_on_exit=False,  # it would wait for a receiver that hangs
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("app")

    def start(self, name: str, kind: Kind, parent: Trace | None, attributes: Attributes) -> _Span:
        """Begin a span."""
        context = set_span_in_context(NonRecordingSpan(_known(parent))) if parent is not None else None
        return _Span(self._tracer.start_span(name, context, SpanKind[kind.name], dict(attributes)))

    def flush(self, seconds: float) -> None:
        """Send what waits, for at most that long."""
        # The processor's own waits for as long as the receiver takes.
        sender = Thread(target=self._processor.force_flush, name="traces-flush", daemon=True)
        sender.start()
        sender.join(seconds)


_recorder: OtelRecorder | None = None


def start(settings: Settings) -> None:
    """Record requests, statements and messages of this process. Call after a fork: it starts a thread."""
    global _recorder  # noqa: PLW0603 - one for each process
    _recorder = OtelRecorder(settings)
    trace.use(_recorder)
    for name, listener in _LISTENERS:
        event.listen(Engine, name, listener)


def stop() -> None:
    """Record no more, and send what waits; ends after a few seconds, whatever the receiver does."""
    global _recorder  # noqa: PLW0603 - one for each process
    if _recorder is None:
        return
    trace.use(None)
    for name, listener in _LISTENERS:
        event.remove(Engine, name, listener)
    _recorder.flush(_FLUSH_SECONDS)
    _recorder = None


def _known(given: Trace) -> SpanContext:
    return SpanContext(
        int(given.trace_id, 16), int(given.span_id, 16), is_remote=True, trace_flags=TraceFlags(given.sampled)
    )


def _statement_begins(
    _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    here = trace.current()
    if _recorder is None or here is None or context is None:
        return
    # Values are parameters and are not sent; the text alone names no person.
    attributes = {"db.system.name": "postgresql", "db.query.text": statement}
    operation = statement.lstrip().partition(" ")[0].upper()
    setattr(context, _KEY, _recorder.start(operation, Kind.CLIENT, here, attributes))


def _statement_ends(
    _connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    span: _Span | None = getattr(context, _KEY, None)
    if span is not None:
        span.end()


def _statement_fails(failure: Any) -> None:
    span: _Span | None = getattr(failure.execution_context, _KEY, None)
    if span is not None:
        span.end(error=type(failure.original_exception).__name__)


_LISTENERS = (
    ("before_cursor_execute", _statement_begins),
    ("after_cursor_execute", _statement_ends),
    ("handle_error", _statement_fails),
)
