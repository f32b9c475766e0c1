"""What the controller sees of the world in one look, and what it may do. Values only.

`decide` takes an `Observation` and answers with one `Decision`: write a new status, act on the cluster as the written
status says, or wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.rollout.analysis import Measurement
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import Colour, RolloutStatus


@dataclass(frozen=True, slots=True)
class Rollout:
    """The object as read: `version` is its resourceVersion, which every status write must still find."""

    name: str
    namespace: str
    uid: str
    generation: int
    version: str
    spec: RolloutSpec
    status: RolloutStatus


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the spec asks for now: the hash covers image, pod template, config and attempt."""

    hash: str
    image: str


@dataclass(frozen=True, slots=True)
class WorkersView:
    """The Deployment of one colour's workers and its pods; without a Deployment as it is here.

    Attributes:
        revision: hash the Deployment is made for.
        replicas: how many pods it asks for.
        ready: Ready pods of exactly that revision.
        crash_looping: the kubelet has given up restarting one of them quickly.
        version: the Deployment's resourceVersion; every change of it must still find this one.
    """

    revision: str = ""
    replicas: int = 0
    ready: int = 0
    crash_looping: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class ColourView:
    """The Deployment of one colour and its pods.

    Attributes:
        revision: hash the Deployment is made for; empty when there is no Deployment.
        replicas: how many pods it asks for (the autoscaler may have raised it).
        ready: Ready pods of exactly that revision.
        pods: all pods of the colour that are not gone yet.
        crash_looping: the kubelet has given up restarting one of them quickly.
        version: the Deployment's resourceVersion; every change of it must still find this one.
        workers: the colour's workers.
    """

    revision: str = ""
    replicas: int = 0
    ready: int = 0
    pods: int = 0
    crash_looping: bool = False
    version: str = ""
    workers: WorkersView = WorkersView()


@dataclass(frozen=True, slots=True)
class RouterView:
    """What one HAProxy process says of the service.

    Attributes:
        process: identity of the process; another one means it was reloaded or restarted.
        blue: sum of the weights of blue servers that take requests.
        green: the same for green.
        blue_servers: number of blue servers that the process knows.
        green_servers: the same for green.
        open_requests: requests in flight per colour.
        preview: the weights (blue, green) of the preview host; None when the process does not know it.
    """

    process: str
    blue: int
    green: int
    blue_servers: int
    green_servers: int
    open_requests: Mapping[Colour, int] = field(default_factory=dict[Colour, int])
    preview: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """The weights as they stand in the cluster, and who put them there.

    Attributes:
        weights: (blue, green), or None when nothing is annotated yet.
        initial: the annotated full weight; 0 when absent.
        writer: the field manager that owns the annotation; empty when unknown.
        ours: whether that is the controller.
        fence: the leadership number under which it was written.
        version: resourceVersion of the object; every change of it must still find this one.
    """

    weights: tuple[int, int] | None
    initial: int
    writer: str
    ours: bool
    fence: int
    version: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Which colour's workers consume, as the workers are told.

    Attributes:
        colour: the colour that is named; None when there is no switch yet, or it names none.
        fence: the leadership number under which it was written.
        version: resourceVersion of the object, empty when there is none; every change must still find this one.
    """

    colour: Colour | None
    fence: int
    version: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A PodTemplate of a revision's own, which everything else that was copied for the revision goes with.

    Attributes:
        name: of the PodTemplate.
        revision: hash of the revision.
        version: its resourceVersion; a deletion must still find this one.
    """

    name: str
    revision: str
    version: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job of the controller; `exit_code` is None while it runs, and -1 when it ended without one.

    While it runs `message` says why its pod has not begun, if that will not pass by itself.
    """

    exit_code: int | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at the cluster.

    Attributes:
        epoch: number of this leadership, rising with each change of the leader.
        wanted: what the spec comes to; None while the template or the config cannot be read (see `problems`).
        colours: both colours, always.
        annotation: the Service's weights; None when it could not be read.
        routers: answers by router pod; None for a Ready router that did not answer. Empty: no Ready router is known.
        measurements: answers for the metrics that are due, by name.
        jobs: Jobs of this rollout by name.
        prometheus: whether the metrics source answers; None when the spec does not need it.
        free_slots: the smallest number of unused server slots in any router; None when unknown.
        problems: reasons why a rollout cannot start.
        preview: the weights of the preview Service; None when there is none.
        switch: which colour's workers consume; None for a service without workers.
        waiting: messages that have waited lately at most; None when nobody asks, or nobody knows.
        holder: name of an older Rollout on the same Service; empty when there is none.
        copies: what was copied for revisions; looked at while nothing is under way.
    """

    epoch: int
    wanted: Wanted | None
    colours: Mapping[Colour, ColourView]
    annotation: Annotation | None
    routers: Mapping[str, RouterView | None]
    measurements: Mapping[str, Measurement] = field(default_factory=dict[str, Measurement])
    jobs: Mapping[str, JobView] = field(default_factory=dict[str, JobView])
    prometheus: bool | None = None
    free_slots: int | None = None
    problems: tuple[str, ...] = ()
    preview: Annotation | None = None
    switch: Switch | None = None
    waiting: float | None = None
    holder: str = ""
    copies: tuple[Copy, ...] = ()


@dataclass(frozen=True, slots=True)
class SetPreview:
    """Point the preview Service at one colour; refused by the cluster when `version` is not the present one."""

    colour: Colour
    fence: int
    version: str


@dataclass(frozen=True, slots=True)
class SetWeights:
    """Annotate the Service; refused by the cluster when `version` is not the present one."""

    blue: int
    green: int
    initial: int
    fence: int
    version: str


@dataclass(frozen=True, slots=True)
class ApplyColour:
    """Make the colour's Deployment carry this revision with this many pods.

    `revision` empty means: keep the pods' template, change the number only.
    """

    colour: Colour
    revision: str
    image: str
    replicas: int
    version: str


@dataclass(frozen=True, slots=True)
class ApplyWorkers:
    """The same for the Deployment of the colour's workers."""

    colour: Colour
    revision: str
    replicas: int
    version: str


@dataclass(frozen=True, slots=True)
class SetConsumers:
    """Name the colour whose workers consume; refused by the cluster when `version` is not the present one."""

    colour: Colour
    fence: int
    version: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete what was copied for a forgotten revision; refused when `version` is not the present one."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class RunJob:
    """Create a Job if it does not exist. `kind` is check, expand, contract, preview, or the name of a metric."""

    name: str
    kind: str
    revision: str
    image: str
    colour: Colour


Action = SetWeights | SetPreview | ApplyColour | ApplyWorkers | SetConsumers | Forget | RunJob


@dataclass(frozen=True, slots=True)
class Write:
    """Replace the status by compare-and-swap; `event` is told to people."""

    status: RolloutStatus
    event: str


@dataclass(frozen=True, slots=True)
class Act:
    """Do what the status that is already written asks for. Safe to repeat."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something changes, or until this moment."""

    until: float | None


Decision = Write | Act | Wait
