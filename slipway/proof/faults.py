"""Faults: each can be injected and healed, and whatever happens in between, it is healed."""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from slipway.proof.kube import Kube, OnNode, Pod
from slipway.proof.timeline import Kind, Timeline

# Every process whose cgroup path names the container, as lines of "pid number", where the number is what the process is
# called inside. The container's id is an argument, never text.
_PROCESSES: Final = (
    'for p in $(grep -l "$1" /proc/[0-9]*/cgroup 2>/dev/null); do '
    "awk '/^Pid:/{p=$2} /^NSpid:/{print p, (NF>2)?$3:$2; exit}' \"${p%/cgroup}/status\" 2>/dev/null; done; true"
)
# Their names, as lines of "pid name"; one that has ended meanwhile is passed over.
_NAMES: Final = 'for p in "$@"; do printf "%s %s\\n" "$p" "$(cat /proc/$p/comm 2>/dev/null)"; done; true'
# Fails only if it killed none: a master takes its workers with it, so that some may be gone before their turn.
_KILL: Final = 'k=1; for p in "$@"; do kill -9 "$p" 2>/dev/null && k=0; done; exit $k'


#: Seconds in which the pods of a drained node must have gone, one after the other.
DRAIN_WITHIN: Final = 600.0


class FaultError(RuntimeError):
    """A fault could not be injected."""


class UnhealedError(RuntimeError):
    """A fault could not be healed; the message says what is left to undo by hand."""


class Fault(Protocol):
    """Something that can go wrong on purpose."""

    @property
    def name(self) -> str:
        """What goes wrong, in few words, with the name of the thing."""
        ...

    def inject(self) -> None:
        """Let it go wrong."""
        ...

    def heal(self) -> None:
        """Undo it. Called also if `inject` failed half-way, so it must bear finding nothing to undo."""
        ...


@contextlib.contextmanager
def injected(fault: Fault, timeline: Timeline, kind: Kind = Kind.FAULT) -> Generator[None]:
    """The fault for the length of the block; healed at its end, whatever happened in it.

    Args:
        fault: what is injected.
        timeline: told of it.
        kind: what it is there.

    Raises:
        UnhealedError: the heal failed. It outweighs an error of the block, which it carries as its context.
    """
    with timeline.span(fault.name, kind):
        try:
            fault.inject()
            yield
        finally:
            try:
                fault.heal()
            except Exception as error:
                raise UnhealedError(f"{fault.name} could not be healed, undo it by hand: {error}") from error


def processes(text: str) -> dict[int, int]:
    """Process ids, and what each is called inside of its container, from lines of `pid number`."""
    pairs = (line.split() for line in text.splitlines() if line.strip())
    return {int(pid): int(number) for pid, number in pairs}


def first_process(inside: Mapping[int, int]) -> int:
    """The process that a container began with: number 1 inside.

    Not the one without a parent among them: a probe that is run in the container at that moment has none either.

    Raises:
        FaultError: there is none, or more than one.
    """
    first = sorted(pid for pid, number in inside.items() if number == 1)
    if len(first) != 1:
        raise FaultError(f"expected one first process, found {first or 'none'} among {dict(inside)}")
    return first[0]


@dataclass(frozen=True, slots=True)
class DeletePod:
    """A pod is deleted, gracefully or at once; its controller is what heals."""

    kube: Kube
    pod: Pod
    at_once: bool = False

    @property
    def name(self) -> str:
        """What goes wrong."""
        return f"delete pod {self.pod.name}{' at once' if self.at_once else ''}"

    def inject(self) -> None:
        """Delete it."""
        self.kube.delete_pods(self.pod.namespace, [self.pod.name], at_once=self.at_once)

    def heal(self) -> None:
        """Nothing: a deleted pod is replaced by its controller, which is what is tested."""


@dataclass(frozen=True, slots=True)
class DeletePods:
    """Pods are deleted at once: with a command for each, the first would be back before the last is gone."""

    kube: Kube
    pods: tuple[Pod, ...]

    @property
    def name(self) -> str:
        """What goes wrong."""
        return f"delete pods {', '.join(pod.name for pod in self.pods)} at once"

    def inject(self) -> None:
        """Delete them, with a command for each namespace."""
        for namespace in sorted({pod.namespace for pod in self.pods}):
            names = [pod.name for pod in self.pods if pod.namespace == namespace]
            self.kube.delete_pods(namespace, names, at_once=True)

    def heal(self) -> None:
        """Nothing: deleted pods are replaced by their controllers, which is what is tested."""


