"""Pulumi without an engine: programs run against a monitor that records what they register.

One event loop for each test, and the SDK's global state reset after it: without that, work of one test ends up in the
next. Clusters and platforms that stand for real ones are in a plain module beside this file.
"""

import asyncio
import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import set_all_config, settings

from infra import releases, tls, versions
from infra.footprint.rehearsal import deep
from infra.images import image

sys.path.insert(0, str(Path(__file__).parent))

SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
ADDRESS = "10.123.0.200"
#: When every certificate ends that stands for one that was made.
END = datetime(2030, 1, 1, tzinfo=UTC)
CERTIFICATE = tls.authority("stand-in", days=30, now=END - timedelta(days=30)).certificate


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it.

    `inputs` are as the provider would get them; `raw` is the request's own form, in which secrets are still marked.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    raw: dict[str, Any]
    provider: str
    depends_on: tuple[str, ...]
    additional_secret_outputs: tuple[str, ...]
    ignore_changes: tuple[str, ...]
    custom: bool
    urn: str


@dataclass
class Cloud(pulumi_mocks.Mocks):
    """Stands for providers: gives resources the outputs that programs read."""

    preview: bool = False
    stacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    secret_outputs: tuple[str, ...] = ("kubeconfig", "redisPassword")

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = {key: value for key, value in args.inputs.items() if key != "__provider"}
        if self.preview:
            return None, outputs
        computed = self._of_aws(args) if args.typ.startswith("aws:") else self._computed(args)
        return f"{args.name}-id", {**outputs, **computed}

    def _computed(self, args: pulumi_mocks.MockResourceArgs) -> dict[str, Any]:
        match args.typ.rpartition(":")[2]:
            case "GeneratedPassword":
                return {"password": f"plain-password-of-{args.name}"}
            case "GeneratedAuthority" | "GeneratedCertificate":
                # What stands before a certificate in PEM is read over; the certificate is real: programs ask its end.
                return {
                    "certificate": f"certificate-of-{args.name}\n{CERTIFICATE}",
                    "private_key": f"plain-key-of-{args.name}",
                }
            case "LocalImage":
                digest = f"sha256:{args.inputs['name'].encode().hex():0<64.64}"
                entry = image(args.inputs["name"])
                return {"digest": digest, "reference": entry.local_reference(args.inputs["registry"], digest)}
            case "EmbeddedCluster":
                return {
                    "kubeconfig": "plain-kubeconfig",
                    "context": "test",
                    "identifier": "embedded/test",
                    "registry": "registry.test:5000",
                    "registry_push": "10.0.0.1:5000",
                    "registry_certificates": "/certificates",
                    "address_range": "10.0.0.200-10.0.0.250",
                    "storage_class": "standard",
                }
            case "Service":
                return self._of_service(args)
            case _:
                return {}

    @staticmethod
    def _of_service(args: pulumi_mocks.MockResourceArgs) -> dict[str, Any]:
        spec = args.inputs.get("spec", {})
        outputs = {"spec": {"clusterIP": f"address-of-{args.name}", **spec}}
        if spec.get("type") == "LoadBalancer":
            outputs["status"] = {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}
        return outputs

    @staticmethod
    def _of_aws(args: pulumi_mocks.MockResourceArgs) -> dict[str, Any]:
        name = args.inputs.get("name") or args.name
        outputs = {"name": name, "arn": f"arn-of-{args.typ.rpartition(':')[2]}-{args.name}", "keyId": f"{args.name}-id"}
        match args.typ:
            case "aws:eks/cluster:Cluster":
                outputs["endpoint"] = f"https://{name}.eks.test"
                outputs["certificateAuthority"] = {"data": "Q2VydGlmaWNhdGU="}
                outputs["identities"] = [{"oidcs": [{"issuer": f"https://issuer.test/{name}"}]}]
            case "aws:ec2/launchTemplate:LaunchTemplate":
                outputs["latestVersion"] = 1
            case _:
                pass
        return outputs

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        assert args.token == "pulumi:pulumi:readStackOutputs"
        name = args.args["name"]
        if name not in self.stacks:
            return {}, [("name", f"unknown stack {name!r}")]
        outputs = self.stacks[name]
        return {"outputs": outputs, "secretOutputNames": [key for key in outputs if key in self.secret_outputs]}, []


