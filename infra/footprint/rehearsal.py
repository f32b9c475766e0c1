"""Runs a program without engine and cluster, and keeps what it would have made.

Pulumi's own mocks answer in the place of the engine. What comes out is therefore what `pulumi up` would send, object by
object: nothing here knows which parts there are.
"""

import asyncio
import sys
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec, TypeVar, final

from google.protobuf import json_format
from pulumi.runtime import mocks, settings

from infra import tls

_SECRET: Final = "4dabf18193072939515e22adb298388d"  # noqa: S105  # how the wire format marks a special value
_ROOT: Final = "pulumi:pulumi:Stack"
_PLACEHOLDER: Final = "rehearsed"
_DIGEST: Final = "sha256:" + "0" * 64

Argument = ParamSpec("Argument")
Result = TypeVar("Result")


@final
@dataclass(frozen=True)
class Declared:
    """One resource that a program asked for.

    Attributes:
        type: Its type token.
        name: Its logical name.
        parents: Logical names of the components that it is in, the outermost first.
        inputs: What it was made from, without the marks of secrets; what only a cluster could tell is a placeholder.
    """

    type: str
    name: str
    parents: tuple[str, ...]
    inputs: dict[str, Any]


def rehearse(program: Callable[[], None]) -> tuple[Declared, ...]:
    """Run a program that makes resources, and tell which ones. Must not run inside a Pulumi program.

    Raises:
        Exception: Whatever the program raises.
    """
    monitor = _Monitor()
    with _event_loop(), deep():
        try:
            mocks.set_mocks(_Answers(), project=_PLACEHOLDER, stack=_PLACEHOLDER, preview=False, monitor=monitor)
            mocks.test(program)()
        finally:
            settings.reset_options()
    return tuple(monitor.declared)


@contextmanager
def deep() -> Generator[None]:
    """Under mocks, which answer at once, a whole platform goes deeper than Python's usual limit."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * usual)
    try:
        yield
    finally:
        sys.setrecursionlimit(usual)


class _Answers(mocks.Mocks):
    """Gives resources the outputs that other resources are made from."""

    def __init__(self) -> None:
        super().__init__()
        # A real one: programs read its end.
        self._certificate = tls.authority(_PLACEHOLDER, days=1, now=datetime.now(UTC)).certificate

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = {key: value for key, value in args.inputs.items() if key != "__provider"}
        if args.typ.startswith("pulumi-python:dynamic"):
            outputs |= dict.fromkeys(("password", "private_key"), f"{_PLACEHOLDER}-{args.name}")
            outputs |= {"certificate": self._certificate}
            outputs |= {"digest": _DIGEST, "reference": f"{_PLACEHOLDER}/{args.name}@{_DIGEST}"}
        if args.inputs.get("spec", {}).get("type") == "LoadBalancer":
            outputs["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise NotImplementedError(f"a rehearsal reads nothing of other stacks: {args.token}")


class _Monitor(mocks.MockMonitor):
    """Keeps each registration, with the components above it."""

    def __init__(self) -> None:
        super().__init__(_Answers())
        self.declared: list[Declared] = []
        self._paths: dict[str, tuple[str, ...]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the SDK's own name
        response = super().RegisterResource(request)
        if request.type != _ROOT:
            parents = self._paths.get(request.parent, ())
            self._paths[response.urn] = (*parents, request.name)
            inputs = _plain(json_format.MessageToDict(request.object))
            self.declared.append(Declared(request.type, request.name, parents, inputs))
        return response


def _plain(value: Any) -> Any:
    """A value without the marks of secrets, whole numbers as such."""
    if isinstance(value, dict):
        return _plain(value["value"]) if _SECRET in value else {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Here(ThreadPoolExecutor):
    """Runs at once, here: the SDK would make an event loop in every thread of a pool, and close none of them."""

    def submit(
        self, fn: Callable[Argument, Result], /, *args: Argument.args, **kwargs: Argument.kwargs
    ) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # a future carries whatever was raised
            future.set_exception(error)
        return future


@contextmanager
def _event_loop() -> Generator[None]:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Here())
    asyncio.set_event_loop(loop)
    try:
        yield
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