@dataclass(frozen=True, slots=True)
class KillContainer:
    """The first process of a container gets signal 9; the kubelet starts it again, which is what heals."""

    on_node: OnNode
    pod: Pod
    container: str

    @property
    def name(self) -> str:
        """What goes wrong."""
        return f"kill -9 {self.pod.name}/{self.container}"

    def inject(self) -> None:
        """Kill it."""
        first = first_process(_tree(self.on_node, self.pod, self.container))
        self.on_node(self.pod.node, ["kill", "-9", str(first)])

    def heal(self) -> None:
        """Nothing: the kubelet starts it again, which is what is tested."""


@dataclass(frozen=True, slots=True)
class KillProgram:
    """Every process of a container that runs a program gets signal 9; whatever started it is what heals.

    Where the program is the container's first process, this is `KillContainer`.
    """

    on_node: OnNode
    pod: Pod
    container: str
    program: str

    @property
    def name(self) -> str:
        """What goes wrong."""
        return f"kill -9 {self.program} in {self.pod.name}/{self.container}"

    def inject(self) -> None:
        """Kill them."""
        found = [str(pid) for pid in sorted(_tree(self.on_node, self.pod, self.container))]
        names = self.on_node(self.pod.node, ["sh", "-c", _NAMES, "sh", *found])
        running = [(pid, name) for pid, _, name in (line.partition(" ") for line in names.splitlines())]
        wanted = [pid for pid, name in running if name == self.program]
        if not wanted:
            others = ", ".join(name for _, name in running) or "nothing"
            raise FaultError(f"{self.pod.name}/{self.container} runs no {self.program!r}; it runs {others}")
        self.on_node(self.pod.node, ["sh", "-c", _KILL, "sh", *wanted])

    def heal(self) -> None:
        """Nothing: what started it starts it again, which is what is tested."""


@dataclass(frozen=True, slots=True)
class Together:
    """Several faults at once; all are healed, whichever fails."""

    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """What goes wrong."""
        return " and ".join(fault.name for fault in self.faults)

    def inject(self) -> None:
        """Inject all."""
        for fault in self.faults:
            fault.inject()

    def heal(self) -> None:
        """Heal all, the last one first."""
        with contextlib.ExitStack() as stack:
            for fault in self.faults:
                stack.callback(fault.heal)


@dataclass(slots=True)
class PauseContainer:
    """All processes of a container stand still: alive, connected, and silent."""

    on_node: OnNode
    pod: Pod
    container: str
    _stopped: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        """What goes wrong."""
        return f"pause {self.pod.name}/{self.container}"

    def inject(self) -> None:
        """Stop them."""
        found = sorted(_tree(self.on_node, self.pod, self.container))
        if not found:
            raise FaultError(f"{self.pod.name}/{self.container} has no process on {self.pod.node}")
        self._stopped = [str(pid) for pid in found]
        self.on_node(self.pod.node, ["kill", "-STOP", *self._stopped])

    def heal(self) -> None:
        """Let them go on; those that ended meanwhile are passed over."""
        if self._stopped:
            self.on_node(self.pod.node, ["sh", "-c", 'kill -CONT "$@" 2>/dev/null; true', "sh", *self._stopped])
            self._stopped = []


@dataclass(frozen=True, slots=True)
class FillDisk:
    """A file takes the space of a volume on a node."""

    on_node: OnNode
    node: str
    folder: str
    size: str

    @property
    def name(self) -> str:
        """What goes wrong."""
        return f"fill {self.folder} on {self.node} with {self.size}"

    @property
    def _file(self) -> str:
        return f"{self.folder.rstrip('/')}/.slipway-fill"

    def inject(self) -> None:
        """Take the space, as much of it as there is."""
        self.on_node(self.node, ["sh", "-c", 'fallocate -l "$2" "$1" || test -s "$1"', "sh", self._file, self.size])

    def heal(self) -> None:
        """Give it back."""
        self.on_node(self.node, ["rm", "-f", self._file])


@dataclass(frozen=True, slots=True)
class Switch:
    """Anything that can be turned off and on: a node, the control plane, a protection."""

    label: str
    off: Callable[[], None]
    on: Callable[[], None]

    @property
    def name(self) -> str:
        """What goes wrong."""
        return self.label

    def inject(self) -> None:
        """Turn it off."""
        self.off()

    def heal(self) -> None:
        """Turn it on."""
        self.on()


def drained(kube: Kube, node: str) -> Switch:
    """A node whose pods are moved away, and that takes pods again when it is healed."""
    return Switch(f"drain {node}", lambda: kube.drain(node, within=DRAIN_WITHIN), lambda: kube.uncordon(node))


def _tree(on_node: OnNode, pod: Pod, container: str) -> dict[int, int]:
    identity = next((one.identity for one in pod.containers if one.name == container), "")
    if not identity:
        names: Sequence[str] = [one.name for one in pod.containers]
        raise FaultError(f"pod {pod.name} has no running container {container!r}; it has {', '.join(names) or 'none'}")
    return processes(on_node(pod.node, ["sh", "-c", _PROCESSES, "sh", identity]))