class RecordingMonitor(pulumi_mocks.MockMonitor):
    """Records requests, and marks outputs secret as the engine does (the SDK's own mock does not)."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.registered: list[Registered] = []
        self.exported: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the SDK's own name
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.registered.append(self._record(request, response.urn))
            self._mark_secrets(request, response.object)
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802  # the SDK's own name
        if "pulumi:pulumi:Stack::" in request.urn:
            self.exported = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)

    @staticmethod
    def _record(request: Any, urn: str) -> Registered:
        raw = json_format.MessageToDict(request.object)
        return Registered(
            type=request.type,
            name=request.name,
            inputs=plain(raw),
            raw=raw,
            provider=request.provider or next(iter(request.providers.values()), ""),
            depends_on=tuple(sorted(request.dependencies)),
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            ignore_changes=tuple(request.ignoreChanges),
            custom=request.custom,
            urn=urn,
        )

    @staticmethod
    def _mark_secrets(request: Any, outputs: struct_pb2.Struct) -> None:
        for key in request.additionalSecretOutputs:
            if key in outputs.fields:
                value = struct_pb2.Value()
                value.CopyFrom(outputs.fields[key])
                wrapped = struct_pb2.Struct()
                wrapped.fields[SIGNATURE_KEY].string_value = SECRET_SIGNATURE
                wrapped.fields["value"].CopyFrom(value)
                outputs.fields[key].struct_value.CopyFrom(wrapped)


def plain(value: Any) -> Any:
    """Take the marks of secrets away."""
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            return plain(value["value"])
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def unprotected(value: Any) -> Iterator[str]:
    """Every text that is not inside a secret."""
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            return
        for inner in value.values():
            yield from unprotected(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from unprotected(inner)
    elif isinstance(value, str):
        yield value


@dataclass(frozen=True)
class Run:
    """What a program registered."""

    resources: tuple[Registered, ...]
    exported: dict[str, Any]
    result: Any

    def counts(self) -> dict[str, int]:
        """How many of each type, components left out."""
        return dict(sorted(Counter(it.type for it in self.resources if it.custom).items()))

    def one(self, type_: str, name: str | None = None) -> Registered:
        """The only resource of a type, or of a type and a name."""
        found = [it for it in self.resources if it.type == type_ and (name is None or it.name == name)]
        assert len(found) == 1, f"{len(found)} resources of {type_} {name or ''}"
        return found[0]

    def of(self, type_: str) -> list[Registered]:
        return [it for it in self.resources if it.type == type_]

    def objects(self) -> list[dict[str, Any]]:
        """Every Kubernetes object."""
        return [it.inputs for it in self.resources if it.custom and it.type.startswith("kubernetes:")]

    def pods(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind/name and pod specification of everything that makes pods.

        Not of poolers: theirs is a part of one, which the operator completes (tests of the component look at it).
        """
        return [
            (f"{it['kind']}/{it['metadata']['name']}", it["spec"]["template"]["spec"])
            for it in self.objects()
            if "template" in (it.get("spec") or {}) and it["kind"] != "Pooler"
        ]

    def plain_texts(self) -> list[str]:
        """All that would stand in the state in plain text."""
        return [text for it in self.resources for text in unprotected(it.raw)] + list(unprotected(self.exported))


Deploy = Callable[..., Run]


class ImmediateExecutor(ThreadPoolExecutor):
    """Runs at once, here: the SDK would make an event loop in every thread of a pool, and close none of them."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # a future carries whatever was raised
            future.set_exception(error)
        return future


@pytest.fixture
def _event_loop() -> Iterator[None]:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ImmediateExecutor())
    asyncio.set_event_loop(loop)
    yield
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def deploy(_event_loop: None) -> Iterator[Deploy]:
    """Run a program and tell what it registered."""

    def run(
        program: Callable[[], Any],
        *,
        preview: bool = False,
        stack: str = "stack",
        config: Mapping[str, str] | None = None,
        stacks: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Run:
        cloud = Cloud(preview=preview, stacks=stacks or {})
        monitor = RecordingMonitor(cloud)
        pulumi_mocks.set_mocks(
            cloud, project="project", stack=stack, preview=preview, monitor=monitor, organization="organization"
        )
        set_all_config(dict(config or {}))
        result: list[Any] = []

        def body() -> None:
            result.append(program())
            root = settings.get_root_resource()
            assert root is not None
            root.register_outputs(dict(root.outputs))

        with deep():
            pulumi_mocks.test(body)()
        return Run(tuple(monitor.registered), monitor.exported, result[0])

    yield run
    settings.reset_options()
    set_all_config({})


@pytest.fixture(scope="session")
def release() -> Callable[[versions.ReleaseFile], list[dict[str, Any]]]:
    """The real release manifests, each read once.

    Without the schemas of their definitions: megabytes that every program would register anew, and no test reads.
    """

    original = releases.read  # taken now: a program's test puts this fixture in its place

    def read(which: versions.ReleaseFile) -> list[dict[str, Any]]:
        documents = original(which)
        for document in documents:
            if document["kind"] == "CustomResourceDefinition":
                for version in document["spec"]["versions"]:
                    version["schema"] = {}
        return documents

    return functools.cache(read)


@pytest.fixture
def without_marks() -> Callable[[Any], Any]:
    """Takes the marks of secrets out of what was exported."""
    return plain
